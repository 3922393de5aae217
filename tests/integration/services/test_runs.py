"""Reweighting runs, in this process by the same steps as the worker's."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import torch

from core.artifacts import load_bundle
from core.errors import ConfigError, InsightError
from core.heads import LinearHead
from dashboard.services import feedback
from dashboard.services.report_scope import ReportScope
from dashboard.services.run_queue import DbosQueue
from dashboard.services.run_scratch import Scratch
from dashboard.services.run_view import METRICS
from dashboard.services.run_work import run_inline
from dashboard.services.runs import RunService
from dashboard.viewmodels import RunView
from db.errors import Conflict
from db.records import new_id, utc_now
from tests.integration.services.world import RULER, World, judge, make_world, reviewer


@dataclass
class FakeQueue:
    """A queue that only remembers."""

    announced: list[tuple[str, str]] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)

    def announce(self, run_id: str, workflow_id: str) -> bool:
        self.announced.append((run_id, workflow_id))
        return True

    def withdraw(self, workflow_id: str) -> None:
        self.withdrawn.append(workflow_id)


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world with eight spurious verdicts on the ruler and some correct ones."""
    torch.set_num_threads(1)
    world = make_world(tmp_path_factory.mktemp("runs") / "ws")
    judge(world, reviewer(world), count=8)
    return world


@pytest.fixture(scope="module")
def done(judged: World) -> RunView:
    runs = service(judged, FakeQueue())
    run = start(judged, runs)
    return run_inline(judged.services, run.id)


@pytest.fixture
def bare(tmp_path: Path) -> World:
    torch.set_num_threads(1)
    return make_world(tmp_path / "ws", splits={"train": 16, "test": 8})


def service(world: World, queue: FakeQueue, **more: object) -> RunService:
    return RunService(
        world.services.uow, world.settings, world.services.versions, queue=queue, **more
    )


def start(
    world: World,
    runs: RunService,
    run_id: str | None = None,
    seed: int = 0,
    strategy: str = "groups",
    **options: object,
) -> RunView:
    return runs.start_reweight(
        id=run_id or new_id(), project_id=world.project_id, reviewer_id=reviewer(world), seed=seed,
        strategy=strategy, options=options,
    )  # fmt: skip


def test_feedback_repairs_the_model(done: RunView) -> None:
    assert (done.state, done.progress, done.message) == ("succeeded", 1.0, "")
    assert done.result_state == "candidate"
    by_key = {(row.split, row.key): row for row in done.metrics}
    assert {split for split, _ in by_key} == {"test", "reversed"}
    accuracy = by_key["reversed", "accuracy"]
    assert accuracy.before is not None
    assert accuracy.after is not None
    assert accuracy.before < 0.6
    assert accuracy.after > accuracy.before + 0.2
    worst = by_key["reversed", "worst_group"]
    assert worst.before is not None
    assert worst.after is not None
    assert worst.after > worst.before
    share = by_key["test", "spurious_share"]
    assert share.before is not None
    assert share.after is not None
    assert share.after < share.before
    assert len(by_key) == 2 * len(METRICS)
    assert all(row.help and "\n" not in row.help for row in done.metrics)


def test_details_say_how_it_was_measured(done: RunView) -> None:
    details = done.details
    assert "detectors" in details["groups_from"]
    assert details["cues"][0]["heldback_auc"] >= 0.9
    assert RULER in details["cues"][0]["concepts"]
    assert details["cues"][0]["name"] == "ruler"
    assert details["rejected_concepts"] == [RULER]
    assert details["marks"]["spurious"] == 8
    assert sum(details["group_sizes"]["reversed"].values()) == 40
    assert len(details["train_groups"]) == 4


def test_the_result_is_a_child_with_its_own_bundle(judged: World, done: RunView) -> None:
    with judged.services.uow(read_only=True) as uow:
        version = uow.versions.by_hash(judged.project_id, done.result_version or "")
        assert version is not None
        assert version.parent_hash == judged.version_hash == done.base_version
        assert uow.cases.counts(version.id).total == 200
        snapshot = uow.snapshots.get(version.snapshot_id or "")
    bundle = load_bundle(Path(version.folder))
    assert bundle.manifest.snapshot_hash == snapshot.hash == done.snapshot_hash
    assert feedback.payload_hash(snapshot.payload) == snapshot.hash
    assert done.verdicts == snapshot.verdicts > 8


def test_the_same_run_gives_the_same_version(judged: World, done: RunView) -> None:
    runs = service(judged, FakeQueue())
    again = run_inline(judged.services, start(judged, runs).id)
    assert again.result_version == done.result_version
    assert again.metrics == done.metrics


def test_the_report_carries_the_run(judged: World, done: RunView) -> None:
    found = judged.services.reports.content(judged.project_id, ReportScope())
    run = next(run for run in found.runs if run.id == done.id)
    assert (run.snapshot, run.result_version) == (done.snapshot_hash, done.result_version)
    assert {"accuracy", "worst_group"} <= {figure.key for figure in run.splits[0].figures}
    assert run.sentence.startswith("On ")
    assert "went from wrong to right" in run.sentence
    named = judged.services.reports.content(
        judged.project_id, ReportScope(version=(done.result_version or "")[:10])
    )
    assert done.id in {run.id for run in named.runs}
    assert {run.result_version for run in named.runs} == {done.result_version}
    assert (done.snapshot_hash or "?") in " ".join(row.value for row in named.provenance)


