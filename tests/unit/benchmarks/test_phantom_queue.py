"""The benchmark serves cases as the app does: the same plan, planned anew by the same rule."""

from collections import Counter
from dataclasses import replace

import pytest

from benchmarks.feedback_phantoms import PARTS
from benchmarks.phantom_project import Reviewer, Sizes, World, build
from benchmarks.phantom_queue import AppQueue, served_all
from dashboard.services import queue_plan
from dashboard.services.project_settings import ProjectSettings

TRAIN = 30


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INSIGHT_BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        return build(4, Sizes(TRAIN, 4, 4))


@pytest.fixture(scope="module")
def reviewer(world: World) -> Reviewer:
    return Reviewer(world)


def test_every_training_case_is_served_once(world: World, reviewer: Reviewer) -> None:
    queue = AppQueue(world, ProjectSettings(replan_words=4))
    queue.plan()
    rows = []
    while queue.waiting:
        rows.append(queue.serve())
        queue.marks += reviewer.words(rows[-1])
    assert sorted(rows) == list(range(TRAIN))
    reasons = Counter(place.reason.partition(":")[0] for place in queue.begun)
    assert set(reasons) <= set(queue_plan.REASONS)
    # teach is due three places of ten, the control one; nothing is explained or disputed here.
    assert reasons["teach"] >= TRAIN // 5
    assert reasons["control"] >= 2
    assert any(", about concept " in place.reason for place in queue.begun)


def test_words_come_one_by_one_and_budgets_go_on_from_each_other(
    world: World, reviewer: Reviewer
) -> None:
    found = served_all(world, reviewer, [3, 7, 1000])
    assert [len(found[budget].marks) for budget in (3, 7)] == [3, 7]
    assert found[7].marks[:3] == found[3].marks
    assert found[3].cases <= found[7].cases <= found[1000].cases == TRAIN
    assert len(found[1000].marks) < 1000  # nothing was left to judge


def test_the_same_again_and_the_rule_is_obeyed(world: World, reviewer: Reviewer) -> None:
    rules = ProjectSettings(seed=4, replan_words=5)
    one, two = (served_all(world, reviewer, [25], rules)[25] for _ in range(2))
    assert [(mark.row, mark.concept) for mark in one.marks] == [
        (mark.row, mark.concept) for mark in two.marks
    ]
    never = served_all(world, reviewer, [25], replace(rules, replan_words=0))[25]
    rows = [mark.row for mark in one.marks]
    assert rows != [mark.row for mark in never.marks]
    # Until the first words are in, nothing differs.
    assert rows[:5] == [mark.row for mark in never.marks][:5]


def test_the_queue_is_planned_as_often_as_the_app_would(world: World, reviewer: Reviewer) -> None:
    queue = AppQueue(world, ProjectSettings(replan_words=6))
    queue.plan()
    known = []
    while len(queue.marks) < 20:
        queue.marks += reviewer.words(queue.serve())
        known.append((queue.planned_at, len(queue.marks)))
    # A case gives two words at most, so a plan is at most one word late.
    assert all(said - planned <= 6 + 2 for planned, said in known)
    assert len({planned for planned, _ in known}) >= 3


def test_parts_are_named() -> None:
    assert PARTS == ("strategies", "efficiency", "quality", "rare")
