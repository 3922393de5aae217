"""What every benchmark shares: metrics over seeds, targets, a table and a JSON file."""

import json
import operator
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, assert_never

from rich.console import Console
from rich.table import Table

_PACKAGES = ("torch", "open_clip_torch", "scikit-learn", "numpy", "dbos", "insight-review")


@dataclass(frozen=True)
class Target:
    """What a metric must reach: `op` compares one of its figures with `value`."""

    op: Literal["<", "<=", ">", ">="]
    value: float
    of: Literal["mean", "min", "max"] = "mean"
    text: str = ""  # how it is derived, when it depends on another metric

    def holds(self, figures: Mapping[str, float]) -> bool:
        """Whether the figure named by `of` reaches the target."""
        return _comparison(self.op)(figures[self.of], self.value)

    def describe(self) -> str:
        """The target in words, e.g. "mean >= 0.957 (oracle - .03)"."""
        tail = f" ({self.text})" if self.text else ""
        return f"{self.of} {self.op} {self.value:.4g}{tail}"


def _comparison(op: Literal["<", "<=", ">", ">="]) -> Callable[[float, float], bool]:
    match op:
        case "<":
            return operator.lt
        case "<=":
            return operator.le
        case ">":
            return operator.gt
        case ">=":
            return operator.ge
        case _:
            assert_never(op)


@dataclass(frozen=True)
class Metric:
    """One figure per seed, its unit, and its target if it has one."""

    key: str
    values: tuple[float, ...]
    unit: str
    target: Target | None = None

    def figures(self) -> dict[str, float]:
        """Mean, minimum and maximum over seeds.

        Raises:
            ValueError: when no seed gave a value.
        """
        if not self.values:
            raise ValueError(f"{self.key}: no value for any seed")
        mean = sum(self.values) / len(self.values)
        return {"mean": mean, "min": min(self.values), "max": max(self.values)}

    def as_json(self) -> dict[str, Any]:
        """The JSON entry; `target` and `holds` are null for a figure that is only reported.

        Without any value the figures are null and a target does not hold: not measured is not met.
        """
        target = self.target
        if not self.values:
            empty = dict.fromkeys(("mean", "min", "max"))
            words = target.describe() if target else None
            holds = False if target else None
            return {**empty, "values": [], "unit": self.unit, "target": words, "holds": holds}
        figures = self.figures()
        return {
            **figures,
            "values": list(self.values),
            "unit": self.unit,
            "target": target.describe() if target else None,
            "holds": target.holds(figures) if target else None,
        }


@dataclass(frozen=True)
class Result:
    """What a benchmark returns."""

    name: str
    seeds: tuple[int, ...]
    metrics: tuple[Metric, ...]
    notes: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether every metric with a target reaches it."""
        return all(m.as_json()["holds"] is not False for m in self.metrics)

    def as_json(self) -> dict[str, Any]:
        """The documented JSON structure."""
        return {
            "name": self.name,
            "seeds": list(self.seeds),
            "versions": versions(),
            "metrics": {metric.key: metric.as_json() for metric in self.metrics},
            "notes": list(self.notes),
        }


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide the figures."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def collect(
    rows: Sequence[Mapping[str, float]], units: Mapping[str, str], targets: Mapping[str, Target]
) -> tuple[Metric, ...]:
    """Turns one mapping of figures per seed into metrics, in the order of `units`."""
    return tuple(
        Metric(key, tuple(float(row[key]) for row in rows), unit, targets.get(key))
        for key, unit in units.items()
    )


def print_table(result: Result, console: Console | None = None) -> None:
    """Prints the figures with their spread and whether each target holds."""
    table = Table(title=f"{result.name} (seeds {', '.join(map(str, result.seeds))})")
    for column in ("metric", "mean", "min", "max", "unit", "target", "holds"):
        table.add_column(column)
    for metric in result.metrics:
        entry = metric.as_json()
        table.add_row(
            metric.key,
            *(_number(entry[name]) for name in ("mean", "min", "max")),
            metric.unit,
            entry["target"] or "",
            {True: "yes", False: "NO", None: ""}[entry["holds"]],
        )
    out = console or Console()
    out.print(table)
    for note in result.notes:
        out.print(note, markup=False)


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.4f}"


def write_json(result: Result, path: Path) -> None:
    """Writes the documented JSON, making the folder when needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result.as_json(), indent=2) + "\n", encoding="utf-8")