def test_activate_then_discard(judged: World, done: RunView) -> None:
    runs, me = judged.services.runs, reviewer(judged)
    assert runs.activate(done.id, me).result_state == "active"
    with judged.services.uow(read_only=True) as uow:
        active = uow.versions.active(judged.project_id)
        assert active is not None
        assert active.hash == done.result_version
    with pytest.raises(Conflict):
        runs.discard(done.id, me)
    with judged.services.uow() as uow:
        old = uow.versions.by_hash(judged.project_id, judged.version_hash)
        assert old is not None
        uow.versions.set_state(old.id, "active")
        uow.commit()
    assert runs.discard(done.id, me).result_state == "discarded"
    with judged.services.uow(read_only=True) as uow:
        actions = [row.action for row in uow.audit.list(entity="version", limit=5)]
    # What is activated gets a queue with an order and reasons at once.
    assert actions[:3] == ["version.discarded", "queue.planned", "version.activated"]


def test_the_preview_says_what_a_run_would_read(judged: World, done: RunView) -> None:
    view = judged.services.runs.evidence(judged.project_id)
    assert (view.ready, view.why_not, view.spurious) == (True, "", 8)
    assert view.verdicts == done.verdicts
    first = view.concepts[0]
    assert (first.concept, first.name, first.marks) == (RULER, "ruler", 8)
    assert first.probability > 0.8
    assert [rater.name for rater in view.raters] == ["Ada"]
    assert all(rater.counted for rater in view.raters)
    found = {each.key: each for each in judged.services.runs.strategies(judged.project_id)}
    assert next(iter(found)) == "auto"
    assert found["groups"].available
    assert not found["columns"].available
    assert found["columns"].why_not


def test_the_preview_of_nothing_says_what_to_do(bare: World) -> None:
    view = bare.services.runs.evidence(bare.project_id)
    assert not view.ready
    assert view.why_not.startswith("Nothing was called spurious yet: mark cues")
    assert view.why_not.endswith(".")
    found = {each.key: each for each in bare.services.runs.strategies(bare.project_id)}
    assert not any(each.available for each in found.values())


def test_without_verdicts_the_run_fails_with_a_clear_message(bare: World) -> None:
    run = start(bare, service(bare, FakeQueue()))
    ended = run_inline(bare.services, run.id)
    assert ended.state == "failed"
    assert ended.result_version is None
    assert ended.message
    assert "Traceback" not in ended.message


def test_asking_twice_is_one_run_and_other_content_is_refused(bare: World) -> None:
    queue = FakeQueue()
    runs = service(bare, queue)
    one = new_id()
    first = start(bare, runs, one)
    assert start(bare, runs, one) == first
    assert set(queue.announced) == {(one, one)}
    assert [run.id for run in runs.list(bare.project_id)] == [one]
    with pytest.raises(Conflict):
        start(bare, runs, one, seed=3)
    with pytest.raises(ConfigError, match="seed"):
        start(bare, runs, seed=-1)


def test_a_cancelled_run_stops_and_can_be_restarted(bare: World) -> None:
    queue = FakeQueue()
    runs = service(bare, queue)
    run = start(bare, runs)
    assert runs.cancel(run.id, reviewer(bare)).state == "cancelled"
    assert queue.withdrawn == [run.id]
    assert bare.services.work.execute(run.id, run.id) == "cancelled"
    assert runs.cancel(run.id).state == "cancelled"
    again = runs.restart(run.id, reviewer(bare))
    assert again.state == "queued"
    workflow_id = queue.announced[-1][1]
    assert workflow_id != run.id
    # The former workflow, should it still be somewhere, may not touch the run any more.
    assert bare.services.work.execute(run.id, run.id) == "queued"
    assert runs.get(run.id).state == "queued"
    assert bare.services.work.execute(run.id, workflow_id) == "failed"
    with pytest.raises(InsightError, match="only a stopped run"):
        runs.restart(start(bare, runs).id)


def test_a_silent_worker_shows_as_interrupted(bare: World) -> None:
    queue = FakeQueue()
    run = start(bare, service(bare, queue))
    with bare.services.uow() as uow:
        uow.runs.update(run.id, state="running", progress=0.4)
        uow.commit()
    assert service(bare, queue).get(run.id).state == "running"
    late = service(bare, queue, now=lambda: utc_now() + timedelta(minutes=5))
    assert late.get(run.id).state == "interrupted"
    assert late.restart(run.id).state == "queued"


def test_no_worker_database_leaves_the_run_queued(bare: World) -> None:
    runs = RunService(bare.services.uow, bare.settings, bare.services.versions)
    assert start(bare, runs).state == "queued"
    gone = DbosQueue("sqlite:////no/such/folder/worker.sqlite")
    assert gone.announce("run", "workflow") is False
    gone.withdraw("workflow")


def test_a_head_comes_back_from_scratch_whatever_its_memory_order(tmp_path: Path) -> None:
    weight = np.asfortranarray(np.arange(12, dtype=np.float32).reshape(3, 4))
    upper = np.arange(4, dtype=np.float32)
    head = LinearHead(
        weight, np.ones(3, np.float32), ("a", "b", "c"), 1.25, pooling="mean", upper_N=upper
    )
    Scratch(tmp_path).write_head(head)
    back = Scratch(tmp_path).read_head()
    assert back.pooling == "mean"
    assert back.upper_N is not None
    assert (back.upper_N == upper).all()
    assert (back.weight_CN == weight).all()
    assert (back.bias_C == head.bias_C).all()
    assert (back.classes, back.temperature) == (head.classes, 1.25)


def test_scratch_says_when_a_file_has_gone(tmp_path: Path) -> None:
    with pytest.raises(InsightError, match="start the run anew"):
        Scratch(tmp_path).read_json("detectors.json")
