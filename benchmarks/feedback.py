"""Does feedback fix the model? (`python -m benchmarks feedback --json OUT`)

Every protocol is run with several seeds; keys are PROTOCOL.STRATEGY.METRIC. A protocol whose
unfixed model has no gap is not scored: its targets are taken away and a note says so (the gate).
Curves of score against the number of marked cases, and of what bad feedback does, are drawn into
docs/figures by the same command. `--only decoy_digits,toy_colors` runs some protocols, and
`--only phantoms/efficiency` one part of a protocol that has parts. Parts and seeds that were
measured apart are put together, and drawn, by `--join A.json B.json` (`benchmarks.feedback_join`).
"""

from __future__ import annotations

import importlib
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.feedback_plots import bars_svg, efficiency_svg
from benchmarks.feedback_protocol import QUALITIES, Figures, Protocol, by_world, closed
from benchmarks.harness import Metric, Result, Target

SEEDS = (0, 1, 2, 3, 4)
PROTOCOLS: Mapping[str, str] = {
    "iris_cancer": "feedback_iris_cancer",
    "toy_colors": "feedback_toy_colors",
    "decoy_digits": "feedback_decoy_digits",
    "squares_symmetric": "feedback_squares:SYMMETRIC",
    "squares_asymmetric": "feedback_squares:ASYMMETRIC",
    "phantoms": "feedback_phantoms",
    "magnetic_tiles": "feedback_tiles",
}
"""Name of a protocol -> its module, and the object in it where the module holds several."""
QUICK = "QUICK TRIAL: not the benchmark's figures"
FIGURES = Path(__file__).resolve().parent.parent / "docs" / "figures"


