"""Runs as a reviewer starts, follows, cancels and judges them. The work itself is the worker's."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any, Protocol

from core.errors import ConfigError, InsightError
from dashboard.services import run_curves, run_options, run_view
from dashboard.services.demo import PROJECT
from dashboard.services.run_forms import RunForms
from dashboard.services.run_queue import DbosQueue, RunQueue
from dashboard.settings import Settings
from dashboard.viewmodels import RunView
from dashboard.viewmodels.evidence import EvidenceView
from dashboard.viewmodels.runs import CurveView, OptionView, StrategyView
from db.errors import NotFound
from db.feedback_records import NewRun, RunRecord
from db.records import RunKind, new_id, utc_now
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory

MAX_SEED = 2**31 - 1
ENDED = frozenset({"succeeded", "failed", "cancelled"})


class DecidesOnVersions(Protocol):
    """What is needed of VersionService."""

    def activate(
        self, *, id: str, version_id: str, reviewer_id: str, reason: str = ...
    ) -> object: ...

    def discard(
        self, *, id: str, version_id: str, reviewer_id: str, reason: str = ...
    ) -> object: ...


class RunService:
    """Starts and stops runs, and decides what becomes of their result."""

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        settings: Settings,
        versions: DecidesOnVersions,
        *,
        queue: RunQueue | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._uow = uow
        self._versions = versions
        self._queue: RunQueue = queue or DbosQueue(settings.worker_url)
        self._now = now
        self._forms = RunForms(uow)

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

    def evidence(self, project_id: str) -> EvidenceView:
        """What a run that is started now would learn from."""
        return self._forms.evidence(project_id)

    def strategies(self, project_id: str) -> tuple[StrategyView, ...]:
        """The strategies of a reweighting run, "auto" first, each with what it still lacks."""
        return self._forms.strategies(project_id)

    def strategy_options(self, strategy: str) -> tuple[OptionView, ...]:
        """The fields of a strategy's form; none for most."""
        return run_options.strategy_options(strategy)

    def finetune_options(self, project_id: str) -> tuple[OptionView, ...]:
        """The fields of the form for fine-tuning."""
        return run_options.FINETUNE_OPTIONS

    def curves(self, run_id: str) -> tuple[CurveView, ...]:
        """The live curves of a run, as far as it has come. Raises NotFound."""
        with self._uow(read_only=True) as uow:
            uow.runs.get(run_id)
            return run_curves.views(uow.run_points.of_run(run_id))

    def start_reweight(
        self,
        *,
        id: str,
        project_id: str,
        reviewer_id: str | None,
        seed: int = 0,
        strategy: str = run_options.AUTO,
        options: Mapping[str, Any] | None = None,
    ) -> RunView:
        """Asks for a reweighting run on the active version; asking twice with one id is harmless.

        Args:
            strategy: a key of `strategies`.
            options: by the keys of `strategy_options`; what is left out has its default.

        Raises:
            InsightError: the project has no model version yet.
            ConfigError: an unknown strategy or option, a value out of range, or a seed outside
                0..2**31-1. Conflict: the id was used for another run.
        """
        config = run_options.reweight_config(strategy, options)
        return self._start_on_base(id, "reweight", project_id, reviewer_id, seed, config)

    def start_finetune(
        self,
        *,
        id: str,
        project_id: str,
        reviewer_id: str | None,
        seed: int = 0,
        options: Mapping[str, Any] | None = None,
    ) -> RunView:
        """Asks for a fine-tuning run on the active version; raises as `start_reweight`.

        Args:
            options: by the keys of `finetune_options`; what is left out has its default.
        """
        config = run_options.finetune_config(options)
        return self._start_on_base(id, "finetune", project_id, reviewer_id, seed, config)

    def start_evaluate(
        self,
        *,
        id: str,
        project_id: str,
        reviewer_id: str | None,
        task: str,
        config: Mapping[str, Any],
        seed: int = 0,
    ) -> RunView:
        """Asks the worker for a measurement on the active version that changes no model.

        Args:
            task: which one; run_work knows its steps.
            config: its settings, plain JSON.
        """
        asked = {**config, "task": task}
        return self._start_on_base(id, "evaluate", project_id, reviewer_id, seed, asked)

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

    def resume(self, run_id: str, reviewer_id: str | None = None) -> RunView:
        """`restart`, by the name that people look for."""
        return self.restart(run_id, reviewer_id)

    def restart(
        self, run_id: str, reviewer_id: str | None = None, *, anew: bool = False
    ) -> RunView:
        """Puts a failed, cancelled or interrupted run into the queue again, same seed and base.

        A run that was cancelled, interrupted or broke down goes on where it stopped, with the same
        verdicts and cases, and ends as if it had never stopped. One that failed over what it was
        given begins anew with the verdicts as they stand then; so does any with `anew`.

        Raises InsightError for a run that is queued, running or has succeeded.
        """
        with self._uow() as uow:
            run = uow.runs.get(run_id)
            state = run_view.shown_state(run, self._now())
            if state not in ("failed", "cancelled", "interrupted"):
                raise InsightError(f"this run is {state}; only a stopped run can be restarted")
            goes_on = run_view.resumable(run, self._now()) and not anew
            workflow_id = self._requeue(uow, run, goes_on)
            action = "run.resumed" if goes_on else "run.restarted"
            _audit(uow, run, action, reviewer_id)
            uow.commit()
        self._queue.announce(run_id, workflow_id)
        return self.get(run_id)

    def adopt(self, workflow_ids: Collection[str]) -> tuple[str, ...]:
        """Takes over the unfinished runs of workflows that this program cannot go on with.

        A queue knows which version of the program a workflow was begun by, and gives it to no
        other. After an update such runs are put into the queue again; a run that was under way
        goes on where its kept steps allow. Returns the ids of the runs.
        """
        adopted = {}
        with self._uow() as uow:
            for run in uow.runs.unfinished():
                if run.workflow_id in workflow_ids:
                    adopted[run.id] = self._requeue(uow, run, goes_on=True)
                    _audit(uow, run, "run.adopted", None)
            uow.commit()
        for run_id, workflow_id in adopted.items():
            self._queue.announce(run_id, workflow_id)
        return tuple(adopted)

    def _requeue(self, uow: UnitOfWork, run: RunRecord, goes_on: bool) -> str:
        """Queues a run under a new workflow, within an open transaction; the workflow's id."""
        workflow_id = new_id()
        if run.state == "running":
            uow.runs.update(run.id, state="interrupted")
        if goes_on:
            uow.runs.update(run.id, state="queued", workflow_id=workflow_id)
        else:
            uow.runs.update(run.id, state="queued", workflow_id=workflow_id, metrics={})
            uow.run_points.clear(run.id)
        return workflow_id

    def activate(
        self, run_id: str, reviewer_id: str, *, reason: str = "", id: str | None = None
    ) -> RunView:
        """Makes the run's result the version that the desk shows.

        Raises InsightError where there is none, and as `VersionService.activate`: a result that
        loses more than the project allows needs a written reason.
        """
        self._versions.activate(
            id=id or new_id(), version_id=self._result_of(run_id), reviewer_id=reviewer_id,
            reason=reason,
        )  # fmt: skip
        return self.get(run_id)

    def discard(
        self, run_id: str, reviewer_id: str, *, reason: str = "", id: str | None = None
    ) -> RunView:
        """Sets the run's result aside for good; raises as `VersionService.discard`."""
        self._versions.discard(
            id=id or new_id(), version_id=self._result_of(run_id), reviewer_id=reviewer_id,
            reason=reason,
        )  # fmt: skip
        return self.get(run_id)

    def _result_of(self, run_id: str) -> str:
        with self._uow(read_only=True) as uow:
            version_id = uow.runs.get(run_id).result_version_id
        if version_id is None:
            raise InsightError("this run has made no model version")
        return version_id

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

    def _start_on_base(
        self,
        id: str,
        kind: RunKind,
        project_id: str,
        reviewer_id: str | None,
        seed: int,
        config: dict[str, Any],
    ) -> RunView:
        """A run on the version that is active now (or was when the same id was asked before)."""
        if not 0 <= seed <= MAX_SEED:
            raise ConfigError(f"the seed must lie in 0..{MAX_SEED}, not {seed}")
        with self._uow(read_only=True) as uow:
            version = uow.versions.active(project_id)
        if version is None:
            raise InsightError("there is no model version yet: discover concepts first")
        base = self._known_base(id) or version.id
        new = NewRun(
            id=id, kind=kind, seed=seed, config=config, base_version_id=base,
            requested_by=reviewer_id,
        )  # fmt: skip
        return self._start(project_id, new)

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
        detail={"kind": run.kind, "seed": run.seed}, project_id=run.project_id,
    )  # fmt: skip
