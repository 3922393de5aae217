"""Runs: long work, its state, progress and outcome."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, func, select, update

from db.errors import Conflict, IllegalTransition
from db.feedback_records import NewRun, RunRecord
from db.models import Project, Run
from db.records import RunKind, RunState, utc_now
from db.repositories.base import (
    Repository,
    build,
    checked_id,
    checked_word,
    same_content,
    values_of,
)

TRANSITIONS: dict[RunState, frozenset[RunState]] = {
    "queued": frozenset({"running", "cancelled", "failed", "interrupted"}),
    "running": frozenset({"succeeded", "failed", "cancelled", "interrupted"}),
    "interrupted": frozenset({"running", "queued", "cancelled", "failed"}),
    "failed": frozenset({"queued"}),
    "cancelled": frozenset({"queued"}),
    "succeeded": frozenset(),
}
ENDED: frozenset[RunState] = frozenset({"succeeded", "failed", "cancelled"})
UNFINISHED: frozenset[RunState] = frozenset({"queued", "running", "interrupted"})


class RunRepository(Repository):
    """Runs of a project. Their states move only along TRANSITIONS."""

    def add(self, project_id: str, run: NewRun) -> RunRecord:
        """Store a run as queued; the same id and content again returns the stored one.

        Raises Conflict where that id is known with other content.
        """
        run_id = checked_id(run.id)
        checked_word(run.kind, RunKind, "kind of run")
        self._require(Project, project_id, "project", lock=True)
        stored = self._session.get(Run, run_id)
        if stored is not None:
            asked = values_of(run) | {"id": run_id, "project_id": project_id}
            asked.pop("snapshot_id")  # may be filled in later by the run itself
            if not same_content(stored, asked):
                raise Conflict(f"run {run_id} is known with other content")
            return build(RunRecord, stored)
        row = Run(
            **(values_of(run) | {"id": run_id}),
            project_id=project_id,
            state="queued",
            progress=0.0,
            stage="",
            message="",
            metrics={},
            created_at=utc_now(),
        )
        return build(RunRecord, self._insert(row))

    def get(self, run_id: str) -> RunRecord:
        """The run of that id, or NotFound."""
        return build(RunRecord, self._require(Run, run_id, "run"))

    def unfinished(self) -> tuple[RunRecord, ...]:
        """Queued, running and interrupted runs of every project, oldest first."""
        query = select(Run).where(Run.state.in_(UNFINISHED))
        return self._read(query.order_by(Run.created_at, Run.id))

    def update(
        self,
        run_id: str,
        *,
        state: RunState | None = None,
        progress: float | None = None,
        stage: str | None = None,
        message: str | None = None,
        metrics: dict[str, Any] | None = None,
        result_version_id: str | None = None,
        snapshot_id: str | None = None,
        workflow_id: str | None = None,
    ) -> RunRecord:
        """Move a run on, tell its progress or outcome; every update is a heartbeat.

        On a run that has ended, the present state again or mere progress change nothing (look
        at the state of the record returned). Raises IllegalTransition for any other move, and
        Conflict for an outcome told to a run that has ended.
        """
        row = self._require(Run, run_id, "run", lock=True)
        outcome = {
            "metrics": metrics,
            "result_version_id": result_version_id,
            "snapshot_id": snapshot_id,
            "workflow_id": workflow_id,
        }
        if state is not None and state != row.state:
            _move(row, state)
        elif row.state in ENDED:
            if state is None and any(value is not None for value in outcome.values()):
                raise Conflict(f"run {run_id} has {row.state}: nothing more can be told to it")
            return build(RunRecord, row)
        told = {"progress": progress, "stage": stage, "message": message} | outcome
        if progress is not None:
            told["progress"] = min(1.0, max(0.0, progress))
        for name, value in told.items():
            if value is not None:
                setattr(row, name, value)
        row.heartbeat_at = utc_now()
        self._flush()
        return build(RunRecord, row)

    def transition(self, run_id: str, to: RunState, *, allowed: Sequence[RunState]) -> bool:
        """Move a run to `to` if it is in one of the `allowed` states; say whether it was.

        Raises IllegalTransition where an allowed state has no such move, NotFound.
        """
        checked_word(to, RunState, "run state")
        row = self._require(Run, run_id, "run", lock=True)
        if row.state not in allowed:
            return False
        _move(row, to)
        row.heartbeat_at = utc_now()
        self._flush()
        return True

    def mark_interrupted(
        self, older_than: timedelta, *, now: datetime | None = None
    ) -> tuple[RunRecord, ...]:
        """Mark running runs whose heartbeat is older as interrupted, and return them."""
        last_sign = func.coalesce(Run.heartbeat_at, Run.started_at, Run.created_at)
        query = (
            update(Run)
            .where(Run.state == "running", last_sign < (now or utc_now()) - older_than)
            .values(state="interrupted")
            .returning(Run.id)
            .execution_options(synchronize_session="fetch")
        )
        ids = tuple(self._session.scalars(query))
        return self._read(select(Run).where(Run.id.in_(ids)).order_by(Run.created_at, Run.id))

    def list(
        self,
        project_id: str,
        *,
        kind: RunKind | None = None,
        state: RunState | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> tuple[RunRecord, ...]:
        """Runs of a project, newest first."""
        query = select(Run).where(Run.project_id == project_id)
        if kind is not None:
            query = query.where(Run.kind == kind)
        if state is not None:
            query = query.where(Run.state == state)
        query = query.order_by(Run.created_at.desc(), Run.id).limit(limit).offset(offset)
        return self._read(query)

    def _read(self, query: Select[Run]) -> tuple[RunRecord, ...]:
        query = query.execution_options(populate_existing=True)
        return tuple(build(RunRecord, row) for row in self._session.scalars(query))


def _move(row: Run, to: RunState) -> None:
    checked_word(to, RunState, "run state")
    legal = TRANSITIONS[row.state]  # type: ignore[index]
    if to not in legal:
        raise IllegalTransition(f"a run that is {row.state} cannot become {to}")
    row.state = to
    if to == "queued":
        row.progress, row.stage, row.message = 0.0, "", ""
        row.started_at = row.finished_at = None
    elif to == "running":
        row.started_at = row.started_at or utc_now()
    elif to in ENDED:
        row.finished_at = utc_now()
