"""How a version fares in the groups that a column of the data makes, from plain data."""

from collections.abc import Sequence
from html import escape

import plotly.graph_objects as go
import streamlit as st

from dashboard.viewmodels.columns import ColumnWordsView
from dashboard.viewmodels.groups import ColumnScan, GroupRow, GroupsView
from dashboard.views.chrome import plain
from dashboard.views.figures import frame, ink, mark, tone
from dashboard.views.judgement_figures import interval
from dashboard.views.tables import table
from dashboard.views.text import by_chance, chance, firm, moment, points, share

NO_BAR = {"displayModeBar": False}
GRID = "rgba(128, 140, 152, .28)"
PLAIN, DIFFERS, FEW = "#0072b2", "#d55e00", "#8a97a3"
LOOKS = {  # Okabe-Ito, and a shape each: never colour alone
    "like the others": (PLAIN, "circle"),
    "differs from the others": (DIFFERS, "diamond"),
    "few cases": (FEW, "circle-open"),
}
MOST = 24  # values in one plot
TICKS = (0, 25, 50, 75, 100)
WORDS = {
    "spurious": "✕ spurious",
    "correct": "✓ a right reason",
    "unsure": "? unsure",
}


def scan_label(scan: ColumnScan) -> str:
    """One column as a line of a list."""
    if not scan.column.usable:
        return f"{scan.column.label} · {scan.column.why_not or 'cannot be used'}"
    if scan.lowest_accuracy is None or scan.highest_accuracy is None:
        return scan.column.label
    mark = " · differs" if scan.differs else ""
    span = f"{100 * scan.lowest_accuracy:.0f} to {share(scan.highest_accuracy, 0)}"
    return f"{scan.column.label} · {span}{mark}"


def scan_help(scan: ColumnScan) -> str:
    """What the line stands for (markdown)."""
    if scan.lowest_accuracy is None:
        return f"{scan.column.values} values in {scan.column.cases} images"
    said = f"; {by_chance(scan.p_adjusted)}" if scan.p_adjusted is not None else ""
    return plain(
        f"{scan.groups} groups: accuracy from {share(scan.lowest_accuracy)} ({scan.lowest}) to "
        f"{share(scan.highest_accuracy)} ({scan.highest}){said}, adjusted for the number of columns"
    )


def heading(view: GroupsView) -> None:
    """What is looked at and what it comes to."""
    st.header(f"Groups by {plain(view.column.label)}", anchor=False)
    st.markdown(f"**{plain(view.sentence)}**")
    st.caption(plain(view.multiplicity))


def notes(view: GroupsView) -> None:
    """What to keep in mind."""
    for note in view.notes:
        st.info(plain(note), icon=":material/info:")


def overall(view: GroupsView) -> None:
    """The figures of all cases together."""
    row = view.overall
    figures = (
        ("Accuracy", row.accuracy, "Share of the cases that are decided as labelled"),
        (
            "Calibration error", row.ece,
            "Mean gap between stated confidence and accuracy: 0 % means that the stated "
            "probabilities can be taken at their word",
        ),
        (
            "Reliance on rejected concepts", row.reliance,
            "Share of all contributions that lies on concepts called spurious",
        ),
    )  # fmt: skip
    columns = st.columns(4)
    for column, (title, found, help_) in zip(columns, figures, strict=False):
        column.metric(title, share(found.value), help=help_)
        column.caption(f"95 % interval {interval(found)}")
    columns[3].metric(
        "Highest − lowest", "–" if view.spread is None else f"{100 * view.spread:.1f} points",
        help="Accuracy of the best group minus that of the worst, without groups of few cases",
    )  # fmt: skip
    columns[3].caption(plain(by_chance(view.p) or f"{row.n:,} cases"))


def accuracy(view: GroupsView) -> None:
    """Accuracy of each group with its interval; the line is the accuracy of all."""
    drawing, words = figure(view)
    st.plotly_chart(drawing, alt=words, config=NO_BAR, key=f"groups-{view.column.column}")


