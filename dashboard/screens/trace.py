"""Trace: from a patch of a picture to the people behind the model, and back from anything.

The address says all: ?case, ?row, ?column (from 1) and ?cue for a patch, or ?find for a hash, an
id or a name. Without either the case that was last on the desk is shown.
"""

from __future__ import annotations

from functools import partial

import streamlit as st

from dashboard.screens.context import REFUSALS, Sitting, shown_as_sentence
from dashboard.screens.queue import review_page
from dashboard.services.trace_find import Ambiguous
from dashboard.viewmodels.trace import TraceMatch, TracePlace
from dashboard.views import case_picture, chrome, trace_page

CASE, ROW, COLUMN, CUE, FIND = "case", "row", "column", "cue", "find"
SIDE = 720  # pixels of the picture's longer side
ALL = "All that fire here"


def page(sitting: Sitting) -> None:
    """The search box, then what was asked for: a hash, or a place in a picture."""
    st.title("Trace", anchor=False)
    _search()
    asked = st.query_params.get(FIND, "").strip()
    if asked:
        _found(sitting, asked)
    else:
        with shown_as_sentence("Open a case on the Review screen first."):
            _place(sitting)


def _search() -> None:
    asked = st.query_params.get(FIND, "")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input(
            "Hash, id or name", asked, key=f"trace-find-{asked}", max_chars=128, width=460,
            help="Of a version, a snapshot, an image, a case, a verdict, a run, a file that left "
            "the app, or the name of a person; four characters of a hash are enough",
            on_change=_ask_typed, args=(f"trace-find-{asked}",),
        )  # fmt: skip
        if asked:
            st.button("Back to the picture", icon=":material/image:", on_click=_forget)


def _ask_typed(key: str) -> None:
    _ask(str(st.session_state[key]))


def _ask(key: str) -> None:
    """Trace something else."""
    if key.strip():
        st.query_params[FIND] = key.strip()
    else:
        _forget()


def _forget() -> None:
    st.query_params.pop(FIND, None)


def _found(sitting: Sitting, asked: str) -> None:
    """What a hash or a name stands for; where it fits several, these to choose from."""
    try:
        with st.spinner("Tracing ..."):
            view = sitting.services.trace.find(
                asked, project_id=sitting.project.id, viewer=sitting.reviewer.id
            )
    except Ambiguous as several:
        _choose(several.matches)
        return
    except REFUSALS as error:
        chrome.problem(error)
        return
    trace_page.answer(view, _ask, _open_at_desk)


def _choose(matches: tuple[TraceMatch, ...]) -> None:
    st.info(f"This fits {len(matches)} things; which one do you mean?")
    for match in matches:
        said = f"{match.kind} {match.ref[:16]} ({match.title}"
        project = f", project {match.project})" if match.project else ")"
        st.button(
            chrome.plain(said + project), key=f"trace-match-{match.kind}-{match.ref}",
            on_click=_ask, args=(match.ref,),
        )  # fmt: skip


def _place(sitting: Sitting) -> None:
    case_id = st.query_params.get(CASE) or sitting.state.last_case or _first(sitting)
    if case_id is None:
        chrome.empty("Nothing to trace yet", "Open a case on the Review screen first.")
        return
    place = sitting.services.trace.place(case_id, viewer=sitting.reviewer.id)
    if place.shut:
        st.info(chrome.plain(place.shut), icon=":material/visibility_off:")
        _open_at_desk(case_id)
        return
    row, column = _number(ROW, place.rows), _number(COLUMN, place.columns)
    left, right = st.columns([1, 1.35], gap="medium")
    with left:
        cue = _asked_cue(place)
        _picture(sitting, place, row, column, cue)
        _pickers(place, row, column, cue)
        _open_at_desk(case_id)
    with right, shown_as_sentence():
        x, y = (column + 0.5) / place.columns, (row + 0.5) / place.rows
        view = sitting.services.trace.pixel(case_id, x, y, cue=cue, viewer=sitting.reviewer.id)
        trace_page.answer(view, _ask, _open_at_desk)


def _first(sitting: Sitting) -> str | None:
    """The case that the queue would show, where nothing was opened yet."""
    if not sitting.project.cases:
        return None
    try:
        case = sitting.services.review.case(sitting.project.id, None, sitting.reviewer.id)
    except REFUSALS:
        return None
    return case.id


def _number(name: str, most: int) -> int:
    """Row or column from the address, from 0; the middle where it says nothing that can be."""
    text = st.query_params.get(name, "")
    number = int(text) if text.isdecimal() and len(text) < 6 else 0
    return number - 1 if 1 <= number <= most else most // 2


def _asked_cue(place: TracePlace) -> str | None:
    """The letter of the cue that the address names, if this case has it."""
    asked = st.query_params.get(CUE, "")
    return asked if asked in [letter for letter, _ in place.cues] else None


def _picture(sitting: Sitting, place: TracePlace, row: int, column: int, cue: str | None) -> None:
    """The picture with the overlay of one cue, or with the outlines of all."""
    try:
        content, _ = sitting.services.review.image_bytes(place.image_id, SIDE)
    except REFUSALS as error:
        chrome.problem(error)
        return
    grid = (place.rows, place.columns)
    maps = {
        letter: (grid, map_u8) for (letter, _), map_u8 in zip(place.cues, place.maps, strict=True)
    }
    if cue is not None:
        drawn = case_picture.one_cue(content, *maps[cue], SIDE)
    else:
        drawn = case_picture.several(content, list(maps.items()), SIDE)
    key = f"{trace_page.CHART}-{place.case_id}"
    trace_page.picture(place, drawn, (row, column), key=key, on_select=partial(_clicked, key))


def _clicked(key: str) -> None:
    points = st.session_state[key]["selection"]["points"]
    found = str(points[0].get("id", "")) if points else ""
    row, comma, column = found.partition(",")
    if comma and row.isdecimal() and column.isdecimal():
        st.query_params[ROW] = str(int(row) + 1)
        st.query_params[COLUMN] = str(int(column) + 1)


def _pickers(place: TracePlace, row: int, column: int, cue: str | None) -> None:
    """The same by keyboard: row, column and cue."""
    first, second, third = st.columns([1, 1, 2])
    for at, name, number, most in (
        (first, ROW, row, place.rows), (second, COLUMN, column, place.columns),
    ):  # fmt: skip
        key = f"trace-{name}-{place.case_id}-{number}"
        at.number_input(
            name.capitalize(), 1, most, number + 1, key=key, on_change=_keep, args=(name, key),
            help=f"Of the patch, 1 to {most}, from the upper left",
        )  # fmt: skip
    letters = {ALL: ""} | {f"{letter} {name}": letter for letter, name in place.cues}
    shown = next(label for label, letter in letters.items() if letter == (cue or ""))
    key = f"trace-cue-{place.case_id}-{cue}"
    third.selectbox(
        "Cue", list(letters), list(letters).index(shown), key=key,
        on_change=_keep_cue, args=(key, letters),
        help="One cue of this case, or all whose overlay is coloured on the patch",
    )  # fmt: skip


def _keep(name: str, key: str) -> None:
    st.query_params[name] = str(st.session_state[key])


def _keep_cue(key: str, letters: dict[str, str]) -> None:
    letter = letters[st.session_state[key]]
    if letter:
        st.query_params[CUE] = letter
    else:
        st.query_params.pop(CUE, None)


def _open_at_desk(case_id: str) -> None:
    st.page_link(
        review_page(), label="Open the case", icon=":material/open_in_new:",
        query_params={CASE: case_id}, help="Open it on the Review screen",
    )  # fmt: skip