def run(
    seeds: Sequence[int] = SEEDS,
    *,
    quick: bool = False,
    only: Sequence[str] = (),
    figures_folder: Path = FIGURES,
) -> Result:
    """All protocols, or `only` some; `quick` is a small trial, unscored and not drawn."""
    asked = {name: part_of(name) for name in only or PROTOCOLS}
    metrics: list[Metric] = []
    notes: list[str] = [QUICK] if quick else []
    for name, (protocol, part) in asked.items():
        began = time.perf_counter()
        run_it: Callable[..., Figures] = protocol.run
        figures = run_it(seeds[: getattr(protocol, "SEEDS", len(seeds))], quick, **part)
        if not figures:
            notes.append(f"{name}: not measured: its data is not on this machine")
            metrics += missing(protocol)
            continue
        print(f"{name}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
        scored, said = told(protocol, figures, quick, figures_folder)
        metrics += scored
        notes += said
    return Result("feedback", tuple(seeds), tuple(metrics), tuple(notes))


def told(
    protocol: Protocol, figures: Figures, quick: bool, folder: Path
) -> tuple[list[Metric], list[str]]:
    """Metrics and notes of a protocol's figures; printed, and drawn unless they are a trial's."""
    figures = figures | closed(protocol, figures)
    show(protocol, figures)
    if not quick:
        draw(protocol, figures, folder)
    return scores(protocol, figures, quick)


def part_of(name: str) -> tuple[Protocol, dict[str, str]]:
    """The protocol of PROTOCOL or PROTOCOL/PART, and the part as an argument of its `run`.

    Raises SystemExit, which names what there is, for another name.
    """
    protocol_name, _, part = name.partition("/")
    if protocol_name not in PROTOCOLS:
        raise SystemExit(f"no protocol is called {name}; there are {', '.join(PROTOCOLS)}")
    protocol = load(protocol_name)
    parts: tuple[str, ...] = getattr(protocol, "PARTS", ())
    if part and part not in parts:
        told = ", ".join(parts) or "none"
        raise SystemExit(f"{protocol_name} has no part {part}; there are {told}")
    return protocol, {"part": part} if part else {}


def missing(protocol: Protocol) -> list[Metric]:
    """What stands in the JSON for a protocol without data: its main figure, not measured."""
    target = Target(">=", 0.0, text="measured at all")
    return [Metric(f"{protocol.NAME}.ours.{protocol.GAP}", (), "not measured", target)]


def load(name: str) -> Protocol:
    """The protocol of this name."""
    module, _, attribute = PROTOCOLS[name].partition(":")
    found = importlib.import_module(f"benchmarks.{module}")
    protocol: Protocol = getattr(found, attribute) if attribute else found
    return protocol


def scores(
    protocol: Protocol, figures: Figures, quick: bool = False
) -> tuple[list[Metric], list[str]]:
    """Metrics with their targets, and notes; without a gap, or in a trial, nothing has a target."""
    means = {key: statistics.fmean(values) for key, values in figures.items()}
    gate = protocol.gate(means)
    wanted: Mapping[str, Target] = {} if quick or not gate.open else protocol.targets(means)
    name = protocol.NAME
    metrics = [
        Metric(f"{name}.{key}", tuple(values), unit_of(protocol, key), wanted.get(key))
        for key, values in figures.items()
    ]
    metrics += [
        Metric(f"{name}.{key}", (value,), f"{unit_of(protocol, key)}, published or of a pilot")
        for key, value in protocol.REFERENCES.items()
    ]
    shut = "" if gate.open else " - SHUT: no gap, no score"
    said = [f"{name}: gate: {gate.text}{shut}", *(f"{name}: {note}" for note in protocol.NOTES)]
    return metrics, said


def unit_of(protocol: Protocol, key: str) -> str:
    """The unit of STRATEGY.METRIC."""
    metric = key.partition(".")[2]
    return "share of the gap" if metric == "gap_closed" else protocol.UNITS[metric]


def table_of(protocol: Protocol, figures: Figures) -> list[list[str]]:
    """Rows of strategies, columns of metrics, "mean ± standard deviation"; the head comes first."""
    columns = list(dict.fromkeys(key.partition(".")[2] for key in figures))
    known = {key: [value] for key, value in protocol.REFERENCES.items()} | figures
    names = dict.fromkeys(key.partition(".")[0] for key in (*figures, *protocol.REFERENCES))
    rows = [["strategy", *columns]]
    for name in names:
        rows.append([name, *(_cell(known.get(f"{name}.{column}")) for column in columns)])
    return rows


def _cell(values: Sequence[float] | None) -> str:
    if not values:
        return ""
    mean = f"{statistics.fmean(values):.3f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.3f}"


def show(protocol: Protocol, figures: Figures) -> None:
    """Print the table of a protocol."""
    head, *rows = table_of(protocol, figures)
    table = Table(title=f"{protocol.NAME}: mean ± standard deviation over seeds")
    for column in head:
        table.add_column(column)
    for row in rows:
        table.add_row(*row)
    Console(width=160).print(table)


def markdown(protocol: Protocol, figures: Figures) -> str:
    """The same table for the docs."""
    head, *rows = table_of(protocol, figures)
    lines = [head, ["---"] * len(head), *([f"`{name}`", *cells] for name, *cells in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def draw(protocol: Protocol, figures: Figures, folder: Path) -> list[Path]:
    """Write the curves and bars that the figures hold, of each world by itself; the files."""
    written: list[Path] = []
    metric = protocol.GAP
    if metric is None:
        return written
    folder.mkdir(parents=True, exist_ok=True)
    unit = unit_of(protocol, f"ours.{metric}")
    for world, own in by_world(figures, metric).items():
        stem = f"feedback-{protocol.NAME}-{world.replace('_', '-')}"
        words = f"{protocol.NAME} {world}".replace("_", " ").strip()
        levels = {n: statistics.fmean(own[f"{n}.{metric}"]) for n in ("unfixed", "oracle")}
        curves, bars = curves_of(own, metric), bars_of(own, metric)
        if curves:
            drawn = efficiency_svg(f"{words}: {metric} by marked cases", unit, curves, levels)
            written.append(folder / f"{stem}efficiency.svg")
            written[-1].write_text(drawn, encoding="utf-8")
        if len(bars) > 2:
            drawn = bars_svg(f"{words}: {metric} after bad feedback", unit, bars)
            written.append(folder / f"{stem}quality.svg")
            written[-1].write_text(drawn, encoding="utf-8")
    return written


def curves_of(
    figures: Mapping[str, Sequence[float]], metric: str
) -> dict[str, list[tuple[float, Sequence[float]]]]:
    """Series of STEM_<number>.METRIC with at least two numbers, by stem, numbers ascending."""
    found: dict[str, list[tuple[float, Sequence[float]]]] = {}
    for key, values in figures.items():
        name, _, what = key.partition(".")
        stem, _, number = name.rpartition("_")
        if what == metric and stem and number.isdigit():
            found.setdefault(stem, []).append((float(number), values))
    return {stem: sorted(points) for stem, points in found.items() if len(points) > 1}


def bars_of(
    figures: Mapping[str, Sequence[float]], metric: str
) -> dict[str, tuple[Sequence[float], str]]:
    """Unfixed, ours, and ours after each kind of bad feedback with how often it was noticed."""
    bars: dict[str, tuple[Sequence[float], str]] = {"unfixed": (figures[f"unfixed.{metric}"], "")}
    if f"ours.{metric}" in figures:
        bars["good"] = (figures[f"ours.{metric}"], "")
    for quality in QUALITIES:
        if f"ours_{quality}.{metric}" in figures:
            noticed = figures.get(f"ours_{quality}.noticed", [])
            word = f"seen {sum(noticed):.0f}/{len(noticed)}" if noticed else ""
            bars[quality] = (figures[f"ours_{quality}.{metric}"], word)
    return bars
