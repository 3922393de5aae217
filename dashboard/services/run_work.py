"""Which steps each kind of run has, and how to run them in this process."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol, assert_never

from core.errors import InsightError
from dashboard.services.engines import Engines
from dashboard.services.finetune_steps import FinetuneSteps
from dashboard.services.progress import Progress
from dashboard.services.publishing import Publisher
from dashboard.services.reweight_steps import ReweightSteps
from dashboard.services.run_body import Facts, Step, StepContext, StepRunner, direct, execute
from dashboard.services.runs import RunService
from dashboard.settings import Settings
from dashboard.viewmodels import ProjectView, RunView
from db.feedback_records import RunRecord
from db.records import new_id
from db.unit_of_work import UnitOfWorkFactory

LEARNING = frozenset({"reweight", "finetune"})

_log = logging.getLogger(__name__)


class Discovers(Protocol):
    """What a discover run needs of DiscoveryService."""

    def discover(
        self, project: str, *, encoder: str = ..., seed: int = ..., run_id: str | None = ...,
        progress: Progress = ...,
    ) -> Discovered: ...  # fmt: skip


class Discovered(Protocol):
    """What is read of a discovery's result."""

    @property
    def version(self) -> str: ...


class BuildsDemo(Protocol):
    """What a demo run needs of DemoService."""

    def build(self, quick: bool, progress: Progress) -> ProjectView: ...


class RunWork:
    """The parts of the application that runs need."""

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        settings: Settings,
        engines: Engines,
        publisher: Publisher,
        discovery: Discovers,
        demo: BuildsDemo,
        tasks: Mapping[str, Callable[[], tuple[Step, ...]]] = MappingProxyType({}),
        after_run: Callable[[str], object] = lambda project_id: None,
    ) -> None:
        """Joins the parts.

        Args:
            tasks: the steps of evaluate runs, by the task that their config names.
            after_run: told the project of a learning run that succeeded; may be told twice.
        """
        self._uow = uow
        self._reweight = ReweightSteps(settings, engines, publisher)
        self._finetune = FinetuneSteps(settings, engines, publisher)
        self._tasks = tasks
        self._after_run = after_run
        self._discovery = discovery
        self._demo = demo

    def execute(self, run_id: str, workflow_id: str, run_step: StepRunner = direct) -> str:
        """Works on a run to its end; returns the state in which it ended."""
        with self._uow(read_only=True) as uow:
            run = uow.runs.get(run_id)
        state = execute(self._uow, self._steps(run), run_id, workflow_id, run_step)
        if state == "succeeded" and run.kind in LEARNING:
            self._follow_up(run)
        return state

    def _follow_up(self, run: RunRecord) -> None:
        """What the next run would learn most from has changed; the run itself is done."""
        try:
            self._after_run(run.project_id)
        except Exception:  # noqa: BLE001 - the run has succeeded, whatever comes behind it
            _log.exception("after run %s the queue could not be ordered anew", run.id)

    def execute_inline(self, run_id: str) -> str:
        """The same body in this process, without dbos, for command lines and benchmarks.

        The run is taken over under a workflow id of its own, so a worker that has it queued
        leaves it alone.
        """
        workflow_id = new_id()
        with self._uow() as uow:
            uow.runs.update(run_id, workflow_id=workflow_id, state="running")
            uow.commit()
        return self.execute(run_id, workflow_id)

    def _steps(self, run: RunRecord) -> tuple[Step, ...]:
        match run.kind:
            case "reweight":
                return self._reweight.steps()
            case "finetune":
                return self._finetune.steps()
            case "discover":
                return (Step("discover", "discovering concepts", 0.0, 1.0, self._discover),)
            case "demo":
                return (Step("demo", "completing the demo", 0.0, 1.0, self._build_demo),)
            case "evaluate":
                steps = self._tasks.get(str(run.config.get("task")))
                return steps() if steps is not None else (_UNKNOWN,)
            case _:
                assert_never(run.kind)

    def _discover(self, context: StepContext) -> Facts:
        run = context.run
        found = self._discovery.discover(
            run.project_id, encoder=str(run.config.get("encoder", "demo")), seed=run.seed,
            run_id=run.id, progress=context.watch(),
        )  # fmt: skip
        with context.uow(read_only=True) as uow:
            version = uow.versions.by_hash(run.project_id, found.version)
        _succeed(context, version.id if version else None)
        return {"version": found.version}

    def _build_demo(self, context: StepContext) -> Facts:
        self._demo.build(False, context.watch())
        _succeed(context, None)
        return {}


class HasRuns(Protocol):
    """What run_inline needs of bootstrap.Services."""

    @property
    def runs(self) -> RunService: ...
    @property
    def work(self) -> RunWork: ...


def run_inline(services: HasRuns, run_id: str) -> RunView:
    """Works on a queued run here and now, by the same steps as the worker; the run when ended."""
    services.work.execute_inline(run_id)
    return services.runs.get(run_id)


def _unknown(context: StepContext) -> Facts:
    run = context.run
    what = " ".join(part for part in (run.kind, str(run.config.get("task", ""))) if part)
    raise InsightError(f"this version of the program knows no run of kind {what!r}")


_UNKNOWN = Step("unknown", "looking", 0.0, 1.0, _unknown)


def _succeed(context: StepContext, version_id: str | None) -> None:
    context.check()
    with context.uow() as uow:
        uow.runs.update(
            context.run_id, state="succeeded", progress=1.0, stage="done",
            result_version_id=version_id,
        )  # fmt: skip
        uow.audit.append(
            actor="worker", action="run.succeeded", entity="run", entity_id=context.run_id,
            project_id=context.run.project_id,
        )  # fmt: skip
        uow.commit()
