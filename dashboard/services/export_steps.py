"""The work of an export run: every format that was asked for, written down file by file.

One durable step. What was made before a kill is kept: each file's row in the exports table has an
id that follows from the run and the file, so a repeated step neither makes nor writes it again.

The files lie in WORKSPACE/exports/PROJECT/DATE/RUN/; their paths are told with the run.
"""

from __future__ import annotations

import re
import shutil
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from core.errors import ConfigError, InsightError
from dashboard.services.exported import record_export
from dashboard.services.made import MadeFile
from dashboard.services.progress import Progress, part
from dashboard.services.report_scope import ReportScope, resolve
from dashboard.services.run_body import Facts, Step, StepContext
from dashboard.settings import Settings
from db.errors import NotFound
from db.feedback_records import NewRun, RunRecord
from db.governance_records import ExportKind
from db.records import ProjectRecord, ReviewerRecord
from db.unit_of_work import UnitOfWork

TASK: Final = "export"
FOLDER: Final = "exports"
SCHEMA: Final = 1
KINDS: Final[Mapping[str, ExportKind]] = {
    "html": "report", "pdf": "report", "json": "data", "csv": "data", "parquet": "data",
    "coco": "data", "archive": "archive", "cards": "card",
}  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """What is to be made; plain JSON in the run's config."""

    formats: tuple[str, ...]
    scope: ReportScope = field(default_factory=ReportScope)
    name: str = ""  # of the schedule
    schedule_id: str | None = None
    due: str = ""  # ISO time that the schedule was due at; "" by hand

    def as_json(self) -> dict[str, Any]:
        """JSON-ready; `from_json` restores it."""
        return {
            "schema": SCHEMA, "formats": list(self.formats), "scope": self.scope.as_dict(),
            "name": self.name, "schedule_id": self.schedule_id, "due": self.due,
        }  # fmt: skip

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Asked:
        """Restore what `as_json` gave. Raises ConfigError."""
        formats = tuple(str(each) for each in raw.get("formats", ()))
        if not formats:
            raise ConfigError("the export does not say which formats to make")
        return cls(
            formats, ReportScope.parse(raw.get("scope") or {}), str(raw.get("name", "")),
            raw.get("schedule_id"), str(raw.get("due", "")),
        )  # fmt: skip


@dataclass(frozen=True)
class Order:
    """One format to make."""

    project_id: str
    scope: ReportScope
    format: str
    folder: Path
    person: ReviewerRecord | None  # None: a schedule
    progress: Progress


Maker = Callable[[Order], tuple[MadeFile, ...]]


