"""The worker: `python -m dashboard.worker [--workspace DIR]`. Works on runs, durably.

It launches dbos on the worker's own database, takes runs from the queue one at a time and goes on
with those that a killed worker left. The store's runs table stays the source of truth: a run that
is queued there but unknown to dbos (its announcement failed) is announced here.

Environment: as dashboard.settings, and
INSIGHT_WORKER_ID     name of this worker where several share a PostgreSQL database (default
                      "insight-worker"). A worker that starts takes up what the former worker of
                      that name left, so two living workers never share a name; in one workspace a
                      lock file sees to that.
INSIGHT_WORKER_STEP_DELAY   for tests: seconds that every step waits before it works.

SIGTERM and SIGINT end it at once; a run that was under way goes on at the next start.
"""

from __future__ import annotations

import argparse
import fcntl
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType

from dbos import DBOS, DBOSConfig
from sqlalchemy.exc import SQLAlchemyError

from dashboard.bootstrap import Services, build
from dashboard.services import heartbeat
from dashboard.services.run_body import Facts
from dashboard.services.run_json import JsonSerializer
from dashboard.services.run_queue import APPLICATION_VERSION, QUEUE, WORKFLOW
from dashboard.settings import Settings
from db.errors import StoreError

SWEEP_EVERY = 1.0  # seconds between two looks at the runs table
LOOK_EVERY = 20.0  # seconds between two looks at the schedules
PULSE_EVERY = 5.0  # seconds between two heartbeats of running runs
LEARN_EVERY = 5.0  # seconds between two looks at what was said since the queues were planned
# A run that takes its worker down this often is left alone (and shown as interrupted).
MAX_ATTEMPTS = 20
EXIT_BUSY = 3

_log = logging.getLogger("insight.worker")


class Worker:
    """One process that works on runs."""

    def __init__(self, settings: Settings, services: Services) -> None:
        self._settings = settings
        self._services = services
        self._stop = threading.Event()
        self._active: set[str] = set()
        self._announced: set[str] = set()
        self._looked = float("-inf")  # when the schedules were looked at
        # Launched once per process: dbos keeps one registry.
        DBOS(config=_config(settings))

        @DBOS.workflow(name=WORKFLOW, max_recovery_attempts=MAX_ATTEMPTS)
        def insight_run(run_id: str, workflow_id: str) -> str:
            return self._work(run_id, workflow_id)

        self.workflow = insight_run

    def run(self) -> None:
        """Works until `stop`; blocks."""
        DBOS.launch()
        DBOS.register_queue(QUEUE, concurrency=1, worker_concurrency=1, polling_interval_sec=0.5)
        self._adopt()
        _log.info("worker ready (pid %d)", os.getpid())
        pulse = threading.Thread(target=self._pulse, name="insight-pulse", daemon=True)
        pulse.start()
        learning = threading.Thread(target=self._learn, name="insight-learning", daemon=True)
        learning.start()
        while not self._stop.is_set():
            self._sweep()
            self._start_due()
            self._stop.wait(SWEEP_EVERY)

    def stop(self) -> None:
        """Ends `run` soon."""
        self._stop.set()

    def _work(self, run_id: str, workflow_id: str) -> str:
        """The workflow: every step through dbos, so that none is repeated once it is done."""
        self._active.add(run_id)
        try:
            return self._services.work.execute(run_id, workflow_id, _durable)
        finally:
            self._active.discard(run_id)

    def _adopt(self) -> None:
        """Takes over what another version of the program left in the queue (after an update)."""
        open_ones = DBOS.list_workflows(
            name=WORKFLOW, status=["ENQUEUED", "PENDING"], load_input=False, load_output=False
        )
        foreign = [w.workflow_id for w in open_ones if w.app_version != APPLICATION_VERSION]
        for workflow_id in foreign:
            DBOS.cancel_workflow(workflow_id)
        for run_id in self._services.runs.adopt(frozenset(foreign)):
            _log.info("run %s was begun by another version of the program: taken over", run_id)

    def _sweep(self) -> None:
        """Announces queued runs that the queue does not know; known ones are left as they are."""
        try:
            with self._services.uow(read_only=True) as uow:
                queued = [run for run in uow.runs.unfinished() if run.state == "queued"]
        except (SQLAlchemyError, StoreError):
            _log.exception("the store cannot be read; trying again")
            return
        for run in queued:
            workflow_id = run.workflow_id
            if workflow_id is None or workflow_id in self._announced:
                continue
            if self._services.runs.announce(run.id, workflow_id):
                self._announced.add(workflow_id)

    def _start_due(self) -> None:
        """Starts the exports that are due by their schedules, however many workers look."""
        if time.monotonic() - self._looked < LOOK_EVERY:
            return
        self._looked = time.monotonic()
        try:
            for run_id in self._services.schedules.sweep():
                _log.info("scheduled export %s is due: started", run_id)
        except (SQLAlchemyError, StoreError):
            _log.exception("the schedules cannot be read; trying again")

    def _pulse(self) -> None:
        """Shows that this worker and its running run are alive, also in the middle of a step."""
        while not self._stop.wait(PULSE_EVERY):
            heartbeat.beat(self._settings)
            try:
                with self._services.uow() as uow:
                    for run_id in tuple(self._active):
                        uow.runs.update(run_id)
                    uow.commit()
            except (SQLAlchemyError, StoreError):
                _log.exception("no heartbeat could be written")

    def _learn(self) -> None:
        """Lets the queues learn from what people say meanwhile; beside runs, never before them."""
        while not self._stop.wait(LEARN_EVERY):
            for version_id, moved in self._services.learning.sweep():
                _log.info("queue of %s planned anew: %d cases moved", version_id, moved)