def figure(view: GroupsView) -> tuple[go.Figure, str]:
    """The plot and its text alternative."""
    shown = view.rows[:MOST]
    names = [_text(f"{row.value} ({row.n})") for row in shown]
    plot = go.Figure()
    for kind, (usual, symbol) in LOOKS.items():
        colour = tone(usual)
        pairs = [(row, n) for row, n in zip(shown, names, strict=True) if _kind(row) == kind]
        pairs = [(row, name) for row, name in pairs if row.accuracy.value is not None]
        if not pairs:
            continue
        found = [row.accuracy for row, _ in pairs]
        values = [each.value or 0.0 for each in found]
        plot.add_scatter(
            x=[100 * value for value in values],
            y=[name for _, name in pairs],
            name=kind,
            mode="markers",
            marker=mark(colour, symbol),
            error_x={
                "type": "data", "symmetric": False, "color": colour, "thickness": 2, "width": 5,
                "array": [_over(each.high, v) for each, v in zip(found, values, strict=True)],
                "arrayminus": [-_over(each.low, v) for each, v in zip(found, values, strict=True)],
            },
            customdata=[[interval(each)] for each in found],
            hovertemplate="%{y}: %{x:.1f} %, 95 % interval %{customdata[0]}<extra></extra>",
        )  # fmt: skip
    if view.overall.accuracy.value is not None:
        plot.add_vline(x=100 * view.overall.accuracy.value, line={"color": ink(), "dash": "dot"})
    frame(plot, height=84 + 30 * len(shown))
    plot.update_layout(
        showlegend=True,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "font": {"color": ink()}},
    )
    plot.update_xaxes(
        range=[-2, 106], tickvals=TICKS, ticktext=[f"{tick} %" for tick in TICKS], gridcolor=GRID,
        title={"text": "accuracy; dotted: all cases", "font": {"color": ink()}},
    )  # fmt: skip
    plot.update_yaxes(categoryorder="array", categoryarray=names[::-1], type="category")
    said = "; ".join(
        f"{row.value} {share(row.accuracy.value)} of {row.n}, {_kind(row)}" for row in shown
    )
    return plot, f"Accuracy of each group by {view.column.label}: {said or 'no groups'}."


def _over(end: float | None, value: float) -> float:
    return 0.0 if end is None else 100 * (end - value)


def _kind(row: GroupRow) -> str:
    if row.small:
        return "few cases"
    return "differs from the others" if row.differs else "like the others"


def rows(view: GroupsView) -> None:
    """All groups as a table."""
    table(
        {
            plain(view.column.label): [row.value for row in view.rows],
            "Cases": [f"{row.n} (few)" if row.small else row.n for row in view.rows],
            "Accuracy": [firm(share(row.accuracy.value)) for row in view.rows],
            "95 % interval": [firm(interval(row.accuracy)) for row in view.rows],
            "Balanced": [firm(share(row.balanced)) for row in view.rows],
            "Too sure by": [_points(row.overconfidence.value) for row in view.rows],
            "Calibration error": [firm(share(row.ece.value)) for row in view.rows],
            "On rejected concepts": [firm(share(row.reliance.value)) for row in view.rows],
            "p, adjusted": [firm(chance(row.p_adjusted)) for row in view.rows],
        },
        alt=f"Accuracy, calibration and reliance on rejected concepts by {view.column.label}",
    )
    st.caption(
        "Balanced: mean over the labels of the accuracy within each, so that the mix of labels "
        "does not matter. Too sure by: mean stated confidence minus accuracy, in points. On "
        "rejected concepts: share of all contributions that lies on concepts called spurious. p, "
        "adjusted: accuracy against all other cases, Fisher's exact test, adjusted (Holm) for the "
        "number of groups. Few: too few cases to say much."
    )


def _points(value: float | None) -> str:
    return "–" if value is None else firm(f"{points(value)} points")


def wrong_title(row: GroupRow) -> str:
    """A group in a list to choose from."""
    return f"{row.value} ({row.n})"


def words(found: ColumnWordsView) -> None:
    """What everybody said of the column."""
    if found.probability is not None:
        st.caption(
            f"All words together: spurious with probability {share(found.probability, 0)}, "
            "everybody taken to be right in 4 of 5 words. Above 50 %, the next run makes label and "
            "column independent; it weighs how reliable each person looks from all their words, so "
            "New run may show another probability."
        )
    for said in found.others:
        reason = f" · {plain(said.reason)}" if said.reason else ""
        comment = f" {plain(said.comment)}" if said.comment else ""
        st.markdown(
            f"**{plain(said.reviewer)}**: {WORDS.get(said.value, said.value)}{reason}{comment} "
            f":gray[{plain(moment(said.at))}]"
        )


def missing(scans: Sequence[ColumnScan]) -> None:
    """Columns that cannot make groups, and why."""
    cannot = [scan for scan in scans if not scan.column.usable]
    if cannot:
        with st.expander(f"Not usable ({len(cannot)})"):
            st.caption(
                "  \n".join(
                    f"**{plain(each.column.label)}**: {plain(each.column.why_not)}"
                    for each in cannot
                )
            )


def _text(name: str) -> str:
    """A name with what Plotly would read as HTML escaped, cut to a readable length."""
    return escape(name if len(name) <= 40 else f"{name[:39]}…", quote=False)
