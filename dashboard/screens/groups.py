"""Groups: how a version fares by any column of the data, and words on whole columns.

The address says all (?column, ?of, ?value), so that a finding can be sent around.
"""

from collections.abc import Sequence
from functools import partial
from uuid import uuid4

import streamlit as st

from dashboard.screens import blind
from dashboard.screens.context import REFUSALS, Sitting, shown_as_sentence
from dashboard.screens.going import act, bare
from dashboard.screens.queue import review_page
from dashboard.screens.telling import tell
from dashboard.viewmodels import VerdictValue
from dashboard.viewmodels.columns import ColumnWordsView
from dashboard.viewmodels.groups import ColumnScan, GroupRow, GroupsView
from dashboard.views import chrome, groups_page, versions_page

PLACE = "groups"
COLUMN, OF = "column", "of"
ACROSS = 6
LABELS = {"spurious": "✕ Spurious", "correct": "✓ A right reason", "unsure": "? Unsure"}
STALE = "Not stored: you said something else meanwhile, in another window. It is shown now."


def page(sitting: Sitting) -> None:
    """The columns on the left, the groups that one of them makes on the right."""
    if sitting.project.active_version is None:
        chrome.empty(
            "No model version yet",
            "Groups compare what a model version decided. Discover the concepts first:",
            f'insight discover --project "{sitting.project.name}"',
        )
        return
    try:
        with st.spinner("Looking at every column ..."):
            scans = sitting.services.groups.scan(sitting.project.id)
    except REFUSALS as error:
        chrome.problem(error)
        return
    usable = [scan for scan in scans if scan.column.usable]
    if not usable:
        chrome.empty(
            "No column to group by",
            "Bring a table with further columns (camera, site, device, ...) beside the labels:",
            "insight ingest FOLDER --project NAME --labels FILE.csv",
        )
        groups_page.missing(scans)
        return
    asked = st.query_params.get(COLUMN)
    chosen = next((scan for scan in usable if scan.column.column == asked), usable[0])
    left, right = st.columns([1, 3.2], gap="medium")
    with left:
        _list(usable, chosen)
        groups_page.missing(scans)
    with right:
        tell(PLACE)
        _column(sitting, chosen)


def _list(scans: Sequence[ColumnScan], chosen: ColumnScan) -> None:
    st.subheader("Columns", anchor=False)
    for scan in scans:
        st.button(
            chrome.plain(groups_page.scan_label(scan)),
            key=f"column-{scan.column.column}",
            width="stretch",
            icon=":material/report:" if scan.differs else ":material/table_rows:",
            type="primary" if scan is chosen else "secondary",
            help=groups_page.scan_help(scan),
            on_click=_go,
            args=(COLUMN, scan.column.column),
        )
    st.caption(
        "Beside each column: accuracy of its worst and of its best group. “Differs” is said where "
        "chance alone would hardly do it."
    )


def _go(name: str, value: str) -> None:
    st.query_params[name] = value


def _column(sitting: Sitting, scan: ColumnScan) -> None:
    title_at, version_at = st.columns([1.5, 1])
    with version_at:
        version_id = _version(sitting)
    try:
        with st.spinner("Comparing the groups ..."):
            view = sitting.services.groups.of(
                sitting.project.id, scan.column.column, version_id=version_id
            )
    except REFUSALS as error:
        chrome.problem(error)
        return
    with title_at:
        groups_page.heading(view)
    groups_page.notes(view)
    groups_page.overall(view)
    left, right = st.columns([1.6, 1], gap="medium")
    with left:
        groups_page.accuracy(view)
    with right, shown_as_sentence():
        _word(sitting, scan)
    groups_page.rows(view)
    _wrong(sitting, view)


def _version(sitting: Sitting) -> str | None:
    """The version to look at; asks only where there are several."""
    rows = sitting.services.versions.list(sitting.project.id)
    if len(rows) < 2:
        return None
    by_id = {row.id: row for row in rows}
    active = next((row.id for row in rows if row.state == "active"), rows[0].id)
    asked = st.query_params.get(OF, "")
    default = asked if asked in by_id else active
    key = f"groups-of-{default}"
    return str(
        st.selectbox(
            "Version", list(by_id), list(by_id).index(default), key=key,
            format_func=lambda each: versions_page.option(by_id[each]), on_change=_keep,
            args=(key,),
        )
    )  # fmt: skip


def _keep(key: str) -> None:
    st.query_params[OF] = st.session_state[key]


