"""Decisions: why a threshold, a criterion or a version was chosen, on what evidence.

The filters stand in the address, so that a list can be sent around.
"""

from functools import partial
from uuid import uuid4

import streamlit as st

from dashboard.screens.context import Sitting, shown_as_sentence
from dashboard.screens.places import go
from dashboard.screens.telling import attempt, tell
from dashboard.viewmodels.decisions import DecisionEntry, DecisionFilter, EvidenceLink
from dashboard.views import chrome, decisions_page

PLACE = "decisions"
SUBJECT, SOURCE, SEARCH, STANDING = "subject", "source", "search", "standing"
LISTED = 60
STALE = "Not stored: that decision was superseded meanwhile. It is shown as it stands now."
FIELDS = ("decision-title", "decision-choice", "decision-why", "decision-others",
          "decision-address", "decision-case")  # fmt: skip


def page(sitting: Sitting) -> None:
    """The timeline on the left, writing one down on the right."""
    st.header(
        "Decisions", anchor=False,
        help="Written down here, or read from where they were made: versions, success criteria, "
        "rules of review. Nothing is edited; a decision that no longer holds is superseded",
    )  # fmt: skip
    tell(PLACE)
    left, right = st.columns([1.7, 1], gap="large")
    with left, shown_as_sentence():
        _list(sitting)
    with right, shown_as_sentence():
        _form(sitting)


def _list(sitting: Sitting) -> None:
    wanted = _filters()
    rows = sitting.services.decision_log.list(sitting.project.id, wanted)
    if not rows:
        decisions_page.nothing(narrowed=wanted != DecisionFilter())
        return
    decisions_page.count(rows)
    for each in rows[:LISTED]:
        decisions_page.entry(each, _evidence, _more)
    if len(rows) > LISTED:
        st.caption(f"{len(rows) - LISTED} earlier ones are not listed: narrow the list.")


def _filters() -> DecisionFilter:
    columns = st.columns([1, 1.2, 1.4, 1])
    subject = _chosen(columns[0], "About", SUBJECT, decisions_page.SUBJECTS)
    source = _chosen(columns[1], "Decided", SOURCE, decisions_page.SOURCES)
    st.session_state.setdefault("decision-search", st.query_params.get(SEARCH, ""))
    search = columns[2].text_input(
        "Search", key="decision-search", placeholder="part of the text",
        help="In title, choice, reason and name",
    )  # fmt: skip
    st.session_state.setdefault("decision-standing", bool(st.query_params.get(STANDING)))
    standing = columns[3].toggle(
        "Standing only", key="decision-standing", help="Leaves out what was superseded"
    )
    for key, value in ((SEARCH, search.strip()), (STANDING, "1" if standing else "")):
        _keep(key, value)
    return DecisionFilter(subject, source, search.strip(), standing)


def _chosen(
    at: st.delta_generator.DeltaGenerator, title: str, name: str, words: dict[str, str]
) -> str:
    key, asked = f"decision-{name}", st.query_params.get(name, "")
    st.session_state.setdefault(key, asked if asked in words else "")
    found = str(
        at.selectbox(title, list(words), key=key, format_func=words.__getitem__,
                     help="Narrows the list")
    )  # fmt: skip
    _keep(name, found)
    return found


def _keep(name: str, value: str) -> None:
    if value:
        st.query_params[name] = value
    else:
        st.query_params.pop(name, None)


def _evidence(link: EvidenceLink) -> None:
    if link.screen:
        go(chrome.plain(link.label), (link.screen, link.query))
    else:
        st.caption(chrome.plain(link.label))  # an address is text: nobody is sent anywhere


def _more(each: DecisionEntry) -> None:
    if each.source == "written" and each.superseded_by is None:
        st.button(
            "No longer holds", key=f"supersede-{each.id}",
            help="Write the decision that takes its place",
            on_click=partial(_supersede, each),
        )  # fmt: skip


def _supersede(each: DecisionEntry) -> None:
    st.session_state["decision-former"] = each.id
    st.session_state["decision-title"] = each.title
    st.session_state["decision-about"] = each.subject


def _form(sitting: Sitting) -> None:
    rules = sitting.services.settings_of
    if rules.role(sitting.project.id, sitting.reviewer.id) == "expert":
        st.caption("Decisions are written down by leads and annotators.")
        return
    log = sitting.services.decision_log
    former = st.session_state.get("decision-former")
    st.subheader(
        "Write a decision down", anchor=False,
        help="What was decided, why, what else was possible, and what it rests on",
    )  # fmt: skip
    if former is not None:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption("It takes the place of an earlier decision.", width="stretch")
            st.button("As one of its own", key="decision-own", on_click=_own)
    about = {key: words for key, words in decisions_page.SUBJECTS.items() if key}
    st.selectbox("About", list(about), key="decision-about", format_func=about.__getitem__,
                 help="What kind of decision it is")  # fmt: skip
    st.text_input("What was decided on", key="decision-title", max_chars=160,
                  placeholder="Threshold of the alarm")  # fmt: skip
    st.text_area("Choice", key="decision-choice", height=70, max_chars=2000)
    st.text_area("Why", key="decision-why", height=90, max_chars=4000)
    st.text_area("What else was possible", key="decision-others", height=70, max_chars=2000)
    offered = {
        f"{link.kind}:{link.id}": link
        for link in log.options(sitting.project.id, st.query_params.get("case"))
    }
    st.multiselect(
        "Evidence", list(offered), key="decision-evidence",
        format_func=lambda each: decisions_page.link_name(offered[each]),
        help="Runs, versions, criteria and exports, the latest of each",
    )  # fmt: skip
    st.text_input("Evidence: id of a case", key="decision-case", help="As its address shows it")
    st.text_input("Evidence: address", key="decision-address", placeholder="https://")
    st.button(
        "Keep the decision", key="decision-keep", type="primary", width="stretch",
        on_click=partial(_keep_decision, sitting, str(uuid4())),
    )  # fmt: skip


def _own() -> None:
    st.session_state.pop("decision-former", None)


def _keep_decision(sitting: Sitting, event_id: str) -> None:
    state = st.session_state
    evidence = [tuple(each.split(":", 1)) for each in state.get("decision-evidence", ())]
    for kind in ("case", "address"):
        if typed := str(state.get(f"decision-{kind}", "")).strip():
            evidence.append((kind, typed))
    stored = attempt(
        PLACE,
        lambda: sitting.services.decision_log.add(
            id=event_id, project_id=sitting.project.id, reviewer_id=sitting.reviewer.id,
            subject=str(state["decision-about"]), title=str(state["decision-title"]),
            choice=str(state["decision-choice"]), reason=str(state["decision-why"]),
            alternatives=str(state["decision-others"]), evidence=evidence,
            supersedes=state.get("decision-former"),
        ),
        done="The decision is kept.", stale=STALE,
    )  # fmt: skip
    if stored:
        for field in FIELDS:
            state[field] = ""
        state["decision-evidence"] = []
        _own()
