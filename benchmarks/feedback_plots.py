"""Curves and bars of `python -m benchmarks feedback` as small SVG files, drawn without a library.

The colours are those of Okabe and Ito, told apart by colour-blind readers; every line has
its name at its end, and the figures stand in the table beside.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 560, 320
LEFT, RIGHT, TOP, BOTTOM = 56, 150, 34, 46
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
Points = Sequence[tuple[float, Sequence[float]]]
"""(x, one value per seed), x ascending."""


@dataclass(frozen=True)
class Frame:
    """Where values lie on the sheet; y runs from low to high, x in logarithms where asked."""

    x: tuple[float, float]
    y: tuple[float, float]
    logarithmic: bool = False

    def across(self, value: float) -> float:
        """Horizontal place of a value, px."""
        low, high, at = (math.log(v) if self.logarithmic else v for v in (*self.x, value))
        share = (at - low) / (high - low) if high > low else 0.5
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def down(self, value: float) -> float:
        """Vertical place of a value, px; what lies outside is drawn on the edge."""
        low, high = self.y
        share = min(1.0, max(0.0, (value - low) / (high - low) if high > low else 0.5))
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def efficiency_svg(
    title: str, unit: str, series: Mapping[str, Points], levels: Mapping[str, float]
) -> str:
    """Score against the number of marked cases: means as lines, spread over seeds as whiskers.

    Args:
        series: name -> points; at least one of them.
        levels: name -> figure that does not depend on the number (dashed).
    """
    counts = sorted({x for points in series.values() for x, _ in points})
    values = [v for points in series.values() for _, seeds in points for v in seeds]
    frame = Frame((counts[0], counts[-1]), _range([*values, *levels.values()]), logarithmic=True)
    parts = [_axes(frame, title, unit), _ticks(frame, counts, "marked cases")]
    labels: list[tuple[float, str, str]] = []
    for (name, points), colour in zip(series.items(), COLOURS, strict=False):
        parts.append(_line(frame, points, colour))
        labels.append((frame.down(_mean(points[-1][1])), name, colour))
    for name, level in levels.items():
        y = frame.down(level)
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" '
            'stroke="#777" stroke-dasharray="5 4"/>'
        )
        labels.append((y, f"{name} {level:.2f}", "#555"))
    return _sheet(title, [*parts, *_named(labels)])


def bars_svg(title: str, unit: str, bars: Mapping[str, tuple[Sequence[float], str]]) -> str:
    """One bar per kind of feedback: mean over seeds, whiskers, and a word above it.

    Args:
        bars: name -> (one value per seed, word such as "noticed 5/5").
    """
    frame = Frame((0, len(bars)), (0.0, 1.0))
    parts = [_axes(frame, title, unit)]
    for k, (name, (seeds, word)) in enumerate(bars.items()):
        x, wide = frame.across(k + 0.5), frame.across(1) - frame.across(0)
        mean, low, high = _mean(seeds), min(seeds), max(seeds)
        top = frame.down(mean)
        parts += [
            f'<rect x="{x - 0.3 * wide:.1f}" y="{top:.1f}" width="{0.6 * wide:.1f}" '
            f'height="{HEIGHT - BOTTOM - top:.1f}" fill="{COLOURS[0] if word else "#999"}"/>',
            _whisker(x, frame.down(low), frame.down(high), "#222"),
            _text(x, HEIGHT - BOTTOM + 16, name, "middle"),
            _text(x, HEIGHT - BOTTOM + 30, word, "middle", "#555"),
            _text(x, frame.down(high) - 5, f"{mean:.2f}", "middle"),
        ]
    return _sheet(title, parts)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _range(values: Sequence[float]) -> tuple[float, float]:
    """Tenths around all values, within [0, 1]."""
    low, high = math.floor(10 * min(values)) / 10, math.ceil(10 * max(values)) / 10
    return max(0.0, low), min(1.0, high) if high > low else low + 0.1


def _sheet(title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(title)}" font-family="sans-serif" font-size="11">\n'
        f"<title>{escape(title)}</title>\n"
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _axes(frame: Frame, title: str, unit: str) -> str:
    low, high = frame.y
    steps = max(1, round(10 * (high - low)))
    stride = 1 if steps <= 6 else 2
    parts = [
        f'<text x="{LEFT}" y="18" font-size="13" fill="#111">{escape(title)}</text>',
        f'<text x="14" y="{(HEIGHT + TOP - BOTTOM) / 2:.0f}" fill="#333" text-anchor="middle" '
        f'transform="rotate(-90 14 {(HEIGHT + TOP - BOTTOM) / 2:.0f})">{escape(unit)}</text>',
    ]
    for k in range(0, steps + 1, stride):
        value = low + k / 10
        y = frame.down(value)
        parts += [
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>',
            _text(LEFT - 6, y + 4, f"{value:.1f}", "end"),
        ]
    return "\n".join(parts)


def _ticks(frame: Frame, counts: Sequence[float], name: str) -> str:
    middle = (LEFT + WIDTH - RIGHT) / 2
    marks = [_text(frame.across(x), HEIGHT - BOTTOM + 16, f"{x:g}", "middle") for x in counts]
    return "\n".join([*marks, _text(middle, HEIGHT - BOTTOM + 34, name, "middle")])


def _line(frame: Frame, points: Points, colour: str) -> str:
    at = [(frame.across(x), frame.down(_mean(seeds))) for x, seeds in points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
    parts = [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>']
    for (x, y), (_, seeds) in zip(at, points, strict=True):
        parts.append(_whisker(x, frame.down(min(seeds)), frame.down(max(seeds)), colour))
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>')
    return "\n".join(parts)


def _whisker(x: float, low: float, high: float, colour: str) -> str:
    return f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}" stroke="{colour}"/>'


def _named(labels: Sequence[tuple[float, str, str]]) -> list[str]:
    """Names beside the ends of the lines, pushed apart where they would lie on one another."""
    found, last = [], -math.inf
    for y, name, colour in sorted(labels):
        last = max(y, last + 13)
        found.append(_text(WIDTH - RIGHT + 8, last + 4, name, "start", colour))
    return found


def _text(x: float, y: float, words: str, anchor: str, colour: str = "#333") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">'
        f"{escape(words)}</text>"
    )
