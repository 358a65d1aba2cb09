"""Contrastive methods. A new method is a file here and an entry in `METHODS`."""

from __future__ import annotations

from trainables.methods.base import Method
from trainables.registry import Registry

_SHIPPED = (
    Method(
        "moco",
        "MoCo v2: a momentum encoder and a queue of keys (Chen, Fan et al. 2020)",
        "trainables.methods.moco:MoCo",
        # MixCo's published code runs clean and mixed images through the encoder as one batch.
        mix_batch_norm="shared",
        fields=("key_momentum", "queue_size"),
        # MixCo's published scripts train on two GPUs, each with batch-norm statistics of its own.
        recipes={"paper": {"batch_norm_groups": 2}},
    ),
    Method(
        "simclr",
        "SimCLR: NT-Xent over the batch (Chen, Kornblith et al. 2020)",
        "trainables.methods.simclr:SimCLR",
        # MixCo's published code runs clean and mixed images apart.
        mix_batch_norm="separate",
        # From MixCo's published code and scripts. Mixed images move the running averages there.
        recipes={
            "paper": {
                "temperature": 0.5,
                "mix_temperature": 0.5,
                "learning_rate": 0.15,
                "weight_decay": 1e-6,
                "colour_strength": 1.0,
                "mix_batch_norm": "separate-both",
            }
        },
    ),
)

METHODS: Registry[Method] = Registry(
    "method",
    {method.name: method for method in _SHIPPED},
    contract=Method,
    group="mixco.methods",
)
