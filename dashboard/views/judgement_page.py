"""One version against another: headline, guard rails, figures, parts, weights and flips."""

from collections.abc import Sequence

import streamlit as st

from dashboard.viewmodels.judgement import (
    ConceptChange,
    Estimate,
    FigureView,
    FlipRow,
    GuardView,
    JudgementView,
    PartView,
    SplitView,
)
from dashboard.views import bars, judgement_figures
from dashboard.views.chrome import plain
from dashboard.views.judgement_figures import change, interval
from dashboard.views.tables import table
from dashboard.views.text import by_chance, chance, firm, images_of, plural, points, share, sure

HEADLINE = ("accuracy", "worst_group", "spurious_share", "ece")
CONCEPTS = 20  # weights listed
FLIPS = {
    "broken": ("Went wrong", "decided right before, wrong now"),
    "mended": ("Mended", "decided wrong before, right now"),
    "moved": ("Wrong otherwise", "decided wrong before and now, for another class"),
}
NO_BAR = {"displayModeBar": False}


def headline(split: SplitView) -> None:
    """The figures that matter, each with its interval and what chance would do."""
    by_key = {each.key: each for each in split.figures}
    chosen = [by_key[key] for key in HEADLINE if key in by_key] or list(split.figures[:4])
    for column, each in zip(st.columns(len(chosen) or 1), chosen, strict=False):
        with column.container(border=True, gap="xxsmall"):
            _tile(each)


def _tile(each: FigureView) -> None:
    moved = each.difference.value
    st.metric(
        each.label,
        figure(each, each.after),
        delta=None if moved is None else _moved(each, moved),
        # Streamlit looks for an ASCII minus: arrow and colour are said, not left to it.
        delta_arrow="off" if not moved or abs(moved) < 0.0005 else "up" if moved > 0 else "down",
        delta_color="green" if each.said == "better" else "red" if each.said == "worse" else "off",
        help=f"{each.help}. Below: the figure before, and the 95 % interval of the change",
    )
    said = by_chance(each.p)
    between = f"95 %: {_between(each)}" if each.difference.low is not None else ""
    lines = [f"{figure(each, each.before)} before", between, plain(said)]
    st.caption("  \n".join(line for line in lines if line))


def figure(each: FigureView, found: Estimate) -> str:
    """A figure with its unit."""
    if found.value is None:
        return "–"
    return share(found.value) if each.unit == "share" else f"{found.value:.3f}"


def _moved(each: FigureView, value: float) -> str:
    """The change with its sign and unit."""
    return f"{points(value)} points" if each.unit == "share" else bars.signed(value, 3)


def _between(each: FigureView) -> str:
    low, high = each.difference.low or 0.0, each.difference.high or 0.0
    if each.unit == "share":
        return f"{points(low)} to {points(high)} points"
    return f"{bars.signed(low, 3)} to {bars.signed(high, 3)}"


def guard(view: GuardView, *, asking: bool = True) -> None:
    """Whether the version keeps within what the project may lose; asks for a reason if not."""
    if not view.measured:
        st.info(plain(view.sentence), icon=":material/info:")
    elif view.passed:
        st.success(plain(view.sentence), icon=":material/verified_user:")
    else:
        lost = "".join(f"\n- {plain(each)}" for each in view.breaches)
        said = f"{view.sentence} {view.asks}".rstrip() if asking else view.sentence
        st.error(f"**{plain(said)}**{lost}", icon=":material/gpp_maybe:")


def notes(said: Sequence[str]) -> None:
    """What to keep in mind."""
    if said:
        st.caption("  \n".join(plain(each) for each in said))


def figures(split: SplitView, resamples: int) -> None:
    """All figures: a plot of the changes beside a table."""
    left, right = st.columns([1, 1.45], gap="medium")
    drawing, words = judgement_figures.differences(split.figures, split.split)
    left.plotly_chart(drawing, alt=words, config=NO_BAR, key=f"differences-{split.split}")
    table(
        {
            "Figure": [each.label for each in split.figures],
            "Before": [firm(figure(each, each.before)) for each in split.figures],
            "After": [firm(figure(each, each.after)) for each in split.figures],
            "Change (95 %)": [_change(each) for each in split.figures],
            "p": [firm(chance(each.p)) for each in split.figures],
            "That is": [each.said or "cannot be said" for each in split.figures],
        },
        alt=f"Figures of both versions on {images_of(split.split)}",
        at=right,
    )
    with right.expander("What the figures mean"):
        st.caption("  \n".join(f"**{plain(f.label)}**: {plain(f.help)}." for f in split.figures))
        drawn = f" over {resamples:,} draws" if resamples else ""
        st.caption(
            "Changes of shares are in percentage points. Intervals: 95 %, paired bootstrap"
            f"{drawn}. p: how often a difference this large would come by chance alone; exact "
            "McNemar test for the accuracy. Better or worse is said only where the interval "
            "leaves out zero."
        )


