"""Which of the scored images a probe classified right, one bit for each.

Two trials that scored the same images can then be compared image by image: how much of the
difference comes from training, and how much from which images the test split happens to hold.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor


def columns(right: Tensor, labels: Tensor, classes: int) -> dict[str, Any]:
    """The columns ``right`` and ``class_images`` of the table ``evaluations``.

    Args:
        right: whether each scored image's first guess is its class, [N] bool.
        labels: of these images, [N], from 0 to ``classes`` - 1.
        classes: how many classes the data set has.

    Returns:
        ``right``: N bits, 1 for right, the images ordered by class and then by their place in the
        split; ``class_images``: how many images each class has. With them a reader needs no labels.
    """
    own = labels.cpu().numpy()
    by_class = np.argsort(own, kind="stable")
    return {
        "right": np.packbits(right.cpu().numpy()[by_class]).tobytes(),
        "class_images": np.bincount(own, minlength=classes).tolist(),
    }
