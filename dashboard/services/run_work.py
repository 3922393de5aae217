"""Which steps each kind of run has, and how to run them in this process."""

from __future__ import annotations

from typing import Protocol

from core.errors import InsightError
from dashboard.services.engines import Engines
from dashboard.services.progress import Progress
from dashboard.services.publishing import Publisher
from dashboard.services.reweight_steps import ReweightSteps
from dashboard.services.run_body import Facts, Step, StepContext, StepRunner, direct, execute
from dashboard.services.runs import RunService
from dashboard.settings import Settings
from dashboard.viewmodels import ProjectView, RunView
from db.records import new_id
from db.unit_of_work import UnitOfWorkFactory


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
    ) -> None:
        self._uow = uow
        self._reweight = ReweightSteps(settings, engines, publisher)
        self._discovery = discovery
        self._demo = demo

    def execute(self, run_id: str, workflow_id: str, run_step: StepRunner = direct) -> str:
        """Works on a run to its end; returns the state in which it ended."""
        with self._uow(read_only=True) as uow:
            run = uow.runs.get(run_id)
        return execute(self._uow, self._steps(run.kind), run_id, workflow_id, run_step)

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

    def _steps(self, kind: str) -> tuple[Step, ...]:
        match kind:
            case "reweight":
                return self._reweight.steps()
            case "discover":
                return (Step("discover", "discovering concepts", 0.0, 1.0, self._discover),)
            case "demo":
                return (Step("demo", "completing the demo", 0.0, 1.0, self._build_demo),)
            case _:
                raise InsightError(f"a run of kind {kind!r} is not known here")

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
    """What run_reweight_inline needs of bootstrap.Services."""

    @property
    def runs(self) -> RunService: ...
    @property
    def work(self) -> RunWork: ...


def run_reweight_inline(services: HasRuns, run_id: str) -> RunView:
    """Works on a queued run here and now, by the same steps as the worker; the run when ended."""
    services.work.execute_inline(run_id)
    return services.runs.get(run_id)


def _succeed(context: StepContext, version_id: str | None) -> None:
    context.check()
    with context.uow() as uow:
        uow.runs.update(
            context.run_id, state="succeeded", progress=1.0, stage="done",
            result_version_id=version_id,
        )  # fmt: skip
        uow.audit.append(
            actor="worker", action="run.succeeded", entity="run", entity_id=context.run_id
        )
        uow.commit()
