"""Training steps of other code, for comparison. As usual, a DataLoader of PIL images feeds them.

Encoder, head, batch and queue are the same as in this project's step.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from trainables.encoders.embedding import Projection
from trainables.encoders.resnet import ResNet

Images = npt.NDArray[np.uint8]  # [N, H, W, 3]
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
DIM, MOMENTUM, TAU, TAU_MIX = 128, 0.999, 0.2, 0.05


class Pairs(Dataset[tuple[Tensor, Tensor]]):
    """Two views of each image, made by torchvision from a PIL image."""

    def __init__(self, images: Images) -> None:
        self.images = images
        self.transform = transforms.Compose(
            [
                transforms.RandomResizedCrop(images.shape[1], scale=(0.2, 1.0)),
                transforms.RandomApply([transforms.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
                transforms.RandomGrayscale(p=0.2),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(MEAN, STD),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image = Image.fromarray(self.images[index])
        return self.transform(image), self.transform(image)


class Plain(nn.Module):
    """MoCo v2 with MixCo as a plain module in single precision: the shape of the published code."""

    def __init__(self, width: int, queue_size: int) -> None:
        super().__init__()
        encoder = ResNet("resnet18", width)
        self.query = nn.Sequential(encoder, Projection(encoder.features, DIM))
        self.key = copy.deepcopy(self.query).requires_grad_(False)
        self.queue: Tensor
        self.register_buffer("queue", nn.functional.normalize(torch.randn(DIM, queue_size), dim=0))
        self.place = 0

    def forward(self, view1: Tensor, view2: Tensor) -> Tensor:
        n = len(view1)
        share = torch.rand(n // 2, 1, 1, 1)
        mixed = share * view1[: n // 2] + (1 - share) * view1[n // 2 :]
        with torch.no_grad():
            for own, theirs in zip(self.key.parameters(), self.query.parameters(), strict=True):
                own.data = own.data * MOMENTUM + theirs.data * (1 - MOMENTUM)
            k = nn.functional.normalize(self.key(view2), dim=1)
        q, q_mix = nn.functional.normalize(self.query(torch.cat([view1, mixed])), dim=1).split(n)
        queue = self.queue.clone().detach()
        positive, negative = torch.einsum("nc,nc->n", [q, k]), torch.einsum("nc,ck->nk", [q, queue])
        logits = torch.cat([positive[:, None], negative], dim=1) / TAU
        loss = nn.functional.cross_entropy(logits, torch.zeros(n, dtype=torch.long))
        in_batch, out = (
            torch.einsum("nc,mc->nm", [q_mix, k]),
            torch.einsum("nc,ck->nk", [q_mix, queue]),
        )
        log_softmax = nn.functional.log_softmax(torch.cat([in_batch, out], dim=1) / TAU_MIX, dim=1)
        rows, share = torch.arange(n // 2), share.flatten()
        targets = torch.zeros_like(log_softmax)
        targets[rows, rows], targets[rows, rows + n // 2] = share, 1 - share
        self.queue[:, self.place : self.place + n] = k.T
        self.place = (self.place + n) % self.queue.shape[1]
        return loss - (targets * log_softmax).sum(1).mean()


def published(
    images: Images, width: int, batch: int, queue: int, workers: int
) -> Callable[[], float]:
    """The published MixCo step's shape: images/s of an epoch over ``images``."""
    model = Plain(width, queue)
    optimizer = torch.optim.SGD(model.query.parameters(), 0.03, momentum=0.9, weight_decay=1e-4)
    loader = DataLoader(
        Pairs(images), batch, shuffle=True, drop_last=True, num_workers=workers,
        persistent_workers=workers > 0,
    )  # fmt: skip

    def step(views: list[Tensor]) -> Tensor:
        return model(*views)

    return lambda: _epoch(loader, step, optimizer, batch)


