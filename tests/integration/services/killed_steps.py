"""Works on a run in processes of their own, each of which is killed, with -9, in a step it is told.

`python -m tests.integration.services.killed_steps WORKSPACE RUN_ID STEP=CALL ...` forks a process
for each moment, one after the other: it works on the run as a worker does that takes it up again,
and kills itself at the CALL-th call of a function of this repository within STEP, or at the end of
STEP where there are not so many (progress is told by the clock, so a few calls more or less). A
line of JSON per process says how it ended. Without a moment nothing is killed, and the line says
how many calls each step made.

What is imported once is there for all: a process takes a fraction of a second to start.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import torch

import core.artifacts
import core.finetuning.concepts
import core.finetuning.encoder
import core.strategies  # noqa: F401 - imported before the forks
from dashboard.bootstrap import build
from dashboard.services.run_body import Facts
from dashboard.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
OURS = tuple(f"{ROOT / part}{os.sep}" for part in ("core", "dashboard", "db"))


class Calls:
    """Counts calls of our functions by step, and kills at one of them."""

    def __init__(self, step: str = "", at: int = 0) -> None:
        self.counts: dict[str, int] = {}
        self._step, self._at = step, at
        self._now = ""

    def run_step(self, name: str, work: Callable[[], Facts]) -> Facts:
        """A step runner; see dashboard.services.run_body.execute."""
        if self._step not in ("", name):
            return work()
        self._now, self.counts[name] = name, 0
        sys.setprofile(self._note)
        try:
            facts = work()
        finally:
            sys.setprofile(None)
        if name == self._step:
            self._kill()
        return facts

    def _note(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(OURS):
            self.counts[self._now] += 1
            if self.counts[self._now] == self._at:
                self._kill()

    @staticmethod
    def _kill() -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def attempt(workspace: str, run_id: str, calls: Calls) -> str:
    """Work on the run under its own workflow, as after a crash; the state in which it ends."""
    torch.set_num_threads(1)
    services = build(Settings.load(Path(workspace), environ={}))
    return services.work.execute(run_id, run_id, calls.run_step)


def in_a_fork(workspace: str, run_id: str, calls: Calls) -> int:
    """The exit status of a process that works on the run; negative: the signal that ended it."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if attempt(workspace, run_id, calls) == "succeeded" else 2
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(workspace: str, run_id: str, *moments: str) -> None:
    for moment in moments:
        step, _, at = moment.partition("=")
        code = in_a_fork(workspace, run_id, Calls(step, int(at)))
        print(json.dumps({"step": step, "code": code}), flush=True)  # noqa: T201
    if not moments:
        calls = Calls()
        state = attempt(workspace, run_id, calls)
        print(json.dumps({"state": state, "calls": calls.counts}))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
