"""The command line `insight`.

Exit codes: 0 done; 1 an unexpected error; 2 wrong usage; 3 done, but some of the input was
refused (each part is named); 4 the request cannot be carried out (the reason is one line);
130 interrupted. Heavy libraries are imported inside the commands, so that --help is quick.
"""

from dashboard.cli import (
    attributes,
    audit,
    compare,
    data,
    drift,
    engine,
    lead,
    queue,
    reports,
    runs,
    trace,
    versions,
    work,
)
from dashboard.cli.shared import app, main, plain

__all__ = [
    "app",
    "attributes",
    "audit",
    "compare",
    "data",
    "drift",
    "engine",
    "lead",
    "main",
    "plain",
    "queue",
    "reports",
    "runs",
    "trace",
    "versions",
    "work",
]
