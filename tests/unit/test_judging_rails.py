"""The rails of a kept judgement: every split, and what only all splits together can show."""

import numpy as np

from core.decided import Decided
from core.guard_rails import ALL
from dashboard.services.judged import Judged
from dashboard.services.judging import Compared, judge_pooled, judge_splits
from dashboard.services.judging_views import guard_of, rails_of

CASES = 40


def judged(before: np.ndarray, after: np.ndarray) -> Judged:
    """Two splits of one label; the shortcut helps in the first half, misleads in the second."""
    sides = np.repeat(np.array([1, -1], np.int8), CASES // 2)
    compared = Compared(
        [f"image {k}" for k in range(CASES)],
        np.ones(CASES, np.int64),
        ["same" if side > 0 else "reversed" for side in sides],
        ("a", "b"),
        ["b"] * CASES,
        sides,
    )
    pair = [Decided(np.stack([1 - right, right], axis=1)) for right in (before, after)]
    splits = judge_splits(compared, *pair, {}, resamples=50)
    pooled = judge_pooled(compared, *pair, {}, resamples=50)
    return Judged(("a", "b"), splits, "labels", 0.03, pooled=pooled)


def decisions(helped: float, misled: float) -> np.ndarray:
    """Probability of the right class, .9 or .1: right in these shares of both halves."""
    half = CASES // 2
    return np.concatenate(
        [np.where(np.arange(half) < round(share * half), 0.9, 0.1) for share in (helped, misled)]
    )


def test_a_gap_between_splits_needs_a_reason_though_accuracy_stays() -> None:
    """Two cases more are right where the shortcut helps, two fewer where it misleads."""
    found = judged(decisions(0.8, 0.8), decisions(0.9, 0.7))
    (gap,) = [rail for rail in rails_of(found, 0.15) if rail.broken]
    assert (gap.split, gap.key) == (ALL, "shortcut_gap")
    guard = guard_of(found, 0.15)
    assert not guard.passed
    (breach,) = guard.breaches
    assert breach.startswith(
        "Shortcut gap on all held-out splits together: grew by 20.0 points, more than the 15 this "
        "project allows"
    )


def test_a_gap_that_closes_needs_none() -> None:
    found = judged(decisions(0.9, 0.7), decisions(0.8, 0.8))
    assert [rail.lost < 0 for rail in rails_of(found, 0.15) if rail.key == "shortcut_gap"] == [True]
    assert guard_of(found, 0.15).passed


def test_what_is_kept_comes_back_with_all_its_rails() -> None:
    found = judged(decisions(0.8, 0.8), decisions(0.9, 0.7))
    again = Judged.from_json(found.as_json())
    assert again is not None
    assert rails_of(again, 0.03) == rails_of(found, 0.03)
