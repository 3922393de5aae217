"""The queue as a list: progress, filters' words, one row a case. Plain data in, no decisions."""

from collections.abc import Callable
from typing import Literal

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard.viewmodels import QueueRow
from dashboard.viewmodels.queue import PlanView, ProgressView, QueuePage
from dashboard.views import chrome
from dashboard.views.text import moment, plural, share, sure

STATUSES = {
    "all": "All cases",
    "open": "Open for me",
    "mine": "I gave a word",
    "assigned": "Assigned to me",
    "held": "Open at someone's desk",
    "flagged": "Flagged",
    "escalated": "Escalated",
    "skipped": "Skipped or escalated by me",
    "done": "Done by the team",
}
Colour = Literal["gray", "orange", "red"]
MARKS: dict[str, tuple[str, str, Colour]] = {
    "skip": ("skipped by me", ":material/skip_next:", "gray"),
    "flag": ("flagged", ":material/flag:", "orange"),
    "escalate": ("escalated", ":material/priority_high:", "red"),
}
WIDTHS = (1.0, 4.2, 2.4, 2.0, 3.0, 1.0)
HEADS = (
    ("Case", "Its place in your order; the link opens it on the Review screen"),
    ("Image, and why it stands here", "The plan's strategy that put the case at this place"),
    ("Decision", "The model's class and its calibrated probability"),
    ("Label", "The label that came with the image"),
    ("State", "What happened to the case so far"),
    ("People", "People who gave a word, of how many are wanted on this case"),
)
_STYLE = """
<style>
.st-key-queue-rows [data-testid="stHorizontalBlock"] {
  border-top: 1px solid color-mix(in srgb, currentColor 16%, transparent); padding: 0.3rem 0;
}
.st-key-queue-rows [data-testid="stHorizontalBlock"] [data-testid="stHorizontalBlock"] {
  border: 0; padding: 0;
}
.st-key-queue-rows p { margin: 0; line-height: 1.35; overflow-wrap: anywhere; }
.st-key-queue-rows [data-testid="stPageLink"] p { font-variant-numeric: tabular-nums; }
.st-key-queue-rows [data-testid="stVerticalBlock"] { gap: 0.1rem; }
</style>
"""


def progress(done: ProgressView) -> None:
    """How far I am and how far the team is."""
    mine, team = st.columns(2, gap="large")
    _bar(mine, "You", done.mine, done.total, "cases of the version in use with a word of yours")
    _bar(
        team, "Team", done.team, done.total,
        "cases on which as many people as wanted gave a word; one that several are to read waits",
    )  # fmt: skip
    if done.people:
        named = (f"{chrome.plain(name)} {count}" for name, count in done.people[:8])
        more = len(done.people) - 8
        rest = f" · {plural(more, 'other person', 'other people')}" if more > 0 else ""
        st.caption(
            "Cases per person: " + " · ".join(named) + rest,
            help="Cases of the active model version on which each person has a standing word",
        )


def _bar(at: DeltaGenerator, who: str, done: int, total: int, about: str) -> None:
    part = done / total if total else 0.0
    text = f"**{who}** {done:,} of {plural(total, 'case')} ({share(part, 0)})"
    at.progress(min(part, 1.0), text)
    at.caption(about[0].upper() + about[1:] + ".")


def plan(stated: PlanView, order: str) -> None:
    """The stated priority: which strategies, how many cases each, and what it could not use."""
    if order == "random":
        st.markdown(
            "**Random order.** Each reviewer meets the cases in an order of their own, drawn by "
            f"the project's seed ({stated.seed})."
        )
        return
    parts = [
        f"{chrome.plain(meaning)} **{count:,}**" for _, meaning, count in stated.counts if count
    ]
    when = f", planned {moment(stated.at)}" if stated.at else ""
    by = f" by {chrome.plain(stated.by)}" if stated.by else ""
    st.markdown(
        "**Priority.** " + (" · ".join(parts) or "not planned yet"),
        help="Each place goes to the strategy that is furthest behind its stated share (Settings); "
        f"seed {stated.seed}{when}{by}. Held-out cases come after the others.",
    )
    for note in stated.notes:
        st.caption(chrome.plain(note))


