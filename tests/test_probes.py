"""The contract of probes: every registered probe scores an encoder's features."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from trainables.config import TrialConfig
from trainables.data.dataset import Dataset, Split
from trainables.device.runtime import Runtime
from trainables.encoders.embedding import build_encoder
from trainables.evaluation import PROBES, knn
from trainables.evaluation.features import Subject


def two_classes(device: str = "cpu") -> Subject:
    """Dark images and bright ones: any classifier on any sensible features tells them apart."""
    generator = torch.Generator().manual_seed(0)

    def split(n: int) -> Split:
        labels = torch.arange(n) % 2
        noise = torch.randint(0, 60, (n, 1, 8, 8), generator=generator)
        return Split((noise + 180 * labels[:, None, None, None]).byte(), labels)

    train, validation, test = split(40), split(20), split(20)
    data = Dataset(
        "shades", ("dark", "bright"), "", 8, 1, (0.5,), (0.3,), train, validation, test, Path()
    )
    config = TrialConfig(encoder="resnet10", width=2, knn_k=5, device=device, precision="fp32")
    torch.manual_seed(0)
    return Subject(config, build_encoder(config, 1).to(device), data, test, Runtime(config))


@pytest.mark.parametrize("name", PROBES)
def test_every_probe_scores_the_split_that_it_is_given(name: str, device: str) -> None:
    probe = PROBES[name]
    assert probe.name == name
    assert probe.summary
    subject = two_classes(device)
    before = {key: value.clone() for key, value in subject.encoder.state_dict().items()}
    found = probe.load()(subject)
    assert found.top1 == 100
    assert found.top5 == 100
    again = probe.load()(two_classes(device))  # a probe repeats
    assert (again.top1, again.top5) == (found.top1, found.top5)
    assert found.right is not None and again.right is not None
    assert torch.equal(again.right, found.right)
    after = subject.encoder.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())  # it is frozen


def test_the_vote_takes_its_numbers_from_the_config() -> None:
    subject = two_classes()
    images, labels = subject.data.train.images, subject.data.train.labels
    few = torch.cat([(labels == 0).nonzero()[:, 0], (labels == 1).nonzero()[:5, 0]])
    data = replace(subject.data, train=Split(images[few], labels[few]))

    def top1(k: int, temperature: float) -> float:
        fields = {"knn_k": k, "knn_temperature": temperature}
        config = subject.config.model_copy(update=fields)
        return knn.score(replace(subject, data=data, config=config)).top1

    assert top1(1, 0.1) > 90
    # Every training image votes, all with about the same weight: the larger class always wins.
    assert top1(len(few), 10.0) == 50
