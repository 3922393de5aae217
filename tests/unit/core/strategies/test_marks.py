"""Strategies that learn from marked regions: they repair, they check, they refuse."""

from dataclasses import replace

import numpy as np
import pytest

from core.cue_marks import MarkedRegion
from core.errors import ConfigError, DetectorFailed, FeedbackError, TooFewVerdicts
from core.strategies import STRATEGIES, FitData, fit_strategy, get_strategy
from core.strategies.cues import cue_presence, disputed_share, learn_cues, tie
from core.strategies.directions import cue_directions, within_labels
from core.strategies.fitting import Plan, even_weights, fit_plan
from core.strategies.groups import DRAWS, balance, subset_weights
from core.strategies.sanity import check_words, learnt_by_word, untied
from tests.unit.core.strategies.worlds import (
    CLASSES,
    conflicting,
    fit_data,
    honest,
    misplaced,
    sign,
    turned,
)
from tests.unit.core.tiny import PATCHES, TokenWorld, token_world

TRAIN = 160


@pytest.fixture(scope="module")
def world() -> TokenWorld:
    return token_world(360, strength=0.95, seed=3)


@pytest.fixture(scope="module")
def ready(world: TokenWorld) -> FitData:
    """Five honest marks, learnt and applied once."""
    data = fit_data(world, honest(world, 5), TRAIN, c=1.0)
    learnt, found_IR = cue_presence(data, learn_cues(data))
    assert learnt.notes == ()
    return replace(data, cues=learnt.cues, presence_IR=found_IR)


def test_five_marks_find_the_artefact(ready: FitData, world: TokenWorld) -> None:
    assert ready.presence_IR is not None
    assert ready.presence_IR.shape == (TRAIN, 1)
    assert (ready.presence_IR[:, 0] == world.present_IR[:TRAIN, 0]).mean() > 0.97


@pytest.mark.parametrize(
    "name", ["groups", "subsets", "erase", "groups+erase", "groups+counterfactual"]
)
def test_a_strategy_repairs_the_head(name: str, ready: FitData, world: TokenWorld) -> None:
    plain = fit_plan(ready, Plan(even_weights(ready)))
    before = conflicting(plain, world, TRAIN)
    outcome = fit_strategy(name, ready)
    assert before < 0.75
    assert conflicting(outcome.head, world, TRAIN) > before + 0.1
    assert outcome.strategy == name
    assert outcome.cues == ready.cues
    assert sum(row.n for row in outcome.groups) == TRAIN
    assert sum(row.weight for row in outcome.groups) == pytest.approx(1)
    assert outcome.weight_I.mean() == pytest.approx(1)


def test_equal_data_give_an_equal_head(ready: FitData) -> None:
    first, second = (fit_strategy("groups+erase", ready).head for _ in range(2))
    assert (first.weight_CN == second.weight_CN).all()
    assert first.temperature == second.temperature


def test_held_out_cases_have_no_say_in_the_weights(ready: FitData) -> None:
    held = np.arange(TRAIN) >= 120
    data = replace(ready, validation_I=held)
    outcome = fit_strategy("erase", data)
    labels = np.array(ready.labels_I)
    labels[held] = 1 - labels[held]
    other = fit_strategy("erase", replace(data, labels_I=labels))
    assert (outcome.weight_I[held] == 0).all()
    assert (outcome.head.weight_CN == other.head.weight_CN).all()
    assert outcome.head.temperature < other.head.temperature


def test_the_erased_direction_is_the_gap_within_labels() -> None:
    """By hand: in label 0 the cue adds (2, 0), in label 1 (4, 0); labels differ by (0, 5)."""
    codes = np.array([[0, 0], [2, 0], [0, 5], [4, 5], [4, 5.0]])
    labels, shown = np.array([0, 0, 1, 1, 1]), np.array([0, 1, 0, 1, 1], bool)
    # h = 1 * 1 / 2 and 2 * 1 / 3: (0.5 * 2 + 2/3 * 4) / (0.5 + 2/3) = 22 / 7
    np.testing.assert_allclose(within_labels(codes, labels, shown), [22 / 7, 0])
    assert within_labels(codes, labels, labels == 1) is None


def test_the_head_cannot_see_erased_directions(ready: FitData) -> None:
    assert ready.presence_IR is not None
    direction_VN = cue_directions(ready, ready.presence_IR)
    head = fit_strategy("erase", ready).head
    assert direction_VN.shape == (1, 32)
    seen = head.weight_CN.astype(np.float64) @ direction_VN.T
    assert np.abs(seen).max() < 1e-5 * np.abs(head.weight_CN).max()


def test_subsets_hold_as_many_of_every_group_of_a_label(ready: FitData) -> None:
    assert ready.presence_IR is not None
    draws = subset_weights(ready, ready.presence_IR)
    assert len(draws) == DRAWS
    for weight_I in draws:
        for label in (0, 1):
            mass = [
                weight_I[(ready.labels_I == label) & (ready.presence_IR[:, 0] == on)].sum()
                for on in (True, False)
            ]
            assert mass[0] == pytest.approx(mass[1])
    assert (balance(ready, ready.presence_IR) > 0).mean() > (draws[0] > 0).mean()


