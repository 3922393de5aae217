"""10,000 cases as JSON, CSV, Parquet, COCO and as an archive: memory and time, out and in again.

The store holds 10,000 cases of five cues; five people judged each cue of the first 2,000 cases.
Each form is written in a process of its own, and the CSV form is read into a copy of the store in
which one word in ten is missing. The peak is the resident memory of that process.

    python -m benchmarks data_forms --json out/data_forms.json
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from sqlalchemy import text

from benchmarks import report_memory as memory
from benchmarks.desk_store import CUES, RATERS, Size, fill
from benchmarks.harness import Result, Target, collect
from dashboard.services.data_forms import FORMS, SUFFIX
from dashboard.settings import Settings
from db.engine import create_engine
from db.unit_of_work import uow_factory

CASES, QUICK = 10_000, 200
JUDGED = 5  # one case in so many is judged
CONCEPTS = 1024
SEEDS = (0,)
ARCHIVE, READ = "archive", "read_csv"
PARTS = (*(form for form in FORMS if form != "json"), ARCHIVE, "json", READ)
UNITS: Mapping[str, str] = {"peak": "GiB", "seconds": "s", "size": "MiB"}
TARGET = Target("<=", 1.5, of="max", text="bounded memory")
GIB_IN_KIB, MIB = 2**20, 2**20


def run(
    seeds: Sequence[int] = SEEDS, quick: bool = False, only: Sequence[str] = PARTS,
    cases: int | None = None,
) -> Result:  # fmt: skip
    """Fills a store per seed and measures each part; `quick` is an unscored trial.

    Raises:
        ValueError: a part that is none of PARTS, or the reading of a file that is not written.
    """
    strange = [part for part in only if part not in PARTS]
    if strange:
        raise ValueError(f"--only takes {', '.join(PARTS)}, not {strange[0]}")
    if READ in only and "csv" not in only:
        raise ValueError(f"{READ} reads what csv writes: name both")
    count = cases or (QUICK if quick else CASES)
    rows = [_row(seed, count, only) for seed in seeds]
    units = {f"{part}.{key}": unit for part in only for key, unit in UNITS.items()}
    targets = {} if quick or count < CASES else {f"{part}.peak": TARGET for part in only}
    judged = count // JUDGED
    notes = (
        f"{count} cases, {count * CUES} cues, {judged * CUES * len(RATERS)} verdicts.",
        "Times are of this machine and have no target.",
    )
    return Result("data_forms", tuple(seeds), collect(rows, units, targets), notes)


def _row(seed: int, count: int, only: Sequence[str]) -> dict[str, float]:
    size = Size(count, count // JUDGED * CUES * len(RATERS), CONCEPTS, 0)
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder, out = Path(name) / "workspace", Path(name) / "out"
        store = fill(folder, size, seed)
        for part in only:
            if part == READ:
                _forget(folder, Path(name) / "silent")
            told = _measured(folder if part != READ else Path(name) / "silent",
                             store.project_id, part, out)  # fmt: skip
            found |= {f"{part}.{key}": told[key] for key in UNITS}
            print(f"{part}: {json.dumps(told)}", file=sys.stderr, flush=True)
    return found


def _forget(folder: Path, target: Path) -> None:
    """A copy of a workspace in which one word in ten was not said."""
    shutil.copytree(folder, target)
    engine = create_engine(Settings.load(target, environ={}).database_url)
    with engine.begin() as connection:
        connection.execute(text("DROP TRIGGER verdicts_no_delete"))
        connection.execute(text("DELETE FROM verdicts WHERE seq % 10 = 0"))
        versions = connection.scalars(text("SELECT id FROM model_versions")).all()
    with uow_factory(engine)() as uow:
        for version in versions:
            uow.queue.recount(version)
        uow.commit()
    engine.dispose()


def _measured(folder: Path, project_id: str, part: str, out: Path) -> dict[str, float]:
    """What one part took, in a process of its own."""
    words = [sys.executable, "-m", "benchmarks.data_forms", str(folder), project_id, part, str(out)]
    with tempfile.TemporaryFile("w+") as said:
        child = subprocess.Popen(words, stdout=said)
        peak = 0
        while child.poll() is None:
            tree = memory.tree(child.pid)
            peak = max(peak, tree[child.pid].peak if child.pid in tree else 0)
            time.sleep(0.1)
        if child.returncode:
            raise subprocess.CalledProcessError(child.returncode, words)
        said.seek(0)
        told: dict[str, float] = json.loads(said.read().strip().splitlines()[-1])
    return told | {"peak": peak / GIB_IN_KIB}


def make(folder: Path, project_id: str, part: str, out: Path) -> dict[str, float]:
    """Does one part in this process and says how long it took and how large the file is."""
    from dashboard.bootstrap import build
    from dashboard.services.report_scope import ReportScope

    services = build(Settings.load(folder, environ={}))
    start = time.monotonic()
    if part == ARCHIVE:
        size = services.archive.write(project_id, out / "archive.zip").size
    elif part == READ:
        source = out / f"csv{SUFFIX['csv']}"
        with services.uow() as uow:
            person = uow.reviewers.get_or_create(RATERS[0])
            uow.commit()
        report = services.data.read(project_id, source, person)
        if report.refused or not report.added:
            raise RuntimeError(f"{report.refused} rows were refused: {report.problems[:1]}")
        size = source.stat().st_size
    else:
        form = next(form for form in FORMS if form == part)
        target = out / f"{form}{SUFFIX[form]}"
        size = services.data.write(project_id, ReportScope(), form, target).size
    return {"seconds": time.monotonic() - start, "size": size / MIB}


if __name__ == "__main__":
    folder, project_id, part, out = sys.argv[1:]
    print(json.dumps(make(Path(folder), project_id, part, Path(out))))
