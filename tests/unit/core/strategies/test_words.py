"""No way of learning follows wrong words in silence: it refuses, or it warns."""

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from core.cue_marks import MarkedRegion
from core.errors import DetectorFailed, FeedbackError
from core.strategies import STRATEGIES, FitData, Notice, fit_strategy, get_strategy
from core.strategies.auto import UNFIXED
from core.strategies.cues import learn_cues
from core.strategies.data import UNCHANGED, Checked
from core.strategies.sanity import FOLLOWED, checked, without_words
from tests.unit.core.strategies.worlds import (
    CONFIG,
    by_coin,
    clear_marks,
    fit_data,
    graded_world,
    misplaced,
    turned,
)
from tests.unit.core.tiny import TokenWorld, token_world

CASES = 400
Spoil = Callable[[list[MarkedRegion]], list[MarkedRegion]]
SPOILED: dict[str, Spoil] = {"inverted": turned, "misplaced": misplaced, "random": by_coin}
FOLLOW = tuple(name for name in STRATEGIES if "columns" not in name)
BLIND = ("counterfactual", "concept_penalty", "concept_lasso")  # they learn no detector themselves


@pytest.fixture(scope="module")
def world() -> TokenWorld:
    return graded_world(CASES, strength=0.92, seed=1)


@pytest.fixture(scope="module")
def marks(world: TokenWorld) -> list[MarkedRegion]:
    return clear_marks(world, 6)


@pytest.fixture(scope="module")
def honest(world: TokenWorld, marks: list[MarkedRegion]) -> FitData:
    return fit_data(world, marks, CASES, c=1.0)


def sited(data: FitData) -> FitData:
    """With a rejected column that goes with the label in four of five cases."""
    rng = np.random.default_rng(5)
    labels = np.asarray(data.labels_I)
    site = np.where(rng.random(CASES) < 0.6, labels, rng.integers(0, 2, CASES))
    values = ["north" if value else "south" for value in site]
    return replace(data, columns={"site": values}, rejected_columns={"site": 0.9})


def warnings(notes: tuple[Notice, ...]) -> list[str]:
    return [note.text for note in notes if note.level == "warning"]


def told(name: str, data: FitData) -> list[str]:
    """What a person is told who lets a strategy learn: warnings, or why it refused."""
    try:
        return warnings(fit_strategy(name, data).notes)
    except FeedbackError as error:
        return [str(error)]


@pytest.fixture(scope="module")
def looked_at(honest: FitData, marks: list[MarkedRegion]) -> dict[str, FitData]:
    """Words gone wrong, and honest ones, each checked once as a run does it."""
    found = {how: replace(honest, marks=tuple(spoil(marks))) for how, spoil in SPOILED.items()}
    return {how: replace(data, words=checked(data)) for how, data in (found | {"": honest}).items()}


@pytest.mark.parametrize("spoil", SPOILED)
@pytest.mark.parametrize("name", FOLLOW)
def test_no_strategy_follows_wrong_words_in_silence(
    name: str, spoil: str, looked_at: dict[str, FitData]
) -> None:
    assert told(name, looked_at[spoil])


@pytest.mark.parametrize("name", FOLLOW)
def test_honest_words_are_followed_without_a_word(name: str, looked_at: dict[str, FitData]) -> None:
    assert fit_strategy(name, looked_at[""]).notes == ()


def test_auto_refuses_swapped_words(honest: FitData, marks: list[MarkedRegion]) -> None:
    with pytest.raises(FeedbackError, match=r"words look swapped\. Nothing was changed"):
        fit_strategy("auto", replace(honest, marks=tuple(turned(marks))))


@pytest.mark.parametrize("name", FOLLOW[1:])
def test_a_strategy_chosen_by_hand_obeys_them_and_says_so(
    name: str, honest: FitData, marks: list[MarkedRegion]
) -> None:
    swapped = replace(honest, marks=tuple(turned(marks)))
    outcome = fit_strategy(name, swapped)
    blind = get_strategy(name).fit(swapped).head
    assert (outcome.head.weight_CN == blind.weight_CN).all(), "the words were not obeyed"
    first = outcome.notes[0]
    assert first.level == "warning"
    assert first.text.startswith(FOLLOWED)
    assert "words look swapped" in first.text
    assert UNCHANGED not in first.text
    assert "judgement" in first.advice


@pytest.mark.parametrize("name", BLIND)
def test_marks_astray_are_told_by_strategies_that_learn_no_detector(
    name: str, honest: FitData, marks: list[MarkedRegion]
) -> None:
    said = warnings(fit_strategy(name, replace(honest, marks=tuple(misplaced(marks)))).notes)
    assert said[0].startswith(FOLLOWED)
    assert "can hardly be told from what was not" in said[0]
    assert "marks lie on what was meant." in said[0]
    assert "  " not in said[0]
    for seed in (0, 2):  # all of it in doubt, and some
        both = fit_strategy(name, replace(honest, marks=tuple(by_coin(marks, seed))))
        assert "called spurious in some cases and correct in others" in warnings(both.notes)[0]


