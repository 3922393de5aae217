"""How far people agree, in figures; and one disagreement, to be decided."""

from collections.abc import Sequence

import plotly.graph_objects as go
import streamlit as st

from dashboard.viewmodels.agreement import (
    AgreementView,
    CoefficientView,
    ConsensusView,
    DisputeRow,
    DisputeView,
    RaterView,
)
from dashboard.views.chrome import plain
from dashboard.views.figures import frame, ink
from dashboard.views.tables import table
from dashboard.views.text import moment, plural, share, sure

ITEMS = {"cue": ("cue", "cues"), "case": ("case", "cases")}
WHAT = {
    "Krippendorff's alpha": "Agreement beyond chance among all reviewers, who need not all have "
    "judged the same. 1 is perfect, 0 is chance. Krippendorff asks for 0.8, and for at least "
    "0.667 where conclusions are tentative",
    "Fleiss' kappa": "Agreement beyond chance among all reviewers, each item counting the same. "
    "1 is perfect, 0 is chance",
    "Cohen's kappa": "Agreement of two people beyond what their own habits would give by chance",
}
BAR, LINE = "#0072b2", "#8a97a3"
MARK = {"correct": "✓", "spurious": "✕", "unsure": "?"}


def readable_keys() -> None:
    """Streamlit dims the key on a filled button below the contrast that text needs."""
    st.html(
        "<style>[data-testid='stBaseButton-primary'] kbd { color: inherit; opacity: 1 }</style>"
    )


def interval(pair: tuple[float, float] | None) -> str:
    """An interval in words; a dash where there is none."""
    return "–" if pair is None else f"{number(pair[0])} to {number(pair[1])}"


def number(value: float | None) -> str:
    """A coefficient with a real minus sign; a dash where there is none.

    >>> number(-0.214), number(None)
    ('−0.21', '–')
    """
    return "–" if value is None else f"{value:.2f}".replace("-", "−")


def word(text: str) -> str:
    """A verdict with its mark; a class as it is."""
    return f"{MARK[text]} {text}" if text in MARK else text


def headline(view: AgreementView) -> None:
    """The coefficients of all reviewers together."""
    one, many = ITEMS[view.subject]
    columns = st.columns(len(view.overall) + 2)
    for column, found in zip(columns, view.overall, strict=False):
        column.metric(found.name, number(found.value), help=WHAT[found.name])
        column.caption(f"95 % interval {interval(found.bootstrap)}")
    observed = next((each.observed for each in view.overall if each.observed is not None), None)
    columns[-2].metric(
        "Same word", share(observed), help="Share of pairs of words on one item that are the same"
    )
    columns[-2].caption(f"on {plural(view.items, one, many)} that two or more judged")
    columns[-1].metric(
        "To decide",
        str(view.open),
        help=f"{many.capitalize()} on which people differ and nobody has decided yet",
    )
    columns[-1].caption(f"of {view.disputed} on which people differ")
    for note in dict.fromkeys(found.note for found in view.overall if found.note):
        st.info(f"{note[0].upper()}{note[1:]}.", icon=":material/info:")


def intervals(view: AgreementView) -> None:
    """Both ways of working out the interval, side by side."""
    one, many = ITEMS[view.subject]
    table(
        {
            "Coefficient": [found.name for found in view.overall],
            "Value": [number(found.value) for found in view.overall],
            "95 %, bootstrap": [interval(found.bootstrap) for found in view.overall],
            "95 %, analytic": [interval(found.analytic) for found in view.overall],
            many.capitalize(): [found.items for found in view.overall],
            **({"Cases": [found.cases for found in view.overall]} if one != "case" else {}),
        },
        alt="Agreement of all reviewers with two kinds of 95 % interval",
    )
    st.caption(
        "Bootstrap: percentiles over 2000 draws of whole cases, because cues of one case share a "
        "picture. Analytic: infinitesimal jackknife over cases."
    )


