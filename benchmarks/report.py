"""A report of 10,000 reviewed cases: how much memory it takes, and how long.

The store holds 10,000 cases of five cues, each cue judged by five people, every case with an image
file. The report is made in a process of its own, as `insight report` makes it. Its peak memory is
that of the process and of those that it starts (one part of the PDF at a time, then the joining):
the resident memory of all of them added up, ten times a second. Where the system has no /proc, it
is what the process says of itself and of its largest child.

    python -m benchmarks report --only html,pdf --cases 10000 --json out/report.json
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks import report_memory as memory
from benchmarks.desk_store import CUES, RATERS, Size, fill
from benchmarks.harness import Result, Target, collect

CASES, QUICK = 10_000, 300
CONCEPTS = 1024
SEEDS = (0,)
FORMS = ("html", "pdf")
UNITS: Mapping[str, str] = {
    "peak": "GiB",
    "seconds": "s",
    "cpu_per_case": "s of a core",
    "size": "MiB",
    "pages": "pages",
}
TARGET = Target("<=", 1.5, of="max", text="bounded memory")
GIB_IN_KIB, MIB = 2**20, 2**20


def run(
    seeds: Sequence[int] = SEEDS, quick: bool = False, only: Sequence[str] = FORMS,
    cases: int | None = None,
) -> Result:  # fmt: skip
    """Fills a store per seed and makes each form of its report; `quick` is an unscored trial.

    Raises:
        ValueError: a form that is none of FORMS.
    """
    strange = [form for form in only if form not in FORMS]
    if strange:
        raise ValueError(f"--only takes {', '.join(FORMS)}, not {strange[0]}")
    count = cases or (QUICK if quick else CASES)
    rows = [_row(seed, count, only) for seed in seeds]
    units = {f"{form}.{key}": UNITS[key] for form in only for key in _keys(form)}
    targets = {} if quick or count < CASES else {f"{form}.peak": TARGET for form in only}
    notes = (
        f"{count} cases, {count * CUES} cues, {count * CUES * len(RATERS)} verdicts; "
        "peak: the process and those that it starts, together.",
        "Times are of this machine and have no target.",
    )
    return Result("report", tuple(seeds), collect(rows, units, targets), notes)


def _keys(form: str) -> list[str]:
    return [key for key in UNITS if key != "pages" or form == "pdf"]


def _row(seed: int, count: int, only: Sequence[str]) -> dict[str, float]:
    size = Size(count, count * CUES * len(RATERS), CONCEPTS, 0, every_file=True)
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "workspace"
        store = fill(folder, size, seed)
        for form in only:
            told = _measured(folder, store.project_id, form, Path(name) / "out")
            told["cpu_per_case"] = told["cpu"] / count
            found |= {f"{form}.{key}": told[key] for key in _keys(form)}
            print(f"{form}: {json.dumps(told)}", file=sys.stderr, flush=True)
    return found


def _measured(folder: Path, project_id: str, form: str, out: Path) -> dict[str, float]:
    """What making one form took, in a process of its own."""
    words = [sys.executable, "-m", "benchmarks.report", str(folder), project_id, form, str(out)]
    with tempfile.TemporaryFile("w+") as said:
        child = subprocess.Popen(words, stdout=said)
        together = own = others = 0
        while child.poll() is None:
            tree = memory.tree(child.pid)
            together = max(together, sum(each.now for each in tree.values()))
            own = max(own, tree[child.pid].peak if child.pid in tree else 0)
            others = max([others, *(e.peak for pid, e in tree.items() if pid != child.pid)])
            time.sleep(0.1)
        if child.returncode:
            raise subprocess.CalledProcessError(child.returncode, words)
        said.seek(0)
        told: dict[str, float] = json.loads(said.read().strip().splitlines()[-1])
    if own:
        told["own"], told["child"] = own / GIB_IN_KIB, others / GIB_IN_KIB
        told["peak"] = max(together, own) / GIB_IN_KIB
    return told


def make(folder: Path, project_id: str, form: str, out: Path) -> dict[str, float]:
    """Makes one form in this process and says what it took."""
    from dashboard.bootstrap import build
    from dashboard.services.report_scope import ReportScope
    from dashboard.settings import Settings

    services = build(Settings.load(folder, environ={}))
    before, start = sum(os.times()[:4]), time.monotonic()
    (made,) = services.report_files.make(
        project_id, ReportScope(), (form,), out, None, _EachMinute()
    )
    seconds = time.monotonic() - start
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return {
        "peak": (own + children) / GIB_IN_KIB,
        "own": own / GIB_IN_KIB,
        "child": children / GIB_IN_KIB,
        "seconds": seconds,
        "cpu": sum(os.times()[:4]) - before,  # of this process and of those that have ended
        "size": made.size / MIB,
        "pages": float(_pages(made.path)) if form == "pdf" else 0.0,
    }


def _pages(path: Path) -> int:
    from pypdf import PdfReader

    return len(PdfReader(path).pages)


class _EachMinute:
    """Progress on standard error, now and then."""

    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self, fraction: float, stage: str) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + 60
            print(f"{100 * fraction:.0f} % {stage}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    folder, project_id, form, out = sys.argv[1:]
    print(json.dumps(make(Path(folder), project_id, form, Path(out))))
