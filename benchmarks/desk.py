"""How quick the desk stays: key to acknowledged verdict, case to next case, search, in a browser.

100,000 cases, 1,000,000 verdicts and 8,192 concepts in SQLite, beside the same desk with 1,000
cases and beside a Streamlit page that does nothing but run again. All three servers run at once and
are asked in turn, so that whatever slows the machine slows them alike; only ratios have targets.

    verdict_ratio     p95 of key to acknowledged verdict / p95 of the empty rerun
    next_case_ratio   p95 of key N to the next case painted / the same
    search_ratio      p95 of a search among the concepts / the same
    growth_ratio      the larger of (verdict, next case): p95 with many cases / p95 with few
    key_presses       from opening a case with six cues to the next case, counted
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.desk_browser import Timings, measure
from benchmarks.desk_store import OPENED_CUES, Size, fill
from benchmarks.harness import Result, Target, collect

LARGE = Size(cases=100_000, verdicts=1_000_000, concepts=8192, opened=150)
SMALL = Size(cases=1_000, verdicts=10_000, concepts=8192, opened=150)
QUICK = Size(cases=400, verdicts=2_500, concepts=256, opened=40)
ROUNDS = 40  # cases per seed, of each size
QUICK_ROUNDS = 6

UNITS: Mapping[str, str] = {
    "verdict_ratio": "ratio of p95",
    "next_case_ratio": "ratio of p95",
    "search_ratio": "ratio of p95",
    "growth_ratio": "ratio of p95",
    "verdict_growth": "ratio of p95",
    "next_case_growth": "ratio of p95",
    "key_presses": "keys",
    "empty_rerun_p95": "ms",
    "verdict_p95": "ms",
    "verdict_p50": "ms",
    "next_case_p95": "ms",
    "next_case_p50": "ms",
    "search_p95": "ms",
}
TARGETS: Mapping[str, Target] = {
    "verdict_ratio": Target("<=", 3.0),
    "next_case_ratio": Target("<=", 3.0),
    "search_ratio": Target("<=", 3.0),
    "growth_ratio": Target("<=", 1.3),
    "key_presses": Target("<=", 8.0, of="max"),
}


def run(seeds: Sequence[int] = (0, 1, 2), quick: bool = False) -> Result:
    """Fills both stores once and measures them once per seed; `quick` is an unscored trial."""
    large, rounds = (QUICK, QUICK_ROUNDS) if quick else (LARGE, ROUNDS)
    with tempfile.TemporaryDirectory() as folder:
        stores = [
            fill(Path(folder) / name, size, seed=seeds[0])
            for name, size in (("large", large), ("small", QUICK if quick else SMALL))
        ]
        timings = measure(stores[0], stores[1], rounds=rounds, sittings=len(seeds))
    rows = [figures(timing) for timing in timings]
    notes = (
        f"{large.cases} cases, {large.verdicts} verdicts, {large.concepts} concepts; "
        f"{rounds} cases of {OPENED_CUES} cues per seed and size.",
        "Times are of this machine and have no target.",
    )
    targets = {} if quick else TARGETS
    return Result("desk", tuple(seeds), collect(rows, UNITS, targets), notes)


def figures(timing: Timings) -> dict[str, float]:
    """The metrics of one sitting.

    Raises:
        ValueError: when something was never timed.
    """
    empty = p95(timing.empty)
    growth = {
        name: p95(getattr(timing.large, name)) / p95(getattr(timing.small, name))
        for name in ("verdict", "next_case")
    }
    return {
        "verdict_ratio": p95(timing.large.verdict) / empty,
        "next_case_ratio": p95(timing.large.next_case) / empty,
        "search_ratio": p95(timing.large.search) / empty,
        "growth_ratio": max(growth.values()),
        "verdict_growth": growth["verdict"],
        "next_case_growth": growth["next_case"],
        "key_presses": float(timing.key_presses),
        "empty_rerun_p95": empty,
        "verdict_p95": p95(timing.large.verdict),
        "verdict_p50": float(np.median(timing.large.verdict)),
        "next_case_p95": p95(timing.large.next_case),
        "next_case_p50": float(np.median(timing.large.next_case)),
        "search_p95": p95(timing.large.search),
    }


def p95(milliseconds: Sequence[float]) -> float:
    """The 95th percentile. Raises ValueError for none."""
    if not milliseconds:
        raise ValueError("nothing was timed")
    return float(np.percentile(milliseconds, 95))
