"""Making the files of a report: small ones while one waits, others by the worker; and the list.

Every file is written down with its hash, who took it and what it covers (exported.py), and stays in
WORKSPACE/exports, so that it can be taken again as it was. A file that was altered since is not
given out.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol
from uuid import NAMESPACE_URL, uuid5

from core.errors import ConfigError, InputError, InsightError
from dashboard.services.export_steps import FOLDER, KINDS, Asked, Maker, Order, is_export, request
from dashboard.services.export_steps import slug as slug_of
from dashboard.services.exported import record_export
from dashboard.services.made import MadeFile, sha256_of
from dashboard.services.progress import Progress, part, silent
from dashboard.services.report_scope import ReportScope, Resolved, only_for, resolve
from dashboard.services.run_view import shown_state
from dashboard.settings import Settings
from dashboard.viewmodels.reports import (
    FileRow,
    FormatChoice,
    MakingForm,
    MakingRow,
    ScopeChoices,
)
from db.errors import NotFound, StoreError
from db.feedback_records import RunRecord
from db.governance_records import ExportRecord
from db.people import person_id
from db.records import ReviewerRecord, VersionRecord, utc_now
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory

SMALL: Final = 200  # cases that are told while one waits
DOWNLOAD: Final = 200 * 2**20  # bytes that a browser is given at once
LISTED: Final = 50
OF_THE_WHOLE: Final = ("archive", "cards")  # tell everybody's words, whatever the scope
FORMATS: Final[Mapping[str, tuple[str, str]]] = {
    "html": ("HTML", "One file to read, print or send"),
    "pdf": ("PDF", "Pages to print, sign and file"),
    "json": ("JSON", "Everything, for a program; documented by a JSON Schema"),
    "csv": ("CSV tables", "One table per kind of row, safe to open in a spreadsheet"),
    "parquet": ("Parquet tables", "The same tables for data frames"),
    "coco": ("COCO", "Images with the regions that were judged or drawn"),
    "archive": ("Project archive", "The whole project, whatever the scope, to be taken in again"),
    "cards": ("Cards", "Model card and data card, as the Hub understands them"),
}


class Announces(Protocol):
    """What is needed of RunService."""

    def announce(self, run_id: str, workflow_id: str) -> bool:
        """Tells the worker."""


class ReportMaking:
    """Asks for files, makes small ones at once, lists and hands out what was made."""

    def __init__(
        self, uow: UnitOfWorkFactory, settings: Settings, runs: Announces,
        makers: Mapping[str, Maker], stamp: Callable[[str], Mapping[str, str]] = lambda project: {},
    ) -> None:  # fmt: skip
        """`stamp(project_id)` tells the template and logo of a report, for its record."""
        self._stamp = stamp
        self._uow, self._settings, self._runs = uow, settings, runs
        self._makers = makers

    def choices(self, project_id: str, reviewer_id: str) -> ScopeChoices:
        """What a report can be narrowed to."""
        with self._uow(read_only=True) as uow:
            project = uow.projects.find(project_id)
            only = only_for(uow, project.id, uow.reviewers.get(reviewer_id))
            versions = tuple((v.hash, _version_words(v)) for v in uow.versions.list(project.id))
            people = uow.reviewers.active_in(project.id) if only is None else (only.name,)
            selection = resolve(uow, project.id, ReportScope(), only=only).selection
            first, last = uow.report.span(selection)
        return ScopeChoices(
            versions, project.classes, people, first.date() if first else None,
            last.date() if last else None, blind=only is not None,
        )  # fmt: skip

    def form(self, project_id: str, scope: ReportScope, reviewer_id: str) -> MakingForm:
        """How a report of that scope can be made. Raises as `resolve`."""
        with self._uow(read_only=True) as uow:
            _, found = self._seen(uow, project_id, scope, reviewer_id)
            cases = uow.report.case_total(found.selection)
        open_to = self._open_to(found)
        offered = tuple(FormatChoice(key, *FORMATS[key]) for key in open_to if key in FORMATS)
        return MakingForm(offered, cases, cases <= SMALL)

    def make(
        self, *, id: str, project_id: str, reviewer_id: str, scope: ReportScope,
        formats: Sequence[str], progress: Progress = silent,
    ) -> tuple[FileRow, ...]:  # fmt: skip
        """Makes the files now; for a scope of few cases.

        Asking again with the same id gives the same files. Raises ConfigError (an unknown format,
        too many cases) and whatever the making refuses (InsightError).
        """
        with self._uow(read_only=True) as uow:
            known = _made_by(uow, project_id, id)
            if known:
                return tuple(self._row(uow, row) for row in known)
            person, found = self._seen(uow, project_id, scope, reviewer_id)
            self._check(found, formats)
            project = found.project
            if uow.report.case_total(found.selection) > SMALL:
                raise ConfigError(f"a report of more than {SMALL} cases is made by the worker")
        place = f"{slug_of(project.name)}-{project.id[:8]}"
        folder = self._settings.workspace / FOLDER / place / f"{utc_now():%Y-%m-%d}" / id[:8]
        made: list[MadeFile] = []
        for n, name in enumerate(formats):
            own = folder / name
            shutil.rmtree(own, ignore_errors=True)  # what a broken attempt left
            own.mkdir(parents=True)
            watch = part(progress, n / len(formats), (n + 1) / len(formats))
            made += self._makers[name](Order(project.id, scope, name, own, person, watch))
        with self._uow() as uow:
            rows = [self._record(uow, id, found, person, each) for each in made]
            uow.commit()
        with self._uow(read_only=True) as uow:
            return tuple(self._row(uow, row) for row in rows)

    def start(
        self, *, id: str, project_id: str, reviewer_id: str, scope: ReportScope,
        formats: Sequence[str],
    ) -> str:  # fmt: skip
        """Asks the worker for the files and gives the run's id; twice with one id is harmless."""
        with self._uow() as uow:
            _, found = self._seen(uow, project_id, scope, reviewer_id)
            self._check(found, formats)
            # A person by id: a name in a run's settings could not be redacted.
            asked = Asked(tuple(formats), ReportScope.parse(found.as_record()))
            run, fresh = request(uow, found.project.id, id, asked, reviewer_id)
            uow.commit()
        if fresh and run.workflow_id is not None:
            self._runs.announce(run.id, run.workflow_id)
        return run.id

    def under_way(self, project_id: str, reviewer_id: str) -> tuple[MakingRow, ...]:
        """Reports that the worker makes, and those that did not come to an end, newest first."""
        now = utc_now()
        with self._uow(read_only=True) as uow:
            runs = uow.runs.list(project_id, kind="evaluate", limit=LISTED)
            names = {row.id: row.name for row in uow.reviewers.list()}
            only = only_for(uow, project_id, uow.reviewers.get(reviewer_id))
        return tuple(
            _making(run, names, now)
            for run in runs
            if is_export(run)
            and run.state != "succeeded"
            and (only is None or run.requested_by == only.id)
        )

    def files(self, project_id: str, reviewer_id: str) -> tuple[FileRow, ...]:
        """The files that were made of the project, newest first; while blind only one's own."""
        with self._uow(read_only=True) as uow:
            only = only_for(uow, project_id, uow.reviewers.get(reviewer_id))
            rows = uow.exports.list(project_id, limit=LISTED)
            return tuple(
                self._row(uow, row)
                for row in rows
                if row.kind != "extract" and (only is None or row.reviewer_id == only.id)
            )

    def read(self, export_id: str, reviewer_id: str) -> bytes:
        """A file as it was made; that it was taken again is written down.

        Raises NotFound (also for somebody else's while the review is blind), InputError where the
        file has gone, was altered or is too large for a browser.
        """
        with self._uow() as uow:
            row, person = uow.exports.get(export_id), uow.reviewers.get(reviewer_id)
            only = only_for(uow, row.project_id, person)
            if only is not None and row.reviewer_id != only.id:
                raise NotFound("export", export_id)
            path = self._path(row)
            name = Path(row.path or row.format).name
            if path is None:
                raise InputError(name, "the file is no longer in the workspace")
            if row.size > DOWNLOAD:
                raise InputError(name, f"it is too large for a browser: copy it from {row.path}")
            if sha256_of(path) != row.sha256:
                raise InputError(name, "the file was altered since it was made")
            uow.audit.append(
                actor=person.name, action="export", entity="export", entity_id=row.id,
                project_id=row.project_id,
                detail={"again": True, "format": row.format, "sha256": row.sha256},
            )  # fmt: skip
            uow.commit()
        return path.read_bytes()

    def _open_to(self, found: Resolved) -> tuple[str, ...]:
        """What may be made: while the review is blind for somebody, nothing that tells it all."""
        return tuple(
            each
            for each in self._makers
            if not (found.selection.committed and each in OF_THE_WHOLE)
        )

    def _check(self, found: Resolved, formats: Sequence[str]) -> None:
        open_to = self._open_to(found)
        missing = [name for name in formats if name not in open_to]
        if missing or not formats:
            known = ", ".join(open_to)
            raise ConfigError(f"choose formats of {known}, not {', '.join(missing) or 'none'}")

    def _seen(
        self, uow: UnitOfWork, project_id: str, scope: ReportScope, reviewer_id: str
    ) -> tuple[ReviewerRecord, Resolved]:
        person = uow.reviewers.get(reviewer_id)
        only = only_for(uow, project_id, person)
        return person, resolve(uow, project_id, scope, only=only)

    def _record(
        self, uow: UnitOfWork, made_id: str, found: Resolved, person: ReviewerRecord,
        made: MadeFile,
    ) -> ExportRecord:  # fmt: skip
        inside = made.path.resolve().relative_to(self._settings.workspace.resolve()).as_posix()
        kind = KINDS.get(made.fmt, "report")
        looks = self._stamp(found.project.id) if kind == "report" else {}
        return record_export(
            uow,
            export_id=str(uuid5(NAMESPACE_URL, f"{made_id} {inside}")),
            project_id=found.project.id,
            person=person,
            kind=kind,
            format=made.fmt,
            scope={**found.as_record(), **looks},
            content=made.path,
            version_hash=found.version.hash if found.version else None,
            path=inside,
        )

    def _path(self, row: ExportRecord) -> Path | None:
        """Where a file lies; None where it has gone, or would lie outside the workspace."""
        if row.path is None:
            return None
        root = self._settings.workspace.resolve()
        path = (root / row.path).resolve()
        return path if path.is_relative_to(root) and path.is_file() else None

    def _row(self, uow: UnitOfWork, row: ExportRecord) -> FileRow:
        path = self._path(row)
        project = uow.projects.get(row.project_id)
        name, own = Path(row.path).name if row.path else row.format, slug_of(project.name)
        stem = name if name.startswith(own) else f"{own}-{name}"
        return FileRow(
            id=row.id,
            format=row.format,
            label=FORMATS.get(row.format, (row.format.upper(), ""))[0],
            name=f"{row.created_at:%Y-%m-%d}-{stem}",
            by=row.reviewer or "schedule",
            at=row.created_at,
            scope=_scope_words(uow, row.scope),
            sha256=row.sha256,
            size=row.size,
            there=path is not None,
            small=row.size <= DOWNLOAD,
            path=row.path,
        )