def rows(page: QueuePage, link: Callable[[QueueRow], None]) -> None:
    """One row a case; `link` draws the way to it."""
    st.html(_STYLE)
    with st.container(key="queue-rows"):
        for at, (head, about) in zip(st.columns(WIDTHS), HEADS, strict=True):
            at.markdown(f":small[:gray[{head}]]", help=about)
        for row in page.rows:
            _row(row, page.hidden, link)


def _row(row: QueueRow, hidden: frozenset[str], link: Callable[[QueueRow], None]) -> None:
    number, image, decision, label, state, people = st.columns(WIDTHS, vertical_alignment="center")
    with number:
        link(row)
    why = f":small[:gray[{chrome.plain(reason_words(row.reason))}]]" if row.reason else ""
    image.markdown(
        f"{chrome.plain(row.image_name)}  \n{why}" if why else chrome.plain(row.image_name)
    )
    decision.markdown(_decision(row, hidden))
    label.markdown(_told(row.label, "labels" in hidden and not row.done))
    with state:
        _state(row)
    people.markdown(_people(row))


def _people(row: QueueRow) -> str:
    if row.reviewers > row.wanted:
        return f"{row.reviewers} ({row.wanted} wanted)"
    return f"{row.reviewers} of {row.wanted}"


def _decision(row: QueueRow, hidden: frozenset[str]) -> str:
    if not row.prediction:
        return _told(None, "prediction" in hidden)
    said = chrome.plain(f"{sure(row.confidence)} sure")
    return f"{chrome.plain(row.prediction)}  \n:small[:gray[{said}]]"


def _told(text: str | None, kept_back: bool) -> str:
    if kept_back:
        return ":small[:gray[hidden until your word is in]]"
    return chrome.plain(text) if text else ":gray[\u2013]"


def _state(row: QueueRow) -> None:
    """Words with an icon and a colour, never the colour alone."""
    with st.container(horizontal=True, gap="small"):
        if row.done:
            st.badge("your word is in", icon=":material/check:", color="green")
        elif row.reviewers >= row.wanted:
            st.badge("done by others", icon=":material/done_all:", color="gray")
        for mark in row.marks:
            text, icon, colour = MARKS.get(mark, (mark, ":material/label:", "gray"))
            st.badge(text, icon=icon, color=colour)
        if row.held_by:
            st.badge(f"open at {chrome.plain(row.held_by)}", icon=":material/person:", color="blue")
        if row.assigned_to:
            names = ", ".join(map(chrome.plain, row.assigned_to))
            st.badge(f"for {names}", icon=":material/assignment_ind:", color="violet")
        if not (row.done or row.marks or row.held_by or row.assigned_to or row.reviewers):
            st.markdown(":small[:gray[open]]")


def reason_words(reason: str) -> str:
    """A stored reason without its key.

    >>> reason_words("control: random control"), reason_words("not planned yet")
    ('random control', 'not planned yet')
    """
    return reason.partition(": ")[2] or reason


def count(page: QueuePage) -> None:
    """Which of the cases that match are listed."""
    start = (page.page - 1) * page.size + 1
    st.caption(f"Cases {start:,} to {start + len(page.rows) - 1:,} of {page.total:,}")


def nothing(narrowed: bool) -> None:
    """No row: say why and what to do."""
    if narrowed:
        chrome.empty("No case matches", "Clear a filter above, or look for another name.")
    else:
        chrome.empty(
            "Nothing in the queue yet",
            "This project has no model version or no images. Bring images in, then discover "
            "concepts:",
            "insight ingest FOLDER --project NAME\ninsight discover --project NAME",
        )
