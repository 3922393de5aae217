import numpy as np
import pytest

from core.agreement import FAIR, GOOD, trust, trust_in_words, trust_of_all


@pytest.mark.parametrize(
    ("contribution", "effect", "expected"),
    [(2, 2, 1), (2, 1, 0.5), (1, 2, 0.5), (-2, -1.5, 0.75), (2, -2, 0), (0, 3, 0), (3, 0, 0),
     (0, 0, 0)],
)  # fmt: skip
def test_a_cue_is_trusted_as_far_as_sum_and_test_confirm_each_other(
    contribution: float, effect: float, expected: float
) -> None:
    assert trust(contribution, effect) == pytest.approx(expected)
    assert trust(-contribution, -effect) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("region", "expected"),
    [(None, 0.5), (0.0, 0.5), (5.0, 0.5), (-0.5, 0.25), (-1.0, 0.0), (-9.0, 0.0)],
)
def test_a_region_lowers_trust_only_by_speaking_against(
    region: float | None, expected: float
) -> None:
    assert trust(2.0, 1.0, region) == pytest.approx(expected)
    assert trust(-2.0, -1.0, None if region is None else -region) == pytest.approx(expected)


def test_the_whole_is_the_ruzicka_similarity_times_reconstruction() -> None:
    """With equal signs: sum of the smaller sizes over the sum of the larger ones."""
    rng = np.random.default_rng(1)
    sign = rng.choice([-1, 1], 9)
    c, e = sign * rng.gamma(1, 1, 9), sign * rng.gamma(1, 1, 9)
    smaller, larger = np.minimum(abs(c), abs(e)).sum(), np.maximum(abs(c), abs(e)).sum()
    assert trust_of_all(c.tolist(), e.tolist(), 0.8) == pytest.approx(0.8 * smaller / larger)


def test_one_large_contradiction_weighs_more_than_small_agreements() -> None:
    assert trust_of_all([4, 0.5, 0.5], [-4, 0.5, 0.5], 1.0) == pytest.approx(0.2)


def test_the_whole_of_nothing_and_of_a_bad_reconstruction() -> None:
    assert trust_of_all([], [], 1.0) == 0
    assert trust_of_all([0.0], [0.0], 1.0) == 0
    assert trust_of_all([1.0], [1.0], -3.0) == 0
    assert trust_of_all([1.0], [1.0], 1.2) == 1


def test_words() -> None:
    assert [trust_in_words(v) for v in (0, FAIR - 0.01, FAIR, GOOD - 0.01, GOOD, 1)] == [
        "low", "low", "fair", "fair", "good", "good",
    ]  # fmt: skip
