import numpy as np
import pytest
from scipy.stats import spearmanr

from core.agreement import doubts, in_words, rank_agreement, region_doubt, sum_doubt


@pytest.mark.parametrize(
    ("contribution", "effect", "doubt"),
    [(2, 1, None), (2, -1, "opposite"), (2, 0.1, "redundant"), (2, -0.1, "redundant"),
     (-2, -0.21, None), (-2, 0.5, "opposite"), (0, 1, None)],
)  # fmt: skip
def test_sum_against_causal_test(contribution: float, effect: float, doubt: str | None) -> None:
    assert sum_doubt(contribution, effect) == doubt


def test_a_leading_part_of_the_sum_whose_effect_falls_far_behind() -> None:
    contributions = [9.0, 8, 7, 6, 5, 4, 3, 2, 1]
    effects = [1.0, 8, 7, 6, 5, 4, 3, 2, 1.5]  # eight are larger than the first
    assert doubts(contributions, effects)[0] == ("rank",)
    assert set(doubts(contributions, effects)[1:]) == {()}
    effects[8] = 0.5  # now seven
    assert doubts(contributions, effects)[0] == ()
    assert doubts([9.0], [0.1]) == [("redundant",)]
    assert doubts([], []) == []


@pytest.mark.parametrize(
    ("region", "controls", "doubt"),
    [(2.0, (0.1, -0.3), None), (0.2, (0.1, -0.3), "region-silent"),
     (-2.0, (0.1,), "region-opposite"), (0.3, (), "region-silent"), (0.5, (), None)],
)  # fmt: skip
def test_region_against_causal_test(
    region: float, controls: tuple[float, ...], doubt: str | None
) -> None:
    assert region_doubt(4.0, region, controls, largest=4.0) == doubt


def test_the_region_of_a_small_effect_says_nothing() -> None:
    assert region_doubt(1.0, 0.0, (), largest=4.0) is None
    assert region_doubt(1.0, -3.0, (), largest=4.0) is None
    assert region_doubt(0.0, 0.0, (), largest=0.0) is None


def test_rank_agreement_is_spearman_on_sizes() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=9), np.round(rng.normal(size=9), 1)
    expected = spearmanr(np.abs(a), np.abs(b)).statistic
    assert rank_agreement(a.tolist(), b.tolist()) == pytest.approx(expected)
    assert rank_agreement([3, -2, 1], [-9, 5, 0.1]) == pytest.approx(1)
    assert rank_agreement([3, 2], [1, 2]) is None
    assert rank_agreement([1, 1, 1], [1, 2, 3]) is None


def test_every_doubt_has_its_words() -> None:
    kinds = ("redundant", "opposite", "rank", "region-silent", "region-opposite")
    assert len({in_words(kind) for kind in kinds}) == 5