def _made_by(uow: UnitOfWork, project_id: str, made_id: str) -> tuple[ExportRecord, ...]:
    """The files of an earlier attempt with the same id: their ids follow from it."""
    rows = uow.exports.list(uow.projects.find(project_id).id, limit=LISTED)
    return tuple(
        row for row in rows if row.id == str(uuid5(NAMESPACE_URL, f"{made_id} {row.path}"))
    )


def _making(run: RunRecord, names: Mapping[str, str], now: datetime) -> MakingRow:
    asked = Asked.from_json(run.config)
    known = person_id(asked.scope.reviewer)
    scope = replace(asked.scope, reviewer=names.get(known, "")) if known else asked.scope
    return MakingRow(
        run_id=run.id,
        state=shown_state(run, now),
        progress=run.progress,
        stage=run.stage,
        message=run.message,
        formats=tuple(FORMATS.get(each, (each, ""))[0] for each in asked.formats),
        scope=scope.sentence(),
        by=names.get(run.requested_by or ""),
        at=run.created_at,
    )


def _scope_words(uow: UnitOfWork, raw: Mapping[str, Any]) -> str:
    """A kept scope in words; what stands beside it (the template's hash) is left out."""
    try:
        fields = ReportScope.__dataclass_fields__
        scope = ReportScope.parse({key: value for key, value in raw.items() if key in fields})
        known = person_id(scope.reviewer)
        if known is not None:
            scope = replace(scope, reviewer=uow.reviewers.get(known).name)
    except (InsightError, StoreError):
        return ", ".join(f"{key} {value}" for key, value in raw.items())
    return scope.sentence()


def _version_words(version: VersionRecord) -> str:
    active = ", active" if version.state == "active" else ""
    return f"{version.hash[:10]} ({version.kind}, {version.created_at:%d %b %Y}{active})"
