"""The form for a new run: what goes in, which way, and with which settings."""

from collections.abc import Sequence
from functools import partial
from typing import Any
from uuid import uuid4

import streamlit as st

from dashboard.screens.context import REFUSALS, Sitting
from dashboard.screens.telling import keep
from dashboard.viewmodels.evidence import EvidenceView
from dashboard.viewmodels.runs import OptionView, StrategyView
from dashboard.views import chrome, evidence_page, run_page

PLACE = "runs"
RUN = "run"
WAYS = {
    "Reweight": "Refits the decision on the same concepts. A matter of seconds to minutes; names "
    "and verdicts stay as they are.",
    "Fine-tune": "Trains the last layers of the encoder too, so that it sees less of what was "
    "rejected. Minutes to hours; concepts are matched anew, and names and verdicts carry over.",
}


def form(sitting: Sitting) -> None:
    """Evidence on the left, the choice and the button on the right."""
    with st.spinner("Weighing everybody's words ..."):
        evidence = sitting.services.runs.evidence(sitting.project.id)
    st.header("New run", anchor=False)
    left, right = st.columns([1.35, 1], gap="large")
    with right, st.container(border=True):
        _choice(sitting, evidence)
    with left:
        _evidence(evidence)


def _evidence(view: EvidenceView) -> None:
    st.markdown(evidence_page.sentence(view))
    evidence_page.counts(view)
    evidence_page.notices(view.notices)
    evidence_page.concepts(view.concepts)
    evidence_page.columns(view)
    evidence_page.raters(view.raters)


def _choice(sitting: Sitting, evidence: EvidenceView) -> None:
    way = st.segmented_control(
        "What to do", list(WAYS), default="Reweight", required=True, key="run-way",
        help="Reweighting is quick and keeps every concept; fine-tuning changes what it sees",
    )  # fmt: skip
    st.caption(WAYS[way])
    strategy = ""
    if way == "Reweight":
        strategy = _strategy(sitting.services.runs.strategies(sitting.project.id))
        options = sitting.services.runs.strategy_options(strategy) if strategy else ()
        with_options = st.expander("Settings", expanded=False) if options else st.container()
    else:
        options = sitting.services.runs.finetune_options(sitting.project.id)
        with_options = st.container()
    with with_options:
        chosen = fields(options, f"{way}-{strategy}")
    st.number_input(
        "Seed", 0, 2**31 - 1, 0, key="run-seed",
        help="The same verdicts, settings and seed give the same result",
    )  # fmt: skip
    st.button(
        "Start the run", type="primary", width="stretch", icon=":material/play_arrow:",
        disabled=not evidence.ready or (way == "Reweight" and not strategy),
        on_click=partial(_start, sitting, str(uuid4()), strategy, chosen),
    )  # fmt: skip
    if evidence.ready:
        st.caption("It works in the background; you may review on, or close the page.")
    else:
        st.caption(chrome.plain(evidence.why_not))


def _strategy(offered: Sequence[StrategyView]) -> str:
    """One of the strategies that the evidence can feed; what each does is one click away."""
    usable = {each.key: each for each in offered if each.available}
    if not usable:
        run_page.unusable(offered)
        return ""
    # Another choice, another key: one that is no longer offered is not kept.
    key = st.selectbox(
        "Strategy", list(usable), key=f"run-strategy-{len(usable)}",
        format_func=lambda each: usable[each].title,
        help="How the verdicts change the model",
    )  # fmt: skip
    run_page.strategy(usable[key])
    with st.expander("What each strategy does"):
        for each in usable.values():
            run_page.strategy(each, titled=True)
        run_page.unusable([each for each in offered if not each.available])
    return str(key)


def fields(options: Sequence[OptionView], form: str) -> dict[str, Any]:
    """One widget per option; what is chosen, by the option's key.

    Those that few need stand under "More settings"; one that has no meaning beside what was chosen
    before it is not shown, and keeps its default.
    """
    chosen = {
        each.key: _field(each, f"option-{form}-{each.key}") for each in options if not each.extra
    }
    extra = [each for each in options if each.extra]
    if not extra:
        return chosen
    with st.expander("More settings"):
        for each in extra:
            if each.only is None or chosen.get(each.only[0]) == each.only[1]:
                chosen[each.key] = _field(each, f"option-{form}-{each.key}")
    return chosen


def _field(each: OptionView, key: str) -> Any:
    label = f"{each.label} ({each.unit})" if each.unit else each.label
    if each.kind == "switch":
        return st.toggle(label, bool(each.default), key=key, help=each.help)
    if each.kind == "choice":
        words = dict(each.choices)
        values = list(words)
        at = values.index(each.default) if each.default in values else 0
        return st.selectbox(
            label, values, at, format_func=words.__getitem__, key=key, help=each.help
        )
    if each.kind == "whole":
        low, high = (None if bound is None else int(bound) for bound in (each.low, each.high))
        return int(
            st.number_input(label, low, high, int(each.default), step=1, key=key, help=each.help)
        )
    found = st.number_input(
        label, each.low, each.high, float(each.default), format="%g", key=key, help=each.help
    )
    return float(found)


def _start(sitting: Sitting, run_id: str, strategy: str, options: dict[str, Any]) -> None:
    runs, seed = sitting.services.runs, int(st.session_state["run-seed"])
    who = {"project_id": sitting.project.id, "reviewer_id": sitting.reviewer.id}
    try:
        if strategy:
            run = runs.start_reweight(
                id=run_id, **who, seed=seed, strategy=strategy, options=options
            )
        else:
            run = runs.start_finetune(id=run_id, **who, seed=seed, options=options)
    except REFUSALS as error:
        keep(PLACE, chrome.ended(f"The run did not start: {error}"), good=False)
    else:
        st.query_params[RUN] = run.id