def _durable(name: str, step: Callable[[], Facts]) -> Facts:
    return DBOS.run_step({"name": name}, step)


def _config(settings: Settings) -> DBOSConfig:
    return {
        "name": "insight",
        "system_database_url": settings.worker_url,
        "application_version": APPLICATION_VERSION,
        "executor_id": os.environ.get("INSIGHT_WORKER_ID") or "insight-worker",
        "serializer": JsonSerializer(),
        "log_level": "WARNING",
    }


@contextmanager
def only_one(folder: Path) -> Iterator[bool]:
    """True while this process holds the workspace's worker lock; False where another does.

    The operating system frees the lock when its holder dies, however it dies.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "worker.lock").open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True


def main(argv: Sequence[str] | None = None) -> int:
    """Starts the worker; 0 after a signal, 3 where the workspace has one already."""
    parser = argparse.ArgumentParser(prog="python -m dashboard.worker")
    parser.add_argument("--workspace", type=Path, default=None, help="default: INSIGHT_HOME")
    options = parser.parse_args(argv)
    # Libraries (open_clip through the root logger, alembic) report every small step at INFO.
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s")
    logging.getLogger("insight").setLevel(logging.INFO)
    logging.getLogger("dashboard").setLevel(logging.INFO)
    settings = Settings.load(options.workspace)
    with only_one(settings.workspace) as mine:
        if not mine:
            _log.error("another worker works in this workspace already")
            return EXIT_BUSY
        _serve(settings)
    return 0


def _serve(settings: Settings) -> None:
    from db.migrate import upgrade

    upgrade(settings.database_url)
    worker = Worker(settings, build(settings))
    heartbeat.beat(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, partial(_end, worker))
    worker.run()
    heartbeat.clear(settings)
    # A step may be in the middle of long work in a thread that nothing can interrupt. It is
    # durable: leaving at once loses nothing, and the next worker takes it up.
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)


def _end(worker: Worker, number: int, frame: FrameType | None) -> None:
    worker.stop()


if __name__ == "__main__":
    sys.exit(main())
