"""Report: what was reviewed and what came of it, narrowed by the address; and the files of it.

The address names the scope (?version, ?class, ?reviewer, ?since, ?until, ?of for one case), so that
a report can be sent around as a link.
"""

from collections.abc import Callable
from datetime import date
from functools import partial
from typing import Any
from uuid import uuid4

import streamlit as st

from dashboard.screens import run_acts
from dashboard.screens.context import REFUSALS, Sitting, shown_as_sentence
from dashboard.screens.going import drawn
from dashboard.screens.queue import review_page
from dashboard.screens.telling import keep, tell
from dashboard.services.report_scope import ReportScope
from dashboard.viewmodels.modes import ExamplePicture
from dashboard.viewmodels.report_content import ReportContent, SpuriousConcept
from dashboard.viewmodels.reports import FileRow, MakingRow, ScopeChoices
from dashboard.views import chrome, report_page

PLACE = "report"
FIELDS = {
    "version": "version", "class": "class_name", "reviewer": "reviewer", "since": "since",
    "until": "until", "of": "case_id",
}  # fmt: skip
UNDER_WAY = frozenset({"queued", "running"})
SHOWN_CONCEPTS = 4
ALL = "all"
MADE = "report-made"  # ids of what was just made here
Options = dict[str, str | None]


def page(sitting: Sitting) -> None:
    """The scope, what the report says of it, and making it."""
    choices = sitting.services.report_making.choices(sitting.project.id, sitting.reviewer.id)
    st.title("Report", anchor=False)
    _pickers(choices)
    tell(PLACE)
    with shown_as_sentence():
        scope = ReportScope.parse(_named())
        person = _person(sitting)
        with st.spinner("Reading the review ..."):
            content = sitting.services.reports.content(sitting.project.id, scope, person)
        left, right = st.columns([2.6, 1], gap="medium")
        with left:
            _told(sitting, content)
        with right:
            _making(sitting, scope)


def _person(sitting: Sitting) -> Any:
    return sitting.services.reports.person(sitting.reviewer.id)


def _named() -> dict[str, str]:
    """The scope as the address names it."""
    return {field: st.query_params[key] for key, field in FIELDS.items() if key in st.query_params}


def _pickers(choices: ScopeChoices) -> None:
    """One box per way to narrow the report; what is chosen goes into the address."""
    columns = st.columns([1.7, 1.2, 1.2, 1, 1], gap="small", vertical_alignment="bottom")
    versions: Options = {hash_[:12]: words for hash_, words in choices.versions}
    _box(columns[0], "Model version", "version", versions, "Active version")
    _box(columns[1], "Class", "class", {name: name for name in choices.classes}, "All classes")
    everybody = "Your own words" if choices.blind else "Everybody"
    _box(columns[2], "Reviewer", "reviewer", {name: name for name in choices.people}, everybody)
    _day(columns[3], "From", "since", choices)
    _day(columns[4], "To", "until", choices)
    if "of" in st.query_params:
        st.button(
            "One case alone: show the whole project instead", key="report-whole",
            icon=":material/close:", type="tertiary", on_click=partial(_put, "of", None),
        )  # fmt: skip
    if choices.blind:
        st.caption(
            "This project is reviewed blind: until the lead closes the review, your reports are on "
            "your own words, on cases where your word is in."
        )


def _box(at: Any, label: str, key: str, options: Options, every: str) -> None:
    """A list with "all" first; an address may name what the list does not have."""
    chosen = st.query_params.get(key) or ALL
    known: Options = {ALL: every, **options}
    if chosen not in known:
        known[chosen] = next(
            (words for name, words in options.items() if chosen.startswith(name)), chosen
        )
    name = f"report-{key}"
    st.session_state[name] = chosen
    at.selectbox(
        label, list(known), key=name, format_func=lambda each: str(known[each]),
        on_change=_chosen, args=(key, name),
        help=f"Narrow the report by {label.lower()}; the address of this page keeps it",
    )  # fmt: skip


def _chosen(key: str, name: str) -> None:
    value = st.session_state[name]
    _put(key, None if value == ALL else value)


def _day(at: Any, label: str, key: str, choices: ScopeChoices) -> None:
    name = f"report-{key}"
    try:
        st.session_state[name] = date.fromisoformat(st.query_params.get(key, ""))
    except ValueError:
        st.session_state[name] = None
    at.date_input(
        label, key=name, format="YYYY-MM-DD", on_change=_dated, args=(key, name),
        min_value=date(2000, 1, 1), max_value=date(2100, 1, 1),
        help=report_page.span_help(choices),
    )  # fmt: skip


def _dated(key: str, name: str) -> None:
    value = st.session_state[name]
    _put(key, value.isoformat() if value else None)


def _put(key: str, value: str | None) -> None:
    if value is None:
        st.query_params.pop(key, None)
    else:
        st.query_params[key] = value


def _told(sitting: Sitting, content: ReportContent) -> None:
    report_page.cover(content)
    report_page.headline(content)
    report_page.criteria(content.criteria)
    _ranking(sitting, content.spurious)
    report_page.not_reviewed(content.coverage)
    left, right = st.columns(2, gap="medium")
    with left:
        report_page.runs(content.runs)
        report_page.names(content.names)
    with right:
        report_page.versions(content.versions)
        report_page.decisions(content.decisions)
    report_page.open_points(content.open)
    report_page.limits(content)
    report_page.provenance(content.provenance)


