"""Bars inside tables, as HTML: text that can be read aloud, searched and copied.

Colours are Okabe-Ito and never alone: what speaks against is hatched, lies on the other side of
the line and has its sign in the figure. All texts are escaped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import streamlit as st

MINUS = "\u2212"
_STYLE = """
<style>
.ir-bars { width: 100%; border-collapse: collapse; font-size: .86rem; line-height: 1.3; }
.ir-bars caption { text-align: left; font-size: .8rem; opacity: .82; padding-bottom: .3rem; }
.ir-bars th { font-weight: 600; text-align: left; font-size: .78rem; padding: .15rem .35rem; }
.ir-bars td { padding: .22rem .35rem; border-top: 1px solid rgba(128, 140, 152, .28); }
.ir-bars td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.ir-bars th.n { text-align: right; }
.ir-bars td.b { width: 38%; min-width: 90px; }
.ir-bars td.s { width: 24%; min-width: 80px; }
.ir-bars tr.sum td { font-weight: 600; border-top: 2px solid rgba(128, 140, 152, .6); }
.ir-track { position: relative; height: .8rem; display: block; }
.ir-track i { position: absolute; top: 0; bottom: 0; border-radius: 1px; min-width: 1px; }
.ir-track u { position: absolute; top: -.2rem; bottom: -.2rem; width: 1px; background: currentColor;
  opacity: .55; }
