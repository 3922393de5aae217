"""Queue: what is to be reviewed, in which order and why, by whom, and how far it has come."""

from functools import partial
from typing import cast
from uuid import uuid4

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard.screens.context import REFUSALS, Sitting, shown_as_sentence
from dashboard.viewmodels import QueueRow
from dashboard.viewmodels.queue import QueueFilter, QueuePage, QueueStatus
from dashboard.views import chrome, queue_page
from dashboard.views.text import plural

FILTERS = ("search", "status", "reason", "prediction", "label", "split")
ANY = ("", "Any")
SAID, LAST, NUMBER = "queue-said", "queue-last", "page"
MOST = 500  # cases that one press assigns
AT_ONCE = 5000  # cases of an old workspace that are planned while somebody waits


def page(sitting: Sitting) -> None:
    """Progress, the stated priority, filters and one page of cases."""
    if sitting.project.cases == 0:
        queue_page.nothing(narrowed=False)
        return
    queue = sitting.services.queue
    queue.catch_up(sitting.project.id, at_most=AT_ONCE)
    done = queue.progress(sitting.project.id, sitting.reviewer.id)
    if said := st.session_state.pop(SAID, None):
        ok, text = said
        (st.success if ok else st.error)(chrome.plain(text))
    with st.container(horizontal=True, vertical_alignment="center"):
        st.header("Queue", anchor=False, width="stretch")
        _go_on(sitting)
    queue_page.progress(done)
    settings = sitting.services.settings_of.of(sitting.project.id)
    left, right = st.columns([5, 1.3], vertical_alignment="center")
    with left:
        queue_page.plan(queue.plan_of(sitting.project.id), settings.order)
    with right:
        _lead(sitting)
    wanted = _filters(sitting, settings.blind)
    shown = queue.page(sitting.project.id, sitting.reviewer.id, wanted)
    if not shown.rows:
        queue_page.nothing(wanted.narrowed)
        return
    queue_page.rows(shown, _link)
    _pages(shown)


def review_page() -> st.Page:
    """The Review screen as a target of links; the app holds the page itself."""
    return st.Page(_elsewhere, title="Review", url_path="review", default=True)


def _elsewhere() -> None:
    """Never run: a link to a page names it by its address."""


def _link(row: QueueRow) -> None:
    st.page_link(
        review_page(),
        label=f"Case {row.position:,}",
        query_params={"case": row.case_id},
        help="Open it on the Review screen",
    )


def _go_on(sitting: Sitting) -> None:
    st.page_link(
        review_page(),
        label="Go on reviewing",
        icon=":material/play_arrow:",
        help="Opens the next case that is open for you",
    )


def _filters(sitting: Sitting, blind: frozenset[str]) -> QueueFilter:
    """Filters that live in the address, so that a list can be sent to a colleague."""
    facets = sitting.services.queue.facets(sitting.project.id)
    labels, prediction = "labels" in blind, "prediction" in blind
    either = labels or prediction
    at = dict(zip(FILTERS, st.columns([2, 1.4, 1.6, 1.3, 1.3, 1]), strict=True))
    found = {
        "search": _typed(at["search"], "Image name", "Part of the file's name", hidden=labels),
        "status": _chosen(at["status"], "Status", "status", tuple(queue_page.STATUSES.items()),
                          "What happened to the case so far", hidden=False),
        "reason": _chosen(at["reason"], "Why", "reason", (ANY, *facets.reasons),
                          "The plan's strategy that put the case there", hidden=either),
        "prediction": _chosen(at["prediction"], "Decision", "prediction",
                              (ANY, *facets.predictions), "The model's class", hidden=prediction),
        "label": _chosen(at["label"], "Label", "label", (ANY, *facets.labels),
                         "The label that came with the image", hidden=labels),
        "split": _chosen(at["split"], "Split", "split", (ANY, *facets.splits),
                         "Training, validation or test images", hidden=False),
    }  # fmt: skip
    for name, value in found.items():
        _keep_in_address(name, value)
    number = _page_number(found)
    status = cast("QueueStatus", found.pop("status"))
    return QueueFilter(**found, status=status, page=number)


