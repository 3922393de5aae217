"""A run that is killed, cancelled or breaks down ends as if it had never stopped."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from dashboard.services.engines import Engines
from dashboard.services.publishing import Publisher
from dashboard.services.run_body import UNEXPECTED, Facts
from dashboard.services.run_work import RunWork, run_inline
from dashboard.viewmodels import RunView
from db.records import NewImage, new_id
from tests.integration.services.killed import Watched
from tests.integration.services.world import World, judge, make_world, reviewer

ROOT = Path(__file__).resolve().parents[3]
STEPS = ("snapshot", "evidence", "cues", "refit", "judge", "publish")


@dataclass(frozen=True)
class Reference:
    """What an undisturbed run makes of the world, and how often it looks into the store."""

    run: RunView
    looks: int


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    torch.set_num_threads(1)
    world = make_world(tmp_path_factory.mktemp("resume") / "ws")
    judge(world, reviewer(world), count=12)
    return world


@pytest.fixture(scope="module")
def reference(world: World) -> Reference:
    run = start(world)
    watched = Watched(world.services.uow, 0)
    work_of(world, watched).execute_inline(run.id)
    ended = world.services.runs.get(run.id)
    assert ended.state == "succeeded", ended.message
    return Reference(ended, watched.count)


def work_of(world: World, uow: Any) -> RunWork:
    services, engines = world.services, Engines(world.settings)
    publisher = Publisher(uow, engines, planned=services.queue.published)
    return RunWork(uow, world.settings, engines, publisher, services.discovery, services.demo)


def start(world: World, **options: float) -> RunView:
    return world.services.runs.start_reweight(
        id=new_id(), project_id=world.project_id, reviewer_id=reviewer(world), seed=3,
        strategy="groups", options=options,
    )  # fmt: skip


def killed(world: World, run_id: str, moment: int) -> int:
    """Work on the run in another process that kills itself at that look; its return code."""
    ended = subprocess.run(
        [sys.executable, "-m", "tests.integration.services.killed", str(world.settings.workspace),
         run_id, str(moment)],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
    return ended.returncode


def same(ended: RunView, reference: Reference) -> None:
    assert ended.state == "succeeded", ended.message
    assert ended.result_version == reference.run.result_version
    assert ended.metrics == reference.run.metrics
    assert ended.details == reference.run.details
    assert ended.judgement == reference.run.judgement
    assert ended.notices == reference.run.notices


def test_killed_at_random_moments_it_ends_bit_for_bit_the_same(
    world: World, reference: Reference
) -> None:
    run = start(world)
    moments = sorted(random.Random(5).sample(range(2, reference.looks), 3))
    # An attempt finds what the former ones kept, so it may end before its moment comes.
    codes = [killed(world, run.id, moment) for moment in moments]
    assert codes[0] == -signal.SIGKILL
    if world.services.runs.get(run.id).state == "running":
        world.services.work.execute_inline(run.id)
    same(world.services.runs.get(run.id), reference)


@pytest.mark.parametrize("step", STEPS)
def test_cancelled_in_any_step_it_goes_on_where_it_stopped(
    world: World, reference: Reference, step: str
) -> None:
    run = start(world)
    begun = cancel_in(world, run.id, step)
    assert begun == list(STEPS[: STEPS.index(step) + 1])
    stopped = world.services.runs.get(run.id)
    assert stopped.resumable is (step != "snapshot")  # before it nothing was frozen
    assert ("goes on at" in stopped.checkpoint) is stopped.resumable
    again = world.services.runs.resume(run.id, reviewer(world))
    assert again.state == "queued"
    world.services.work.execute_inline(run.id)
    same(world.services.runs.get(run.id), reference)


def test_images_that_come_while_it_is_stopped_change_nothing(
    world: World, reference: Reference
) -> None:
    run = start(world)
    cancel_in(world, run.id, "refit")
    with world.services.uow() as uow:
        # First by path, so that every row of the project moves by one.
        known = uow.images.list(world.project_id)[0]
        new = NewImage("000.png", "f" * 64, 32, 24, "naevus", "train")
        uow.images.add_many(world.project_id, [new])
        uow.commit()
    store = world.services.engines.tokens(world.project_id, "ab" * 32)
    store.write([("f" * 64, store.get(known.sha256))])
    world.services.runs.resume(run.id)
    world.services.work.execute_inline(run.id)
    same(world.services.runs.get(run.id), reference)
    fresh = run_inline(world.services, start(world).id)
    assert fresh.result_version != reference.run.result_version


def test_words_that_come_while_it_is_stopped_wait_for_a_run_that_begins_anew(
    world: World, reference: Reference
) -> None:
    run, other = start(world), start(world)
    for each in (run, other):
        cancel_in(world, each.id, "judge")
    frozen = world.services.runs.get(run.id).snapshot_hash
    judge(world, reviewer(world, "Late"), count=1)
    world.services.runs.resume(run.id)
    world.services.runs.restart(other.id, anew=True)
    for each in (run, other):
        cancel_in(world, each.id, "evidence")
        assert len(folders(world, each.id)) == 1  # the former work of the second one has gone
        world.services.runs.resume(each.id)
        world.services.work.execute_inline(each.id)
        assert not folders(world, each.id)
    assert world.services.runs.get(run.id).snapshot_hash == frozen
    assert world.services.runs.get(other.id).snapshot_hash != frozen


def test_a_run_that_broke_down_goes_on_and_one_that_was_refused_begins_anew(
    world: World,
) -> None:
    run = start(world)

    def break_in_judge(name: str, work: Callable[[], Facts]) -> Facts:
        if name == "judge":
            with world.services.uow() as uow:
                uow.runs.update(run.id, state="failed", message=UNEXPECTED)
                uow.commit()
        return work()

    assert world.services.work.execute(run.id, run.id, break_in_judge) == "failed"
    assert world.services.runs.get(run.id).resumable
    refused = start(world, min_auc=1.0, min_regions=50)
    ended = run_inline(world.services, refused.id)
    assert ended.state == "failed"
    assert not ended.resumable
    assert ended.checkpoint == ""
    assert "Traceback" not in ended.message


def cancel_in(world: World, run_id: str, step: str) -> list[str]:
    """Work on the run and cancel it in that step; the steps that were begun."""
    begun: list[str] = []

    def run_step(name: str, work: Callable[[], Facts]) -> Facts:
        begun.append(name)
        if name == step:
            world.services.runs.cancel(run_id)
        return work()

    with world.services.uow(read_only=True) as uow:
        workflow_id = uow.runs.get(run_id).workflow_id or ""
    assert world.services.work.execute(run_id, workflow_id, run_step) == "cancelled"
    return begun


def folders(world: World, run_id: str) -> list[str]:
    """What is kept of a run's work, by the keys of its inputs."""
    place = world.settings.project_folder(world.project_id) / "runs" / run_id
    return [folder.name for folder in place.iterdir()] if place.exists() else []
