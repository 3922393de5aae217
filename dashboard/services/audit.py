"""The audit log and its chain: what was done, whether it is whole, a part of it as a file.

Reading the lines and taking an extract is for leads: a line tells what others said, which a blind
project hides. Checking the chain is for everybody: it tells only whether anything was changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from core.errors import ConfigError
from dashboard.services import audit_extract
from dashboard.services.audit_anchors import Anchors
from dashboard.services.exported import digest, record_export
from dashboard.services.progress import Progress, silent
from dashboard.services.roles import allows, is_open, role_of
from dashboard.services.settings_of import require, roles_in, settings_in
from dashboard.settings import Settings
from dashboard.viewmodels.audit import (
    AuditLineView,
    AuditPage,
    ChainState,
    ChainView,
    ExtractCheck,
    ExtractView,
    FindingRow,
    LineFilter,
)
from db.chain import WORKSPACE
from db.chain_records import ChainHeadRecord, ChainReport
from db.feedback_records import AuditRecord
from db.people import person_key
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory

PAGE = 200  # lines on the screen
LONG = 400  # characters of a line's detail


class AuditService:
    """What an auditor asks."""

    def __init__(self, uow: UnitOfWorkFactory, settings: Settings) -> None:
        self._uow = uow
        self._settings = settings
        self._anchors = Anchors(settings.workspace)

    def verify(
        self, project_id: str | None = None, progress: Progress = silent
    ) -> tuple[ChainView, ...]:
        """Check the chain of a project, or (None) every chain; a whole one is anchored.

        Raises NotFound, InputError (the file of anchors is damaged).
        """
        anchors = self._anchors.by_project()
        with self._uow(read_only=True) as uow:
            uow.chain_check.freeze()
            names = {row.id: row.name for row in uow.projects.list()}
            if project_id is None:
                chosen = tuple(sorted({*uow.chain_check.projects(), *anchors}))
            else:
                chosen = (uow.projects.find(project_id).id,)
            total = max(sum(h.place for h in uow.chain.heads() if h.project_id in chosen), 1)
            before, reports = 0, []
            for each in chosen:
                told = _told(progress, before, total, names.get(each, each))
                reports.append(uow.chain_check.run(each, anchors.get(each), told))
                before += reports[-1].entries
        self._anchors.append(_whole(reports), "verify")
        progress(1.0, "done")
        return tuple(_chain(report, names) for report in reports)

    def state(self, project_id: str) -> ChainState:
        """Where the chain of a project ends, and when it was last found whole."""
        with self._uow(read_only=True) as uow:
            head = uow.chain.head(project_id)
        checks = [each for each in self._anchors.of(project_id) if each.why == "verify"]
        last = checks[-1] if checks else None
        place = head.place if head else 0
        said = "never checked yet"
        if last is not None:
            since = place - last.place
            more = f", {since} more entries since" if since > 0 else ""
            said = f"last found whole {last.at:%Y-%m-%d %H:%M} UTC at place {last.place}{more}"
        return ChainState(
            place, head.hash if head else "", last.at if last else None,
            last.place if last else None, f"{place} entries; {said}",
        )  # fmt: skip

    def lines(
        self, project_id: str, asked: LineFilter, reviewer_id: str | None = None,
        limit: int = PAGE,
    ) -> AuditPage:  # fmt: skip
        """Lines of a project, newest first.

        Args:
            reviewer_id: who looks; None: whoever runs the program (the command line).

        Raises ConfigError (nobody of that name), NotFound.
        """
        with self._uow(read_only=True) as uow:
            note = _hidden(uow, project_id, reviewer_id)
            people = uow.audit.people(project_id)
            actions, tables = uow.audit.actions(project_id), uow.audit.entities(project_id)
            words = tuple(sorted(people.values())), actions, tables
            if note:
                return AuditPage((), False, (), (), (), note)
            found = uow.audit.list(
                project_id=project_id, limit=limit + 1, action=asked.action or None,
                entity=asked.table or None, since=_start(asked.since), before=_end(asked.until),
                reviewer_id=_person(uow, asked.person),
            )  # fmt: skip
        return AuditPage(tuple(map(_line, found[:limit])), len(found) > limit, *words, "")

    def extract(
        self, *, id: str, project_id: str, reviewer_id: str, target: Path | None = None,
        since: date | None = None, until: date | None = None, person: str = "",
        progress: Progress = silent,
    ) -> ExtractView:  # fmt: skip
        """Write a verifiable part of the log to a file (see audit_extract). Leads only.

        Args:
            id: of the export, made by the client.
            target: the file; None keeps it in the workspace.

        Raises Forbidden, NotFound, ConfigError (nobody of that name).
        """
        with self._uow(read_only=True) as uow:
            project = uow.projects.find(project_id)
            require(uow, project.id, reviewer_id, "lead")
            who = _person(uow, person)
        path = target or self._kept(project.id, id)
        path.parent.mkdir(parents=True, exist_ok=True)
        wanted = audit_extract.Wanted(project.id, _start(since), _end(until), who)
        with self._uow(read_only=True) as uow:
            done = audit_extract.write(uow, wanted, project.name, path, progress)
        scope = {
            "since": since.isoformat() if since else None,
            "until": until.isoformat() if until else None,
            "person": person_key(who) if who else None, "place": done.place, "hash": done.hash,
        }  # fmt: skip
        inside = path.is_relative_to(self._settings.workspace)
        with self._uow() as uow:
            record_export(
                uow, export_id=id, project_id=project.id, person=uow.reviewers.get(reviewer_id),
                kind="extract", format="jsonl", scope=scope, content=path, version_hash=None,
                path=path.relative_to(self._settings.workspace).as_posix() if inside else None,
            )  # fmt: skip
            uow.commit()
        sha256, size = digest(path)
        sentence = (
            f"{done.entries} entries, {done.rows} of them with their rows; the chain ended at "
            f"place {done.place} with {done.hash}"
        )
        return ExtractView(
            path, done.entries, done.rows, done.place, done.hash, sha256, size, sentence
        )

    def check(self, path: Path, progress: Progress = silent) -> ExtractCheck:
        """Verify an extract by itself, without the database. Raises InputError."""
        return audit_extract.check(path, progress)

    def _kept(self, project_id: str, export_id: str) -> Path:
        day = f"{datetime.now(UTC):%Y-%m-%d}"
        folder = self._settings.workspace / "exports" / project_id / day
        return folder / f"audit-{export_id[:8]}.jsonl"


def _whole(reports: Iterable[ChainReport]) -> list[ChainHeadRecord]:
    """Ends worth an anchor: of whole chains with something in them."""
    heads = (report.head for report in reports if report.is_whole)
    return [head for head in heads if head is not None and head.place]


def _hidden(uow: UnitOfWork, project_id: str, reviewer_id: str | None) -> str:
    """Why somebody is not shown the lines; "" where they are."""
    if reviewer_id is None:
        return ""
    roles = roles_in(uow, project_id)
    if not allows(role_of(reviewer_id, roles), "lead"):
        return "The lines of the log tell what others said: they are for leads."
    if is_open(roles) and settings_in(uow, project_id).blind:
        return (
            "This project is reviewed blind and has no lead yet: the lines would tell what is "
            "hidden. Make somebody lead under Settings, Members."
        )
    return ""


def _person(uow: UnitOfWork, name: str) -> str | None:
    if not name:
        return None
    found = uow.reviewers.by_name(name)
    if found is None:
        raise ConfigError(f"nobody called {name!r} ever signed in here")
    return found.id


def _start(day: date | None) -> datetime | None:
    return None if day is None else datetime.combine(day, time(), UTC)


def _end(day: date | None) -> datetime | None:
    """The first moment after a day."""
    return None if day is None else datetime.combine(day, time(), UTC) + timedelta(days=1)


def _told(progress: Progress, before: int, total: int, name: str) -> Any:
    return lambda entries: progress(min((before + entries) / total, 1.0), f"checking {name}")


def _line(row: AuditRecord) -> AuditLineView:
    detail = "; ".join(
        f"{key}: {_short(value)}" for key, value in row.detail.items() if value not in (None, "")
    )
    what = f"{row.entity} {row.entity_id[:8]}"
    return AuditLineView(row.at, row.actor, row.action, what, detail[:LONG])


def _short(value: object) -> str:
    """A value as people read it; hashes by their first characters."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {_short(each)}" for key, each in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(_short(each) for each in value) or "none"
    text = str(value)
    return text[:12] if len(text) == 64 else text


def _chain(report: ChainReport, names: dict[str, str]) -> ChainView:
    head = report.head
    place = head.place if head else 0
    name = names.get(report.project_id, report.project_id)
    if report.project_id == WORKSPACE:
        name = "(no project)"
    removed = f", {report.removed} rows removed under retention" if report.removed else ""
    if report.is_whole:
        said = f"whole: {report.entries} entries{removed}"
    else:
        findings = "1 finding" if report.found == 1 else f"{report.found} findings"
        said = f"BROKEN: {findings} in {report.entries} entries{removed}"
    rows = tuple(
        FindingRow(each.kind, each.place, each.table, each.row_id, each.sentence)
        for each in report.findings
    )
    return ChainView(
        report.project_id, name, report.entries, report.removed, place, head.hash if head else "",
        report.found, rows, f"{name}: {said}",
    )  # fmt: skip
