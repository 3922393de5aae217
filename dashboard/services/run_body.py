"""The body of a run: the same steps whether dbos calls them in the worker or a CLI calls them.

Each step is durable: it reads what earlier steps left (in the database and in the run's scratch
folder), writes its own result atomically and returns a small JSON fact. A step that is repeated
after a kill gives the same result. Before each step and at each report of progress the run's row
is read: a run that was cancelled, or restarted under another workflow, stops there.

While it works a step may tell three more things, all harmless when told again: progress, points of
live curves (written together with the progress, at most twice a second) and notices.

For tests, INSIGHT_WORKER_STEP_DELAY (seconds, default 0) makes every step wait before it works,
in slices that notice a cancellation.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from core.errors import InsightError
from dashboard.services.progress import Progress
from dashboard.viewmodels.runs import NoticeLevel
from db.errors import StoreError
from db.feedback_records import RunRecord
from db.run_records import RunPoint
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory

Facts = dict[str, Any]
StepRunner = Callable[[str, Callable[[], Facts]], Facts]
REPORT_EVERY: Final = 0.5  # seconds between two writes of progress
STEP_DELAY: Final = "INSIGHT_WORKER_STEP_DELAY"
UNEXPECTED: Final = "something went wrong inside the run; the worker's log says what"

_log = logging.getLogger(__name__)


class RunStopped(Exception):
    """The run was cancelled or taken over while it was worked on."""


@dataclass(frozen=True)
class Step:
    """One durable step."""

    name: str  # as dbos records it
    stage: str  # as shown beside the bar
    low: float  # its part of the whole run's progress, [low, high]
    high: float
    work: Callable[[StepContext], Facts]


@dataclass
class StepContext:
    """What a step is given."""

    uow: UnitOfWorkFactory
    run_id: str
    workflow_id: str
    facts: Mapping[str, Any]  # of the earlier steps, by step name
    low: float = 0.0
    high: float = 1.0
    stage: str = ""
    _last: float = field(default=float("-inf"), repr=False)
    _asked: float = field(default=float("-inf"), repr=False)
    _points: list[RunPoint] = field(default_factory=list, repr=False)

    @property
    def run(self) -> RunRecord:
        """The run's row as it is now."""
        with self.uow(read_only=True) as uow:
            return uow.runs.get(self.run_id)

    def check(self) -> None:
        """Raises RunStopped where the run is not this workflow's any more."""
        run = self.run
        if run.state != "running" or run.workflow_id != self.workflow_id:
            raise RunStopped(run.state)

    def progress(self, fraction: float, stage: str = "") -> None:
        """Reports progress within the step, in [0, 1]; raises RunStopped on a cancellation."""
        now = time.monotonic()
        if now - self._last < REPORT_EVERY and fraction < 1.0:
            return
        self._last = now
        whole = self.low + (self.high - self.low) * min(max(fraction, 0.0), 1.0)
        self.check()
        with self.uow() as uow:
            uow.runs.update(self.run_id, progress=whole, stage=stage or self.stage)
            self._write_points(uow)
            uow.commit()

    def watch(self) -> Progress:
        """`progress` as a plain callable for the engine."""
        return self.progress

    def stopped(self) -> bool:
        """Whether to stop now, for engines that ask instead of reporting."""
        now = time.monotonic()
        if now - self._asked < REPORT_EVERY:
            return False
        self._asked = now
        try:
            self.check()
        except RunStopped:
            return True
        return False

    def curve(self, series: str, step: int, value: float) -> None:
        """A point of a live curve, written with the next progress. Not finite ones are left out."""
        if math.isfinite(value):
            self._points.append(RunPoint(series, step, float(value)))

    def notice(self, level: NoticeLevel, text: str, advice: str = "") -> None:
        """Something that the run has to say; shown beside it at once and kept with it."""
        self.tell(notices=[*_without(self.run, text), notice(level, text, advice)])

    def tell(self, **details: Any) -> None:
        """Details of the run that are known before it ends; a key told again replaces the former.

        Raises RunStopped where the run is not this workflow's any more.
        """
        self.check()
        with self.uow() as uow:
            told = dict(uow.runs.get(self.run_id).metrics)
            told["details"] = {**told.get("details", {}), **details}
            uow.runs.update(self.run_id, metrics=told)
            uow.commit()

    def flush(self) -> None:
        """Writes the points that no progress has written yet."""
        if self._points:
            with self.uow() as uow:
                self._write_points(uow)
                uow.commit()

    def _write_points(self, uow: UnitOfWork) -> None:
        if self._points:
            uow.run_points.put(self.run_id, tuple(self._points))
            self._points.clear()


def notice(level: NoticeLevel, text: str, advice: str = "") -> dict[str, str]:
    """A notice as the run's details keep it."""
    return {"level": level, "text": text, "advice": advice}


def _without(run: RunRecord, text: str) -> list[dict[str, str]]:
    """The notices told so far, less one of the same text: a repeated step says it once."""
    told = run.metrics.get("details", {}).get("notices", [])
    return [each for each in told if each["text"] != text]


def direct(name: str, step: Callable[[], Facts]) -> Facts:
    """A step runner without dbos: runs the step here and now."""
    return step()


def execute(
    uow: UnitOfWorkFactory,
    steps: tuple[Step, ...],
    run_id: str,
    workflow_id: str,
    run_step: StepRunner = direct,
) -> str:
    """Runs all steps in order; returns the state in which the run ended.

    A clear error (InsightError, StoreError) fails the run with its own text; any other error
    fails it with a general text, and its traceback goes to the log.
    """
    facts: Facts = {}
    for step in steps:
        context = StepContext(
            uow, run_id, workflow_id, dict(facts), step.low, step.high, step.stage
        )
        outcome = run_step(step.name, partial(_guarded, step, context))
        if outcome["state"] != "done":
            return str(outcome["state"])
        facts[step.name] = outcome["facts"]
    return "succeeded"


def _guarded(step: Step, context: StepContext) -> Facts:
    try:
        _begin(context)
        facts = step.work(context)
        context.flush()
        return {"state": "done", "facts": facts}
    except RunStopped as stopped:
        return {"state": str(stopped)}
    except (InsightError, StoreError) as error:
        return _fail(context, str(error))
    except Exception:  # noqa: BLE001 - the edge of the run: nothing may be lost silently
        _log.exception("run %s failed in step %s", context.run_id, step.name)
        return _fail(context, UNEXPECTED)


def _begin(context: StepContext) -> None:
    """Marks the run as running (first step, or after an interruption), then shows the stage."""
    run = context.run
    if run.workflow_id != context.workflow_id:
        raise RunStopped(run.state)
    if run.state in ("queued", "interrupted"):
        with context.uow() as uow:
            uow.runs.update(context.run_id, state="running")
            uow.commit()
    context.progress(0.0)
    deadline = time.monotonic() + float(os.environ.get(STEP_DELAY) or 0.0)
    while (left := deadline - time.monotonic()) > 0:
        time.sleep(min(left, 0.1))
        context.check()


def _fail(context: StepContext, message: str) -> Facts:
    """Marks the run as failed, unless it was stopped or taken over meanwhile."""
    run = context.run
    if run.workflow_id != context.workflow_id or run.state not in ("queued", "running"):
        return {"state": run.state}
    with context.uow() as uow:
        uow.runs.update(context.run_id, state="failed", message=message)
        uow.audit.append(
            actor="worker", action="run.failed", entity="run", entity_id=context.run_id,
            detail={"message": message}, project_id=run.project_id,
        )  # fmt: skip
        uow.commit()
    return {"state": "failed"}
