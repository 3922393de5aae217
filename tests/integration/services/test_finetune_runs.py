"""Fine-tuning runs: from verdicts to a tuned encoder, its concepts, and back after a kill."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from core.artifacts import load_bundle
from core.errors import ConfigError, EncoderError
from dashboard.services import feedback, tuned_matches
from dashboard.services.run_body import Facts
from dashboard.services.run_work import run_inline
from dashboard.viewmodels import RunView
from db.records import new_id
from tests.integration.services.killed import Watched
from tests.integration.services.test_run_resume import Reference, killed, same, work_of
from tests.integration.services.tuned_world import judge_stickers, make_tuned_world
from tests.integration.services.world import World, reviewer

OPTIONS = {"epochs": 3, "patience": 3}
NAMED = "white sticker"
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


def curves_of(world: World, run_id: str) -> dict[str, tuple[tuple[int, float], ...]]:
    return {curve.series: curve.points for curve in world.services.runs.curves(run_id)}
