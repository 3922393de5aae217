"""Works on a run in a process of its own and kills that process, with -9, at a chosen moment.

`python -m tests.integration.services.killed WORKSPACE RUN_ID MOMENT`: the moment is a count of
looks into the store, which every report of progress, every begin and end of a step and every
reading of inputs is. 0 never kills. What it prints at the end is how many looks there were.
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path

import torch

from dashboard.bootstrap import build
from dashboard.services.engines import Engines
from dashboard.services.publishing import Publisher
from dashboard.services.run_work import RunWork
from dashboard.settings import Settings
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory


@dataclass
class Watched:
    """A factory of units of work that counts, and kills at a count."""

    inner: UnitOfWorkFactory
    at: int
    count: int = field(default=0)

    def __call__(self, *, read_only: bool = False) -> UnitOfWork:
        self.count += 1
        if self.count == self.at:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.inner(read_only=read_only)


def main(workspace: str, run_id: str, moment: str) -> None:
    torch.set_num_threads(1)
    services = build(Settings.load(Path(workspace), environ={}))
    watched = Watched(services.uow, int(moment))
    engines = Engines(services.settings)
    publisher = Publisher(watched, engines, planned=services.queue.published)
    work = RunWork(
        watched, services.settings, engines, publisher, services.discovery, services.demo
    )
    work.execute_inline(run_id)
    print(watched.count)  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
