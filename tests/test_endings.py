"""How a trial's error becomes its ending, and an ending an error again."""

from __future__ import annotations

import pytest

from trainables.endings import Ending, GaveUpError, WrongInputError, ending_of, error_of


def test_a_loss_that_is_not_finite_is_a_divergence_and_no_reason_to_try_again() -> None:
    assert ending_of(FloatingPointError("loss is nan")) == Ending("diverged", "loss is nan", True)


def test_other_errors_name_their_place_and_may_be_tried_again() -> None:
    with pytest.raises(ArithmeticError) as caught:
        raise ArithmeticError("no\nepoch")
    ending = ending_of(caught.value)
    assert (ending.status, ending.final) == ("failed", False)
    assert ending.error.startswith("ArithmeticError: no epoch (test_endings.py:")


@pytest.mark.parametrize(
    "error",
    [FloatingPointError("loss is inf"), GaveUpError("three times"), WrongInputError("no such set")],
)
def test_an_ending_stays_the_same_on_its_way_from_a_worker(error: Exception) -> None:
    again = error_of(ending_of(error))
    assert (type(again), str(again)) == (type(error), str(error))
    assert ending_of(again) == ending_of(error)