def _word(sitting: Sitting, scan: ColumnScan) -> None:
    column = scan.column.column
    found = sitting.services.columns.of(sitting.project.id, sitting.reviewer.id).get(column)
    if found is None:
        return
    with st.container(border=True):
        st.subheader(
            "Is this column a reason?", anchor=False,
            help="A camera, a site or a device says nothing of the object. Called spurious, the "
            "next run makes the decision independent of it",
        )  # fmt: skip
        st.markdown(f"What goes with **{chrome.plain(scan.column.label)}** is, for the decision:")
        mine = found.mine
        revision = mine.revision if mine else 0
        stands = mine.value if mine and mine.value != "withdrawn" else None
        # The revision is part of the key: after each word the control starts from what stands.
        key = f"column-word-{column}-{revision}"
        st.segmented_control(
            f"Your word on {scan.column.label}", list(LABELS), default=stands, key=key,
            format_func=LABELS.__getitem__, label_visibility="collapsed",
            on_change=partial(_judge, sitting, column, key, revision, str(uuid4())),
        )  # fmt: skip
        if stands is not None:
            _why(sitting, column, found)
        groups_page.words(found)


def _judge(sitting: Sitting, column: str, key: str, revision: int, event_id: str) -> None:
    value: VerdictValue = st.session_state[key] or "withdrawn"
    st.query_params[COLUMN] = column
    _store(sitting, column, value, revision, event_id, None, "")


def _why(sitting: Sitting, column: str, found: ColumnWordsView) -> None:
    """A reason and a comment for my word: a further revision of it."""
    mine = found.mine
    if mine is None:
        return
    reasons = sitting.services.settings_of.of(sitting.project.id).reasons
    at = f"{column}-{mine.revision}"
    with st.expander("Say why"), st.form(f"column-form-{at}", border=False):
        options = list(reasons)
        stands = options.index(mine.reason) if mine.reason in options else None
        st.selectbox("Reason", options, stands, placeholder="none", key=f"column-why-{at}")
        st.text_area("Comment", mine.comment, max_chars=2000, height=80, key=f"column-text-{at}")
        st.form_submit_button(
            "Keep", on_click=partial(_explain, sitting, column, mine.value, mine.revision,
                                     str(uuid4())),
        )  # fmt: skip


def _explain(
    sitting: Sitting, column: str, value: VerdictValue, revision: int, event_id: str
) -> None:
    at = f"{column}-{revision}"
    reason, comment = st.session_state[f"column-why-{at}"], st.session_state[f"column-text-{at}"]
    _store(sitting, column, value, revision, event_id, reason, comment)


def _store(
    sitting: Sitting, column: str, value: VerdictValue, revision: int, event_id: str,
    reason: str | None, comment: str,
) -> None:  # fmt: skip
    said = {"withdrawn": "your word was taken back", **groups_page.WORDS}[value]
    act(
        PLACE,
        lambda: sitting.services.columns.judge(
            id=event_id, project_id=sitting.project.id, column=column,
            reviewer_id=sitting.reviewer.id, value=value, reason=reason, comment=comment,
            based_on=revision,
        ),
        done=f"{column}: {said}.",
        stale=STALE,
    )  # fmt: skip


def _wrong(sitting: Sitting, view: GroupsView) -> None:
    """Wrong decisions of one group, each one click away."""
    with_any = {row.value: row for row in view.rows if row.image_ids}
    if not with_any:
        return
    st.subheader(
        "Wrong decisions", anchor=False, help="Of the group that you choose, the surest first"
    )
    value = st.selectbox(
        "Group", list(with_any), key=f"groups-wrong-{view.column.column}",
        format_func=lambda each: groups_page.wrong_title(with_any[each]),
    )  # fmt: skip
    _pictures(sitting, with_any[value])


def _pictures(sitting: Sitting, row: GroupRow) -> None:
    columns = st.columns(ACROSS, gap="small")
    said = blind.said(sitting)
    listed = zip(row.image_ids, row.case_ids, strict=True)
    pairs = [pair for pair in listed if said is None or pair[1] in said]
    blind.withheld(len(row.case_ids) - len(pairs))
    for place, (image_id, case_id) in enumerate(pairs):
        with columns[place % ACROSS], st.container(gap="xxsmall"):
            alt = f"Wrong decision {place + 1} where {row.value}"
            st.image(bare(sitting, image_id), width="stretch", alt=alt)
            st.page_link(
                review_page(), label="Open", icon=":material/open_in_new:",
                query_params={"case": case_id}, help="Open this case at the desk",
            )  # fmt: skip
