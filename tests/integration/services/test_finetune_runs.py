"""Fine-tuning runs: from verdicts to a tuned encoder, its concepts, and back after a kill."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from core.artifacts import load_bundle
from core.errors import ConfigError, EncoderError
from dashboard.services import feedback, tuned_matches
from dashboard.services.engines import Engines
from dashboard.services.publishing import Publisher
from dashboard.services.run_body import Facts
from dashboard.services.run_work import RunWork, run_inline
from dashboard.viewmodels import RunView
from db.records import new_id
from tests.integration.services.killed import Watched
from tests.integration.services.test_run_resume import ROOT, Reference, killed, same, work_of
from tests.integration.services.test_worker_kill import wait_for, worker
from tests.integration.services.tuned_world import judge_stickers, make_tuned_world
from tests.integration.services.world import World, reviewer

OPTIONS = {"epochs": 3, "patience": 3}
NAMED = "white sticker"
STEPS = ("snapshot", "evidence", "cues", "weigh", "tune", "encode", "concepts", "judge", "publish")
TUNING = 0.25  # of the bar: where the step "tune" begins


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Judged stickers, and a name that a person gave to every concept that was judged."""
    torch.set_num_threads(1)
    world = make_tuned_world(
        tmp_path_factory.mktemp("tuned") / "ws", splits={"train": 32, "val": 8, "reversed": 12}
    )
    given = judge_stickers(world, most=8)
    assert given["spurious"] >= 3
    for row in world.services.runs.evidence(world.project_id).concepts:
        name(world, row.concept, f"{NAMED} {row.concept}")
    return world


@pytest.fixture(scope="module")
def reference(world: World) -> Reference:
    run = start(world)
    watched = Watched(world.services.uow, 0)
    work_of(world, watched).execute_inline(run.id)
    ended = world.services.runs.get(run.id)
    assert ended.state == "succeeded", ended.message
    return Reference(ended, watched.count)


def start(world: World, **options: Any) -> RunView:
    return world.services.runs.start_finetune(
        id=new_id(), project_id=world.project_id, reviewer_id=reviewer(world), seed=4,
        options={**OPTIONS, **options},
    )  # fmt: skip


def name(world: World, concept: int, words: str) -> None:
    me = reviewer(world)
    with world.services.uow() as uow:
        version = uow.versions.by_hash(world.project_id, world.version_hash)
        assert version is not None
        known = uow.concepts.ids(world.project_id, version.dictionary_hash)
        events = uow.concepts.name_events(world.project_id, version.dictionary_hash)
        last = events.get(concept, ())
        uow.concepts.add_name(
            id=new_id(), concept_id=known[concept], name=words,
            based_on=last[-1].revision if last else 0, source="person",
            reviewer_id=me, reason="",
        )  # fmt: skip
        uow.commit()


def test_the_result_is_a_version_with_an_encoder_of_its_own(
    world: World, reference: Reference
) -> None:
    with world.services.uow(read_only=True) as uow:
        version = uow.versions.by_hash(world.project_id, reference.run.result_version or "")
        assert version is not None
        cases = uow.cases.list(version.id)
    bundle = load_bundle(Path(version.folder))
    assert (bundle.manifest.kind, version.kind) == ("finetune", "finetune")
    assert bundle.manifest.parent == world.version_hash
    assert version.encoder_spec == f"tuned:{version.encoder_hash[:16]}"
    assert str(world.settings.workspace) not in (Path(version.folder) / "manifest.json").read_text()
    assert len(cases) == 52
    encoder = world.services.engines.encoder(version.encoder_spec, version.encoder_hash)
    assert encoder.info.spec == version.encoder_spec
    with pytest.raises(EncoderError, match="holds no open_clip_config"):
        world.services.engines.encoder("tuned:" + "0" * 16)
    world.services.explain.explain_case(cases[0].id)
    with world.services.uow(read_only=True) as uow:
        assert uow.cases.get(cases[0].id).explanation is not None


def test_names_that_people_gave_follow_the_concepts(world: World, reference: Reference) -> None:
    with world.services.uow(read_only=True) as uow:
        version = uow.versions.by_hash(world.project_id, reference.run.result_version or "")
        assert version is not None
        names = uow.concepts.names(world.project_id, version.dictionary_hash, person_only=True)
        base = uow.versions.by_hash(world.project_id, world.version_hash)
        assert base is not None
        given = uow.concepts.names(world.project_id, base.dictionary_hash, person_only=True)
        carried = tuned_matches.carried(uow, world.project_id, version.dictionary_hash)
    onward = carried[base.dictionary_hash]
    expected = {onward[old]: words for old, words in given.items() if old in onward}
    assert expected
    assert names == expected
    said = reference.run.details["concepts"]
    assert said["carried"] == len(onward)


