"""The probe ``linear_sgd``, the paper's protocol: SGD on augmented images, the encoder frozen."""

from __future__ import annotations

import torch
from torch.nn import functional

from trainables.data.dataset import Dataset, Split
from trainables.device.runtime import Runtime
from trainables.encoders.embedding import Encoder
from trainables.evaluation.features import Accuracy, Subject, accuracy, extract
from trainables.streams import stream
from trainables.views.augment import apply_views
from trainables.views.parameters import Policy, draw_views

EPOCHS = 100
MILESTONES = (60, 80)
BATCH = 256
LEARNING_RATE = 3.0
MOMENTUM = 0.9


def score(subject: Subject) -> Accuracy:
    """The probe on a trial's encoder, with the trial's seed."""
    return linear_sgd(
        subject.encoder, subject.data, subject.scored, subject.runtime, subject.config.seed
    )


def linear_sgd(
    encoder: Encoder,
    data: Dataset,
    scored: Split,
    runtime: Runtime,
    seed: int,
    epochs: int = EPOCHS,
) -> Accuracy:
    """A linear classifier trained as MixCo's paper does, scored after its last epoch.

    SGD at rate 3 without weight decay, divided by 10 at 60 % and 80 % of ``epochs``, batches of
    256, random resized crops (scale 0.08 to 1) and flips. The published code reports the best
    epoch on the test set. This function reports the last epoch.
    """
    device, classes, size = runtime.device, len(data.classes), data.image_size
    policy = Policy(0.08, data.horizontal_flip, colour=False, blur=False)
    mean = torch.tensor(data.mean, device=device)[:, None, None]
    std = torch.tensor(data.std, device=device)[:, None, None]
    classifier = torch.nn.Linear(encoder.features, classes, device=device)
    draws, order = stream(seed, "probe-views", device=device), stream(seed, "probe-order")
    torch.nn.init.normal_(classifier.weight, std=0.01, generator=draws)
    torch.nn.init.zeros_(classifier.bias)
    optimizer = torch.optim.SGD(classifier.parameters(), LEARNING_RATE, MOMENTUM)
    milestones = [epochs * milestone // EPOCHS for milestone in MILESTONES]
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones)
    encoder.eval()
    for _ in range(epochs):
        for rows in torch.randperm(len(data.train), generator=order).split(BATCH):
            images = data.train.images[rows].to(device)
            views = draw_views(len(rows), size, policy, draws)
            x = (apply_views(images, views, policy) - mean) / std
            with torch.no_grad(), runtime.autocast():
                features = encoder(x.contiguous(memory_format=runtime.memory_format)).float()
            loss = functional.cross_entropy(
                classifier(features), data.train.labels[rows].to(device)
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
    queries = extract(encoder, scored, data, runtime)
    encoder.train()
    with torch.no_grad():
        return accuracy(classifier(queries.values), queries.labels)