def pairs(view: AgreementView) -> None:
    """Cohen's kappa of each pair."""
    st.subheader("Pair by pair", anchor=False, help=WHAT["Cohen's kappa"])
    if not view.pairs:
        st.caption("No two people have judged the same yet.")
        return
    rows = [(f"{pair.first} · {pair.second}", pair.cohen) for pair in view.pairs]
    _forest(rows, "Cohen's kappa", "pairs")
    table(
        {
            "Pair": [name for name, _ in rows],
            "Kappa": [number(found.value) for _, found in rows],
            "95 % interval": [interval(found.bootstrap) for _, found in rows],
            "Same word": [share(found.observed) for _, found in rows],
            "Shared": [found.items for _, found in rows],
        },
        alt="Cohen's kappa of each pair of reviewers",
    )


def _forest(rows: Sequence[tuple[str, CoefficientView]], what: str, key: str) -> None:
    """Values with their intervals on one scale."""
    shown = [(name, found) for name, found in rows if found.value is not None][:12]
    if not shown:
        return
    values = [found.value or 0.0 for _, found in shown]
    ends = [
        found.bootstrap or found.analytic or (v, v)
        for (_, found), v in zip(shown, values, strict=True)
    ]
    figure = go.Figure(
        go.Scatter(
            x=values,
            y=[name for name, _ in shown],
            mode="markers",
            marker={"color": BAR, "size": 10, "symbol": "diamond"},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [max(0.0, high - v) for (_, high), v in zip(ends, values, strict=True)],
                "arrayminus": [max(0.0, v - low) for (low, _), v in zip(ends, values, strict=True)],
                "color": BAR,
                "thickness": 1.5,
                "width": 5,
            },
            customdata=[[interval(end)] for end in ends],
            hovertemplate="%{y}: %{x:.2f}, 95 % interval %{customdata[0]}<extra></extra>",
        )
    )
    low = min(-0.05, *(end[0] for end in ends))
    frame(figure, height=64 + 30 * len(shown))
    figure.update_xaxes(
        range=[low - 0.03, 1.04],
        title={"text": what, "font": {"color": ink()}},
        zeroline=True,
        zerolinecolor=LINE,
    )
    figure.update_yaxes(autorange="reversed")
    said = "; ".join(f"{name} {number(found.value)}" for name, found in shown)
    st.plotly_chart(
        figure,
        alt=f"{what} with 95 % intervals: {said}",
        config={"displayModeBar": False},
        key=f"forest-{key}",
    )


def concepts(view: AgreementView) -> None:
    """Agreement concept by concept, most disputed first."""
    by_case = view.subject == "case"
    first = "Predicted class" if by_case else "Concept"
    title = "Class by class" if by_case else "Concept by concept"
    st.subheader(title, anchor=False, help="Most disputed first")
    if not view.concepts:
        st.caption("Nothing was judged by two people yet.")
        return
    table(
        {
            first: [each.name for each in view.concepts],
            "Shared": [each.items for each in view.concepts],
            "Differ": [each.disputed for each in view.concepts],
            "To decide": [each.open for each in view.concepts],
            "Same word": [share(each.alpha.observed) for each in view.concepts],
            "Alpha": [number(each.alpha.value) for each in view.concepts],
            "95 % interval": [interval(each.alpha.bootstrap) for each in view.concepts],
        },
        alt=f"Agreement per {first.lower()}, most disputed first",
    )
    st.caption(
        "Alpha: Krippendorff's, with intervals over cases. A dash stands where only one word was "
        "used: then there is nothing to tell from chance, whatever the share that agrees."
    )


def raters(view: AgreementView) -> None:
    """Each person beside everybody."""
    st.subheader(
        "Each reviewer",
        anchor=False,
        help="How often each one's word is that of the others; a difference is no mistake yet",
    )
    if not view.raters:
        return
    columns: dict[str, list[object]] = {
        "Reviewer": [each.name for each in view.raters],
        "Words": [each.words for each in view.raters],
        "Unsure": [each.abstained for each in view.raters],
        "With majority": [share(each.with_majority) for each in view.raters],
    }
    for k, name in enumerate(view.words if view.consensus else ()):
        columns[f"Right on “{name}”"] = [_right(each, k) for each in view.raters]
    table(columns, alt="Each reviewer's words beside the majority and the consensus")
    st.caption(
        "Right on a word: estimated share of the items where it is true on which this person says "
        "so (Dawid and Skene), with about how many such items. It is learnt from the words alone."
    )


