"""What the protocols of `python -m benchmarks feedback` share: keys, the gate, many seeds at once.

A protocol is a module (or an object) with NAME, UNITS (metric -> unit), GAP (the metric of which
STRATEGY.gap_closed is told, or None), REFERENCES ("STRATEGY.METRIC" -> published figure), NOTES,
SEEDS (at most so many; where it has none, all that are asked for), PARTS (what `run` can be asked
for alone by `part=`; most have none), and the functions

    run(seeds, quick=False) -> {"STRATEGY.METRIC": [one value per seed]}; {} where data is missing
    targets(means)          -> {"STRATEGY.METRIC": Target}
    gate(means)             -> Gate

Strategies are called unfixed, masking, rrr, dfr, oracle, ours, ours_<number of marks>,
ours_<quality of the marks> and published_<what>. A protocol that looks at a second world puts its
name before them (rare_unfixed, rare_oracle, rare_ours_10): it has its own yardsticks and plots.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Protocol as Interface

from benchmarks.harness import Target

Figures = dict[str, list[float]]
BUDGETS = (5, 10, 25, 50, 100, 200)
"""Numbers of marked cases of the efficiency curves."""
QUALITIES = ("random", "inverted", "misplaced", "wrong20")
"""Kinds of bad feedback: at random places; the opposite part; beside the cue; 20 % at random."""


@dataclass(frozen=True)
class Gate:
    """Whether the unfixed model has the gap at all; without it nothing is scored."""

    open: bool
    text: str


class Protocol(Interface):
    """See the module's docstring."""

    NAME: str
    UNITS: Mapping[str, str]
    GAP: str | None
    REFERENCES: Mapping[str, float]
    NOTES: tuple[str, ...]

    def run(self, seeds: Sequence[int], quick: bool = False) -> Figures:
        """All figures of all seeds."""
        ...

    def targets(self, means: Mapping[str, float]) -> Mapping[str, Target]:
        """What must be reached, by key."""
        ...

    def gate(self, means: Mapping[str, float]) -> Gate:
        """Whether there is something to fix."""
        ...


def gap_closed(ours: float, unfixed: float, clean: float) -> float:
    """(ours - unfixed) / (clean - unfixed); NaN where there is no gap."""
    return (ours - unfixed) / (clean - unfixed) if clean != unfixed else float("nan")


def gap_gate(means: Mapping[str, float], metric: str, least: float) -> Gate:
    """Open where the unfixed model lies at least `least` under the oracle."""
    unfixed, best = means[f"unfixed.{metric}"], means[f"oracle.{metric}"]
    words = f"unfixed {unfixed:.3f}, oracle {best:.3f} on {metric}: the gap must be {least:g}"
    return Gate(best - unfixed >= least, words)


def closed(protocol: Protocol, figures: Mapping[str, Sequence[float]]) -> Figures:
    """STRATEGY.gap_closed of all strategies, of the means over seeds (one value)."""
    if protocol.GAP is None:
        return {}
    metric = protocol.GAP
    found: Figures = {}
    for world, own in by_world(figures, metric).items():
        means = {key: sum(values) / len(values) for key, values in own.items()}
        for key in own:
            name, _, what = key.partition(".")
            if what == metric and name not in ("unfixed", "oracle"):
                gap = gap_closed(means[key], means[f"unfixed.{metric}"], means[f"oracle.{metric}"])
                found[f"{world}{name}.gap_closed"] = [gap]
    return found


def by_world(
    figures: Mapping[str, Sequence[float]], metric: str
) -> dict[str, dict[str, Sequence[float]]]:
    """Prefix of the keys ("", or as "rare_") -> the figures of that world, without the prefix.

    A world is there where it has an unfixed model and an oracle of its own.
    """
    ends = f"unfixed.{metric}", f"oracle.{metric}"
    stems = [key.removesuffix(ends[0]) for key in figures if key.endswith(ends[0])]
    named = [stem for stem in stems if stem.endswith("_") and stem + ends[1] in figures]
    found = {
        stem: {k.removeprefix(stem): v for k, v in figures.items() if k.startswith(stem)}
        for stem in named
    }
    rest = {k: v for k, v in figures.items() if not k.startswith(tuple(named))}
    return {"": rest, **found}


def over_seeds(
    one: Callable[[int, bool], Mapping[str, float]], seeds: Sequence[int], quick: bool
) -> Figures:
    """Run one seed per process, on as many cores as there are; rows to columns.

    Figures do not depend on how many run at once: every seed has its own generators, and each
    process computes on one thread.
    """
    workers = min(len(seeds), os.cpu_count() or 1)
    if workers == 1:
        rows = [one(seed, quick) for seed in seeds]
    else:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context, initializer=_one_thread) as pool:
            rows = list(pool.map(one, seeds, [quick] * len(seeds)))
    return {key: [float(row[key]) for row in rows] for key in rows[0]}


def _one_thread() -> None:
    """Before numpy, scikit-learn or torch are read in the process."""
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    torch.set_num_threads(1)