def test_words_that_people_gave_count_on_what_the_concepts_became(
    world: World, reference: Reference
) -> None:
    with world.services.uow(read_only=True) as uow:
        tuned = uow.versions.by_hash(world.project_id, reference.run.result_version or "")
        base = uow.versions.by_hash(world.project_id, world.version_hash)
        assert tuned is not None
        assert base is not None
        carried = tuned_matches.carried(uow, world.project_id, tuned.dictionary_hash)
        before = feedback.current_payload(uow, world.project_id, base.dictionary_hash)
        after = feedback.current_payload(uow, world.project_id, tuned.dictionary_hash)
        assert tuned_matches.carried(uow, world.project_id, base.dictionary_hash) == {}
    onward = carried[base.dictionary_hash]
    said = {(cue["image_sha256"], cue["concept"]) for cue in before["cues"]}
    expected = {(sha, onward[concept]) for sha, concept in said if concept in onward}
    assert expected
    assert {(cue["image_sha256"], cue["concept"]) for cue in after["cues"]} == expected


def test_its_curves_and_figures_are_kept(world: World, reference: Reference) -> None:
    curves = {curve.series: curve for curve in world.services.runs.curves(reference.run.id)}
    assert {"train.loss", "validation.loss"} <= set(curves)
    for curve in curves.values():
        steps = [step for step, _ in curve.points]
        assert steps == sorted(set(steps))
    assert reference.run.details["asked"]["epochs"] == 3
    assert reference.run.details["tuning"]["steps"] >= 1
    assert {row.split for row in reference.run.metrics} == {"reversed"}
    assert reference.run.judgement is not None


def test_nothing_of_the_work_is_left_after_success(world: World, reference: Reference) -> None:
    folder = world.settings.project_folder(world.project_id) / "runs" / reference.run.id
    assert not folder.exists()


def test_killed_while_it_tunes_it_ends_bit_for_bit_the_same(
    world: World, reference: Reference
) -> None:
    run = start(world)
    moments = [round(share * reference.looks) for share in (0.35, 0.3)]
    codes = [killed(world, run.id, moment) for moment in moments]
    assert codes[0] == -signal.SIGKILL
    if world.services.runs.get(run.id).state == "running":
        world.services.work.execute_inline(run.id)
    same(world.services.runs.get(run.id), reference)
    assert curves_of(world, run.id) == curves_of(world, reference.run.id)


def test_killed_in_every_step_at_a_random_call_it_ends_bit_for_bit_the_same(
    world: World, reference: Reference
) -> None:
    """Kill -9 at any call of our code, from the freezing of the verdicts to the publishing."""
    counted = start(world)
    (whole,) = in_forks(world, counted.id)
    assert whole["state"] == "succeeded"
    assert set(STEPS) <= set(whole["calls"])
    same(world.services.runs.get(counted.id), reference)
    rng, run = random.Random(46), start(world)
    moments = [
        f"{step}={rng.randint(1, calls)}"
        for step, calls in whole["calls"].items()
        for _ in range(2 if step == "tune" else 1)
    ]
    ends = in_forks(world, run.id, *moments)
    assert {end["code"] for end in ends} == {-signal.SIGKILL}
    left = world.services.runs.get(run.id)
    if left.state == "running":
        assert world.services.work.execute(run.id, run.id) == "succeeded"
    same(world.services.runs.get(run.id), reference)
    assert curves_of(world, run.id) == curves_of(world, reference.run.id)


def test_a_worker_that_is_killed_at_random_moments_leaves_the_same_version(
    world: World, reference: Reference, tmp_path: Path
) -> None:
    """The real worker: it is killed wherever it is once it has come so far, and another goes on."""
    log, rng = tmp_path / "worker.log", random.Random(47)
    run = start(world)
    for share in (rng.uniform(0.02, TUNING), rng.uniform(TUNING, 0.75)):
        with worker(world, 0.2, log) as victim:
            wait_for(world, run.id, lambda r, s=share: r.progress >= s, log, victim)  # type: ignore[misc]
            victim.send_signal(signal.SIGKILL)
    assert world.services.runs.get(run.id).state == "running"
    with worker(world, 0.0, log) as last:
        ended = wait_for(world, run.id, lambda r: r.state == "succeeded", log, last)
    same(ended, reference)
    assert curves_of(world, run.id) == curves_of(world, reference.run.id)


