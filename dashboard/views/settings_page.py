"""Settings and members: forms and tables. Plain data in; what was typed comes out as a dict."""

from collections.abc import Sequence
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard.viewmodels import CriterionView
from dashboard.viewmodels.settings import ChangeView, MembersView, SettingsView, WeightView
from dashboard.views import chrome
from dashboard.views.tables import table
from dashboard.views.text import moment, share

HIDDEN = {
    "model": ("The model's identity", "which version decided"),
    "prediction": ("The prediction", "class, probabilities, narrative and all signed figures"),
    "labels": ("Prior labels", "the image's label, its file name and its ground-truth mask"),
    "peers": (
        "Peers until the end",
        "other people's verdicts until your word on the whole case is in; they are always "
        "hidden until your own verdict on that cue",
    ),
}
ORDERS = {
    "priority": "By the stated priority, the same for all",
    "random": "At random, each reviewer an order of their own",
}
ROLES = {
    "expert": "Expert: looks, judges, notes, proposes",
    "annotator": "Annotator: also decides proposals, renames, locks",
    "lead": "Lead: also settings, assignment, adjudication, members, and which version decides",
    "removed": "No role given",
}
FIELDS = {
    "reasons": "reasons", "criteria": "criteria", "blind": "what is hidden",
    "order": "order", "seed": "seed", "weights": "weights of the plan",
    "control_share": "random control share", "overlap_share": "share judged by several people",
    "reviews_wanted": "people per shared case", "lease_minutes": "minutes a case is kept",
    "replan_words": "verdicts until the queue learns",
    "near_miss_margin": "near-miss margin", "tolerance": "what a new version may lose",
    "cluster_column": "what belongs together",
}  # fmt: skip
MAX_CRITERIA = 8


def standing(view: SettingsView) -> None:
    """Which revision stands, by whom."""
    if view.at is None:
        st.caption("The defaults stand: nobody has changed these rules yet.")
    else:
        who = chrome.plain(view.by or "")
        st.caption(f"Revision {view.revision}, set by {who}, {moment(view.at)}.")


def fair(view: SettingsView) -> dict[str, Any]:
    """What is hidden, and in which order cases come."""
    st.subheader("Blind and fair review", anchor=False)
    st.markdown("Hidden until a reviewer's own word on the case is in; then everything is shown.")
    blind = [
        key
        for key, (title, about) in HIDDEN.items()
        if st.checkbox(
            f"Hide {title[0].lower()}{title[1:]}",
            key in view.blind,
            help=f"Hides {about}",
            key=f"hide-{key}",
        )
    ]
    order = st.radio(
        "Order of cases", list(ORDERS), list(ORDERS).index(view.order), key="order-of-cases",
        format_func=ORDERS.__getitem__,
        help="A random order takes away what the order itself suggests; it is fixed by the seed",
    )  # fmt: skip
    return {"blind": blind, "order": order}


def reasons(view: SettingsView) -> dict[str, Any]:
    """Why a cue may be spurious, in the project's own words."""
    st.subheader("Reasons", anchor=False)
    typed = st.text_area(
        "Why a cue may be spurious, one reason a line", "\n".join(view.reasons), height=240,
        key="reasons", help="Offered in this order, each with a key. 1 to 12 lines of at most 40 "
        "characters. Verdicts given with a reason that is gone keep it",
    )  # fmt: skip
    return {"reasons": [line for line in typed.splitlines() if line.strip()]}


def criteria(view: SettingsView) -> dict[str, Any]:
    """What every case is rated by; only to be read once somebody rated by them."""
    st.subheader("Criteria", anchor=False)
    st.markdown("Each is rated from 1 to 5 on every case.")
    if not view.criteria_fixed:
        return {"criteria": _criteria(view.criteria)}
    st.caption(
        "Fixed: somebody has rated by them, and other words would change what those ratings mean."
    )
    _criteria_table(view)
    return {}


def _criteria_table(view: SettingsView) -> None:
    table(
        {
            "Criterion": [each.label for each in view.criteria],
            "What 1 and 5 mean": [each.text for each in view.criteria],
        },
        alt="The criteria of this project",
    )


def _criteria(given: Sequence[CriterionView]) -> list[dict[str, str]]:
    rows = [*given, *[None] * (min(MAX_CRITERIA, len(given) + 1) - len(given))]
    found = []
    for at, each in enumerate(rows):
        left, right = st.columns([1, 4])
        label = left.text_input(
            f"Name of criterion {at + 1}", each.label if each else "", key=f"criterion-{at}",
            max_chars=40, placeholder="another criterion", help="Leave empty to drop it",
        )  # fmt: skip
        text = right.text_input(
            f"What 1 and 5 mean for criterion {at + 1}", each.text if each else "",
            key=f"criterion-text-{at}", max_chars=300,
            help="Shown to every reviewer beside the five points",
        )  # fmt: skip
        if label.strip():
            kept = {"key": each.key} if each and each.label == label.strip() else {}
            found.append({**kept, "label": label, "text": text})
    return found