def regions(each: FigureView | None, cases: int) -> None:
    """What lies inside the regions that people marked, on the judged cases themselves."""
    if each is None:
        return
    st.markdown(
        f"**{plain(each.label)}**: {figure(each, each.before)} before, "
        f"{figure(each, each.after)} after: {plain(each.sentence)}.",
        help=f"{each.help}. Measured on {plural(cases, 'case')} with marked regions, which the "
        "new version learnt from: it shows whether the run did what it was told, not how well it "
        "will do elsewhere",
    )


def _change(each: FigureView) -> str:
    if each.unit == "share":
        return change(each.difference)
    if each.difference.value is None:
        return "–"
    value = bars.signed(each.difference.value, 3)
    if each.difference.low is None or each.difference.high is None:
        return value
    low, high = (bars.signed(end, 3) for end in (each.difference.low, each.difference.high))
    return f"{value} {firm(f'({low} to {high})')}"


def parts(rows: Sequence[PartView], what: str, split: str) -> None:
    """Accuracy of each class or group under both versions."""
    if not rows:
        st.caption(f"There is no {what} to compare.")
        return
    left, right = st.columns([1, 1.8], gap="medium")
    drawing, words = judgement_figures.parts(rows, what, split)
    left.plotly_chart(drawing, alt=words, config=NO_BAR, key=f"parts-{what}-{split}")
    table(
        {
            what.capitalize(): [row.name for row in rows],
            "Cases": [row.n if row.counted else f"{row.n} (few)" for row in rows],
            "Before": [firm(share(row.before.value)) for row in rows],
            "After": [firm(share(row.after.value)) for row in rows],
            "After (95 %)": [interval(row.after) for row in rows],
            "Change (95 %)": [change(row.difference) for row in rows],
            "p, adjusted": [firm(chance(row.p_adjusted)) for row in rows],
            "That is": [row.said or "cannot be said" for row in rows],
        },
        alt=f"Accuracy of each {what} under both versions, on {images_of(split)}",
        at=right,
    )
    right.caption(
        f"p, adjusted: exact McNemar test of each {what} alone, adjusted (Holm) because "
        f"{plural(len(rows), what, _many(what))} {'is' if len(rows) == 1 else 'are'} looked at. "
        "Better or worse is said below 0.05. Few: too few cases to count as the worst."
    )


def _many(what: str) -> str:
    return "classes" if what == "class" else f"{what}s"


def concepts(rows: Sequence[ConceptChange]) -> None:
    """Concepts whose weight changed most."""
    if not rows:
        st.caption("No weight changed.")
        return
    bars.diverging(
        [
            bars.Bar(
                f"{row.name} (rejected)" if row.rejected else row.name,
                row.effect,
                (row.class_name, bars.signed(row.before), bars.signed(row.after)),
            )
            for row in rows[:CONCEPTS]
        ],
        caption="The largest change first",
        columns=("Concept", "For", "Weight before", "Weight after", "Effect", "Mean change"),
        unit="logit",
    )
    st.caption(
        "Weight: logit per unit of activation, relative to the mean over the classes. Mean change: "
        "change of the weight times the mean activation in the held-out cases. Rejected: people "
        "called the concept spurious."
    )


def flips_title(split: SplitView) -> str:
    """How many decisions changed, in a sentence (markdown)."""
    changed = split.mended + split.broken + split.moved
    if not changed:
        return "No held-out case is decided differently."
    said = by_chance(split.p)
    return (
        f"Of {plural(split.n, 'case')} **{changed}** {'is' if changed == 1 else 'are'} decided "
        f"differently: {split.mended} mended, {split.broken} went wrong, {split.moved} wrong "
        f"otherwise{f'; {plain(said)}' if said else ''}."
    )


def flip_counts(split: SplitView) -> dict[str, int]:
    """Cases of each kind of flip, those with any."""
    counted = {"broken": split.broken, "mended": split.mended, "moved": split.moved}
    return {kind: count for kind, count in counted.items() if count}


def flip_name(kind: str, count: int) -> str:
    """One kind of flip with its number."""
    return f"{FLIPS[kind][0]} ({count})"


def flip(row: FlipRow, picture: bytes) -> None:
    """One case that is decided differently."""
    st.image(
        picture, width="stretch",
        alt=f"{row.image_name}, labelled {row.label or 'nothing'}: {row.before} before, "
        f"{row.after} after",
    )  # fmt: skip
    mark = "✓" if row.after == row.label else "✕"
    st.caption(
        f"{plain(row.before)} {plain(firm(sure(row.before_confidence)))}  \n"
        f"→ **{plain(row.after)}** {mark} {plain(firm(sure(row.after_confidence)))}"
    )


def sentence(view: JudgementView) -> None:
    """The whole in words."""
    if view.sentence:
        st.markdown(plain(view.sentence))
