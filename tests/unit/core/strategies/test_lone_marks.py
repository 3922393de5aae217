"""A cue that was marked once is used only where the marked concept bears it out."""

from dataclasses import replace

import numpy as np
import pytest

from core.cue_detector import learn_from_one, presence
from core.errors import TooFewVerdicts
from core.strategies.cues import default_detector, learn_cues
from core.strategies.data import FitData
from core.strategies.lone_marks import FEW, concept_auc, learn_lone
from tests.unit.core.strategies.worlds import CONFIG, fit_data, misplaced
from tests.unit.core.tiny import PATCHES, TokenWorld, token_world

TRAIN = 160


@pytest.fixture(scope="module")
def world() -> TokenWorld:
    return token_world(TRAIN, strength=0.9, seed=6)


def data_of(world: TokenWorld, count: int) -> FitData:
    """A concept 0 that fires with the artefact; `count` marks on the artefact; no detector set."""
    rows = world.rows_with(0, count)
    codes = world.pooled()
    codes[:, 0] = world.present_IR[:, 0] * np.linspace(0.8, 1.2, TRAIN)
    marks = [world.mark(row, 0, 0) for row in rows]
    return replace(fit_data(world, marks, TRAIN), pooled_IN=codes, detector=None)


def test_one_mark_is_enough_where_the_concept_agrees(world: TokenWorld) -> None:
    data = data_of(world, 1)
    learnt = learn_cues(data)
    (cue,) = learnt.cues
    found = presence(learnt.cues, world.tokens_of, range(TRAIN))[:, 0]
    assert cue.heldback_auc > 0.95
    assert (found == world.present_IR[:, 0]).mean() > 0.95
    assert ["one case only" in note.text for note in learnt.notes] == [True]
    assert learnt.notes[0].level == "info"


def test_one_mark_beside_the_thing_is_refused(world: TokenWorld) -> None:
    data = data_of(world, 1)
    with pytest.raises(TooFewVerdicts):
        learn_cues(replace(data, marks=tuple(misplaced(list(data.marks), seed=1))))


def test_one_mark_with_another_concept_is_refused(world: TokenWorld) -> None:
    data = data_of(world, 1)
    with pytest.raises(TooFewVerdicts):
        learn_cues(replace(data, marks=tuple(replace(m, concept=9) for m in data.marks)))


def test_lone_marks_count_only_while_marks_are_few(world: TokenWorld) -> None:
    data = data_of(world, FEW + 1)
    assert learn_lone(data, None, world.tokens_of, default_detector(0)) == ()


def test_what_cannot_be_compared_is_not_used(world: TokenWorld) -> None:
    data = data_of(world, 1)
    (mark,) = data.marks
    cue = learn_from_one(
        world.tokens_of, mark, (), background_rows=data.rows, grid=data.grid, config=CONFIG
    )
    assert np.isnan(cue.heldback_auc)
    assert concept_auc(data, cue, mark, world.tokens_of) > 0.95
    assert concept_auc(data, cue, replace(mark, row=9999), world.tokens_of) == 0
    never = replace(data, pooled_IN=np.zeros((TRAIN, PATCHES)))
    assert concept_auc(never, cue, mark, world.tokens_of) == 0
