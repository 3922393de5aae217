"""A workspace of its own in which a model version is made again, by the code that made it.

It has a database with the project, its images, the versions that came before and the frozen
verdicts, and nothing else; the images stay where they are. Tokens that the real workspace keeps
are linked to, so that the arithmetic starts from the same bits; what is made new lands here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from core.errors import InsightError
from dashboard.services import run_inputs
from dashboard.services.discovery import DiscoveryService
from dashboard.services.engines import Engines
from dashboard.services.finetune_steps import FinetuneSteps
from dashboard.services.learning_steps import folder_of
from dashboard.services.progress import Progress, silent
from dashboard.services.publishing import Publisher
from dashboard.services.reproduce_source import Source
from dashboard.services.reweight_steps import ReweightSteps
from dashboard.services.run_body import Facts, Step, execute
from dashboard.services.run_inputs import Inputs
from dashboard.settings import TUNED, TUNED_HASH, Settings, sqlite_url
from db.engine import create_engine
from db.feedback_records import NewRun, RunRecord
from db.migrate import upgrade
from db.records import NewImage, NewVersion, RunKind, VersionRecord, new_id
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory, uow_factory


@dataclass(frozen=True)
class Bench:
    """An open workspace for one attempt."""

    source: Source
    settings: Settings
    uow: UnitOfWorkFactory
    engines: Engines
    publisher: Publisher

    def discovery(self) -> DiscoveryService:
        """What discovers here."""
        return DiscoveryService(self.uow, self.engines, self.publisher, self.settings)

    def version(self, hash: str) -> Path:
        """Where the version made here lies."""
        return self.settings.versions_folder(self.source.project.id) / hash


@contextmanager
def opened(
    source: Source, settings: Settings, folder: Path, *, kept_tokens: bool
) -> Iterator[Bench]:
    """A bench in an empty folder; its database is closed at the end, the folder stays.

    Args:
        settings: of the real workspace; device and precision are taken over.
        kept_tokens: False encodes every image anew.
    """
    url = sqlite_url(folder / "insight.sqlite")
    here = replace(settings, workspace=folder, database_url=url, worker_url=url)
    folder.mkdir(parents=True, exist_ok=True)
    upgrade(url)
    uow = uow_factory(create_engine(url))
    try:
        engines = Engines(here)
        _link_encoders(settings, here, source)
        if kept_tokens:
            _link_tokens(settings, here, source)
        with uow() as opened_uow:
            _fill(opened_uow, source)
            opened_uow.commit()
        yield Bench(source, here, uow, engines, Publisher(uow, engines, planned=_unplanned))
    finally:
        uow.engine.dispose()


def ask_run(bench: Bench, kind: RunKind) -> tuple[RunRecord, Inputs]:
    """The run that made the version, queued again; from the manifest, so no row of it is needed.

    Its inputs are frozen now and laid where a stopped attempt would have left them, so that the
    steps go on from there with the frozen verdicts instead of freezing what stands today.
    """
    source = bench.source
    manifest, snapshot = source.manifest, source.snapshot
    assert snapshot is not None  # checked by the caller
    project = source.project.id
    with bench.uow() as uow:
        base = uow.versions.by_hash(project, manifest.parent or "")
        assert base is not None  # likewise
        frozen = uow.snapshots.add(
            project, hash=snapshot.hash, payload=snapshot.payload, verdicts=snapshot.verdicts
        )
        asked = NewRun(
            id=new_id(), kind=kind, seed=manifest.seed, config=asked_config(manifest.config),
            base_version_id=base.id, snapshot_id=frozen.id,
        )  # fmt: skip
        run = uow.runs.add(project, asked)
        uow.commit()
    inputs = run_inputs.freeze(run_inputs.present(bench.uow, bench.engines, run), snapshot.hash)
    return run, inputs


def work(bench: Bench, run: RunRecord, inputs: Inputs, progress: Progress = silent) -> str:
    """Works on the run to its end by its own steps; the hash of the version that it made.

    Raises InsightError with the run's own words where it fails.
    """
    key = inputs.key(run)
    run_inputs.keep(folder_of(bench.settings, run, key), inputs)
    workflow = new_id()
    with bench.uow() as uow:
        uow.runs.update(
            run.id, workflow_id=workflow, state="running", metrics={"work": {"folder": key}}
        )
        uow.commit()
    steps = _steps(bench, run.kind)
    state = execute(bench.uow, steps, run.id, workflow, _telling(steps, progress))
    with bench.uow(read_only=True) as uow:
        ended = uow.runs.get(run.id)
        if state != "succeeded" or ended.result_version_id is None:
            raise InsightError(f"the run could not be repeated: {ended.message or state}")
        return uow.versions.get(ended.result_version_id).hash


def asked_config(config: Any) -> dict[str, Any]:
    """The config of the run that a version's manifest tells of.

    Raises InsightError where the manifest does not tell it.
    """
    asked = config.get("asked")
    if not isinstance(asked, dict) or "options" not in asked:
        raise InsightError("the manifest does not say what the run was asked to do")
    found = {"options": dict(asked["options"])}
    return {"strategy": asked["strategy"], **found} if asked.get("strategy") else found


def _steps(bench: Bench, kind: str) -> tuple[Step, ...]:
    made = ReweightSteps if kind == "reweight" else FinetuneSteps
    return made(bench.settings, bench.engines, bench.publisher).steps()


def _telling(steps: tuple[Step, ...], progress: Progress) -> Callable[..., Facts]:
    """A step runner that tells how far the run has come."""
    by_name = {step.name: step for step in steps}

    def run_step(name: str, step: Callable[[], Facts]) -> Facts:
        progress(by_name[name].low, by_name[name].stage)
        return step()

    return run_step


def _fill(uow: UnitOfWork, source: Source) -> None:
    """Project, images and the versions before, oldest first."""
    project = source.project
    uow.projects.add(
        project.name, project.root, classes=project.classes, vocabulary=project.vocabulary,
        notice=project.notice, settings=project.settings, id=project.id,
    )  # fmt: skip
    uow.images.add_many(
        project.id,
        [
            NewImage(
                image.relpath, image.sha256, image.width, image.height, image.label, image.split,
                image.group_name, image.mask_path, image.meta,
            )
            for image in source.images
        ],
    )  # fmt: skip
    for parent in reversed(source.parents):
        uow.versions.add(project.id, _as_new(parent))


def _as_new(version: VersionRecord) -> NewVersion:
    kept = {each.name: getattr(version, each.name) for each in fields(NewVersion)}
    return NewVersion(**(kept | {"snapshot_id": None, "run_id": None}))


def _link_tokens(real: Settings, here: Settings, source: Source) -> None:
    """Every shard of the encoders that take part, by symbolic link: new shards come beside them."""
    encoders = {source.version.encoder_hash, *(parent.encoder_hash for parent in source.parents)}
    if source.manifest.kind == "finetune":  # what the run tuned is made anew, and so are its tokens
        encoders.discard(source.version.encoder_hash)
    for encoder in encoders:
        there = real.tokens_folder(source.project.id, encoder)
        place = here.tokens_folder(source.project.id, encoder)
        for shard in sorted(there.glob("shard-*")) if there.is_dir() else ():
            place.mkdir(parents=True, exist_ok=True)
            (place / shard.name).symlink_to(shard)


def _link_encoders(real: Settings, here: Settings, source: Source) -> None:
    """The tuned encoders of the versions before."""
    for parent in source.parents:
        if not parent.encoder_spec.startswith(TUNED):
            continue
        name = parent.encoder_spec.removeprefix(TUNED)[:TUNED_HASH]
        there = real.encoders_folder / name
        here.encoders_folder.mkdir(parents=True, exist_ok=True)
        if there.is_dir() and not (here.encoders_folder / name).exists():
            (here.encoders_folder / name).symlink_to(there)


def _unplanned(version_id: str, cases: int) -> None:
    """Nobody reviews here: no queue is planned."""
