"""Validate: per class, which concepts carry the decisions, and whether they are right to."""

from functools import partial
from uuid import uuid4

import streamlit as st

from dashboard.screens import blind
from dashboard.screens.context import REFUSALS, Sitting, shown_as_sentence
from dashboard.screens.going import act, bare, drawn, to_case
from dashboard.screens.telling import tell
from dashboard.viewmodels import VerdictValue
from dashboard.viewmodels.modes import ClassView, ReasonRow
from dashboard.views import chrome, validate_page
from dashboard.views.bars import percent

CLASS, CONCEPT = "class", "concept"
PICK = "validate-class"
PLACE = "validate"
WIDTHS = (2.5, 2.0, 1.5, 3.2)
WORDS = ("correct", "spurious", "unsure")
LABELS = {"correct": "✓ Right", "spurious": "✕ Spurious", "unsure": "? Unsure"}
STALE = "Not stored: another word of yours on it came in meanwhile. What stands is shown now."


def page(sitting: Sitting) -> None:
    """The class on top, its reasons on the left, the chosen one on the right."""
    classes = sitting.project.classes
    named = st.query_params.get(CLASS)
    name = named if named in classes else classes[0]
    st.session_state[PICK] = name
    st.segmented_control(
        "Class", classes, key=PICK, on_change=_pick_class, required=True, width="content",
        help="Whose decisions to look at", format_func=chrome.plain,
    )  # fmt: skip
    try:
        with st.spinner("Adding up what the decisions rest on ..."):
            view = sitting.services.validating.view(sitting.project.id, name, sitting.reviewer.id)
    except REFUSALS as error:
        chrome.problem(error)
        return
    if not view.rows:
        _nothing(view)
        return
    tell(PLACE)
    left, right = st.columns([1.75, 1], gap="medium")
    with left:
        validate_page.figures(view)
        validate_page.verdict(view)
        _reasons(sitting, view)
        st.markdown(validate_page.fragile(view))  # below: a second line must not move the rows
    with right:
        _chosen(sitting, view)
        _fragile(sitting, view)


def _pick_class() -> None:
    st.query_params[CLASS] = st.session_state[PICK]
    st.query_params.pop(CONCEPT, None)


def _nothing(view: ClassView) -> None:
    if view.cases:
        chrome.empty(
            "No codes of these cases yet",
            "The worker computes them with discovery or a run. Start it, and come back:",
            "insight worker",
        )
        return
    chrome.empty(
        f"Nothing was decided for {chrome.plain(view.name)}",
        "No case of this project was decided for this class. Choose another class above.",
    )


def _current(view: ClassView) -> ReasonRow:
    wanted = st.query_params.get(CONCEPT)
    return next((row for row in view.rows if row.concept_id == wanted), view.rows[0])


def _reasons(sitting: Sitting, view: ClassView) -> None:
    most = max(row.share for row in view.rows)
    current = _current(view)
    validate_page.head(st.columns(WIDTHS, vertical_alignment="center", gap="small"))
    for row in view.rows:
        name, bar, fires, word = st.columns(WIDTHS, vertical_alignment="center", gap="small")
        mark = ":material/arrow_right: " if row is current else ""
        flag = " :gray-badge[artefact]" if row.artefact else ""
        name.button(
            f"{mark}{chrome.plain(row.name)}{flag}", key=f"reason-{row.concept_id}",
            type="tertiary", on_click=_pick, args=(row.concept_id,),
            help="Show the cases in which it fires most",
        )  # fmt: skip
        with bar:
            validate_page.bar(row, most)
        fires.caption(validate_page.frequency(row))
        with word:
            _word(sitting, view.name, row)
    st.caption(f"All other concepts together carry {percent(view.rest)}.")


def _pick(concept_id: str) -> None:
    st.query_params[CONCEPT] = concept_id


def _word(sitting: Sitting, class_name: str, row: ReasonRow) -> None:
    revision = row.mine.revision if row.mine else 0
    stands = row.mine.value if row.mine and row.mine.value != "withdrawn" else None
    # The revision is part of the key: after each word the control starts from what stands.
    key = f"word-{class_name}-{row.concept_id}-{revision}"
    st.segmented_control(
        f"{row.name} as a reason for {class_name}", WORDS, key=key, default=stands,
        format_func=LABELS.__getitem__, label_visibility="collapsed",
        on_change=partial(_judge, sitting, class_name, row, key, str(uuid4())),
    )  # fmt: skip


