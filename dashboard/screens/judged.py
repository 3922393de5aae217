"""One version against another, drawn: shared by the result of a run and by any comparison."""

from collections.abc import Mapping, Sequence

import streamlit as st

from dashboard.screens import blind
from dashboard.screens.context import Sitting
from dashboard.screens.going import bare
from dashboard.screens.queue import review_page
from dashboard.viewmodels.judgement import FlipRow, JudgementView, SplitView
from dashboard.views import judgement_page

SECTION, FLIP = "show", "flip"
ACROSS = 6  # pictures beside each other
AT_ONCE = 12  # pictures on one page
FIGURES, PARTS, FLIPS, WEIGHTS = "Figures", "Groups and classes", "Flipped cases", "Weights"
SECTIONS = (FIGURES, PARTS, FLIPS, WEIGHTS)


def top(view: JudgementView) -> SplitView | None:
    """The whole in a sentence, and the held-out split to look at."""
    if len(view.splits) < 2:
        judgement_page.sentence(view)
        return pick_split(view)
    words, choice = st.columns([1.8, 1], vertical_alignment="bottom", gap="medium")
    with words:
        judgement_page.sentence(view)
    with choice:
        return pick_split(view)


def pick_split(view: JudgementView) -> SplitView | None:
    """All held-out images together, or one split; asks only where there are several."""
    every = view.splits if view.pooled is None else (view.pooled, *view.splits)
    by_name = {each.split: each for each in every}
    if len(by_name) < 2:
        return next(iter(by_name.values()), None)
    chosen = st.segmented_control(
        "Held-out images", list(by_name), default=next(iter(by_name)), required=True,
        key=f"judged-split-{view.before_hash[:8]}-{(view.after_hash or '')[:8]}",
        format_func=lambda name: f"{name} ({by_name[name].n})",
        help="Images that no version learnt from; beside each set the number of cases. What a "
        "shortcut does shows where sets differ in it, so all are shown together first",
    )  # fmt: skip
    return by_name[chosen]


def pick_section(sections: Sequence[str], key: str) -> str:
    """What to show; it stands in the address, so that it can be sent around."""
    asked = st.query_params.get(SECTION, "")
    default = asked if asked in sections else sections[0]
    chosen = st.segmented_control(
        "Show", list(sections), default=default, required=True, key=f"{key}-{default}",
        label_visibility="collapsed", on_change=_keep_section, args=(f"{key}-{default}",),
    )  # fmt: skip
    return str(chosen)


def _keep_section(key: str) -> None:
    st.query_params[SECTION] = st.session_state[key]


def section(sitting: Sitting, view: JudgementView, split: SplitView, chosen: str) -> None:
    """One section of a judgement."""
    if chosen == FIGURES:
        judgement_page.figures(split, view.resamples)
        judgement_page.regions(view.regions, view.regions_n)
        judgement_page.notes((*split.notes, *view.notes))
    elif chosen == PARTS:
        _parts(split, view.help)
    elif chosen == FLIPS:
        st.markdown(judgement_page.flips_title(split), help=view.help.get("flips"))
        _flips(sitting, split, _flips_of(view, split))
    elif chosen == WEIGHTS:
        st.subheader("Concepts whose weight changed most", anchor=False,
                     help=view.help.get("concepts"))  # fmt: skip
        judgement_page.concepts(view.concepts)


def _parts(split: SplitView, help_: Mapping[str, str]) -> None:
    if split.groups:
        st.subheader("Accuracy by group", anchor=False, help=help_.get("groups"))
        judgement_page.parts(split.groups, "group", split.split)
        judgement_page.notes((split.groups_from,))
    st.subheader("Accuracy by class", anchor=False, help=help_.get("classes"))
    judgement_page.parts(split.classes, "class", split.split)


def _flips_of(view: JudgementView, split: SplitView) -> tuple[tuple[FlipRow, ...], int]:
    """The flips of a split, or of all of them, and how many more are not listed."""
    if split is not view.pooled:
        return split.flips, split.flips_left_out
    rows = [row for each in view.splits for row in each.flips]
    rows.sort(key=lambda row: -row.after_confidence)
    return tuple(rows), sum(each.flips_left_out for each in view.splits)


def _flips(sitting: Sitting, split: SplitView, found: tuple[tuple[FlipRow, ...], int]) -> None:
    flips, left_out = found
    counts = judgement_page.flip_counts(split)
    if not counts:
        return
    kind = st.segmented_control(
        "Kind of change", list(counts), default=next(iter(counts)), required=True,
        format_func=lambda each: judgement_page.flip_name(each, counts[each]),
        key=f"flip-kind-{split.split}", label_visibility="collapsed",
        help="Went wrong: right before, wrong now. Mended: wrong before, right now",
    )  # fmt: skip
    listed = [row for row in flips if row.kind == kind]
    said = blind.said(sitting)
    rows = [row for row in listed if said is None or {row.case_id, row.former_case_id} & said]
    blind.withheld(len(listed) - len(rows))
    pages = -(-len(rows) // AT_ONCE)
    page = 1
    if pages > 1:
        page = int(st.pagination(pages, key=f"flip-page-{split.split}-{kind}"))
    _grid(sitting, rows[(page - 1) * AT_ONCE : page * AT_ONCE])
    st.caption(
        "Under each picture: the decision before and after, with how sure the model is; ✓ is the "
        "label. The surest come first." + (f" {left_out} more are not listed." if left_out else "")
    )


def _grid(sitting: Sitting, rows: Sequence[FlipRow]) -> None:
    """Pictures with a link to each case."""
    for start in range(0, len(rows), ACROSS):
        columns = st.columns(ACROSS, gap="small")
        for column, row in zip(columns, rows[start : start + ACROSS], strict=False):
            with column, st.container(gap="xxsmall"):
                judgement_page.flip(row, bare(sitting, row.image_id))
                case_id = row.case_id or row.former_case_id
                if case_id is not None:
                    st.page_link(
                        review_page(), label="Open", icon=":material/open_in_new:",
                        query_params={"case": case_id}, help=f"Open {row.image_name} at the desk",
                    )  # fmt: skip