def plan(view: SettingsView) -> dict[str, Any]:
    """How the queue is planned, and how many people judge a case."""
    st.subheader("Plan of the queue", anchor=False)
    st.markdown(
        "Weights are shares of the places in the queue, relative to each other; 0 leaves a "
        "strategy out. A change plans the queue anew."
    )
    weights = _weights(view.weights)
    left, middle, right = st.columns(3)
    control = left.number_input(
        "Random control share (%)",
        0,
        100,
        round(100 * view.control_share),
        key="control-share",
        help="Places filled by chance, so that there is something to compare the plan with",
    )
    overlap = middle.number_input(
        "Cases judged by several people (%)",
        0,
        100,
        round(100 * view.overlap_share),
        key="overlap-share",
        help="Drawn by the seed; agreement is measured on them",
    )
    people = right.number_input(
        "People for each of those",
        1,
        10,
        view.reviews_wanted,
        key="reviews-wanted",
        help="All other cases are wanted once",
    )
    seed = left.number_input(
        "Seed",
        0,
        2**31 - 1,
        view.seed,
        key="plan-seed",
        help="The same seed gives the same plan, draws and random orders",
    )
    lease = middle.number_input(
        "Minutes a case is kept",
        1,
        1440,
        view.lease_minutes,
        key="lease-minutes",
        help="For whoever opened it, since their last act there; after that others get it",
    )
    margin = right.number_input(
        "Near miss below (percentage points)",
        0,
        100,
        round(100 * view.near_miss_margin),
        key="near-miss",
        help="A right decision that led the second class by less is a near miss",
    )
    return {
        "weights": weights, "control_share": control / 100, "overlap_share": overlap / 100,
        "reviews_wanted": people, "seed": seed, "lease_minutes": lease,
        "near_miss_margin": margin / 100, "replan_words": _replan(left, view),
    }  # fmt: skip


def _replan(at: DeltaGenerator, view: SettingsView) -> int:
    return at.number_input(
        "Order anew after so many verdicts",
        0,
        1000,
        view.replan_words,
        key="replan-words",
        help="The cases that nobody has begun are then planned with what was said; cases with a "
        "word and open ones keep their place. 0: only after a run. Never in blind or random order",
    )


def guard(view: SettingsView) -> dict[str, Any]:
    """What a new version may lose, and which images belong together when that is measured."""
    st.subheader("Guard rails", anchor=False)
    st.markdown(
        "A new version that loses more on held-out images can be used only with a written reason."
    )
    left, right = st.columns(2)
    points = left.number_input(
        "May be lost (percentage points)",
        0.0,
        100.0,
        round(100 * view.tolerance, 3),
        0.5,
        key="tolerance",
        help="Of accuracy and of worst-group accuracy, on any held-out split",
    )
    column = right.text_input(
        "Column of what belongs together",
        view.cluster_column,
        key="cluster-column",
        max_chars=80,
        placeholder="none: each image stands alone",
        help="Such as patient or plate. Images with the same value there are no independent "
        "draws, so intervals are made over whole patients or plates",
    )
    return {"tolerance": points / 100, "cluster_column": column}


def _weights(weights: Sequence[WeightView]) -> dict[str, float]:
    columns = st.columns(len(weights))
    return {
        each.key: at.number_input(
            each.label[0].upper() + each.label[1:], 0.0, 100.0, each.weight, 0.5,
            key=f"weight-{each.key}", help=each.about,
        )
        for at, each in zip(columns, weights, strict=True)
    }  # fmt: skip


def read_only(view: SettingsView) -> None:
    """The rules for those who may not change them."""
    hidden = [HIDDEN[key][0] for key in view.blind]
    table(
        {
            "Rule": [
                "Hidden until one's own word is in", "Order", "Reasons", "Random control",
                "Judged by several people", "A case is kept", "The queue learns",
                "A new version may lose",
            ],
            "Stands": [
                ", ".join(hidden) or "nothing", ORDERS[view.order], ", ".join(view.reasons),
                f"{share(view.control_share, 0)} of the places",
                f"{share(view.overlap_share, 0)} of the cases, {view.reviews_wanted} people each",
                f"{view.lease_minutes} minutes after the last act",
                _learns(view),
                f"{100 * view.tolerance:g} points of held-out accuracy without a reason",
            ],
        },
        alt="The rules of this project",
    )  # fmt: skip
    _criteria_table(view)


def _learns(view: SettingsView) -> str:
    if view.replan_words == 0 or view.blind or view.order == "random":
        return "no: open cases are ordered anew by a run or a lead only"
    return f"open cases are ordered anew after every {view.replan_words} verdicts"


def role_intro(members: MembersView) -> None:
    """What the roles mean here and now."""
    if members.open:
        st.info(
            "Nobody is lead in this project: everybody may do everything. Making someone lead "
            "closes it; everybody else is then an expert until given another role.",
            icon=":material/lock_open:",
        )
    else:
        st.markdown(f"Your role: **{ROLES[members.mine].partition(':')[0]}**.")
    for key in ("expert", "annotator", "lead"):
        name, _, may = ROLES[key].partition(": ")
        st.caption(f"**{name}** {may}.")


def changes(history: Sequence[ChangeView]) -> None:
    """What was changed, by whom and when; newest first."""
    if not history:
        st.caption("Nothing was changed yet.")
        return
    table(
        {
            "Revision": [each.revision for each in history],
            "When": [moment(each.at) for each in history],
            "Who": [each.by for each in history],
            "What": [_fields(each) for each in history],
        },
        alt="Changes of the rules",
    )  # fmt: skip


def _fields(change: ChangeView) -> str:
    return ", ".join(FIELDS.get(name, name) for name in change.fields) or "nothing"
