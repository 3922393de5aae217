"""Places that no concept shows: detectors, copies and names, and nothing that needs a concept."""

from dataclasses import replace

import numpy as np
import pytest

from core.cue_detector import learn_rejected_cues, presence, study_rejected_cues
from core.cue_marks import MarkedRegion
from core.drawn import NO_CONCEPT, PLACE, called, is_place
from core.errors import DetectorFailed, TooFewVerdicts
from core.reweighting import reweight
from core.strategies import fit_strategy, get_strategy
from core.strategies.concept_penalty import concept_evidence
from core.strategies.cues import cue_presence, learn_cues
from core.strategies.lone_marks import learn_lone
from tests.unit.core.strategies.worlds import (
    CLASSES,
    CONFIG,
    conflicting,
    fit_data,
    misplaced,
)
from tests.unit.core.tiny import TokenWorld, token_world

TRAIN = 160


@pytest.fixture(scope="module")
def world() -> TokenWorld:
    return token_world(300, strength=0.95, seed=5)


def places(world: TokenWorld, count: int, cue: int = 0, number: int = -1) -> list[MarkedRegion]:
    return [world.mark(row, cue, number) for row in world.rows_with(cue, count)]


def test_what_is_below_zero_is_a_place() -> None:
    assert [is_place(k) for k in (-3, NO_CONCEPT, 0, 5)] == [True, True, False, False]
    assert called(-3, {-3: "never"}) == PLACE == "marked place"
    assert (called(5, {5: "ruler"}), called(5, {})) == ("ruler", "concept 5")
    region = np.ones(4, dtype=bool)
    marks = [MarkedRegion(0, k, region, "spurious") for k in (-3, -1, 4)]
    assert [m.shows for m in marks] == [NO_CONCEPT, NO_CONCEPT, 4]


def test_a_detector_from_places_alone_has_a_name(world: TokenWorld) -> None:
    data = fit_data(world, places(world, 5), TRAIN, names={0: "wrong", 3: "wrong"})
    learnt, found_IR = cue_presence(data, learn_cues(data))
    (cue,) = learnt.cues
    assert (cue.concepts, cue.regions) == ((NO_CONCEPT,), 5)
    assert data.called(cue.concepts[0]) == "marked place"
    assert (found_IR[:, 0] == world.present_IR[:TRAIN, 0]).mean() > 0.97


def test_places_and_cues_that_show_the_same_are_learnt_together(world: TokenWorld) -> None:
    rows = world.rows_with(0, 6)
    marks = [world.mark(row, 0, -1 if k < 4 else 7) for k, row in enumerate(rows)]
    (cue,) = learn_cues(fit_data(world, marks, TRAIN)).cues
    assert (cue.concepts, cue.regions, len(cue.rows)) == ((NO_CONCEPT, 7), 6, 6)


@pytest.mark.parametrize("name", ["groups", "erase", "groups+erase", "counterfactual"])
def test_a_strategy_repairs_the_head(name: str, world: TokenWorld) -> None:
    fixed = fit_strategy(name, fit_data(world, places(world, 6), TRAIN)).head
    unfixed = reweight(
        tokens_of=world.tokens_of, marks=(), rows_I=range(TRAIN), pooled_IN=world.pooled()[:TRAIN],
        labels_I=world.labels_I[:TRAIN], classes=CLASSES, cues=(), seed=0,
    ).head  # fmt: skip
    assert conflicting(fixed, world, TRAIN) > conflicting(unfixed, world, TRAIN) + 0.05


def test_two_places_of_one_case_are_told_apart() -> None:
    pair = token_world(160, cues=2, seed=2)
    config = replace(CONFIG, background=80)
    rows = [int(row) for row in np.flatnonzero(pair.present_IR.all(axis=1))[:5]]
    first, second = ([pair.mark(row, cue, -1 - cue) for row in rows] for cue in (0, 1))
    cues = learn_rejected_cues(
        pair.tokens_of, [*first, *second], background_rows=range(160), config=config
    )
    assert [cue.concepts for cue in cues] == [(NO_CONCEPT,)] * 2
    found = presence(cues, pair.tokens_of, range(160))
    agree = [(found == pair.present_IR[:, order]).mean() for order in ([0, 1], [1, 0])]
    assert max(agree) > 0.95
    # Where the second places lie beside what was meant, the first, of the same cases, hide nothing.
    astray = [*first, *misplaced(second, seed=1)]
    study = study_rejected_cues(pair.tokens_of, astray, background_rows=range(160), config=config)
    assert {(row, -1) for row in rows} <= study.told
    assert not {(row, -2) for row in rows} <= study.told
    assert sum(one.untold for one in study.failed) >= 2  # 0 if both had one number


def test_a_lone_place_cannot_prove_itself(world: TokenWorld) -> None:
    data = fit_data(world, places(world, 1), TRAIN, names={})
    unset = replace(data, detector=None)
    assert learn_lone(unset, None, world.tokens_of, CONFIG) == ()
    with pytest.raises(TooFewVerdicts):
        learn_cues(unset)


def test_concept_strategies_do_not_see_them(world: TokenWorld) -> None:
    data = fit_data(world, places(world, 5), TRAIN)
    assert concept_evidence(data) == {}
    for name in ("concept_penalty", "concept_lasso"):
        assert get_strategy(name).why_not(data)
    cue = world.mark(world.rows_with(0, 1)[0], 0, 3)
    assert set(concept_evidence(replace(data, marks=(*data.marks, cue)))) == {3}


def test_a_failed_detector_names_the_place(world: TokenWorld) -> None:
    astray = misplaced(places(world, 6), seed=3)
    with pytest.raises(DetectorFailed, match="marked as marked place"):
        learn_rejected_cues(
            world.tokens_of, astray, background_rows=range(TRAIN),
            config=replace(CONFIG, rescue=False),
        )  # fmt: skip


def test_reweighting_counts_them_as_used_and_rejects_no_concept(world: TokenWorld) -> None:
    found = reweight(
        tokens_of=world.tokens_of, marks=places(world, 5), rows_I=range(TRAIN),
        pooled_IN=world.pooled()[:TRAIN], labels_I=world.labels_I[:TRAIN], classes=CLASSES, seed=0,
    )  # fmt: skip
    assert (found.unused, found.rejected) == (0, ())
    assert len(found.cues) == 1
