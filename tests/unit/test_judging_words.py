"""Figures, rails and flips in words."""

import pytest

from core.guard_rails import ALL, Rail
from core.intervals import Estimate
from dashboard.services import judging_words as words


@pytest.mark.parametrize(
    ("difference", "said", "p", "unit", "text"),
    [
        (Estimate(0.045, 0.012, 0.078), "better", 0.0121, "share",
         "better by 4.5 points (95 % interval +1.2 to +7.8, p = 0.012)"),
        (Estimate(-0.2, -0.3, -0.1), "worse", 0.0001, "share",
         "worse by 20.0 points (95 % interval ~30.0 to ~10.0, p < 0.001)"),
        (Estimate(-0.2, -0.3, -0.1), "better", None, "share",
         "better by 20.0 points (95 % interval ~30.0 to ~10.0)"),
        (Estimate(0.0, -0.05, 0.05), "no clear change", 1.0, "share",
         "no clear change: 0.0 points (95 % interval ~5.0 to +5.0, p = 1.00)"),
        (Estimate(-0.041), "", None, "score", "~0.041"),
        (Estimate(None), "", None, "share", "cannot be told"),
    ],
)  # fmt: skip
def test_a_change_in_words(
    difference: Estimate, said: str, p: float | None, unit: str, text: str
) -> None:
    assert words.change_words(difference, said, p, unit) == text.replace("~", words.MINUS)


def test_rails_in_words() -> None:
    view = words.rail_view(Rail("test", "accuracy", 0.05, 0.01, 0.09, 0.03))
    assert view.broken
    assert view.sentence == (
        "Accuracy on the split test: 5.0 points are lost, more than the 3 this project allows; "
        "with so few cases it may be a loss of 1.0 to 9.0 points."
    )
    clear = words.rail_view(Rail("test", "accuracy", 0.05, 0.04, 0.06, 0.03))
    assert "may be" not in clear.sentence
    either = words.rail_view(Rail("test", "accuracy", 0.04, -0.012, 0.071, 0.03))
    assert "anything from a gain of 1.2 to a loss of 7.1 points" in either.sentence
    kept = words.rail_view(Rail("reversed", "worst_group", 0.02, None, None, 0.025))
    assert kept.sentence == (
        "Worst-group accuracy on the split reversed: 2.0 points are lost; this project allows 2.5."
    )
    won = words.rail_view(Rail("test", "accuracy", -0.1, -0.2, 0.0, 0.03))
    assert won.sentence.endswith("nothing is lost (+10.0 points).")


def test_rails_of_figures_that_grow_in_words() -> None:
    gap = words.rail_view(Rail(ALL, "shortcut_gap", 0.05, 0.04, 0.06, 0.03))
    assert gap.sentence == (
        "Shortcut gap on all held-out splits together: grew by 5.0 points, more than the 3 this "
        "project allows."
    )
    shrunk = words.rail_view(Rail("test", "spurious_share", -0.2, -0.3, -0.1, 0.03))
    assert shrunk.sentence == (
        "Share on rejected concepts on the split test: nothing is lost (~20.0 points)."
    ).replace("~", words.MINUS)
    unsure = words.rail_view(Rail("test", "ece", 0.05, 0.01, 0.09, 0.03))
    assert not unsure.broken
    assert unsure.sentence == (
        "Calibration error on the split test: grew by 5.0 points, but not clearly by more than the "
        "3 allowed (it may be a growth of 1.0 to 9.0 points)."
    )
    sure = words.rail_view(Rail("test", "ece", 0.05, 0.04, 0.06, 0.03))
    assert sure.broken
    assert sure.sentence.endswith("grew by 5.0 points, more than the 3 this project allows.")


def test_a_guard_says_what_is_asked_for() -> None:
    broken = Rail("test", "accuracy", 0.05, None, None, 0.03)
    fine = Rail("test", "worst_group", 0.0, None, None, 0.03)
    guard = words.guard_view((broken, fine), 0.03)
    assert (guard.passed, guard.measured, len(guard.breaches)) == (False, True, 1)
    assert guard.sentence.startswith("1 of 2 watched figures")
    assert guard.asks == words.ASKS
    assert words.guard_view((fine,), 0.03).asks == ""
    assert words.guard_view((fine,), 0.03).passed
    unknown = words.guard_view((), 0.03)
    assert (unknown.passed, unknown.measured) == (True, False)


def test_every_figure_of_the_engine_has_its_words() -> None:
    from core.judgement import HIGHER_IS_BETTER

    assert set(words.SPECS) == set(HIGHER_IS_BETTER)
    assert all(spec.help and "\n" not in spec.help for spec in words.SPECS.values())
    assert all("\n" not in text for text in words.HELP.values())
