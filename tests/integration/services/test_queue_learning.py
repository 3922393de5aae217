"""The queue learns while people review: planned anew by the worker, never under anybody's hands."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dashboard.services import queue_planning, queue_scores
from dashboard.services.queue_learning import QueueLearning, planned_at
from db.feedback_records import AuditRecord
from db.records import VersionRecord, new_id
from tests.integration.services.queue_world import set_rules
from tests.integration.services.world import RULER, World, make_world, reviewer

ROOT = Path(__file__).resolve().parents[3]
PATIENCE = 150.0  # seconds; a loaded machine is slow, and nothing is measured here


@pytest.fixture
def world(tmp_path: Path) -> World:
    """60 cases to learn from and ten held out; the queue learns after every six words."""
    torch.set_num_threads(1)
    built = make_world(tmp_path / "ws", splits={"train": 60, "test": 10})
    set_rules(built, overlap_share=0.0, replan_words=6)
    return built


def version_of(world: World) -> VersionRecord:
    with world.services.uow(read_only=True) as uow:
        version = uow.versions.active(world.project_id)
    assert version is not None
    return version


def in_order(world: World) -> list[str]:
    with world.services.uow(read_only=True) as uow:
        return [row.case_id for row in uow.queue.rows(version_of(world).id)]


def reasons(world: World) -> dict[str, str]:
    me = reviewer(world)
    with world.services.uow(read_only=True) as uow:
        rows = uow.queue.page(version_of(world).id, me, limit=100).items
    return {row.case_id: row.reason for row in rows}


def plans(world: World) -> list[AuditRecord]:
    """Audit rows of plans, oldest first."""
    with world.services.uow(read_only=True) as uow:
        rows = uow.audit.list(entity="version", entity_id=version_of(world).id)
    return [row for row in reversed(rows) if row.action == queue_planning.PLANNED]


def say(world: World, words: int, cases: Sequence[str] | None = None) -> list[str]:
    """That many words on the first cues of cases, along the queue; the cases judged."""
    me = reviewer(world)
    done: list[str] = []
    with world.services.uow(read_only=True) as uow:
        begun = uow.plan.spoken(version_of(world).id)
    for case_id in cases or [each for each in in_order(world) if each not in begun]:
        case = world.services.review.case(world.project_id, case_id, me)
        for cue in case.cues[:2]:
            if words == 0:
                return done
            value = "spurious" if cue.concept == RULER else "correct"
            world.services.review.give_verdict(
                id=new_id(), cue_id=cue.id, reviewer_id=me, value=value, based_on=0
            )
            words -= 1
            if case_id not in done:
                done.append(case_id)
        world.services.queue.release(case_id, me)
    return done


def test_after_enough_words_open_cases_are_planned_anew(world: World) -> None:
    learning, before = world.services.learning, in_order(world)
    done = say(world, 5)
    assert learning.due() == {}
    assert learning.sweep() == ()
    assert in_order(world) == before
    done += say(world, 1)
    version = version_of(world)
    assert learning.due() == {version.id: 6}
    ((planned, moved),) = learning.sweep()
    after = in_order(world)
    assert (planned, moved) == (version.id, sum(a != b for a, b in zip(after, before, strict=True)))
    assert moved > 0
    assert sorted(after) == sorted(before)
    assert all(after.index(case) == before.index(case) for case in done)
    # Held-out cases stay behind the others.
    with world.services.uow(read_only=True) as uow:
        splits = [row.split for row in uow.queue.rows(version.id)]
    assert splits == ["train"] * 60 + ["test"] * 10
    last = plans(world)[-1]
    assert last.actor == "engine"
    assert (last.detail["said"], last.detail["moved"]) == (6, moved)
    assert world.services.queue.plan_of(world.project_id).by == "engine"


def test_the_reason_says_what_a_case_would_teach_about(world: World) -> None:
    done = say(world, 6)
    before = reasons(world)
    world.services.learning.sweep()
    after = reasons(world)
    assert {case: after[case] for case in done} == {case: before[case] for case in done}
    told = [reason for case, reason in after.items() if reason.startswith("teach:")]
    assert any("would teach the next run most, about " in reason for reason in told)
    with world.services.uow(read_only=True) as uow:
        concepts = uow.concepts.by_number(world.project_id, version_of(world).dictionary_hash)
    names = {each.name or f"concept {number}" for number, each in concepts.items()}
    taught = {reason.partition(", about ")[2] for case, reason in after.items() if case not in done}
    assert taught - {""} <= names


def test_a_case_in_somebodys_hands_keeps_its_place(world: World) -> None:
    before = in_order(world)
    other = reviewer(world, "Bo")
    held = before[7], before[40], before[65]
    for case in held:  # three desks, one after the other: the latest two stay theirs
        assert world.services.queue.claim(case, other).ok
    say(world, 8, [case for case in before if case not in held])
    assert world.services.learning.sweep()
    after = in_order(world)
    assert after != before
    assert [after.index(case) for case in held[1:]] == [40, 65]
    assert world.services.queue.claim(held[1], other).ok


def test_nothing_new_nothing_planned(world: World) -> None:
    say(world, 6)
    assert world.services.learning.sweep()
    order, made = in_order(world), len(plans(world))
    assert world.services.learning.sweep() == ()
    assert world.services.learning.learn(version_of(world).id) == 0
    assert (in_order(world), len(plans(world))) == (order, made)
    say(world, 6)
    assert world.services.learning.sweep()
    assert len(plans(world)) == made + 1


def test_the_same_words_give_the_same_order(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    found = []
    for name in ("one", "two"):
        built = make_world(tmp_path / name, splits={"train": 60, "test": 10})
        set_rules(built, overlap_share=0.0, replan_words=6)
        say(built, 6)
        built.services.learning.sweep()
        with built.services.uow(read_only=True) as uow:
            found.append([row.sha256 for row in uow.queue.rows(version_of(built).id)])
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "rules", [{"replan_words": 0}, {"order": "random"}, {"blind": ["peers"]}, {"replan_words": 7}]
)
def test_rules_that_leave_the_order_alone(world: World, rules: dict[str, object]) -> None:
    set_rules(world, **rules)
    before = in_order(world)
    say(world, 6)
    assert world.services.learning.sweep() == ()
    assert world.services.learning.learn(version_of(world).id) == 0
    assert in_order(world) == before


def test_a_plan_by_a_lead_or_a_run_starts_the_count_anew(world: World) -> None:
    say(world, 6)
    world.services.queue.plan(world.project_id)
    assert plans(world)[-1].detail["said"] == 6
    assert world.services.learning.sweep() == ()
    say(world, 6)
    world.services.queue.after_run(world.project_id)
    assert world.services.learning.due() == {}
    with world.services.uow(read_only=True) as uow:
        assert planned_at(uow, version_of(world).id) == 12
        assert planned_at(uow, new_id()) == 0


def test_of_a_large_queue_only_the_front_is_planned(world: World) -> None:
    before = in_order(world)
    say(world, 6)
    small = QueueLearning(world.services.uow, world.services.engines, window=10)
    assert small.sweep()
    after = in_order(world)
    with world.services.uow(read_only=True) as uow:
        spoken = uow.plan.spoken(version_of(world).id)
    front = [case for case in before if case not in spoken][:10]
    assert {case for case, other in zip(before, after, strict=True) if case != other} <= set(front)
    assert after != before


def test_a_version_that_cannot_be_read_is_left_until_more_is_said(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    tries: list[str] = []

    class Failing(QueueLearning):
        def learn(self, version_id: str) -> int:
            tries.append(version_id)
            raise OSError("the disk is gone")

    before = in_order(world)
    say(world, 6)
    learning = Failing(world.services.uow, None)
    assert learning.sweep() == ()
    assert learning.sweep() == ()
    assert len(tries) == 1
    assert "cannot be planned anew" in caplog.text
    say(world, 1)
    assert learning.sweep() == ()
    assert len(tries) == 2
    assert in_order(world) == before


def test_without_codes_the_store_alone_plans(world: World) -> None:
    done = say(world, 6)
    ((planned, _),) = QueueLearning(world.services.uow, None).sweep()
    assert planned == version_of(world).id
    after = reasons(world)
    assert not any(after[case].startswith("teach:") for case in after if case not in done)


def test_shares_count_what_was_served(world: World) -> None:
    """Six words come from three cases: the plan behind them does not begin with the same share."""
    set_rules(world, weights={"uncertain": 1, "diverse": 1}, control_share=0.0)
    first = [reasons(world)[case].partition(":")[0] for case in in_order(world)[:3]]
    done = say(world, 6)
    assert len(done) == 3
    world.services.learning.sweep()
    after = reasons(world)
    nxt = [after[case].partition(":")[0] for case in in_order(world)[3:6]]
    assert sorted(first + nxt) == ["diverse"] * 3 + ["uncertain"] * 3


def test_only_the_open_part_of_the_facts_is_read_of_a_large_queue(world: World) -> None:
    version = version_of(world)
    with world.services.uow(read_only=True) as uow:
        every = queue_scores.read(uow, version)
        few = [row.case_id for row in every.rows[:5]]
        part = queue_scores.read(uow, version, among=few)
    assert [row.case_id for row in part.rows] == few
    assert replace(part, rows=every.rows, figures=every.figures) == replace(
        every, reconstructions=part.reconstructions
    )


def test_the_worker_lets_the_queue_learn(world: World, tmp_path: Path) -> None:
    say(world, 6)
    made, log = len(plans(world)), tmp_path / "worker.log"
    env = {**os.environ, **world.settings.environment(), "OMP_NUM_THREADS": "1"}
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "dashboard.worker", "--workspace",
             str(world.settings.workspace)],
            env=env, stdout=out, stderr=out, cwd=ROOT,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and len(plans(world)) == made:
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
    finally:
        process.terminate()
        process.wait()
    assert len(plans(world)) == made + 1, log.read_text()
    assert plans(world)[-1].detail["said"] == 6
