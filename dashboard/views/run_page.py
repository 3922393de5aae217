"""Runs as tables and plots, from plain data."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import streamlit as st

from dashboard.viewmodels import MetricRow, RunView
from dashboard.viewmodels.concept_names import numbered
from dashboard.viewmodels.runs import CurveView, StrategyScore, StrategyView
from dashboard.viewmodels.versions import VersionRow
from dashboard.views import curves, figures, versions_page
from dashboard.views.chrome import plain
from dashboard.views.tables import table
from dashboard.views.text import KINDS, STATES, change, lasted, moment, share, short, sized

MARKS = {
    "queued": ":material/schedule:",
    "running": ":material/sync:",
    "succeeded": ":material/check_circle:",
    "failed": ":material/error:",
    "cancelled": ":material/cancel:",
    "interrupted": ":material/pause_circle:",
}


def title(run: RunView) -> str:
    """One line that tells runs apart."""
    return f"{kind(run)}, seed {run.seed}, {moment(run.created_at)}"


def label(run: RunView) -> str:
    """The same, short enough for a list."""
    return f"{kind(run)} · {run.created_at.astimezone():%d %b, %H:%M}"


def kind(run: RunView) -> str:
    """What a run does, in a word or two."""
    if run.task:
        return {"drift": "Drift check", "export": "Files"}.get(run.task, run.task.capitalize())
    return KINDS.get(run.kind, run.kind.capitalize())


def heading(
    run: RunView,
    strategies: Mapping[str, str] | None = None,
    made: VersionRow | None = None,
) -> None:
    """What it is and what it worked on.

    Args:
        run: any run.
        strategies: titles by key.
        made: the version that it made, where there is one.
    """
    st.header(f"{MARKS[run.state]} {plain(title(run))}", anchor=False)
    who = f" by {plain(run.requested_by)}" if run.requested_by else ""
    way = (strategies or {}).get(run.strategy, run.strategy)
    used = (
        f", {run.verdicts} verdicts (snapshot {short(run.snapshot_hash)})"
        if run.snapshot_hash
        else ""
    )
    took = (
        f" in {lasted((run.finished_at - run.started_at).total_seconds())}"
        if run.finished_at and run.started_at
        else ""
    )
    stands = versions_page.stands(made) if made else run.result_state or ""
    result = f"; result {short(run.result_version)}, {stands}" if run.result_version else ""
    base = f"; from version {short(run.base_version)}" if run.base_version else ""
    st.caption(
        f"{STATES[run.state].capitalize()}{took}. Asked for{who}"
        f"{f'; strategy: {plain(way)}' if way else ''}{base}{used}{result}."
    )


def files(run: RunView) -> None:
    """The files that a run made, with their sizes."""
    made = _table(run.details.get("files"))
    if not made:
        st.caption("It made no file.")
        return
    table(
        {
            "File": [str(each.get("path", "")) for each in made],
            "Format": [str(each.get("format", "")) for each in made],
            "Size": [sized(int(_number(each.get("size")) or 0)) for each in made],
        },
        alt="Files that the run made, as they lie in the workspace",
    )


def bar(run: RunView, now: datetime) -> None:
    """How far the run is, in words too."""
    if run.state == "queued":
        st.progress(0.0, text="Waiting for the worker (0 %)")
        return
    share_done = min(max(run.progress, 0.0), 1.0)
    so_far = (now - run.started_at).total_seconds() if run.started_at else None
    text = f"{plain(run.stage or 'Working')} ({100 * share_done:.0f} %)"
    if so_far is not None and so_far >= 1:
        text += f" · {lasted(so_far)} so far"
    st.progress(share_done, text=text)


def watched(found: Sequence[CurveView], key: str) -> None:
    """The curves of a run, two plots beside each other."""
    groups = curves.families(found)
    if not groups:
        return
    columns = st.columns(2, gap="medium")
    for at, (name, group) in enumerate(groups):
        with columns[at % 2]:
            st.subheader(
                plain(group[0].label if len(group) == 1 else name.replace("_", " ").capitalize()),
                anchor=False,
                help=" ".join(dict.fromkeys(each.help for each in group if each.help)) or None,
            )
            drawing, words = curves.plot(name, group)
            st.plotly_chart(
                drawing, alt=words, config={"displayModeBar": False}, key=f"curve-{key}-{name}-{at}"
            )


def strategy(each: StrategyView, *, titled: bool = False) -> None:
    """What a strategy does and where it comes from."""
    title = f"**{plain(each.title)}**: " if titled else ""
    paper = f" ({plain(each.paper)})" if each.paper and titled else ""
    st.caption(f"{title}{plain(each.line)}{paper}")


def unusable(offered: Sequence[StrategyView]) -> None:
    """Strategies that the evidence cannot feed yet, each with what it lacks."""
    lacking = [each for each in offered if not each.available]
    if lacking:
        st.caption(
            "Not yet possible:  \n"
            + "  \n".join(f"**{plain(each.title)}**: {plain(each.why_not)}" for each in lacking)
        )


def scores(found: Sequence[StrategyScore]) -> None:
    """What each strategy reached on the validation cases made from the verdicts."""
    table(
        {
            "Strategy": [f"{'✓ ' if each.chosen else ''}{each.title}" for each in found],
            "Score": [_score(each) for each in found],
            "Why": [each.why for each in found],
        },
        alt="Strategies that were tried, with their score on the validation cases",
    )
    st.caption(
        "Scores are measured on validation cases built from the verdicts alone, never on true "
        "groups or on the held-out images. ✓ is the strategy that was kept."
    )


def _score(each: StrategyScore) -> str:
    if each.score is None:
        return "not tried"
    return share(each.score) if each.unit == "share" else f"{each.score:.3f} {each.unit}".strip()


def comparison(run: RunView) -> None:
    """Before and after, split by split: a table beside a plot, then group by group."""
    splits = list(dict.fromkeys(row.split for row in run.metrics))
    for split, tab in zip(splits, st.tabs([f"{s} images" for s in splits]), strict=True):
        with tab:
            _split([row for row in run.metrics if row.split == split], split)
            _groups(run.details, split)


def _groups(details: Mapping[str, Any], split: str) -> None:
    """Accuracy of each group (label, with or without a rejected cue), before and after."""
    accuracy = _under(details, "group_accuracy", split)
    sizes = _under(details, "group_sizes", split)
    if not accuracy:
        return
    st.subheader(
        "Accuracy by group",
        anchor=False,
        help="Images by label and by the shortcut cue they hold. A model that leans on a cue "
        "fails in the groups where cue and label do not go together",
    )
    pairs = {group: [*pair, None, None][:2] for group, pair in accuracy.items()}
    table(
        {
            "Group": [_group(name) for name in pairs],
            "Images": [sizes.get(group) for group in pairs],
            "Before": [share(before) for before, _ in pairs.values()],
            "After": [share(after) for _, after in pairs.values()],
            "Change": [change(before, after) for before, after in pairs.values()],
        },
        alt=f"Accuracy by group before and after, on the {split} images",
    )
    if isinstance(said := details.get("groups_from"), str):
        st.caption(plain(said))


def _group(name: str) -> str:
    """A group's key ("naevus | ruler") in words."""
    label, _, cues = name.partition(" | ")
    if not cues:
        return name
    return f"{label}, without any of them" if cues == "none" else f"{label}, with {cues}"


