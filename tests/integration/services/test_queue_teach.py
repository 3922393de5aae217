"""The queue puts forward what would teach the next run most, and does so anew after each run."""

from pathlib import Path

import pytest
import torch

from dashboard.services import queue_planning, queue_scores
from dashboard.services.run_work import run_inline
from dashboard.viewmodels.queue import QueueFilter
from db.records import new_id
from tests.integration.services.queue_world import set_rules
from tests.integration.services.world import RULER, World, judge, make_world, reviewer


@pytest.fixture
def world(tmp_path: Path) -> World:
    """60 cases to learn from and ten held out, planned by what teaches alone."""
    torch.set_num_threads(1)
    built = make_world(tmp_path / "ws", splits={"train": 60, "test": 10})
    set_rules(built, weights={"teach": 1}, control_share=0.0, overlap_share=0.0)
    return built


def facts_of(world: World) -> tuple[queue_scores.Facts, queue_scores.Scores]:
    with world.services.uow(read_only=True) as uow:
        version = uow.versions.active(world.project_id)
        assert version is not None
        facts = queue_scores.read(uow, version)
    return facts, queue_scores.scores(facts, version, world.services.engines, seed=0)


def in_order(world: World) -> list[str]:
    page = world.services.queue.page(world.project_id, reviewer(world), QueueFilter())
    assert page.total == 70
    with world.services.uow(read_only=True) as uow:
        version = uow.versions.active(world.project_id)
        assert version is not None
        return [row.case_id for row in uow.queue.rows(version.id)]


def ruler_of(world: World) -> dict[str, float]:
    """Case id -> pooled activation of the ruler."""
    with world.services.uow(read_only=True) as uow:
        version = uow.versions.active(world.project_id)
        assert version is not None
        rows = uow.queue.rows(version.id)
    bundle = world.services.engines.bundle(version.folder)
    codes = world.services.engines.pooled_store(world.project_id, bundle).rows(
        [row.sha256 for row in rows]
    )
    column = codes[:, [RULER]].toarray().ravel()
    return {row.case_id: float(value) for row, value in zip(rows, column, strict=True)}


def test_cases_that_show_the_suspected_thing_come_first(world: World) -> None:
    shows = ruler_of(world)
    order = in_order(world)
    first = [shows[case] > 0.5 for case in order[:10]]
    everywhere = [value > 0.5 for value in shows.values()]
    assert sum(first) / 10 > sum(everywhere) / 70 + 0.2
    page = world.services.queue.page(world.project_id, reviewer(world), QueueFilter(reason="teach"))
    assert page.rows[0].reason == "teach: would teach the next run most"


def test_held_out_and_judged_cases_teach_nothing(world: World) -> None:
    me = reviewer(world)
    before, scores = facts_of(world)
    held = [row.split == "test" for row in before.rows]
    assert not scores.by_strategy["teach"][held].any()
    judge(world, me, 2)
    after, again = facts_of(world)
    assert after.spoken
    for row, score in zip(after.rows, again.by_strategy["teach"], strict=True):
        assert score == 0 or row.case_id not in after.spoken
    # The words themselves are there, by concept, as the evidence weighs them.
    spurious, correct = after.words[RULER]
    assert spurious > correct


def test_without_codes_or_labels_nothing_is_guessed(world: World) -> None:
    facts, _ = facts_of(world)
    with world.services.uow(read_only=True) as uow:
        version = uow.versions.active(world.project_id)
        assert version is not None
    blind = queue_scores.scores(facts, version, None, seed=0)
    assert not blind.by_strategy["teach"].any()
    from dataclasses import replace

    unlabelled = replace(facts, rows=tuple(replace(row, label=None) for row in facts.rows))
    found = queue_scores.scores(unlabelled, version, world.services.engines, seed=0)
    assert not found.by_strategy["teach"].any()
    assert any("would teach" in note for note in found.notes)


def test_after_a_run_open_cases_are_ordered_anew_behind_those_begun(world: World) -> None:
    services, me = world.services, reviewer(world)
    judge(world, me, 8)
    other = reviewer(world, "Bo")
    held = next(case for case in reversed(in_order(world)) if services.queue.claim(case, other).ok)
    with services.uow(read_only=True) as uow:
        version = uow.versions.active(world.project_id)
        assert version is not None
        begun = [place.case_id for place in uow.plan.begun(version.id, services.queue._now())]
        spoken = uow.plan.spoken(version.id)
    assert set(begun) == spoken | {held}
    before = in_order(world)
    run = services.runs.start_reweight(
        id=new_id(), project_id=world.project_id, reviewer_id=me, strategy="groups"
    )
    assert run_inline(services, run.id).state == "succeeded"
    after = in_order(world)
    assert sorted(after) == sorted(before)
    assert after[: len(begun)] == begun
    assert after[len(begun) :] != [case for case in before if case not in begun]
    plan = services.queue.plan_of(world.project_id)
    assert plan.by == "engine"
    with services.uow(read_only=True) as uow:
        rows = uow.audit.list(entity="version", entity_id=version.id)
    last = max((r for r in rows if r.action == queue_planning.PLANNED), key=lambda r: r.id)
    assert last.detail["kept"] == len(begun)


def test_a_project_without_a_version_is_left_alone(world: World) -> None:
    with world.services.uow() as uow:
        empty = uow.projects.add("empty", "/nowhere", classes=("a",), vocabulary={}, notice="")
        uow.commit()
    world.services.queue.after_run(empty.id)
    assert world.services.queue.plan_of(empty.id).total == 0