.ir-for { background: #3b8fc7; }
.ir-against { background: repeating-linear-gradient(135deg, #d55e00 0 4px, #f0a368 4px 7px); }
.ir-stack { display: flex; height: 1.35rem; width: 100%; border-radius: 3px; overflow: hidden;
  border: 1px solid rgba(128, 140, 152, .5); }
.ir-stack span { display: block; min-width: 1px; }
.ir-right { background: #009e73; }
.ir-wrong { background: repeating-linear-gradient(135deg, #d55e00 0 5px, #f0a368 5px 9px); }
.ir-unsure { background: repeating-linear-gradient(90deg, #e69f00 0 3px, #f5d28c 3px 7px); }
.ir-open { background: rgba(128, 140, 152, .22); }
.ir-key { display: flex; flex-wrap: wrap; gap: .2rem 1rem; font-size: .84rem; margin: 0;
  padding: .3rem 0 0 !important; list-style: none; }
.ir-key li { margin: 0; }
.ir-key i { display: inline-block; width: .85rem; height: .85rem; border-radius: 2px;
  vertical-align: -.1rem; margin-right: .3rem; border: 1px solid rgba(128, 140, 152, .6); }
.ir-one { display: block; height: .8rem; background: rgba(128, 140, 152, .18); border-radius: 2px; }
.ir-one i { display: block; height: 100%; border-radius: 2px; min-width: 1px; }
</style>
"""


@dataclass(frozen=True)
class Bar:
    """One row: what it is, its value, and cells between the two."""

    name: str
    value: float
    cells: tuple[str, ...] = ()
    total: bool = False


@dataclass(frozen=True)
class Share:
    """One row: what it is, a share of a whole, and cells after it."""

    name: str
    share: float  # [0, 1]
    cells: tuple[str, ...] = ()


@dataclass(frozen=True)
class Part:
    """One part of a whole."""

    name: str
    share: float  # [0, 1]
    look: str  # "right", "wrong", "unsure", "open"


def diverging(
    rows: Sequence[Bar], *, caption: str, columns: Sequence[str], unit: str, digits: int = 2
) -> None:
    """A table whose last two columns are a bar from the middle and the signed figure.

    Args:
        columns: heads of the name, of each cell, of the bar and of the figure.
        unit: of the figures, shown in each.
    """
    reach = max((abs(row.value) for row in rows), default=0.0) or 1.0
    bar = len(columns) - 2  # figures stand to the right, under their heads
    look = ["" if at in (0, bar) else 'class="n"' for at in range(len(columns))]
    head = "".join(
        f'<th scope="col" {kind}>{escape(name)}</th>'
        for kind, name in zip(look, columns, strict=True)
    )
    body = "".join(_row(row, reach, unit, digits) for row in rows)
    st.html(
        f'{_STYLE}<table class="ir-bars"><caption>{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def shares(rows: Sequence[Share], *, caption: str, columns: Sequence[str]) -> None:
    """A table with a bar from 0 to 100 % per row, the figure beside it, then further cells.

    Args:
        columns: heads of the name, of the bar, of the figure and of each cell.
    """
    look = ["", "", *['class="n"'] * (len(columns) - 2)]
    head = "".join(
        f'<th scope="col" {kind}>{escape(name)}</th>'
        for kind, name in zip(look, columns, strict=True)
    )
    body = "".join(_share_row(row) for row in rows)
    st.html(
        f'{_STYLE}<table class="ir-bars"><caption>{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def stacked(parts: Sequence[Part], *, label: str) -> None:
    """Parts of a whole as one bar with a key that says each share in figures."""
    shown = [part for part in parts if part.share > 0]
    spans = "".join(
        f'<span class="ir-{part.look}" style="width:{100 * part.share:.2f}%"></span>'
        for part in shown
    )
    words = ", ".join(f"{part.name} {percent(part.share)}" for part in parts)
    key = "".join(
        f'<li><i class="ir-{part.look}"></i>{escape(part.name)} <b>{percent(part.share)}</b></li>'
        for part in parts
    )
    st.html(
        f'{_STYLE}<div class="ir-stack" role="img" aria-label="{escape(label)}: {escape(words)}">'
        f'{spans}</div><ul class="ir-key">{key}</ul>'
    )


def single(share: float, most: float, *, against: bool, label: str) -> str:
    """One bar as HTML, its length relative to `most`."""
    width = 100 * min(1.0, share / most) if most > 0 else 0.0
    look = "ir-against" if against else "ir-for"
    return (
        f'{_STYLE}<span class="ir-one" role="img" aria-label="{escape(label)}">'
        f'<i class="{look}" style="width:{width:.1f}%"></i></span>'
    )


def signed(value: float, digits: int = 2) -> str:
    """A figure with its sign.

    >>> signed(-1.234), signed(0.5), signed(0.0001)
    ('\u22121.23', '+0.50', '0.00')
    """
    text = f"{abs(value):.{digits}f}"
    if float(text) == 0:
        return text
    return f"{'+' if value > 0 else MINUS}{text}"


def percent(share: float) -> str:
    """A share without decimals, with one below ten per cent.

    >>> percent(0.5), percent(0.034), percent(0.0)
    ('50 %', '3.4 %', '0 %')
    """
    value = 100 * share
    return f"{value:.1f} %" if 0.05 <= value < 9.95 else f"{value:.0f} %"


def _share_row(row: Share) -> str:
    cells = "".join(f'<td class="n">{escape(cell)}</td>' for cell in row.cells)
    look = "ir-against" if row.share > 0.5 else "ir-for"
    width = 100 * min(max(row.share, 0.0), 1.0)
    return (
        f'<tr><td>{escape(row.name)}</td><td class="s"><span class="ir-one" aria-hidden="true">'
        f'<i class="{look}" style="width:{width:.1f}%"></i></span></td>'
        f'<td class="n">{percent(row.share)}</td>{cells}</tr>'
    )


def _row(row: Bar, reach: float, unit: str, digits: int) -> str:
    cells = "".join(f'<td class="n">{escape(cell)}</td>' for cell in row.cells)
    width = 50 * abs(row.value) / reach
    left = 50 - width if row.value < 0 else 50
    look = "ir-against" if row.value < 0 else "ir-for"
    bar = (
        f'<span class="ir-track" aria-hidden="true"><i class="{look}" '
        f'style="left:{left:.2f}%;width:{width:.2f}%"></i><u style="left:50%"></u></span>'
    )
    return (
        f"<tr{' class=sum' if row.total else ''}><td>{escape(row.name)}</td>{cells}"
        f'<td class="b">{bar}</td>'
        f'<td class="n">{signed(row.value, digits)} {escape(unit)}</td></tr>'
    )
