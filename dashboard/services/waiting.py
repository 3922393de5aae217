"""Start a run from the command line and watch it to its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from core.errors import InsightError
from dashboard.services import heartbeat
from dashboard.services.progress import Progress
from dashboard.settings import Settings
from dashboard.viewmodels import RunView

POLL = 0.5  # seconds
ENDED = frozenset({"succeeded", "failed", "cancelled"})


class Runs(Protocol):
    """What is needed of RunService."""

    def get(self, run_id: str) -> RunView:
        """A run as it stands."""
        ...


def wait(runs: Runs, settings: Settings, view: RunView, progress: Progress) -> RunView:
    """Watch a run that was asked for and return it when it has ended.

    A worker is started for the time of the run where none is alive. Raises InsightError where the
    worker ends before the run does.
    """
    with _worker(settings) as worker:
        while view.state not in ENDED:
            ended = worker is not None and worker.poll() is not None
            if worker is not None and ended and not heartbeat.alive(settings):
                reason = f"the worker ended with code {worker.returncode}"
                raise InsightError(f"{reason}; run {view.id} goes on with the next one")
            time.sleep(POLL)
            view = runs.get(view.id)
            progress(view.progress, view.stage or view.state)
    return view


@contextmanager
def _worker(settings: Settings) -> Iterator[subprocess.Popen[bytes] | None]:
    """A worker process of our own where no other one is alive, ended afterwards."""
    if heartbeat.alive(settings):
        yield None
        return
    process = subprocess.Popen(
        [sys.executable, "-m", "dashboard.worker"],
        env={**os.environ, **settings.environment()},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
