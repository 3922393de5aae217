"""A team lead's home from plain data: numbers with unit and meaning, charts with words beside them.

Links are drawn by the screen: it hands `go(label, link, about)` in.
"""

from collections.abc import Callable, Sequence

import streamlit as st

from dashboard.viewmodels.home import (
    Anew,
    CoveragePart,
    CriteriaView,
    HistoryView,
    HomeView,
    LoadRow,
    QueueHealth,
    RunLine,
    SpuriousCell,
)
from dashboard.viewmodels.success import CriterionOutcome
from dashboard.views import bars, home_figures
from dashboard.views.chrome import plain
from dashboard.views.tables import table
from dashboard.views.text import KINDS, STATES, day, lasted, moment, plural, share, short

Go = Callable[[str, tuple[str, tuple[tuple[str, str], ...]], str], None]
NO_BAR = {"displayModeBar": False}
ICONS = {"pass": ":green-badge[✓ pass]", "fail": ":red-badge[✕ fail]"}
UNSAID = ":gray-badge[? cannot be said]"
LISTED = 12


def alerts(view: HomeView, go: Go) -> None:
    """What needs a hand."""
    for each in view.alerts:
        icon = ":material/warning:" if each.level == "warning" else ":material/info:"
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            st.markdown(f"{icon} {plain(each.text)}", width="stretch")
            go("Look", each.link, "Opens where this stands")


def health(found: QueueHealth, go: Go) -> None:
    """What the queue holds and what stands still in it; every count leads to its cases."""
    st.subheader("Queue, in cases", anchor=False, help="Cases of the active model version")
    cells = (
        ("Done", found.done, "all", "Cases on which as many people as wanted gave a word"),
        ("Begun", found.begun, "all", "Somebody gave a word, but fewer people than wanted"),
        ("Untouched", found.untouched, "open", "Nobody gave a word yet"),
        ("On a desk", found.held, "held", "Cases that somebody has open now"),
        ("Left behind", found.stale, "open",
         "Cases that were opened and left: the hold has run out without a word"),
        ("Escalated", found.escalated, "escalated", "Somebody asked for help; nobody resolved it"),
        ("Flagged", found.flagged, "flagged", "Somebody set a flag; nobody resolved it"),
        ("Skipped", found.skipped, "skipped", "Somebody passed by and has not come back"),
    )  # fmt: skip
    columns = st.columns(4)
    for n, (label, count, status, about) in enumerate(cells):
        with columns[n % 4]:
            st.metric(label, f"{count:,}", help=f"{about}; in cases")
            query = (("status", status),) if status != "all" else ()
            go("Cases", ("queue", query), f"Opens the queue: {about.lower()}")
    if found.oldest is not None:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(f"The oldest flag or escalation waits since {moment(found.oldest)}.")
            query = (("case", found.oldest_case or ""),)
            go("Open that case", ("review", query), "Opens it on the Review screen")


def coverage(title: str, rows: Sequence[CoveragePart], go: Go) -> None:
    """Coverage of each part as bars with links below."""
    if not rows:
        return
    bars.shares(
        [
            bars.Share(row.name or "none", row.share, (f"{row.done:,} of {row.cases:,}",
                                                       f"{row.begun:,}"))
            for row in rows
        ],
        caption=f"Coverage by {title}: share of the cases on which as many people as wanted gave "
        "a word",
        columns=(title.capitalize(), "", "Done", "Cases", "Begun"),
    )  # fmt: skip
    linked = [row for row in rows if row.link[1]]
    if linked:
        with st.expander(f"Cases by {title}"):
            for row in linked[:LISTED]:
                left = (*row.link[1], ("status", "open"))
                go(f"{plain(row.name)}: {row.cases - row.done:,} not done", (row.link[0], left),
                   "Opens the queue with the cases that are open for you")  # fmt: skip