def test_a_check_made_before_is_not_made_again(honest: FitData) -> None:
    """What an earlier step of a run found is what counts, for auto and by hand alike."""
    note = Notice("warning", "the moon was full")
    before = replace(honest, words=Checked((note,), f"It was night. {UNCHANGED}"))
    with pytest.raises(FeedbackError, match=r"It was night\. Nothing was changed\."):
        fit_strategy("auto", before)
    outcome = fit_strategy("groups", before)
    assert [each.text for each in outcome.notes] == [f"{FOLLOWED} It was night.", note.text]
    assert note in fit_strategy("auto", replace(honest, words=Checked((note,)))).notes
    assert checked(before) is before.words


def test_a_step_can_keep_what_was_found(looked_at: dict[str, FitData]) -> None:
    for data in looked_at.values():
        found = checked(data)
        back = Checked.from_json(json.loads(json.dumps(found.as_json())))
        assert (back.notes, back.refusal) == (found.notes, found.refusal)
        assert back.learnt is None
    assert not checked(looked_at[""]).reason
    assert checked(looked_at["inverted"]).reason.endswith("some of them.")


def test_detectors_of_the_check_are_those_of_the_strategy(
    honest: FitData, looked_at: dict[str, FitData]
) -> None:
    found = checked(looked_at[""])
    assert found.learnt is not None
    outcome = fit_strategy("erase", looked_at[""])
    assert outcome.cues == found.learnt.cues
    alone = fit_strategy("erase", honest)
    assert alone.notes == ()
    assert (outcome.head.weight_CN == alone.head.weight_CN).all()


def test_too_few_marks_are_no_refusal(honest: FitData, marks: list[MarkedRegion]) -> None:
    found = checked(replace(honest, marks=tuple(marks[:1]), detector=None))
    assert (found.refusal, found.reason, found.learnt) == ("", "", None)


def test_two_marks_that_are_not_recognised_are_refused_with_a_reason() -> None:
    """Too few for a cue that fails by name, as each detector is tried on one case alone."""
    world = token_world(160, strength=0.95, seed=3)
    apart = misplaced([world.mark(row, 0, 3) for row in world.rows_with(0, 2)], seed=1)
    data = fit_data(world, apart, 160, c=1.0)
    together = replace(CONFIG, link=-1.0, loose=-1.0)  # any two marks are taken for one thing
    data = replace(data, detector=together)
    with pytest.raises(DetectorFailed, match="What was marked could not be recognised"):
        learn_cues(data)
    assert checked(data).reason.startswith("What was marked could not be recognised")
    said = warnings(fit_strategy("concept_penalty", data).notes)
    assert said[0].startswith(f"{FOLLOWED} What was marked could not be recognised")


def test_without_marks_or_tokens_there_is_nothing_to_check(honest: FitData) -> None:
    for data in (replace(honest, marks=()), replace(honest, tokens_of=None)):
        found = checked(data)
        assert (found.notes, found.refusal, found.learnt) == ((), "", None)
    priced = replace(honest, tokens_of=None, concepts={10: 0.9})
    assert fit_strategy("concept_penalty", priced).notes == ()


def test_words_do_not_matter_to_a_strategy_on_columns(
    honest: FitData, marks: list[MarkedRegion]
) -> None:
    data = sited(replace(honest, marks=tuple(turned(marks))))
    said = warnings(fit_strategy("columns", data).notes)
    assert not any(text.startswith(FOLLOWED) for text in said)
    both = fit_strategy("erase+columns", data)
    assert both.notes[0].text.startswith(FOLLOWED)


def test_auto_leaves_concepts_of_refused_words_alone(
    honest: FitData, marks: list[MarkedRegion]
) -> None:
    """A column keeps the run going; what the same swapped words said of concepts does not."""
    data = sited(replace(honest, concepts={10: 0.95}, concepts_of_class={(20, 0): 0.9}))
    followed = {row.strategy for row in fit_strategy("auto", data).scores}
    assert {"concept_penalty", "concept_lasso", "columns", "erase+columns"} <= followed
    turned_round = {20: 0.95, 21: 0.95, 10: 0.05}
    swapped = replace(data, marks=tuple(turned(marks)), concepts=turned_round)
    outcome = fit_strategy("auto", swapped)
    assert {row.strategy for row in outcome.scores} == {"columns", UNFIXED}
    assert outcome.strategy == "columns"
    (text,) = [text for text in warnings(outcome.notes) if "words look swapped" in text]
    assert text.startswith("What was said of cues and concepts was not used, only rejected columns")
    assert UNCHANGED not in text
    alone = fit_strategy("columns", without_words(swapped))
    assert (outcome.head.weight_CN == alone.head.weight_CN).all()


def test_what_is_left_without_words(honest: FitData) -> None:
    data = sited(replace(honest, concepts={1: 0.9}, words=Checked((), "no")))
    bare = without_words(data)
    assert (bare.marks, dict(bare.concepts), dict(bare.concepts_of_class)) == ((), {}, {})
    assert (bare.words, bare.cues, bare.presence_IR) == (None, None, None)
    assert dict(bare.rejected_columns) == {"site": 0.9}