def _right(rater: RaterView, k: int) -> str:
    if k >= len(rater.right):
        return "–"
    _, value, items = rater.right[k]
    return f"{share(value, 0)} of {items}"


def consensus(found: ConsensusView | None, subject: str) -> None:
    """The majority beside Dawid and Skene's consensus."""
    st.subheader(
        "Majority and consensus",
        anchor=False,
        help="The majority gives everyone one voice. Dawid and Skene's consensus weighs each "
        "person by how reliable they prove to be, and holds decided items fixed",
    )
    if found is None:
        st.caption("There are no shared words to weigh yet.")
        return
    _, many = ITEMS[subject]
    table(
        {
            "": [*map(word, found.words), "undecided"],
            "Majority": [*found.majority, found.ties],
            "Consensus": [*found.consensus, found.even],
        },
        alt="How many items the majority and the consensus give each word",
    )
    parts = [
        f"The consensus settles {found.settled} of {plural(found.ties, 'tie')} and differs from "
        f"the majority on {plural(found.differ, many[:-1], many)}.",
        f"{plural(found.anchored, 'decision')} by a person {'is' if found.anchored == 1 else 'are'}"
        " held fixed.",
        "It assumes that people err independently of each other: a shared mistake looks like "
        "agreement.",
    ]
    if not found.converged:
        parts.insert(0, "The estimate did not settle: take it as rough.")
    st.caption(" ".join(parts))


def dispute_label(place: int, row: DisputeRow) -> str:
    """One disagreement as a line of a list: its place, what it is on, how many said what."""
    said = ", ".join(f"{count} {MARK.get(text, text)}" for text, count in row.said)
    done = f" · decided {MARK.get(row.decided, row.decided)}" if row.decided else ""
    return f"{place}. {row.about}: {said}{done}"


def dispute_heading(view: DisputeView) -> None:
    """What is disputed, and what the model says of it."""
    st.subheader(f"{plain(view.row.about)}", anchor=False)
    facts = [f"Image {plain(view.image_name)}"]
    if view.label:
        facts.append(f"label {plain(view.label)}")
    if view.prediction:
        facts.append(f"model says {plain(view.prediction)} ({plain(sure(view.confidence))})")
    if view.causal_effect is not None and view.contribution is not None:
        facts.append(f"effect of the cue {view.causal_effect:+.2f} logit".replace("-", "−"))
    st.caption(" · ".join(facts))


def words_of(view: DisputeView) -> None:
    """Everyone's word and reason, each with who and when."""
    for said in view.words:
        scope = {"class": " for this class", "everywhere": " everywhere"}.get(said.scope or "", "")
        reason = f" · {plain(said.reason)}" if said.reason else ""
        with st.container(border=True, gap="xxsmall"):
            st.markdown(
                f"**{plain(said.reviewer)}**: {plain(word(said.value))}{scope}{reason}"
                f" :gray[{plain(moment(said.at))}]"
            )
            if said.comment:
                st.markdown(plain(said.comment))


def leaning(view: DisputeView) -> None:
    """What majority and consensus would say."""
    row = view.row
    majority = f"Majority: {word(row.majority)}." if row.majority else "Majority: a tie."
    if row.consensus is not None:
        majority += f" Consensus: {word(row.consensus)} (probability {share(row.probability, 0)})."
    elif row.probability is not None:
        majority += " Consensus: even."
    st.caption(
        plain(majority),
        help="Consensus: Dawid and Skene's, which weighs people by how reliable they prove to be",
    )


def rulings(view: DisputeView) -> None:
    """Every decision so far, newest first."""
    if not view.rulings:
        return
    newest = list(reversed(view.rulings))
    table(
        {
            "Decided": [word(each.value) for each in newest],
            "By": [each.by for each in newest],
            "When": [moment(each.at) for each in newest],
            "Why": [each.reason for each in newest],
        },
        alt="Decisions on this disagreement, newest first",
    )