def _ranking(sitting: Sitting, rows: tuple[SpuriousConcept, ...]) -> None:
    report_page.ranking(rows)
    names = report_page.called(rows)
    for row in [each for each in rows if each.examples][:SHOWN_CONCEPTS]:
        report_page.concept_line(row, names[row.concept_id])
        shown = sitting.services.reports.pictures(row)
        for column, one in zip(st.columns(6, gap="small"), shown, strict=False):
            with column, st.container(gap="xxsmall"):
                report_page.picture(one, names[row.concept_id], drawn(sitting, one))
                _open(one)


def _open(one: ExamplePicture) -> None:
    st.page_link(
        review_page(), label="Open", icon=":material/open_in_new:",
        query_params={"case": one.case_id}, help="Open this case at the desk",
    )  # fmt: skip


def _making(sitting: Sitting, scope: ReportScope) -> None:
    making = sitting.services.report_making
    with st.container(border=True):
        form = making.form(sitting.project.id, scope, sitting.reviewer.id)
        report_page.making_heading(form)
        labels = {each.key: each for each in form.formats}
        if not labels:
            st.caption("No form of a report can be made here.")
            return
        formats = st.multiselect(
            "Forms", list(labels), [next(iter(labels))], key="report-formats",
            format_func=lambda each: labels[each].label,
            help="; ".join(f"{each.label}: {each.about}" for each in form.formats),
        )  # fmt: skip
        make = _now if form.at_once else _later
        if st.button(
            "Make the report", type="primary", width="stretch", key="report-make",
            icon=":material/summarize:", disabled=not formats or not form.cases,
        ):  # fmt: skip
            make(sitting, scope, tuple(formats))
    rows = making.under_way(sitting.project.id, sitting.reviewer.id)
    for row in rows[:3]:
        _one_under_way(sitting, row)
    _files(sitting, making.files(sitting.project.id, sitting.reviewer.id))


def _now(sitting: Sitting, scope: ReportScope, formats: tuple[str, ...]) -> None:
    """Made while one waits."""
    bar = st.progress(0.0, text="Making the report ...")

    def show(share: float, stage: str = "") -> None:
        bar.progress(min(max(share, 0.0), 1.0), text=chrome.plain(stage or "Making the report ..."))

    try:
        made = sitting.services.report_making.make(
            id=str(uuid4()), project_id=sitting.project.id, reviewer_id=sitting.reviewer.id,
            scope=scope, formats=formats, progress=show,
        )  # fmt: skip
    except REFUSALS as error:
        bar.empty()
        chrome.problem(error)
        return
    st.session_state[MADE] = [row.id for row in made]
    st.rerun()


def _later(sitting: Sitting, scope: ReportScope, formats: tuple[str, ...]) -> None:
    try:
        sitting.services.report_making.start(
            id=str(uuid4()), project_id=sitting.project.id, reviewer_id=sitting.reviewer.id,
            scope=scope, formats=formats,
        )  # fmt: skip
    except REFUSALS as error:
        chrome.problem(error)
        return
    keep(PLACE, "The worker makes the report; its files will be listed here.", good=True)
    st.rerun()


def _one_under_way(sitting: Sitting, row: MakingRow) -> None:
    if row.state in UNDER_WAY:
        _watch(sitting, row.run_id)
        return
    report_page.stopped(row)
    st.button(
        "Start it again", key=f"again-{row.run_id}", icon=":material/restart_alt:",
        on_click=partial(run_acts.again, sitting, PLACE, row.run_id, "The report"),
    )  # fmt: skip


@st.fragment(run_every=1)
def _watch(sitting: Sitting, run_id: str) -> None:
    rows = sitting.services.report_making.under_way(sitting.project.id, sitting.reviewer.id)
    row = next((each for each in rows if each.run_id == run_id), None)
    if row is None or row.state not in UNDER_WAY:
        st.rerun(scope="app")
    report_page.bar(row)
    st.button(
        "Cancel", key=f"cancel-{run_id}", icon=":material/stop_circle:",
        on_click=partial(run_acts.cancel, sitting, PLACE, run_id, "The report"),
    )  # fmt: skip


def _files(sitting: Sitting, rows: tuple[FileRow, ...]) -> None:
    fresh = st.session_state.get(MADE, [])
    report_page.files_heading(rows)
    for row in sorted(rows, key=lambda each: each.id not in fresh):
        report_page.file_line(row, fresh=row.id in fresh)
        if row.there and row.small:
            st.download_button(
                "Download", data=_reader(sitting, row), file_name=row.name,
                key=f"file-{row.id}", on_click="ignore", icon=":material/download:",
                width="stretch", type="primary" if row.id in fresh else "secondary",
                help="The file as it was made; that you took it is written into the audit log",
            )  # fmt: skip


def _reader(sitting: Sitting, row: FileRow) -> Callable[[], bytes]:
    """Read when it is asked for, and only then written down as taken."""
    return partial(sitting.services.report_making.read, row.id, sitting.reviewer.id)