def test_swapped_words_are_refused() -> None:
    """A second artefact comes with every label alike, and the one reviewer calls it correct."""
    world = token_world(120, strength=0.5, cues=2, seed=4)
    labels = world.labels_I
    cue = [world.mark(row, 1, 9) for row in world.rows_with(1, 5)]
    signs = [sign(world, row) for row in range(8)]
    honest_data = fit_data(world, [*cue, *signs], 120)
    assert check_words(honest_data) == ()
    swapped = fit_data(world, turned([*cue, *signs]), 120)
    found = untied(swapped, learnt_by_word(swapped, "correct"))
    assert (found.alike, found.cases) == (5, 5)
    assert tie(labels, world.present_IR[:, 1]) > 0.01
    with pytest.raises(FeedbackError, match=r"look swapped.*second person"):
        check_words(swapped)


def test_marks_beside_the_thing_are_refused(world: TokenWorld) -> None:
    data = fit_data(world, misplaced(honest(world, 10)), TRAIN)
    with pytest.raises(FeedbackError):
        fit_strategy("auto", data)


def test_what_is_called_both_ways_is_set_aside(world: TokenWorld) -> None:
    marks = [world.mark(row, 0, 3) for row in world.rows_with(0, 12)]
    both = [replace(m, verdict="correct") if k % 2 else m for k, m in enumerate(marks)]
    data = fit_data(world, both, TRAIN)
    with pytest.raises(DetectorFailed, match="Nothing was changed"):
        learn_cues(data)


def test_one_slip_among_six_is_left_out(world: TokenWorld) -> None:
    marks = [world.mark(row, 0, 3) for row in world.rows_with(0, 6)]
    empty = np.flatnonzero(~world.present_IR[:TRAIN, 0])[0]
    slip = MarkedRegion(int(empty), 3, marks[0].region_P, "spurious")
    data = fit_data(world, [*marks, slip], TRAIN)
    _, found_IR = cue_presence(data, learn_cues(data))
    assert (found_IR[:, 0] == world.present_IR[:TRAIN, 0]).mean() > 0.97


def test_a_disputed_share_by_hand(ready: FitData, world: TokenWorld) -> None:
    assert ready.cues is not None
    (cue,) = ready.cues
    rows = world.rows_with(0, 12)
    for_it = [m for m in ready.marks if m.verdict == "spurious"]
    against = [replace(world.mark(row, 0, 3), verdict="correct") for row in rows[8:11]]
    assert disputed_share(cue, world.tokens_of, for_it) == 0
    assert disputed_share(cue, world.tokens_of, [*for_it, against[0]]) == 0  # one is forgiven
    share = disputed_share(cue, world.tokens_of, [*for_it, *against])
    assert share == pytest.approx(3 / (3 + len(cue.rows)))
    doubtful = [*for_it, *(replace(m, weight=0.5) for m in against)]
    assert disputed_share(cue, world.tokens_of, doubtful) < share


def test_a_cue_that_comes_with_every_label_is_not_balanced() -> None:
    world = token_world(120, strength=0.5, seed=4)
    marks = [world.mark(row, 0, 3) for row in world.rows_with(0, 5)]
    data = fit_data(world, marks, 120)
    with pytest.raises(FeedbackError, match=r"alike with every label.*nothing was changed"):
        fit_strategy("groups", data)


def test_tie_is_one_where_nothing_can_be_told() -> None:
    labels = np.array([0, 0, 1, 1])
    assert tie(labels, np.ones(4, bool)) == 1
    assert tie(labels, np.zeros(4, bool)) == 1
    assert tie(np.zeros(4, int), np.array([True, False, True, False])) == 1
    many = np.repeat((0, 1), 50)
    assert tie(many, many == 1) < 1e-10


def test_too_few_marks_say_what_to_do(world: TokenWorld) -> None:
    data = fit_data(world, [world.mark(world.rows_with(0, 1)[0], 0, 3)], TRAIN)
    for name in ("auto", "groups", "erase"):
        with pytest.raises(TooFewVerdicts, match="mark the same cue in more cases"):
            fit_strategy(name, data)


def test_without_marks_or_tokens_a_strategy_says_why_not(ready: FitData) -> None:
    bare = replace(ready, marks=(), cues=None, presence_IR=None)
    blind = replace(ready, tokens_of=None)
    for name in ("groups", "subsets", "erase", "groups+erase", "groups+counterfactual"):
        assert "marked" in str(get_strategy(name).why_not(bare))
        assert "tokens" in str(get_strategy(name).why_not(blind))
        assert get_strategy(name).why_not(ready) is None
    with pytest.raises(FeedbackError):
        fit_strategy("auto", bare)


def test_strategies_explain_themselves() -> None:
    assert next(iter(STRATEGIES)) == "auto"
    for name, each in STRATEGIES.items():
        assert each.name == name
        assert each.title
        assert each.line.endswith(".")
        assert each.paper
    with pytest.raises(ConfigError, match="choose one of auto"):
        get_strategy("magic")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"labels_I": np.zeros(3, int)}, "labels"),
        ({"rows": (1, 2)}, "rows"),
        ({"validation_I": np.zeros(2, bool)}, "validation"),
        ({"columns": {"site": ["x"]}}, "column site"),
        ({"rejected_columns": {"site": 0.9}}, "has no values"),
        ({"presence_IR": np.zeros((2, 1), bool)}, "presence"),
    ],
)
def test_data_that_do_not_fit_are_refused(change: dict, words: str, ready: FitData) -> None:
    with pytest.raises(ConfigError, match=words):
        replace(ready, **change)


def test_a_region_mark_has_a_weight_of_one() -> None:
    assert MarkedRegion(0, 1, np.ones(PATCHES, bool), "spurious").weight == 1.0
    assert CLASSES == ("a", "b")
