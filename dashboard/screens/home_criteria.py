"""Success criteria on the home screen: their answers, and setting them with a reason."""

from functools import partial
from uuid import uuid4

import streamlit as st

from dashboard.screens.context import REFUSALS, Sitting
from dashboard.screens.places import go
from dashboard.screens.telling import attempt, keep
from dashboard.viewmodels.success import MeasureView, PresetView
from dashboard.views import chrome, criteria_page, home_page

PLACE = "home"
STALE = "Not stored: somebody changed this criterion meanwhile. It is shown as it stands now."


def section(sitting: Sitting) -> None:
    """What came of each criterion, and the forms."""
    st.subheader(
        "Success criteria", anchor=False,
        help="Fixed in advance, checked now. An answer rests on the plain figure; it says so where "
        "its interval holds values on both sides of the threshold",
    )  # fmt: skip
    with st.spinner("Checking the criteria ..."):
        found = sitting.services.home.criteria(sitting.project.id)
    home_page.criteria(found, go)
    with st.expander("Set or withdraw a criterion", icon=":material/edit:"):
        _set(sitting)
        _withdraw(sitting)
        _presets(sitting)


def _set(sitting: Sitting) -> None:
    known = {each.key: each for each in sitting.services.success.measures()}
    key = str(
        st.selectbox(
            "Measure", list(known), key="criterion-measure",
            format_func=lambda each: known[each].label, help="What is to be reached",
        )
    )  # fmt: skip
    measure = known[key]
    st.caption(chrome.plain(measure.about))
    left, right = st.columns(2)
    signs = [measure.comparator, "<=" if measure.comparator == ">=" else ">="]
    left.selectbox(
        "Is to be", signs, key=f"criterion-sign-{key}", format_func=criteria_page.sign,
        help="Which side of the threshold passes",
    )  # fmt: skip
    step, scale, unit = criteria_page.scale(measure)
    right.number_input(
        f"Threshold ({unit})", measure.low * scale, measure.high * scale,
        criteria_page.usual(measure, sitting.services.success.presets()) * scale, step=step,
        key=f"criterion-threshold-{key}", help="The threshold itself passes",
    )  # fmt: skip
    revision = sitting.services.success.revision(sitting.project.id, key)
    reason = f"criterion-why-{key}-{revision}"
    st.text_area("Why this threshold", key=reason, height=80, max_chars=2000,
                 help="Kept for good and shown in every report")  # fmt: skip
    st.button(
        "Set the criterion", key="criterion-set", type="primary",
        on_click=partial(_store, sitting, str(uuid4()), measure, scale, reason, revision),
    )  # fmt: skip


def _store(
    sitting: Sitting, event_id: str, measure: MeasureView, scale: float, reason: str, revision: int
) -> None:  # fmt: skip
    typed = float(st.session_state[f"criterion-threshold-{measure.key}"])
    attempt(
        PLACE,
        lambda: sitting.services.success.set(
            id=event_id, project_id=sitting.project.id, reviewer_id=sitting.reviewer.id,
            measure=measure.key, threshold=round(typed / scale, 6),
            comparator=str(st.session_state[f"criterion-sign-{measure.key}"]),
            reason=str(st.session_state.get(reason, "")), based_on=revision,
        ),
        done=f"The criterion on {measure.label} stands from now on.", stale=STALE,
    )  # fmt: skip


def _withdraw(sitting: Sitting) -> None:
    rows = {row.measure: row for row in sitting.services.success.standing(sitting.project.id)}
    if not rows:
        return
    st.divider()
    key = str(
        st.selectbox(
            "Withdraw", list(rows), key="criterion-gone",
            format_func=lambda each: rows[each].text,
            help="It is asked for no longer; what was asked stays readable",
        )
    )  # fmt: skip
    row = rows[key]
    why = f"criterion-gone-why-{key}-{row.revision}"
    st.text_input("Why it is withdrawn", key=why, max_chars=2000)
    st.button(
        "Withdraw the criterion", key="criterion-withdraw",
        on_click=partial(_gone, sitting, str(uuid4()), key, row.label, why, row.revision),
    )  # fmt: skip


def _gone(
    sitting: Sitting, event_id: str, measure: str, label: str, why: str, revision: int
) -> None:
    attempt(
        PLACE,
        lambda: sitting.services.success.withdraw(
            id=event_id, project_id=sitting.project.id, reviewer_id=sitting.reviewer.id,
            measure=measure, reason=str(st.session_state.get(why, "")), based_on=revision,
        ),
        done=f"The criterion on {label} was withdrawn.", stale=STALE,
    )  # fmt: skip


def _presets(sitting: Sitting) -> None:
    st.divider()
    known = {each.key: each for each in sitting.services.success.presets()}
    key = str(
        st.selectbox(
            "Or take criteria that are often set together", list(known), key="criterion-preset",
            format_func=lambda each: known[each].label, help="Each can be changed afterwards",
        )
    )  # fmt: skip
    labels = {each.key: each for each in sitting.services.success.measures()}
    st.caption(chrome.plain(criteria_page.preset(known[key], labels)))
    st.text_input("Why these", key=f"criterion-preset-why-{key}", max_chars=2000)
    st.button(
        "Set all of these", key="criterion-preset-set",
        on_click=partial(_all, sitting, known[key]),
    )  # fmt: skip


def _all(sitting: Sitting, preset: PresetView) -> None:
    success, why = sitting.services.success, f"criterion-preset-why-{preset.key}"
    try:
        for measure, comparator, threshold in preset.criteria:
            success.set(
                id=str(uuid4()), project_id=sitting.project.id, reviewer_id=sitting.reviewer.id,
                measure=measure, comparator=comparator, threshold=threshold,
                reason=str(st.session_state.get(why, "")),
                based_on=success.revision(sitting.project.id, measure),
            )  # fmt: skip
    except REFUSALS as error:
        keep(PLACE, chrome.ended(f"Not stored: {error}"), good=False)
    else:
        keep(PLACE, f"{len(preset.criteria)} criteria stand from now on.", good=True)
