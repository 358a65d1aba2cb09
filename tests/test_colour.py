"""The colour jitter in C++ against the one by torch's operators."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from trainables.native import colour as native
from trainables.views import colour
from trainables.views.parameters import Policy, draw_views

POLICY = Policy(crop_scale=0.2, flip=True, colour=True, blur=False)
compiled = pytest.mark.skipif(not native.is_available(), reason="no C++ compiler here")


@compiled
@example(n=2, size=10, seed=85, levels=2)
@given(
    n=st.integers(1, 13), size=st.integers(1, 40), seed=st.integers(0, 99), levels=st.integers(1, 9)
)
def test_both_forms_give_the_same_colours(n: int, size: int, seed: int, levels: int) -> None:
    """Few levels: greys, and channels that are largest together, are common."""
    generator = torch.Generator().manual_seed(seed)
    views = draw_views(n, size, POLICY, generator)
    x = torch.randint(0, levels + 1, (n, 3, size, size), generator=generator) / levels
    kept = x.clone()
    ours = colour.jitter(x.clone(), views)
    assert torch.allclose(ours, colour.by_operators(x, views), atol=1e-5)
    jittered = bool((views.factors != 1).any())  # a few draws leave every image as it is
    if jittered and n > 1 and levels > 1 and size > 9:
        assert not torch.allclose(ours, kept, atol=0.01)


@compiled
def test_results_are_those_of_any_number_of_threads() -> None:
    x = torch.rand(50, 3, 20, 20)
    views = draw_views(50, 20, POLICY, torch.Generator().manual_seed(0))
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            results.append(colour.jitter(x.clone(), views))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*results)


def test_without_a_compiler_torchs_operators_are_used(
    without_compiler: Callable[[str], None],
) -> None:
    without_compiler(
        "import torch\n"
        "from trainables.native import colour as native\nfrom trainables.views import colour\n"
        "from trainables.views.parameters import Policy, draw_views\n"
        "assert not native.is_available()\n"
        "views = draw_views(8, 9, Policy(0.2, True, True, False), torch.Generator())\n"
        "x = torch.rand(8, 3, 9, 9)\n"
        "assert torch.equal(colour.jitter(x.clone(), views), colour.by_operators(x, views))\n"
    )