def _judge(sitting: Sitting, class_name: str, row: ReasonRow, key: str, event_id: str) -> None:
    value: VerdictValue = st.session_state[key] or "withdrawn"
    st.query_params[CONCEPT] = row.concept_id
    _store(sitting, class_name, row, event_id, value, None, "")


def _store(
    sitting: Sitting, class_name: str, row: ReasonRow, event_id: str, value: VerdictValue,
    reason: str | None, comment: str,
) -> None:  # fmt: skip
    act(
        PLACE,
        lambda: sitting.services.validating.judge(
            id=event_id, concept_id=row.concept_id, class_name=class_name,
            reviewer_id=sitting.reviewer.id, value=value, reason=reason, comment=comment,
            based_on=row.mine.revision if row.mine else 0,
        ),
        done=f"{row.name}: {validate_page.SAID[value]} for {class_name}.",
        stale=STALE,
    )  # fmt: skip


def _chosen(sitting: Sitting, view: ClassView) -> None:
    row = _current(view)
    validate_page.chosen(row, view.name)
    if row.mine is not None and row.mine.value != "withdrawn":
        _why(sitting, view.name, row)
    with shown_as_sentence():
        found = sitting.services.validating.examples(
            sitting.project.id, view.name, row.concept, said=blind.said(sitting)
        )
        found = found[:6]
        st.caption(
            "Where it fires most. Under each: activation (encoder units) and the label; ✕: decided "
            "otherwise than labelled."
        )
        if not found:
            st.caption("No case to show: in a blind project they show once your word is in.")
        places = validate_page.examples(found, [drawn(sitting, one) for one in found], row.name)
        for place, one in zip(places, found, strict=True):
            place.button(
                "Open", key=f"open-{one.case_id}", on_click=to_case, args=(one.case_id,),
                width="stretch", help="Open this case at the desk",
            )  # fmt: skip


def _why(sitting: Sitting, class_name: str, row: ReasonRow) -> None:
    """A reason and a comment for my word: a further revision of it."""
    if row.mine is None:
        return
    settings = sitting.services.settings_of.of(sitting.project.id)
    at = f"{row.concept_id}-{row.mine.revision}"
    keys = (f"why-{at}", f"text-{at}")
    with st.expander("Say why"), st.form(f"form-{keys[0]}", border=False):
        options = list(settings.reasons)
        stands = options.index(row.mine.reason) if row.mine.reason in options else None
        st.selectbox("Reason", options, index=stands, placeholder="none", key=keys[0])
        st.text_area("Comment", row.mine.comment, max_chars=2000, height=80, key=keys[1])
        st.form_submit_button(
            "Keep", on_click=partial(_explain, sitting, class_name, row, keys, str(uuid4()))
        )


def _explain(
    sitting: Sitting, class_name: str, row: ReasonRow, keys: tuple[str, str], event_id: str
) -> None:
    if row.mine is not None:
        reason, comment = st.session_state[keys[0]], st.session_state[keys[1]]
        _store(sitting, class_name, row, event_id, row.mine.value, reason, comment)


def _fragile(sitting: Sitting, view: ClassView) -> None:
    said = blind.said(sitting)
    shown = [one for one in view.fragile if said is None or one.case_id in said]
    if not shown:
        return
    st.subheader(
        "Right for the wrong reason", anchor=False,
        help="Right decisions that change when the concepts called spurious count for nothing; the "
        "surest first",
    )  # fmt: skip
    columns = st.columns(3, gap="small")
    for number, one in enumerate(shown[:6]):
        with columns[number % 3]:
            st.image(
                bare(sitting, one.image_id), width="stretch",
                alt=f"{one.image_name}: without the spurious concepts {one.without}",
                caption=chrome.plain(f"{percent(one.confidence)} sure; without: {one.without}"),
            )  # fmt: skip
            st.button("Open", key=f"fragile-{one.case_id}", on_click=to_case, args=(one.case_id,),
                      width="stretch", help="Open this case at the desk")  # fmt: skip
    if view.fragile_count > 6:
        st.caption(f"The 6 surest of {view.fragile_count}.")