def work(found: HistoryView, go: Go, *, by_week: bool) -> None:
    """Throughput by person."""
    figure, words, people = home_figures.work(found.work, found.today, by_week=by_week)
    st.plotly_chart(figure, alt=words, config=NO_BAR, key=f"home-work-{by_week}")
    if not people:
        st.caption("Nobody gave a word in this time.")
        return
    unit = "weeks" if by_week else "days"
    count = home_figures.WEEKS if by_week else home_figures.DAYS
    table(
        {
            "Person": [who for who, _, _ in people],
            "Words": [f"{n:,}" for _, n, _ in people],
            "Cases": [f"{n:,}" for _, _, n in people],
            f"Words per {'week' if by_week else 'day'}": [f"{n / count:.1f}" for _, n, _ in people],
        },
        alt=f"Words and cases by person, last {count} {unit}",
    )
    st.caption(
        f"Of the last {count} {unit} (UTC). Words: verdicts and assessments, changes included. "
        "Cases: different ones of each day, summed."
    )
    with st.expander("Cases by person"):
        for who, _, _ in people[:LISTED]:
            go(f"{plain(who)}: report on their cases", ("report", (("reviewer", who),)),
               "Opens the report, narrowed to this person")  # fmt: skip


def covered(found: HistoryView, total: int) -> None:
    """Coverage over time."""
    figure, words = home_figures.covered(found.covered, total)
    st.plotly_chart(figure, alt=words, config=NO_BAR, key="home-covered")
    st.caption(
        f"{plain(words)} A case is done when the last wanted person gave a word; words taken back "
        "since are not taken out."
    )


def agreement(found: HistoryView, go: Go) -> None:
    """Agreement over time with its intervals."""
    st.subheader(
        "Agreement over time", anchor=False,
        help="Krippendorff's alpha on cues judged by two or more people: 1 is perfect, 0 is "
        "chance. A cue counts where its last word was given",
    )  # fmt: skip
    if not found.agreement:
        st.caption("No cue was judged by two people yet.")
        return
    figure, words = home_figures.agreement(found.agreement, found.stretch)
    st.plotly_chart(figure, alt=words, config=NO_BAR, key="home-agreement")
    last = found.agreement[-1]
    low, high = last.alpha.low, last.alpha.high
    between = f", 95 % interval {low:.2f} to {high:.2f}" if low is not None and high else ""
    value = "not defined" if last.alpha.value is None else f"{last.alpha.value:.2f}{between}"
    st.caption(
        f"Latest {found.stretch} ({day(last.start)}): {value}; {plural(last.cues, 'cue')} in "
        f"{plural(last.cases, 'case')}. Bars: 95 % intervals, drawn over cases."
    )
    go("Figures and pairs", ("agreement", ()), "Opens Agreement")
    go("Open disagreements", ("agreement", (("show", "disagreements"),)), "Opens the list")


def spurious(cells: Sequence[SpuriousCell], go: Go) -> None:
    """Which cues are called spurious, in which class."""
    st.subheader(
        "Spurious cues by class", anchor=False,
        help="Standing verdicts on the concepts that are called spurious most often, by the class "
        "that the model decided: how many of those that say correct or spurious say spurious",
    )  # fmt: skip
    if not cells:
        st.caption("Nobody has called a cue spurious yet.")
        return
    figure, words = home_figures.spurious(cells)
    st.plotly_chart(figure, alt=words, config=NO_BAR, key="home-spurious")
    concepts = {cell.concept_id: cell.name for cell in cells}
    with st.expander("Cases by concept"):
        for concept_id, name in concepts.items():
            go(plain(name), ("concepts", (("concept", concept_id),)), "Opens the concept")


def load(rows: Sequence[LoadRow]) -> None:
    """Who carries what."""
    st.subheader(
        "Reviewer load",
        anchor=False,
        help="On the active version's cases; pace: of the latest words",
    )
    if not rows:
        st.caption("Nobody was given a case or gave a word yet.")
        return
    table(
        {
            "Person": [row.person for row in rows],
            "Assigned": [row.assigned for row in rows],
            "Of these open": [row.open for row in rows],
            "Done": [f"{row.done:,}" for row in rows],
            "On the desk": [row.held for row in rows],
            "Between words": [_pace(row) for row in rows],
            "Last word": [moment(row.last) for row in rows],
        },
        alt="Cases assigned, open and done, pace and last word by person",
    )
    st.caption(
        "Cases. Between words: median time between two words of one sitting; a pause of more than "
        "5 minutes ends a sitting, fewer than 5 pauses say nothing."
    )


