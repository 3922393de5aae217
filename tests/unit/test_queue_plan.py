"""The plan of a queue: stated shares, one reason per case, the same by seed."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.services import queue_plan
from dashboard.services.queue_plan import CONTROL, REST, plan

NONE = np.zeros(0)
WEIGHTS = {"uncertain": 2.0, "shortcut": 1.0}


def some_plan(count: int = 200, seed: int = 0, **more: object) -> list[queue_plan.Place]:
    rng = np.random.default_rng(count)
    scores = {"uncertain": rng.random(count), "shortcut": rng.random(count)}
    settings = {"weights": {"uncertain": 2.0, "shortcut": 1.0}, "control_share": 0.1, **more}
    held_out = np.asarray(settings.pop("held_out_I", np.zeros(count, dtype=bool)))
    return plan(scores, held_out_I=held_out, seed=seed, **settings)  # type: ignore[arg-type]


@given(
    count=st.integers(0, 60), seed=st.integers(0, 5), control=st.floats(0, 1),
    weights=st.lists(st.floats(0, 10), min_size=2, max_size=2), data=st.data(),
)  # fmt: skip
def test_every_case_gets_one_place(
    count: int, seed: int, control: float, weights: list[float], data: st.DataObject
) -> None:
    scores = {
        name: np.array(data.draw(st.lists(st.floats(0, 1), min_size=count, max_size=count)))
        for name in ("uncertain", "diverse")
    }
    held_out = np.array(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)), bool)
    named = dict(zip(scores, weights, strict=True))
    places = plan(scores, named, control_share=control, held_out_I=held_out, seed=seed)
    assert sorted(place.order for place in places) == list(range(count))
    first_held_out = count - int(held_out.sum())
    assert all(
        (p.order >= first_held_out) == bool(h) for p, h in zip(places, held_out, strict=True)
    )
    for row, place in enumerate(places):
        assert place.strategy in queue_plan.REASONS
        if place.strategy in scores:
            assert place.score == scores[place.strategy][row] > 0
    assert places == plan(scores, named, control_share=control, held_out_I=held_out, seed=seed)


def test_places_are_shared_as_stated_from_the_start() -> None:
    by_order = sorted(some_plan(), key=lambda place: place.order)
    for until in (10, 50, 100):
        counts = Counter(place.strategy for place in by_order[:until])
        assert abs(counts["uncertain"] - 0.6 * until) <= 1
        assert abs(counts["shortcut"] - 0.3 * until) <= 1
        assert abs(counts[CONTROL] - 0.1 * until) <= 1
    assert Counter(p.strategy for p in by_order)[CONTROL] <= 20


def test_a_strategy_puts_its_best_cases_first() -> None:
    by_order = sorted(some_plan(control_share=0.0), key=lambda place: place.order)
    scores = [place.score for place in by_order if place.strategy == "uncertain"]
    assert scores == sorted(scores, reverse=True)


def test_the_seed_decides_what_chance_decides() -> None:
    controls = [
        {row for row, place in enumerate(some_plan(seed=seed)) if place.strategy == CONTROL}
        for seed in (0, 1)
    ]
    assert controls[0] != controls[1]
    assert some_plan(seed=3) == some_plan(seed=3)


def test_what_nobody_wants_comes_last_and_says_so() -> None:
    scores = {"uncertain": np.array([0.0, 0.9, 0.0, 0.4])}
    places = plan(scores, {"uncertain": 1.0}, control_share=0.0, held_out_I=np.zeros(4, bool),
                  seed=0)  # fmt: skip
    assert [places[1].order, places[3].order] == [0, 1]
    assert {places[0].strategy, places[2].strategy} == {REST}
    chance = plan({}, {}, control_share=0.0, held_out_I=np.zeros(4, bool), seed=0)
    assert {place.strategy for place in chance} == {CONTROL}


def test_uncertainty_is_the_closeness_of_the_two_best() -> None:
    got = queue_plan.uncertainty(np.array([[0.5, 0.5, 0.0], [0.9, 0.1, 0.0], [0.2, 0.3, 0.5]]))
    assert got == pytest.approx([1.0, 0.2, 0.8])
    assert queue_plan.uncertainty(np.ones((2, 1))).tolist() == [0.0, 0.0]


def test_a_concept_that_leads_wrong_decisions_is_suspected() -> None:
    leading = np.array([0] * 50 + [1] * 20 + [2] * 1 + [-1] * 9)
    wrong = np.array([False] * 48 + [True] * 2 + [True] * 15 + [False] * 5 + [True] + [False] * 9)
    known = np.ones(80, dtype=bool)
    suspicion = queue_plan.suspicion(leading, wrong, known, 4)
    # 15 of 20 wrong: Wilson's lower end is .5313; 18 of 80 wrong overall
    assert suspicion[1] == pytest.approx((0.5313 - 0.225) / 0.775, abs=1e-3)
    assert suspicion[0] == 0
    assert suspicion[3] == 0
    assert suspicion[2] < suspicion[1]  # one wrong case proves little
    nothing = queue_plan.suspicion(leading, wrong, np.zeros(80, bool), 4)
    assert not nothing.any()


def test_few_spurious_verdicts_weigh_less_than_many() -> None:
    got = queue_plan.judged_spurious(np.array([1.0, 10.0, 0.0]), np.array([1.0, 10.0, 5.0]))
    assert 0 < got[0] < got[1] < 1
    assert got[2] == 0


def test_coverage_takes_far_cases_before_near_ones() -> None:
    rng = np.random.default_rng(0)
    centres = np.eye(4, 10, dtype=np.float32)
    features = np.repeat(centres, 25, axis=0) + rng.normal(0, 0.01, (100, 10)).astype(np.float32)
    score = queue_plan.coverage(features, seed=0, pivots=20)
    first = np.argsort(-score)[:4]
    assert {int(row) // 25 for row in first} == {0, 1, 2, 3}  # one of each cluster
    assert score.min() >= 0
    assert score.max() == 1.0


def test_coverage_of_odd_inputs() -> None:
    assert queue_plan.coverage(np.zeros((0, 3), np.float32), seed=0).shape == (0,)
    same = queue_plan.coverage(np.ones((5, 3), np.float32), seed=0)
    assert (same > 0).sum() == 1  # one stands for all
    wide = np.random.default_rng(1).random((30, 500), dtype=np.float32)
    assert len(set(queue_plan.coverage(wide, seed=0).tolist())) == 30


def test_how_many_people_are_wanted_is_drawn_per_image_and_grows_with_the_share() -> None:
    keys = [f"image {n}" for n in range(2000)]
    few = queue_plan.wanted(keys, share=0.2, people=3, seed=1)
    more = queue_plan.wanted(keys, share=0.5, people=3, seed=1)
    assert set(few) == {1, 3}
    assert 330 < few.count(3) < 470
    assert all(b == 3 for a, b in zip(few, more, strict=True) if a == 3)
    assert queue_plan.wanted(keys[:5], share=0.2, people=3, seed=1) == few[:5]
    assert set(queue_plan.wanted(keys, share=1.0, people=2, seed=0)) == {2}
    assert set(queue_plan.wanted(keys, share=0.0, people=2, seed=0)) == {1}


class TestPlannedAnew:
    """Planning what is left again and again, as people come on, keeps the stated shares."""

    def rounds(self, step: int, count: int = 200) -> list[str]:
        """Who filled the places, where only `step` of them are used before the next plan."""
        rng = np.random.default_rng(1)
        scores = {name: rng.random(count) for name in WEIGHTS}
        left = np.arange(count)
        filled: list[str] = []
        while len(left):
            places = plan(
                {name: score[left] for name, score in scores.items()}, WEIGHTS,
                control_share=0.1, held_out_I=np.zeros(len(left), bool), seed=0,
                served=Counter(filled),
            )  # fmt: skip
            order = np.argsort([place.order for place in places])[:step]
            filled += [places[at].strategy for at in order]
            left = np.delete(left, order)
        return filled

    @pytest.mark.parametrize("step", [1, 3, 10])
    def test_shares_hold_however_often(self, step: int) -> None:
        filled = self.rounds(step)
        for until in (20, 50, 100, 150):
            counts = Counter(filled[:until])
            assert abs(counts["uncertain"] - 0.6 * until) <= 2
            assert abs(counts["shortcut"] - 0.3 * until) <= 2
            assert abs(counts[CONTROL] - 0.1 * until) <= 2

    def test_without_what_was_served_the_largest_share_would_always_begin(self) -> None:
        places = sorted(some_plan(), key=lambda place: place.order)
        assert places[0].strategy == "uncertain"
        again = sorted(some_plan(served={"uncertain": 1}), key=lambda place: place.order)
        assert again[0].strategy == "shortcut"

    def test_who_had_no_case_for_long_does_not_take_over(self) -> None:
        places = sorted(some_plan(served={"uncertain": 500}), key=lambda place: place.order)
        counts = Counter(place.strategy for place in places[:20])
        assert counts["shortcut"] <= 9
        assert counts["uncertain"] >= 9

    def test_held_out_cases_begin_afresh(self) -> None:
        held = np.arange(200) >= 100
        plain = some_plan(held_out_I=held)
        later = some_plan(held_out_I=held, served={"uncertain": 1})
        assert plain[100:] == later[100:]
        assert plain[:100] != later[:100]
