"""Parts of the feedback benchmark that were measured apart, put together and drawn.

`python -m benchmarks feedback --join A.json B.json --json OUT`: every file holds some protocols,
some parts or some seeds (`--only`, `--seeds`) of one state of the code. What several files hold,
such as the yardsticks, must be the same in all of them. Targets, shares of the gap and plots are
made from everything together.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.feedback import FIGURES, PROTOCOLS, QUICK, load, missing, told
from benchmarks.feedback_protocol import Figures, Protocol
from benchmarks.harness import Metric, Result

BySeed = dict[str, dict[int, float]]
"""STRATEGY.METRIC -> seed -> figure."""


def join(paths: Sequence[Path], figures_folder: Path = FIGURES) -> Result:
    """One result of several files; raises SystemExit where they do not belong together."""
    files = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    for path, raw in zip(paths, files, strict=True):
        if raw["name"] != "feedback" or raw["versions"] != files[0]["versions"]:
            raise SystemExit(f"{path} is of another benchmark or of other packages")
    quick = any(QUICK in raw["notes"] for raw in files)
    metrics: list[Metric] = []
    notes = [QUICK] if quick else []
    seeds: set[int] = set()
    for name in PROTOCOLS:
        keys = [key for raw in files for key in raw["metrics"] if key.startswith(f"{name}.")]
        if not keys:
            continue
        protocol = load(name)
        found = figures_of(protocol, files)
        if not found:
            notes.append(f"{name}: not measured: its data was not on that machine")
            metrics += missing(protocol)
            continue
        used, figures = in_order(protocol, found)
        seeds |= set(used)
        scored, said = told(protocol, figures, quick, figures_folder)
        metrics += scored
        notes += said
    return Result("feedback", tuple(sorted(seeds)), tuple(metrics), tuple(notes))


def figures_of(protocol: Protocol, files: Sequence[Mapping[str, Any]]) -> BySeed:
    """What the files hold of a protocol, without what is derived or published."""
    found: BySeed = {}
    for raw in files:
        for key, entry in raw["metrics"].items():
            name, _, rest = key.partition(".")
            derived = rest.endswith(".gap_closed") or rest in protocol.REFERENCES
            if name != protocol.NAME or derived or not entry["values"]:
                continue
            for seed, value in zip(raw["seeds"], entry["values"], strict=False):
                former = found.setdefault(rest, {}).setdefault(seed, value)
                if not math.isclose(former, value, rel_tol=1e-6, abs_tol=1e-6):
                    raise SystemExit(f"{key}, seed {seed}: {former} and {value} in two files")
    return found


def in_order(protocol: Protocol, found: BySeed) -> tuple[list[int], Figures]:
    """The seeds, and one value per seed; raises SystemExit where a figure lacks some of them."""
    seeds = sorted(set().union(*found.values()))
    for key, values in found.items():
        lacking = [seed for seed in seeds if seed not in values]
        if lacking:
            raise SystemExit(f"{protocol.NAME}.{key} was not measured for seed {lacking[0]}")
    return seeds, {key: [values[seed] for seed in seeds] for key, values in found.items()}
