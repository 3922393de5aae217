from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from core.errors import ConfigError
from core.name_matching import ConceptMatch, Directions, MatchConfig, match_concepts

Floats = NDArray[np.float64]


def dictionary(rows: object, alive: list[bool] | None = None, encoder: str = "e") -> Directions:
    alive_N = None if alive is None else np.array(alive)
    return Directions(np.asarray(rows, np.float64), encoder, alive_N)


def unit_rows(rows: Floats) -> Floats:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def partners(found: tuple[ConceptMatch, ...]) -> list[int | None]:
    return [match.new for match in found]


def test_shuffled_and_stretched_directions_are_found_again() -> None:
    old = dictionary(np.eye(4))
    new = dictionary(np.eye(4)[[2, 0, 3, 1]] * 3.0)
    found = match_concepts(old, new)
    assert partners(found) == [1, 3, 0, 2]
    assert [m.score for m in found] == pytest.approx([1.0] * 4)
    assert [m.margin for m in found] == pytest.approx([1.0] * 4)


def test_a_match_by_hand() -> None:
    # cos((5, 12), (1, 0)) = 5/13 and cos((5, 12), (0, 1)) = 12/13.
    old = dictionary([[5.0, 12.0]])
    (found,) = match_concepts(old, dictionary(np.eye(2)))
    assert (found.old, found.new, found.missed) == (0, 1, None)
    assert (found.score, found.margin) == pytest.approx((12 / 13, 7 / 13))


def test_without_a_match_it_says_why_and_how_near_the_best_came() -> None:
    new = dictionary(np.eye(3))
    old = dictionary([[1, 1, 1], [1, 1, 0]])
    weak, ambiguous = match_concepts(old, new, config=MatchConfig(0.7, 0.05))
    assert (weak.new, weak.missed) == (None, "weak")
    assert weak.score == pytest.approx(3**-0.5)
    assert (ambiguous.new, ambiguous.missed) == (None, "ambiguous")
    assert (ambiguous.score, ambiguous.margin) == pytest.approx((2**-0.5, 0.0), abs=1e-6)


def test_two_old_concepts_never_share_a_new_one() -> None:
    old = dictionary([[1.0, 0.0], [0.99, 0.14]])
    found = match_concepts(old, dictionary([[1.0, 0.0]]), config=MatchConfig(0.7, 0.0))
    assert (found[0].new, found[0].missed) == (0, None)
    assert (found[1].new, found[1].missed) == (None, "taken")
    close = match_concepts(old, dictionary([[1.0, 0.0]]))
    assert [m.missed for m in close] == ["ambiguous", "taken"]  # two came about as near


def test_a_concept_nobody_asks_about_competes_all_the_same() -> None:
    old = dictionary([[0.9, 0.44], [1.0, 0.0]])
    (found,) = match_concepts(old, dictionary([[1.0, 0.0]]), wanted=[0])
    assert (found.old, found.new, found.missed) == (0, None, "taken")


def test_concepts_that_never_fire_take_no_part() -> None:
    old = dictionary(np.eye(2), alive=[True, False])
    found = match_concepts(old, dictionary(np.eye(2), alive=[False, True]))
    assert partners(found) == [None, None]
    assert {m.missed for m in found} == {"weak"}


def test_no_new_concept_at_all() -> None:
    (found,) = match_concepts(dictionary([[1.0, 0.0]]), dictionary(np.zeros((0, 2))))
    assert (found.new, found.missed) == (None, "weak")
    assert match_concepts(dictionary(np.zeros((0, 2))), dictionary(np.eye(2))) == ()


@pytest.mark.parametrize(
    ("old", "new", "wanted", "reason"),
    [
        (dictionary(np.eye(2)), dictionary(np.eye(2), encoder="f"), None, "different encoders"),
        (dictionary(np.eye(2)), dictionary(np.eye(3)), None, "dimensions: 2 and 3"),
        (dictionary(np.eye(2)), dictionary(np.eye(2)), [2], "no such concept"),
        (dictionary(np.full((2, 2), np.nan)), dictionary(np.eye(2)), None, "finite"),
        (dictionary(np.eye(2), alive=[True]), dictionary(np.eye(2)), None, "alive_N"),
    ],
)
def test_what_cannot_be_matched_is_refused(
    old: Directions, new: Directions, wanted: list[int] | None, reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        match_concepts(old, new, wanted)


@pytest.mark.parametrize("wrong", [{"min_score": 0.0}, {"min_score": 1.1}, {"min_margin": -0.1}])
def test_wrong_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        MatchConfig(**wrong)


def best_total(cosine_ON: Floats, least: float) -> float:
    """Slow reference: the largest total over every one-to-one assignment."""
    worth_ON = np.where(cosine_ON >= least, cosine_ON, 0.0)
    if worth_ON.shape[0] > worth_ON.shape[1]:
        worth_ON = worth_ON.T
    rows = range(worth_ON.shape[0])
    ways = permutations(range(worth_ON.shape[1]), len(rows))
    return max(float(sum(worth_ON[r, c] for r, c in zip(rows, way, strict=True))) for way in ways)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(1, 6))
def test_the_assignment_is_the_best_of_all(seed: int, olds: int, news: int) -> None:
    rng = np.random.default_rng(seed)
    old_OD, new_ND = (unit_rows(rng.normal(1.0, 1.0, (count, 3))) for count in (olds, news))
    config = MatchConfig(0.3, 0.0)
    found = match_concepts(dictionary(old_OD), dictionary(new_ND), config=config)
    cosine_ON = old_OD @ new_ND.T
    # Every assigned pair is reported, as a match or as too close to call, with its score.
    total = sum(m.score for m in found if m.missed in (None, "ambiguous"))
    assert total == pytest.approx(best_total(cosine_ON, 0.3), abs=1e-5)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(1, 30))
def test_matches_are_one_to_one_each_others_best_and_the_same_from_both_sides(
    seed: int, olds: int, news: int
) -> None:
    rng = np.random.default_rng(seed)
    old_OD, new_ND = (unit_rows(rng.normal(0.5, 1.0, (count, 4))) for count in (olds, news))
    there = match_concepts(dictionary(old_OD), dictionary(new_ND))
    back = match_concepts(dictionary(new_ND), dictionary(old_OD))
    pairs = {(m.old, m.new) for m in there if m.new is not None}
    assert pairs == {(m.new, m.old) for m in back if m.new is not None}
    assert len({new for _, new in pairs}) == len(pairs)
    cosine_ON = old_OD @ new_ND.T
    for match in there:
        best = cosine_ON[match.old].max()
        assert match.score <= best + 1e-6
        if match.new is None:
            assert match.missed is not None
            continue
        assert cosine_ON[match.old].argmax() == match.new
        assert cosine_ON[:, match.new].argmax() == match.old
        assert match.score == pytest.approx(best, abs=1e-6)
        assert match.score >= MatchConfig().min_score
        assert match.margin >= MatchConfig().min_margin


def test_blocks_give_the_same_as_one_table() -> None:
    rng = np.random.default_rng(0)
    old_OD, new_ND = rng.normal(size=(40, 5)), rng.normal(size=(50, 5))
    whole = match_concepts(dictionary(old_OD), dictionary(new_ND))
    tall = np.vstack([old_OD, np.zeros((1100, 5))])  # more rows than a block holds
    assert match_concepts(dictionary(tall), dictionary(new_ND), range(40)) == whole
