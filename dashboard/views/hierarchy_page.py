"""The project's hierarchy in figures, and proposals to change it, from plain data."""

from collections.abc import Callable, Sequence

import streamlit as st

from dashboard.viewmodels.hierarchy import ProposalView, TreeView
from dashboard.views import concept_figures
from dashboard.views.chrome import plain
from dashboard.views.tables import table
from dashboard.views.text import moment, plural

CHART = "hierarchy-chart"
RELATION_WORDS = {"is-a": "is a kind of", "part-of": "is part of"}
STATES = {"open": "open", "accepted": "accepted", "declined": "declined"}


def summary(tree: TreeView) -> None:
    """What the tree holds and what is left out of it."""
    said = [
        plural(tree.relations, "relation"),
        f"{tree.by_people} set by people",
        f"{plural(tree.merged, 'concept')} merged away",
        f"{plural(tree.alone, 'concept')} that fire without any relation (see List)",
    ]
    st.caption(" · ".join(said))
    for words in tree.skipped:
        st.warning(plain(words), icon=":material/warning:")


def figure(tree: TreeView, shape: concept_figures.Shape, *, on_select: Callable[[], None]) -> None:
    """Icicle or sunburst; a click chooses a concept and goes into it."""
    drawn, words = concept_figures.hierarchy(tree.roots, shape)
    st.plotly_chart(
        drawn,
        alt=words,
        config={"displayModeBar": False},
        key=f"{CHART}-{shape}",
        on_select=on_select,
        selection_mode="points",
    )
    st.caption(
        "Size: how many concepts lie below. Colour: share of images in which it fires. "
        "Hatched: part of the one above; plain: a kind of it. A click goes in; the middle or the "
        "first column goes back out."
    )


def proposal(view: ProposalView) -> None:
    """What is proposed, by whom and why, what it would do."""
    st.markdown(f"**{in_words(view)}**")
    why = f" · {plain(view.reason)}" if view.reason else ""
    st.caption(f"{plain(view.by)}, {moment(view.at)}{why}")
    if view.effect:
        st.caption(plain(view.effect))
    if view.obstacle:
        st.warning(plain(view.obstacle), icon=":material/block:")


def decided(rows: Sequence[ProposalView]) -> None:
    """What was decided, newest first."""
    table(
        {
            "Proposal": [in_plain_words(view) for view in rows],
            "By": [view.by for view in rows],
            "Decision": [STATES[view.state] for view in rows],
            "Decided by": [view.decisions[-1].by for view in rows],
            "When": [moment(view.decisions[-1].at) for view in rows],
            "Why": [view.decisions[-1].reason for view in rows],
        },
        alt="Decided proposals, newest first",
    )


def in_words(view: ProposalView) -> str:
    """The proposal as a sentence for markdown: names are escaped."""
    return _sentence(view, plain)


def in_plain_words(view: ProposalView) -> str:
    """The same where nothing reads markdown."""
    return _sentence(view, str)


def _sentence(view: ProposalView, say: Callable[[str], str]) -> str:
    concept = f"“{say(view.concept)}”"
    target = f"“{say(view.target or '')}”"
    if view.kind == "merge":
        return f"Merge {concept} into {target}"
    if view.kind == "split":
        return f"Split {concept} into {', '.join(f'“{say(part)}”' for part in view.parts)}"
    if view.target_id is None:
        return f"Take {concept} out from under its parents"
    relation = RELATION_WORDS.get(view.relation or "", "belongs to")
    return f"{concept} {relation} {target}"
