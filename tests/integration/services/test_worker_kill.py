"""Real processes killed with -9, the worker in a run and the app in a verdict: nothing is lost."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from sqlalchemy import insert

from dashboard.services import heartbeat
from dashboard.services.run_body import STEP_DELAY
from dashboard.services.run_queue import DbosQueue
from dashboard.services.run_work import run_inline
from dashboard.services.runs import RunService
from dashboard.viewmodels import RunView
from dashboard.worker import EXIT_BUSY
from db.models.governance import Schedule
from db.records import new_id, utc_now
from tests.integration.services.world import World, judge, make_world, reviewer

ROOT = Path(__file__).resolve().parents[3]
PATIENCE = 150.0  # seconds; a loaded machine is slow, and nothing is measured here


@pytest.fixture
def world(tmp_path: Path) -> World:
    torch.set_num_threads(1)
    world = make_world(tmp_path / "ws", splits={"train": 120, "reversed": 20})
    judge(world, reviewer(world), count=8)
    return world


@contextmanager
def worker(world: World, delay: float, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    env = {**os.environ, **world.settings.environment(), STEP_DELAY: str(delay),
           "OMP_NUM_THREADS": "1"}  # fmt: skip
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "dashboard.worker", "--workspace",
             str(world.settings.workspace)],
            env=env, stdout=out, stderr=out, cwd=ROOT,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def start(world: World) -> RunView:
    return world.services.runs.start_reweight(
        id=new_id(), project_id=world.project_id, reviewer_id=reviewer(world), seed=1,
        strategy="groups",
    )  # fmt: skip


def wait_for(
    world: World,
    run_id: str,
    ready: Callable[[RunView], bool],
    log: Path,
    process: subprocess.Popen[bytes],
) -> RunView:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        run = world.services.runs.get(run_id)
        if ready(run):
            return run
        if run.state == "failed":
            break
        time.sleep(0.05)
    raise AssertionError(f"{run}\n{log.read_text()}")


def test_kill_9_in_the_middle_and_the_next_worker_goes_on(world: World, tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    run = start(world)
    assert run.state == "queued"
    with worker(world, 0.7, log) as first:
        halfway = wait_for(world, run.id, lambda r: r.progress >= 0.3, log, first)
        assert halfway.state == "running"
        assert heartbeat.alive(world.settings)
        first.send_signal(signal.SIGKILL)
        first.wait()
    left = world.services.runs.get(run.id)
    assert left.state == "running"
    with worker(world, 0.0, log) as second:
        ended = wait_for(world, run.id, lambda r: r.state not in ("queued", "running"), log, second)
        assert ended.state == "succeeded", ended
        assert ended.snapshot_hash == halfway.snapshot_hash
        second.send_signal(signal.SIGTERM)
        assert second.wait(PATIENCE) == 0
    assert not heartbeat.alive(world.settings)
    with world.services.uow(read_only=True) as uow:
        ends = [row.action for row in uow.audit.list(entity="run", entity_id=run.id)]
    assert ends.count("run.succeeded") == 1


def test_killed_again_and_again_at_random_moments_the_result_is_the_same(
    world: World, tmp_path: Path
) -> None:
    log, rng = tmp_path / "worker.log", random.Random(11)
    run = start(world)
    for _ in range(3):
        with worker(world, 0.3, log) as victim:
            wait_for(world, run.id, lambda r: r.state != "queued", log, victim)
            time.sleep(rng.uniform(0.0, 1.5))
            victim.send_signal(signal.SIGKILL)
    with worker(world, 0.0, log) as last:
        ended = wait_for(world, run.id, lambda r: r.state == "succeeded", log, last)
    undisturbed = run_inline(world.services, start(world).id)
    assert undisturbed.state == "succeeded", undisturbed.message
    assert ended.result_version == undisturbed.result_version
    assert ended.judgement == undisturbed.judgement
    assert ended.details == undisturbed.details


def test_a_run_that_an_older_program_left_in_the_queue_is_taken_over(
    world: World, tmp_path: Path
) -> None:
    """dbos gives a workflow only to the program version that it was announced for."""
    log = tmp_path / "worker.log"
    with worker(world, 0.0, log) as first:  # makes the worker's own tables
        ready = start(world)
        wait_for(world, ready.id, lambda r: r.state == "succeeded", log, first)
    old = RunService(
        world.services.uow, world.settings, world.services.versions,
        queue=DbosQueue(world.settings.worker_url, app_version="insight-runs-1"),
    )  # fmt: skip
    left = old.start_reweight(
        id=new_id(), project_id=world.project_id, reviewer_id=reviewer(world), seed=2,
        strategy="groups",
    )  # fmt: skip
    assert left.state == "queued"
    with worker(world, 0.0, log) as second:
        wait_for(world, left.id, lambda r: r.state == "succeeded", log, second)
    with world.services.uow(read_only=True) as uow:
        said = [row.action for row in uow.audit.list(entity="run", entity_id=left.id)]
    assert sorted(said) == ["run.adopted", "run.requested", "run.succeeded"]


def test_one_worker_per_workspace_and_a_running_run_can_be_cancelled(
    world: World, tmp_path: Path
) -> None:
    log = tmp_path / "worker.log"
    run = start(world)
    with worker(world, 60.0, log) as first:
        wait_for(world, run.id, lambda r: r.state == "running", log, first)
        with worker(world, 0.0, log) as second:
            assert second.wait(PATIENCE) == EXIT_BUSY
        assert world.services.runs.cancel(run.id).state == "cancelled"
        following = start(world)
        wait_for(world, following.id, lambda r: r.state == "running", log, first)
        assert world.services.runs.get(run.id).state == "cancelled"
        assert world.services.runs.get(run.id).result_version is None


def test_an_export_that_is_due_by_the_clock_is_made_by_the_worker(
    world: World, tmp_path: Path
) -> None:
    log = tmp_path / "worker.log"
    ident = new_id()
    row = {
        "id": ident, "schedule_id": ident, "project_id": world.project_id, "revision": 1,
        "reviewer_id": reviewer(world), "name": "each morning", "active": True,
        "spec": {"every": "day", "at": "06:00", "formats": ["json"]},
        "created_at": utc_now() - timedelta(days=2),  # it stands there since then
    }  # fmt: skip
    with world.services.uow.engine.begin() as connection:
        connection.execute(insert(Schedule), [row])
    assert made(world) == []
    with worker(world, 0.0, log) as process:
        deadline = time.monotonic() + PATIENCE
        while not (found := made(world)) and time.monotonic() < deadline:
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
    assert found, log.read_text()
    assert json.loads((world.settings.workspace / found[0]).read_text())["schema"]


def made(world: World) -> list[str]:
    """Files of the schedule's runs that succeeded."""
    (view,) = world.services.schedules.list(world.project_id)
    done = [run for run in view.runs if run.state == "succeeded"]
    return [path for run in done for _, path, _ in run.files]


def test_kill_9_while_verdicts_are_given_loses_no_acknowledged_one(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    world = make_world(tmp_path / "ws", splits={"train": 8})
    workspace = str(world.settings.workspace)
    with subprocess.Popen(
        [sys.executable, "-m", "tests.integration.services.giver", workspace],
        stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as giver:  # fmt: skip
        assert giver.stdout is not None
        acknowledged = [giver.stdout.readline().strip() for _ in range(20)]
        giver.send_signal(signal.SIGKILL)
        acknowledged += giver.stdout.read().split()
    with world.services.uow(read_only=True) as uow:
        stored = uow.verdicts.export(world.project_id, standing_only=False)
        audited = {row.entity_id for row in uow.audit.list(entity="verdict", limit=100_000)}
    ids = {row.id for row in stored}
    whole = {ident for ident in acknowledged if len(ident) == 36}
    assert len(whole) >= 20
    assert ids >= whole
    assert audited == ids
    # The next process goes on where the killed one was.
    undone = world.services.review.undo(reviewer(world, "Restless"), world.project_id, new_id())
    assert undone is not None
