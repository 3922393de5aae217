"""Exports by the clock: kept as revisions, started by the worker once per due time.

The run of a due time has an id that follows from the schedule and that time, so however many
workers look, it is started once. After a time without a worker only the latest due time is made up
for. A schedule that was added, changed or resumed is first due after that moment.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, Protocol
from uuid import NAMESPACE_URL, uuid5

from core.errors import ConfigError, InsightError
from dashboard.services import export_steps
from dashboard.services.export_steps import Asked
from dashboard.services.names import clean_name
from dashboard.services.report_scope import ReportScope, resolve
from dashboard.services.run_view import shown_state
from dashboard.services.schedule_times import Spec, latest_due, next_due
from dashboard.services.settings_of import require
from dashboard.viewmodels.schedules import ScheduledRun, ScheduleView
from db.errors import NotFound, StoreError
from db.feedback_records import RunRecord
from db.governance_records import ScheduleRecord
from db.records import utc_now
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory

SHOWN: Final = 5  # runs of a schedule
LOOKED_AT: Final = 400  # latest runs of a project that are searched for those
REMOVED: Final = "removed"
MOST: Final = 50  # schedules of a project

_log = logging.getLogger("insight.schedules")


class Announces(Protocol):
    """What is needed of RunService."""

    def announce(self, run_id: str, workflow_id: str) -> bool: ...


class ScheduleService:
    """Adds, pauses, removes and starts schedules."""

    def __init__(
        self, uow: UnitOfWorkFactory, runs: Announces, formats: Sequence[str], *,
        now: Callable[[], datetime] = utc_now,
    ) -> None:  # fmt: skip
        """`formats` are those that this installation can make."""
        self._uow = uow
        self._runs = runs
        self._formats = tuple(formats)
        self._now = now

    @property
    def formats(self) -> tuple[str, ...]:
        """What this installation can make."""
        return self._formats

    def list(self, project_id: str) -> tuple[ScheduleView, ...]:
        """The schedules of a project, paused ones included, by name."""
        with self._uow(read_only=True) as uow:
            rows = [row for row in uow.schedules.standing(project_id) if _shown(row)]
            runs = _runs_of(uow, project_id) if rows else {}
            return tuple(
                self._view(uow, row, runs.get(row.schedule_id, ()))
                for row in sorted(rows, key=lambda row: row.name)
            )

    def find(self, project_id: str, key: str) -> ScheduleView:
        """A schedule by its name, its id or the beginning of its id. Raises NotFound."""
        rows = self.list(project_id)
        fits = [row for row in rows if key in (row.id, row.name)] or [
            row for row in rows if len(key) >= 4 and row.id.startswith(key)
        ]
        if len(fits) != 1:
            raise NotFound("schedule of this project", key)
        return fits[0]

    def add(
        self, *, id: str, project_id: str, reviewer_id: str, spec: Mapping[str, Any],
        name: str = "",
    ) -> ScheduleView:  # fmt: skip
        """Asks for an export by the clock; twice with one id is harmless. Leads only.

        Args:
            spec: as `schedule_times.Spec` reads it.
            name: "" makes one of the schedule's own words.

        Raises ConfigError, Forbidden, Conflict, NotFound (of what the scope names).
        """
        wanted = Spec.from_json(spec)
        self._refuse_unknown(wanted)
        scope = ReportScope.parse(wanted.scope)
        title = clean_name(name or f"{', '.join(wanted.formats)} {wanted.words()}", "the name")
        with self._uow() as uow:
            require(uow, project_id, reviewer_id, "lead")
            # A scope that means nothing is refused now, not at six in the morning.
            kept = resolve(uow, project_id, scope).as_record()
            known = [row for row in uow.schedules.standing(project_id) if not _removed(row)]
            others = [row for row in known if row.schedule_id != id]
            if any(row.name == title for row in others):
                raise ConfigError(f"there is a schedule called {title!r} already")
            if len(others) >= MOST:
                raise ConfigError(f"at most {MOST} schedules in a project")
            row = uow.schedules.append(
                id=id, project_id=project_id, reviewer_id=reviewer_id, schedule_id=id, name=title,
                spec=replace(wanted, scope=kept).as_json(), active=True, based_on=0,
            )  # fmt: skip
            if row.schedule_id not in {each.schedule_id for each in known}:
                _audit(uow, row, "schedule.added")
            view = self._view(uow, row, ())
            uow.commit()
        return view

    def pause(
        self, *, id: str, project_id: str, reviewer_id: str, schedule_id: str, based_on: int
    ) -> ScheduleView:
        """Makes nothing until it is resumed. Raises as `add`, StaleWrite."""
        return self._change(id, project_id, reviewer_id, schedule_id, based_on, active=False)

    def resume(
        self, *, id: str, project_id: str, reviewer_id: str, schedule_id: str, based_on: int
    ) -> ScheduleView:
        """Goes on with the next due time; what was due meanwhile is not made up for."""
        return self._change(id, project_id, reviewer_id, schedule_id, based_on, active=True)

    def remove(
        self, *, id: str, project_id: str, reviewer_id: str, schedule_id: str, based_on: int
    ) -> None:
        """Ends a schedule for good; what it made stays."""
        self._change(id, project_id, reviewer_id, schedule_id, based_on, active=False, removed=True)

    def run_now(
        self, *, id: str, project_id: str, reviewer_id: str, schedule_id: str
    ) -> ScheduledRun:
        """Asks the worker for what the schedule makes, now; twice with one id is harmless."""
        with self._uow() as uow:
            require(uow, project_id, reviewer_id, "lead")
            row = _standing(uow, project_id, schedule_id)
            run, _ = export_steps.request(uow, project_id, id, _asked(row, ""), reviewer_id)
            uow.commit()
        self._announce(run)
        return _scheduled(run, self._now())

    def sweep(self) -> tuple[str, ...]:
        """Starts every export that is due and not started yet; the ids of the new runs.

        Called by every worker every few seconds. A schedule that cannot be read is left out and
        logged: it must not stop the others.
        """
        now = self._now()
        with self._uow(read_only=True) as uow:
            rows = [row for row in uow.schedules.standing() if row.active and not _removed(row)]
            waiting = [
                (row, due) for row in rows
                if (due := _due(row, now)) is not None and not _known(uow, _run_id(row, due))
            ]  # fmt: skip
        return tuple(
            run_id for row, due in waiting if (run_id := self._start(row, due)) is not None
        )

    def _start(self, row: ScheduleRecord, due: datetime) -> str | None:
        try:
            with self._uow() as uow:
                asked = _asked(row, due.isoformat())
                run, fresh = export_steps.request(
                    uow, row.project_id, _run_id(row, due), asked, None
                )
                uow.commit()
        except (InsightError, StoreError):
            _log.exception("schedule %s could not be started", row.schedule_id)
            return None
        self._announce(run)
        return run.id if fresh else None

    def _announce(self, run: RunRecord) -> None:
        """Told again by the worker where this fails: the runs table is the source of truth."""
        if run.state == "queued" and run.workflow_id is not None:
            self._runs.announce(run.id, run.workflow_id)

    def _change(
        self, id: str, project_id: str, reviewer_id: str, schedule_id: str, based_on: int, *,
        active: bool, removed: bool = False,
    ) -> ScheduleView:  # fmt: skip
        with self._uow() as uow:
            require(uow, project_id, reviewer_id, "lead")
            now = _standing(uow, project_id, schedule_id, id)
            spec = {**now.spec, REMOVED: True} if removed else now.spec
            row = uow.schedules.append(
                id=id, project_id=project_id, reviewer_id=reviewer_id, schedule_id=schedule_id,
                name=now.name, spec=spec, active=active, based_on=based_on,
            )  # fmt: skip
            if now.id != row.id:
                word = "removed" if removed else "resumed" if active else "paused"
                _audit(uow, row, f"schedule.{word}")
            view = self._view(uow, row, ())
            uow.commit()
        return view

    def _refuse_unknown(self, spec: Spec) -> None:
        missing = [name for name in spec.formats if name not in self._formats]
        if missing:
            raise ConfigError(
                f"this installation cannot make {', '.join(missing)}; "
                f"it can make {', '.join(self._formats)}"
            )

    def _view(
        self, uow: UnitOfWork, row: ScheduleRecord, runs: Sequence[RunRecord]
    ) -> ScheduleView:
        spec, now = Spec.from_json(row.spec), self._now()
        return ScheduleView(
            id=row.schedule_id, name=row.name, every=spec.every, at=spec.at, weekday=spec.weekday,
            day=spec.day, tz=spec.tz, formats=spec.formats,
            scope=_scope_words(uow, row.project_id, spec), active=row.active, words=spec.words(),
            by=row.reviewer, changed_at=row.created_at, revision=row.revision,
            next_due=next_due(spec, now) if row.active else None,
            runs=tuple(_scheduled(run, now) for run in runs[:SHOWN]),
            missing=tuple(name for name in spec.formats if name not in self._formats),
        )  # fmt: skip


def _scope_words(uow: UnitOfWork, project_id: str, spec: Spec) -> str:
    """The scope in words; what it names may have gone since."""
    try:
        return resolve(uow, project_id, ReportScope.parse(spec.scope)).sentence
    except (InsightError, StoreError) as error:
        return f"cannot be read any more: {error}"


def _due(row: ScheduleRecord, now: datetime) -> datetime | None:
    """The latest due time since the schedule was last changed; None where there was none."""
    try:
        due = latest_due(Spec.from_json(row.spec), now)
    except ConfigError:
        _log.exception("schedule %s cannot be read", row.schedule_id)
        return None
    return due if due > row.created_at else None


def _run_id(row: ScheduleRecord, due: datetime) -> str:
    return str(uuid5(NAMESPACE_URL, f"insight schedule {row.schedule_id} {due.isoformat()}"))


def _asked(row: ScheduleRecord, due: str) -> Asked:
    spec = Spec.from_json(row.spec)
    return Asked(spec.formats, ReportScope.parse(spec.scope), row.name, row.schedule_id, due)


def _known(uow: UnitOfWork, run_id: str) -> bool:
    try:
        uow.runs.get(run_id)
    except NotFound:
        return False
    return True


def _standing(
    uow: UnitOfWork, project_id: str, schedule_id: str, again: str = ""
) -> ScheduleRecord:
    """The latest revision; one that was removed is gone, unless that very act is said again."""
    for row in uow.schedules.standing(project_id):
        if row.schedule_id == schedule_id and (not _removed(row) or row.id == again):
            return row
    raise NotFound("schedule of this project", schedule_id)


def _runs_of(uow: UnitOfWork, project_id: str) -> dict[str, list[RunRecord]]:
    """Schedule id -> its runs, newest first."""
    found: dict[str, list[RunRecord]] = {}
    for run in uow.runs.list(project_id, kind="evaluate", limit=LOOKED_AT):
        if export_steps.is_export(run) and (key := run.config.get("schedule_id")):
            found.setdefault(str(key), []).append(run)
    return found


def _scheduled(run: RunRecord, now: datetime) -> ScheduledRun:
    due = str(run.config.get("due", ""))
    files = run.metrics.get("details", {}).get("files", [])
    return ScheduledRun(
        run.id, shown_state(run, now), datetime.fromisoformat(due) if due else None,
        run.finished_at or run.created_at, run.message,
        tuple((each["format"], each["path"], int(each["size"])) for each in files),
    )  # fmt: skip


def _shown(row: ScheduleRecord) -> bool:
    """Whether it can be listed: a later version of the program may keep what this cannot read."""
    if _removed(row):
        return False
    try:
        Spec.from_json(row.spec)
    except ConfigError:
        _log.warning("schedule %s cannot be read", row.schedule_id)
        return False
    return True


def _removed(row: ScheduleRecord) -> bool:
    return bool(row.spec.get(REMOVED))


def _audit(uow: UnitOfWork, row: ScheduleRecord, action: str) -> None:
    uow.audit.append(
        actor=row.reviewer, action=action, entity="schedule", entity_id=row.schedule_id,
        project_id=row.project_id,
        detail={"name": row.name, "spec": row.spec, "revision": row.revision},
    )  # fmt: skip
