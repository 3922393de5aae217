"""Runs as a reviewer starts, follows, cancels and judges them. The work itself is the worker's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Literal

from core.errors import ConfigError, InsightError
from dashboard.services import run_view
from dashboard.services.demo import PROJECT
from dashboard.services.run_queue import DbosQueue, RunQueue
from dashboard.settings import Settings
from dashboard.viewmodels import RunView
from db.errors import NotFound
from db.feedback_records import NewRun, RunRecord
from db.records import RunKind, new_id, utc_now
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory

MAX_SEED = 2**31 - 1
ENDED = frozenset({"succeeded", "failed", "cancelled"})


class RunService:
    """Starts and stops runs, and decides what becomes of their result."""

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        settings: Settings,
        *,
        queue: RunQueue | None = None,
        now: Callable[[], datetime] = utc_now,
        activated: Callable[[str], object] = lambda version_id: None,
    ) -> None:
        """`activated` is told the id of a version that a reviewer made the active one."""
        self._uow = uow
        self._queue: RunQueue = queue or DbosQueue(settings.worker_url)
        self._now = now
        self._activated = activated

    def list(self, project_id: str, *, kind: RunKind | None = None) -> tuple[RunView, ...]:
        """The runs of a project, newest first."""
        with self._uow(read_only=True) as uow:
            now = self._now()
            return tuple(
                run_view.build(uow, run, now) for run in uow.runs.list(project_id, kind=kind)
            )

    def get(self, run_id: str) -> RunView:
        """One run. Raises NotFound."""
        with self._uow(read_only=True) as uow:
            return run_view.build(uow, uow.runs.get(run_id), self._now())

    def start_reweight(
        self, *, id: str, project_id: str, reviewer_id: str | None, seed: int = 0
    ) -> RunView:
        """Asks for a reweighting run on the active version; asking twice with one id is harmless.

        Raises:
            InsightError: the project has no model version yet.
            ConfigError: a seed outside 0..2**31-1. Conflict: the id was used for another run.
        """
        if not 0 <= seed <= MAX_SEED:
            raise ConfigError(f"the seed must lie in 0..{MAX_SEED}, not {seed}")
        with self._uow(read_only=True) as uow:
            version = uow.versions.active(project_id)
        if version is None:
            raise InsightError("there is no model version to reweight yet: discover concepts first")
        base = self._known_base(id) or version.id
        new = NewRun(
            id=id, kind="reweight", seed=seed, base_version_id=base, requested_by=reviewer_id
        )
        return self._start(project_id, new)

    def start_discover(
        self,
        *,
        id: str,
        project_id: str,
        reviewer_id: str | None,
        encoder: str = "demo",
        seed: int = 0,
    ) -> RunView:
        """Asks the worker to discover concepts (the same work as `insight discover`)."""
        new = NewRun(
            id=id, kind="discover", seed=seed, config={"encoder": encoder},
            requested_by=reviewer_id,
        )  # fmt: skip
        return self._start(project_id, new)

    def start_demo(self, *, project_id: str, id: str | None = None) -> RunView:
        """Asks the worker to complete the demo project; a run that is under way is returned."""
        with self._uow(read_only=True) as uow:
            for run in uow.runs.list(project_id, kind="demo"):
                if run.state not in ENDED:
                    return run_view.build(uow, run, self._now())
        return self._start(project_id, NewRun(id=id or new_id(), kind="demo", seed=0))

    def ensure_demo_run(self) -> RunView | None:
        """`start_demo` for the demo project; None where there is no such project yet."""
        with self._uow(read_only=True) as uow:
            demo = uow.projects.by_name(PROJECT)
        return self.start_demo(project_id=demo.id) if demo is not None else None

    def announce(self, run_id: str, workflow_id: str) -> bool:
        """Tells the queue of a queued run again; harmless where the queue knows it."""
        return self._queue.announce(run_id, workflow_id)

    def cancel(self, run_id: str, reviewer_id: str | None = None) -> RunView:
        """Stops a run: at once while it is queued, else before its next step or batch."""
        with self._uow() as uow:
            before = uow.runs.get(run_id)
            if before.state not in ENDED:
                run = uow.runs.update(run_id, state="cancelled", message="cancelled")
                _audit(uow, run, "run.cancelled", reviewer_id)
            uow.commit()
        if before.workflow_id is not None and before.state not in ENDED:
            self._queue.withdraw(before.workflow_id)
        return self.get(run_id)

    def restart(self, run_id: str, reviewer_id: str | None = None) -> RunView:
        """Puts a failed, cancelled or interrupted run into the queue again, same seed and base.

        Raises InsightError for a run that is queued, running or has succeeded.
        """
        with self._uow() as uow:
            run = uow.runs.get(run_id)
            state = run_view.shown_state(run, self._now())
            if state not in ("failed", "cancelled", "interrupted"):
                raise InsightError(f"this run is {state}; only a stopped run can be restarted")
            if run.state == "running":
                uow.runs.update(run_id, state="interrupted")
            workflow_id = new_id()
            run = uow.runs.update(run_id, state="queued", workflow_id=workflow_id)
            _audit(uow, run, "run.restarted", reviewer_id)
            uow.commit()
        self._queue.announce(run_id, workflow_id)
        return self.get(run_id)

    def activate(self, run_id: str, reviewer_id: str) -> RunView:
        """Makes the run's result the version that the desk shows. Raises InsightError."""
        return self._judge(run_id, reviewer_id, "active")

    def discard(self, run_id: str, reviewer_id: str) -> RunView:
        """Sets the run's result aside for good. Raises IllegalTransition for the active one."""
        return self._judge(run_id, reviewer_id, "discarded")

    def _judge(
        self, run_id: str, reviewer_id: str, state: Literal["active", "discarded"]
    ) -> RunView:
        with self._uow() as uow:
            run = uow.runs.get(run_id)
            if run.result_version_id is None:
                raise InsightError("this run has made no model version")
            version = uow.versions.get(run.result_version_id)
            if version.state != state:
                uow.versions.set_state(version.id, state)
                uow.audit.append(
                    actor=uow.reviewers.get(reviewer_id).name, entity_id=version.id,
                    action="version.activated" if state == "active" else "version.discarded",
                    entity="version", detail={"hash": version.hash, "run": run.id},
                )  # fmt: skip
            uow.commit()
        if state == "active":
            self._activated(version.id)
        return self.get(run_id)

    def _start(self, project_id: str, new: NewRun) -> RunView:
        with self._uow() as uow:
            run = uow.runs.add(project_id, new)
            fresh = run.workflow_id is None
            if fresh:
                run = uow.runs.update(run.id, workflow_id=run.id)
                _audit(uow, run, "run.requested", new.requested_by)
            uow.commit()
        if run.state == "queued" and run.workflow_id is not None:
            self._queue.announce(run.id, run.workflow_id)
        return self.get(run.id)

    def _known_base(self, run_id: str) -> str | None:
        """The base of a run asked for before: the active version may have changed since."""
        with self._uow(read_only=True) as uow:
            try:
                return uow.runs.get(run_id).base_version_id
            except NotFound:
                return None


def _audit(uow: UnitOfWork, run: RunRecord, action: str, reviewer_id: str | None) -> None:
    actor = uow.reviewers.get(reviewer_id).name if reviewer_id is not None else "system"
    uow.audit.append(
        actor=actor, action=action, entity="run", entity_id=run.id,
        detail={"kind": run.kind, "seed": run.seed},
    )  # fmt: skip