class ExportSteps:
    """The steps over the makers of each format."""

    def __init__(
        self, settings: Settings, makers: Mapping[str, Maker],
        stamp: Callable[[str], Mapping[str, str]] = lambda project_id: {},
    ) -> None:  # fmt: skip
        """`stamp(project_id)` tells the template and logo of a report, for its record."""
        self._settings = settings
        self._makers = makers
        self._stamp = stamp

    @property
    def formats(self) -> tuple[str, ...]:
        """What this installation can make."""
        return tuple(self._makers)

    def steps(self) -> tuple[Step, ...]:
        """The one step."""
        return (Step(TASK, "making the files", 0.0, 1.0, self.make),)

    def make(self, context: StepContext) -> Facts:
        """Makes what is still missing, format by format, and ends the run."""
        run = context.run
        asked = Asked.from_json(run.config)
        missing = [name for name in asked.formats if name not in self._makers]
        if missing:
            raise InsightError(f"this installation cannot make {', '.join(missing)}")
        with context.uow(read_only=True) as uow:
            project = uow.projects.get(run.project_id)
            person = uow.reviewers.get(run.requested_by) if run.requested_by else None
        folder = folder_of(self._settings.workspace, project, run)
        files = [dict(each) for each in run.metrics.get("details", {}).get("files", [])]
        done = {each["format"] for each in files}
        for n, name in enumerate(asked.formats):
            if name in done:
                continue
            watch = part(context.watch(), n / len(asked.formats), (n + 1) / len(asked.formats))
            files += self._one(context, asked, name, project, person, folder / name, watch)
            context.tell(files=files)
        _succeed(context, files)
        return {"files": len(files)}

    def _one(
        self, context: StepContext, asked: Asked, name: str, project: ProjectRecord,
        person: ReviewerRecord | None, folder: Path, progress: Progress,
    ) -> list[dict[str, Any]]:  # fmt: skip
        shutil.rmtree(folder, ignore_errors=True)  # what a killed step left half made
        folder.mkdir(parents=True)
        progress(0.0, f"making {name}")
        made = self._makers[name](Order(project.id, asked.scope, name, folder, person, progress))
        context.check()
        with context.uow() as uow:
            told = [self._record(uow, context.run, asked, project, person, each) for each in made]
            uow.commit()
        return told

    def _record(
        self, uow: UnitOfWork, run: RunRecord, asked: Asked, project: ProjectRecord,
        person: ReviewerRecord | None, made: MadeFile,
    ) -> dict[str, Any]:  # fmt: skip
        inside = made.path.resolve().relative_to(self._settings.workspace.resolve()).as_posix()
        export_id = str(uuid5(NAMESPACE_URL, f"{run.id} {inside} {made.sha256}"))
        found = resolve(uow, project.id, asked.scope)
        version = found.version.hash if found.version else None
        kind = KINDS.get(made.fmt, KINDS.get(made.path.parent.name, "data"))
        looks = self._stamp(project.id) if kind == "report" else {}
        row = record_export(
            uow, export_id=export_id, project_id=project.id, person=person,
            kind=kind, format=made.fmt, scope={**found.as_record(), **looks}, content=made.path,
            version_hash=version, path=inside, schedule_id=asked.schedule_id,
        )  # fmt: skip
        return {
            "format": made.fmt, "path": inside, "sha256": made.sha256, "size": made.size,
            "export_id": row.id,
        }  # fmt: skip


def request(
    uow: UnitOfWork, project_id: str, run_id: str, asked: Asked, reviewer_id: str | None
) -> tuple[RunRecord, bool]:
    """Puts an export into the queue within an open transaction; announce it after the commit.

    Returns the run and whether it is new: asking twice with one id is harmless, whoever asks.
    """
    try:
        return uow.runs.get(run_id), False
    except NotFound:
        version = uow.versions.active(project_id)
    new = NewRun(
        id=run_id, kind="evaluate", seed=0, config={**asked.as_json(), "task": TASK},
        base_version_id=version.id if version else None, requested_by=reviewer_id,
    )  # fmt: skip
    run = uow.runs.add(project_id, new)
    fresh = run.workflow_id is None
    if fresh:
        run = uow.runs.update(run.id, workflow_id=run.id)
        actor = uow.reviewers.get(reviewer_id).name if reviewer_id else "system"
        uow.audit.append(
            actor=actor, action="run.requested", entity="run", entity_id=run.id,
            project_id=project_id,
            detail={"task": TASK, "formats": list(asked.formats), "schedule": asked.schedule_id},
        )  # fmt: skip
    return run, fresh


def folder_of(workspace: Path, project: ProjectRecord, run: RunRecord) -> Path:
    """Where the files of a run lie: by project, by the day it was asked for (UTC), by run."""
    place = f"{slug(project.name)}-{project.id[:8]}"
    return workspace / FOLDER / place / f"{run.created_at:%Y-%m-%d}" / run.id[:8]


def slug(name: str) -> str:
    """A name as part of a path: ASCII letters, digits and hyphens, never empty.

    >>> slug("Häut / 2026"), slug("..")
    ('haut-2026', 'project')
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode("ascii")
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:40] or "project"


def is_export(run: RunRecord) -> bool:
    """Whether a run makes files."""
    return run.kind == "evaluate" and run.config.get("task") == TASK


def _succeed(context: StepContext, files: list[dict[str, Any]]) -> None:
    context.check()
    run = context.run
    with context.uow() as uow:
        uow.runs.update(run.id, state="succeeded", progress=1.0, stage="done")
        uow.audit.append(
            actor="worker", action="run.succeeded", entity="run", entity_id=run.id,
            project_id=run.project_id,
            detail={"task": TASK, "files": [each["sha256"] for each in files]},
        )  # fmt: skip
        uow.commit()
