"""The automatic choice: by the verdicts alone, with every score told."""

from dataclasses import replace

import numpy as np
import pytest

from core.strategies import FitData, fit_strategy
from core.strategies.auto import UNFIXED, chosen
from core.strategies.fitting import Plan, even_weights, fit_plan
from core.strategies.groups import Groups
from core.strategies.validation import Judged, Validation, build_validation, judge, predict_rounds
from tests.unit.core.strategies.worlds import conflicting, fit_data, honest
from tests.unit.core.tiny import TokenWorld, token_world

TRAIN = 160


@pytest.fixture(scope="module")
def world() -> TokenWorld:
    return token_world(360, strength=0.95, seed=3)


@pytest.fixture(scope="module")
def data(world: TokenWorld) -> FitData:
    return fit_data(world, honest(world, 5), TRAIN, c=1.0)


def test_auto_repairs_and_tells_all_scores(data: FitData, world: TokenWorld) -> None:
    before = fit_plan(data, Plan(even_weights(data)))
    outcome = fit_strategy("auto", data)
    score = {row.strategy: row.score for row in outcome.scores}
    assert conflicting(outcome.head, world, TRAIN) > conflicting(before, world, TRAIN) + 0.1
    assert [row.strategy for row in outcome.scores if row.chosen] == [outcome.strategy]
    assert outcome.scores[0].chosen
    assert {"erase", "groups", "subsets", "counterfactual", UNFIXED} <= set(score)
    best, plain = score[outcome.strategy], score[UNFIXED]
    assert best is not None
    assert plain is not None
    assert best > plain + 0.05
    assert all(row.why for row in outcome.scores)
    assert not any("No strategy does better" in note.text for note in outcome.notes)


def test_imagined_cases_unmask_a_head_that_the_seen_ones_do_not(
    data: FitData, world: TokenWorld
) -> None:
    """With a shortcut in every case but a few, the cells seen say little."""
    found_IR = world.present_IR[:TRAIN]
    validation = build_validation(data, found_IR)
    ready = replace(data, cues=Groups().fit(data).cues, presence_IR=found_IR)
    plain = predict_rounds(
        ready, validation, found_IR, lambda part: fit_plan(part, Plan(even_weights(part)))
    )
    fixed = predict_rounds(ready, validation, found_IR, lambda part: Groups().fit(part).head)
    assert plain.imagined_MI.shape == (1, TRAIN)
    imagined = [
        float((each.imagined_MI[0] == np.asarray(data.labels_I)).mean()) for each in (plain, fixed)
    ]
    assert imagined[0] < 0.75
    assert imagined[1] > imagined[0] + 0.1
    scores = [judge(ready, validation, each).score for each in (plain, fixed)]
    assert scores[1] > scores[0]


def test_no_cue_gives_no_imagined_cases(data: FitData) -> None:
    validation = build_validation(data, None)
    predicted = predict_rounds(
        data, validation, None, lambda part: fit_plan(part, Plan(even_weights(part)))
    )
    assert predicted.imagined_MI.shape == (0, TRAIN)
    assert (predicted.seen_I >= 0).all()


def test_of_near_equals_the_one_stated_first_is_chosen() -> None:
    judged = {
        "weak": Judged(0.880, 0.8, 0.99),
        "bold": Judged(0.897, 0.8, 0.85),
        "kind": Judged(0.897, 0.8, 0.95),  # keeps more of the shortcut as well
        "best": Judged(0.900, 0.8, 0.85),
    }
    assert chosen(judged) == "bold"
    assert chosen({"weak": judged["weak"], "best": judged["best"]}) == "best"


def test_with_too_few_marks_what_was_said_of_concepts_still_counts(data: FitData) -> None:
    few = replace(data, marks=data.marks[:1], concepts={3: 0.95})
    outcome = fit_strategy("auto", few)
    assert outcome.strategy in ("concept_penalty", "concept_lasso")
    assert any("marked regions were not used" in note.text for note in outcome.notes)


def test_held_out_cases_are_not_judged_on_twice() -> None:
    """A round's cases are out of its fit, and so are the cases that are always out."""
    seen: list[np.ndarray] = []
    codes = np.random.default_rng(0).random((12, 3))
    labels = np.arange(12) % 2
    data = FitData(codes, labels, ("a", "b"), tuple(range(12)), c=1.0)
    held = np.zeros((2, 12), bool)
    held[0, :4], held[1, 4:8] = True, True
    out = np.arange(12) >= 10

    def fit(part: FitData):
        seen.append(part.held_I.copy())
        return fit_plan(part, Plan(even_weights(part)))

    predicted = predict_rounds(data, Validation(held, out, np.ones((12, 1), bool)), None, fit)
    assert [s.tolist() for s in seen] == [(h | out).tolist() for h in held]
    assert (predicted.seen_I[8:] == -1).all()