def _under(details: Mapping[str, Any], key: str, split: str) -> Mapping[str, Any]:
    found = details.get(key)
    inner = found.get(split) if isinstance(found, Mapping) else None
    return inner if isinstance(inner, Mapping) else {}


def _split(rows: Sequence[MetricRow], split: str) -> None:
    left, right = st.columns([1, 1], gap="medium")
    table(
        {
            "Figure": [row.label for row in rows],
            "Before": [share(row.before) for row in rows],
            "After": [share(row.after) for row in rows],
            "Change": [f"{change(row.before, row.after)} {verdict(row)}" for row in rows],
        },
        alt=f"Figures before and after the run, on the {split} images",
        at=left,
    )
    left.caption("  \n".join(f"**{plain(row.label)}**: {plain(row.help)}." for row in rows))
    figure, words = figures.before_after(rows, split)
    right.plotly_chart(figure, alt=words, config={"displayModeBar": False}, key=f"plot-{split}")


def verdict(row: MetricRow) -> str:
    """Whether a change is for the better, in one word."""
    if row.before is None or row.after is None or abs(row.after - row.before) < 0.0005:
        return ""
    return "better" if (row.after > row.before) == row.higher_is_better else "worse"


def has_details(run: RunView) -> bool:
    """Whether there is anything for `details`."""
    return bool(_table(run.details.get("cues")) or _table(run.details.get("train_groups")))


def details(run: RunView) -> None:
    """How well the rejected cues were recognised, and the groups that were balanced."""
    cues = _table(run.details.get("cues"))
    groups = _table(run.details.get("train_groups"))
    names = _learnt(cues)
    left, right = st.columns(2, gap="medium")
    if cues:
        left.subheader(
            "Rejected cues it learnt",
            anchor=False,
            help="A detector per cue, learnt from your marked regions. Quality: area under the "
            "curve on verdicts held back, 0.5 is chance, 1 is perfect",
        )
        table(
            {
                "Cue": names,
                "Quality (AUC)": [_figure(cue.get("heldback_auc")) for cue in cues],
                "Regions": [cue.get("regions") for cue in cues],
            },
            alt="Quality of the detectors of rejected cues",
            at=left,
        )
    if groups:
        right.subheader(
            "How the training images were weighed",
            anchor=False,
            help="Training images by label and by the rejected cues that the detectors found in "
            "them. The weights make label and rejected cue independent, so that the refitted "
            "model gains nothing by leaning on the cue",
        )
        table(
            {
                "Label": [str(group.get("label", "")) for group in groups],
                "With": [_with(group.get("present"), names) for group in groups],
                "Images": [group.get("n") for group in groups],
                "Share of the weight": [share(_number(group.get("weight"))) for group in groups],
            },
            alt="Groups of training images and their weights",
            at=right,
        )


def _table(value: Any) -> list[Mapping[str, Any]]:
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []


def _figure(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, int | float) else "\u2013"


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _learnt(cues: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of the cues it learnt; of two that share one, the numbers of their concepts too.

    >>> _learnt([{"name": "ruler", "concepts": [1, 27]}, {"name": "ruler", "concepts": [1]}])
    ['ruler · no. 1, 27', 'ruler · no. 1']
    """
    often = Counter(str(cue.get("name", "")).casefold() for cue in cues)
    found = []
    for cue in cues:
        name, concepts = str(cue.get("name", "")), cue.get("concepts")
        if often[name.casefold()] > 1 and isinstance(concepts, list) and concepts:
            name = numbered(name, ", ".join(map(str, concepts)))
        found.append(name)
    return found


def _with(present: Any, names: Sequence[str]) -> str:
    """The rejected cues that a group holds, by name."""
    flags = present if isinstance(present, list | tuple) else ()
    held = [name for name, flag in zip(names, flags, strict=False) if flag]
    return " and ".join(dict.fromkeys(held)) or "none of them"