def _pace(row: LoadRow) -> str:
    return "–" if row.seconds is None else lasted(row.seconds)


def runs(rows: Sequence[RunLine], go: Go) -> None:
    """The latest runs."""
    st.subheader("Runs", anchor=False, help="What the worker did last, and what came of it")
    if not rows:
        st.caption("No run yet.")
    for row in rows:
        what = KINDS.get(row.task or row.kind, (row.task or row.kind).capitalize())
        state = STATES.get(row.state, row.state)
        if row.state == "running":
            state = f"{state}, {share(row.progress, 0)}"
        with st.container(horizontal=True, vertical_alignment="center"):
            told = f"{plain(state)} :gray[{plain(moment(row.at))}] {plain(row.text)}"
            st.markdown(f"**{plain(what)}** {told}", width="stretch")
            go("Open", row.link, "Opens the run")


def criteria(found: CriteriaView, go: Go) -> None:
    """Which criteria are met, with the evidence."""
    if not found.outcomes:
        st.caption("No success criterion is set: what this review is to reach is not fixed.")
        return
    st.markdown(
        f"**{found.passed} passed, {found.failed} failed, {found.unsaid} cannot be said** "
        f"of {plural(len(found.outcomes), 'criterion', 'criteria')}"
    )
    for each in found.outcomes:
        _outcome(each, go)


def _outcome(each: CriterionOutcome, go: Go) -> None:
    with st.container(border=True, gap="xxsmall"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(
                f"{ICONS.get(each.verdict, UNSAID)} **{plain(each.label)}**", width="stretch",
                help=each.about,
            )  # fmt: skip
            if each.screen:
                go("Cases", (each.screen, each.query), "Opens what this answer rests on")
        st.markdown(plain(each.sentence))
        st.caption(
            f"Asked by {plain(each.by)}, {plain(moment(each.at))}, because: {plain(each.reason)}"
        )


def covered_metric(found: QueueHealth) -> None:
    """The headline: how far the review is."""
    done = found.done / found.total if found.total else None
    st.metric(
        "Coverage", share(done),
        help="Share of the active version's cases on which as many people as wanted gave a word",
    )  # fmt: skip
    st.caption(f"{found.done:,} of {found.total:,} cases")


def anew(found: Anew | None) -> None:
    """Why the figures of a version that was just made active begin at nothing."""
    if found is not None:
        st.caption(
            f"Version {short(found.version)} is in use since {moment(found.at)}: its cases are "
            f"reviewed anew. {plural(found.kept, 'verdict')} on other versions "
            f"{'is' if found.kept == 1 else 'are'} kept; in runs they go on counting, for every "
            "concept that this version still has."
        )


def week_metric(view: HistoryView) -> None:
    """The headline: what was done in the last seven days, beside the seven before."""
    ages = [((view.today - row.day).days, row) for row in view.work]
    week = sum(row.words for age, row in ages if age < 7)
    before = sum(row.words for age, row in ages if 7 <= age < 14)
    people = len({row.person for age, row in ages if age < 7})
    st.metric(
        "Words, 7 days", f"{week:,}", help="Verdicts and assessments of the last seven days (UTC)"
    )  # fmt: skip
    st.caption(f"by {plural(people, 'person', 'people')}; {before:,} in the seven days before")


def alpha_metric(view: HistoryView) -> None:
    """The headline: agreement in the latest stretch."""
    last = view.agreement[-1] if view.agreement else None
    value = last.alpha.value if last else None
    st.metric(
        "Agreement, alpha", "–" if value is None else f"{value:.2f}",
        help="Krippendorff's alpha on cues of the latest stretch of time: 1 perfect, 0 chance",
    )  # fmt: skip
    st.caption(
        f"latest {view.stretch}, {plural(last.cues, 'cue')}" if last else "no shared cue yet"
    )