def _page_number(found: dict[str, str]) -> int:
    """The page to show; other filters start on the first one again."""
    last = st.session_state.get(LAST)
    st.session_state[LAST] = found.copy()
    if last is not None and last != found:
        st.query_params.pop(NUMBER, None)
    asked = st.query_params.get(NUMBER, "1")
    return int(asked) if asked.isascii() and asked.isdigit() else 1


def _typed(at: DeltaGenerator, title: str, about: str, *, hidden: bool) -> str:
    st.session_state.setdefault("search", st.query_params.get("search", ""))
    found = at.text_input(
        title, key="search", disabled=hidden, placeholder="part of a name",
        help=_help(hidden, about),
    )  # fmt: skip
    return "" if hidden else found.strip()


def _chosen(
    at: DeltaGenerator, title: str, key: str, options: tuple[tuple[str, str], ...], about: str, *,
    hidden: bool,
) -> str:  # fmt: skip
    words = dict(options)
    asked = st.query_params.get(key, "")
    st.session_state.setdefault(key, asked if asked in words else options[0][0])
    found = at.selectbox(
        title, list(words), key=key, disabled=hidden, format_func=words.__getitem__,
        help=_help(hidden, about),
    )  # fmt: skip
    return options[0][0] if hidden else str(found)


def _keep_in_address(name: str, value: str) -> None:
    if value and value != "all":
        st.query_params[name] = value
    else:
        st.query_params.pop(name, None)


def _help(hidden: bool, about: str) -> str:
    return "This project hides it until your word on a case is in" if hidden else about


def _pages(shown: QueuePage) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        queue_page.count(shown)
        if shown.pages > 1:
            key = f"queue-page-{shown.page}-{shown.pages}"
            st.pagination(shown.pages, default=shown.page, key=key, on_change=_turn, args=(key,))


def _turn(key: str) -> None:
    st.query_params[NUMBER] = str(st.session_state[key])


def _lead(sitting: Sitting) -> None:
    """Planning and assigning, for those who may."""
    rules = sitting.services.settings_of
    if rules.role(sitting.project.id, sitting.reviewer.id) != "lead":
        return
    with st.popover("Plan or assign", icon=":material/tune:", width="stretch"):
        st.markdown("**Plan anew** from what is known now; words given stay where they are.")
        st.button(
            "Plan the queue", key="queue-plan", width="stretch", on_click=partial(_plan, sitting)
        )
        st.markdown("**Assign** the next open cases to one person; others then pass them by.")
        people = rules.members(sitting.project.id, sitting.reviewer.id).members
        names = {member.reviewer_id: member.name for member in people}
        st.selectbox(
            "Person", list(names), key="queue-person",
            format_func=lambda each: chrome.plain(names[each]),
        )  # fmt: skip
        st.number_input(
            "Cases", 1, MOST, 20, key="queue-cases",
            help="How many cases that nobody gave a word on and nobody is assigned to, "
            "from the front of the queue",
        )  # fmt: skip
        st.button(
            "Assign", key="queue-assign", width="stretch", disabled=not names,
            on_click=partial(_assign, sitting, str(uuid4())),
        )  # fmt: skip


def _plan(sitting: Sitting) -> None:
    try:
        plan = sitting.services.queue.plan(sitting.project.id, sitting.reviewer.id)
    except REFUSALS as error:
        st.session_state[SAID] = (False, chrome.ended(f"Not planned: {error}"))
    else:
        st.session_state[SAID] = (True, f"{plural(plan.total, 'case')} planned.")


def _assign(sitting: Sitting, act_id: str) -> None:
    with shown_as_sentence():
        count = sitting.services.queue.assign_next(
            id=act_id,
            project_id=sitting.project.id,
            assignee_id=str(st.session_state["queue-person"]),
            by_id=sitting.reviewer.id,
            count=int(st.session_state["queue-cases"]),
        )
        st.session_state[SAID] = (True, f"{plural(count, 'case')} assigned.")