def lightly_moco(
    images: Images, width: int, batch: int, queue: int, workers: int, device: str = "cpu"
) -> Callable[[], float]:
    """lightly's MoCo v2 as its documentation puts it together, without mixing; images/s."""
    from lightly.loss import NTXentLoss
    from lightly.models import utils
    from lightly.models.modules.heads import MoCoProjectionHead
    from lightly.transforms import MoCoV2Transform

    encoder = ResNet("resnet18", width).to(device)
    head = MoCoProjectionHead(encoder.features, encoder.features, DIM).to(device)
    key_encoder, key_head = copy.deepcopy(encoder), copy.deepcopy(head)
    utils.deactivate_requires_grad(key_encoder)
    utils.deactivate_requires_grad(key_head)
    criterion = NTXentLoss(temperature=TAU, memory_bank_size=(queue, DIM)).to(device)

    def step(view1: Tensor, view2: Tensor) -> Tensor:
        utils.update_momentum(encoder, key_encoder, m=MOMENTUM)
        utils.update_momentum(head, key_head, m=MOMENTUM)
        q = head(encoder(view1).flatten(1))
        with torch.no_grad():
            shuffled, order = utils.batch_shuffle(view2)
            k = key_head(key_encoder(shuffled).flatten(1))
            k = utils.batch_unshuffle(k, order)
        return criterion(q, k)

    transform = MoCoV2Transform(input_size=images.shape[1], gaussian_blur=0.0)  # no blur at 32 px
    return _lightly(images, transform, [encoder, head], step, batch, workers, device)


def lightly_simclr(
    images: Images, width: int, batch: int, queue: int, workers: int, device: str = "cpu"
) -> Callable[[], float]:
    """lightly's SimCLR as its documentation puts it together, without mixing; images/s.

    ``queue`` is not used: SimCLR has none.
    """
    from lightly.loss import NTXentLoss
    from lightly.models.modules.heads import SimCLRProjectionHead
    from lightly.transforms import SimCLRTransform

    encoder = ResNet("resnet18", width).to(device)
    head = SimCLRProjectionHead(encoder.features, encoder.features, DIM).to(device)
    criterion = NTXentLoss(temperature=TAU).to(device)

    def step(view1: Tensor, view2: Tensor) -> Tensor:
        return criterion(head(encoder(view1).flatten(1)), head(encoder(view2).flatten(1)))

    transform = SimCLRTransform(input_size=images.shape[1], gaussian_blur=0.0)
    return _lightly(images, transform, [encoder, head], step, batch, workers, device)


def _lightly(
    images: Images,
    transform: Any,
    trained: list[nn.Module],
    step: Callable[[Tensor, Tensor], Tensor],
    batch: int,
    workers: int,
    device: str,
) -> Callable[[], float]:
    """Images/s of an epoch in which ``step`` gives the loss of two views."""
    from lightly.data import LightlyDataset

    dataset = LightlyDataset.from_torch_dataset(_Labelled(images), transform=transform)
    loader = DataLoader(
        dataset, batch, shuffle=True, drop_last=True, num_workers=workers,
        persistent_workers=workers > 0, pin_memory=device != "cpu",
    )  # fmt: skip
    parameters = [parameter for module in trained for parameter in module.parameters()]
    optimizer = torch.optim.SGD(parameters, 0.03, momentum=0.9, weight_decay=1e-4)

    def on_device(loaded: list[list[Tensor]]) -> Tensor:
        view1, view2 = (view.to(device, non_blocking=True) for view in loaded[0])
        return step(view1, view2)

    return lambda: _epoch(loader, on_device, optimizer, batch)


class _Labelled(Dataset[tuple[Any, int]]):
    """Images and labels as in torchvision's data sets; lightly sets ``transform``."""

    def __init__(self, images: Images) -> None:
        self.images = images
        self.transform: Callable[[Image.Image], Any] = lambda image: image

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.transform(Image.fromarray(self.images[index])), 0


def _epoch(
    loader: Iterable[list[Tensor]],
    step: Callable[[list[Tensor]], Tensor],
    optimizer: torch.optim.Optimizer,
    size: int,
) -> float:
    """Train on every batch; images/s of all but the first, which waits for workers to start."""
    start, images = 0.0, 0
    for index, batch in enumerate(loader):
        loss = step(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if index == 0:
            start = time.perf_counter()
        else:
            images += size
    loss.item()  # waits until a GPU is done
    return images / (time.perf_counter() - start)