def test_cancelled_while_it_tunes_it_goes_on_from_there(world: World, reference: Reference) -> None:
    run = start(world)

    class Cancelling(Watched):
        """Cancels the run once its tuning has begun."""

        def __call__(self, *, read_only: bool = False) -> Any:
            if self.at == 0 and world.services.runs.get(run.id).progress >= TUNING:
                self.at = -1
                world.services.runs.cancel(run.id)
            return super().__call__(read_only=read_only)

    watched = Cancelling(world.services.uow, 0)
    assert work_of(world, watched).execute(run.id, run.id) == "cancelled"
    stopped = world.services.runs.get(run.id)
    assert stopped.resumable
    assert TUNING <= stopped.progress < 0.75
    assert f"goes on at {100 * stopped.progress:.0f} %" in stopped.checkpoint
    world.services.runs.resume(run.id)
    world.services.work.execute_inline(run.id)
    same(world.services.runs.get(run.id), reference)


def test_the_workspaces_device_is_used_in_both_trainings_and_enters_no_version(
    world: World, reference: Reference, caplog: pytest.LogCaptureFixture
) -> None:
    """A device that there is not shows where it is asked for; the encoder lies elsewhere."""

    def work_on(device: str, stop_in: str = "") -> str:
        settings, engines = replace(world.settings, device=device), Engines(world.settings)
        services = world.services
        publisher = Publisher(services.uow, engines, planned=services.queue.published)
        work = RunWork(
            services.uow, settings, engines, publisher, services.discovery, services.demo
        )

        def run_step(step: str, do: Callable[[], Facts]) -> Facts:
            if step == stop_in:
                services.runs.cancel(run.id)
            return do()

        with services.uow(read_only=True) as uow:
            workflow_id = uow.runs.get(run.id).workflow_id or ""
        return work.execute(run.id, workflow_id, run_step)

    run = start(world)
    for stop_in, fails_in in (("", "tune"), ("encode", "concepts")):
        if stop_in:
            assert work_on("cpu", stop_in) == "cancelled"
            world.services.runs.resume(run.id)
        caplog.clear()
        assert work_on("nowhere") == "failed"
        assert f"failed in step {fails_in}" in caplog.text
        assert "device string: nowhere" in caplog.text
        world.services.runs.resume(run.id)
    assert work_on("cpu") == "succeeded"
    same(world.services.runs.get(run.id), reference)
    bundle = load_bundle(versions_folder(world, reference))
    assert bundle.manifest.config["tuning"]["tune"]["device"] == "auto"  # as in versions of before


def versions_folder(world: World, reference: Reference) -> Path:
    with world.services.uow(read_only=True) as uow:
        version = uow.versions.by_hash(world.project_id, reference.run.result_version or "")
    assert version is not None
    return Path(version.folder)


def test_begun_anew_it_forgets_curves_and_takes_todays_words(world: World) -> None:
    run = start(world, epochs=1)

    def stop_in_concepts(step: str, work: Any) -> Facts:
        if step == "encode":
            world.services.runs.cancel(run.id)
        return work()

    assert world.services.work.execute(run.id, run.id, stop_in_concepts) == "cancelled"
    assert world.services.runs.curves(run.id)
    former = world.services.runs.get(run.id).snapshot_hash
    judge_stickers(world, "Second pair of eyes", most=1)
    again = world.services.runs.restart(run.id, anew=True)
    assert (again.state, again.resumable) == ("queued", False)
    assert world.services.runs.curves(run.id) == ()
    ended = run_inline(world.services, run.id)
    assert ended.state == "succeeded", ended.message
    assert ended.snapshot_hash != former


def test_without_a_mark_there_is_nothing_to_tune_away(tmp_path: Path) -> None:
    bare = make_tuned_world(tmp_path / "ws", splits={"train": 16, "test": 4})
    with pytest.raises(ConfigError, match="there is no option 'layers'"):
        start(bare, layers=3)
    ended = run_inline(bare.services, start(bare).id)
    assert ended.state == "failed"
    assert "nothing was called spurious yet" in ended.message
    assert not ended.resumable


def in_forks(world: World, run_id: str, *moments: str) -> list[dict[str, Any]]:
    """Work on the run in other processes that kill themselves at those moments; how they ended."""
    ended = subprocess.run(
        [sys.executable, "-m", "tests.integration.services.killed_steps",
         str(world.settings.workspace), run_id, *moments],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


def curves_of(world: World, run_id: str) -> dict[str, tuple[tuple[int, float], ...]]:
    return {curve.series: curve.points for curve in world.services.runs.curves(run_id)}
