"""What a report says, on the screen, from plain data."""

from collections.abc import Sequence

import streamlit as st

from dashboard.viewmodels import concept_names
from dashboard.viewmodels.concept_names import told_apart
from dashboard.viewmodels.modes import ExamplePicture
from dashboard.viewmodels.report_content import (
    CoveragePart,
    CriterionLine,
    DecisionLine,
    Figure,
    NameChange,
    OpenPart,
    ProvenanceRow,
    ReportContent,
    RunChange,
    SpuriousConcept,
    VersionStep,
)
from dashboard.viewmodels.reports import FileRow, MakingForm, MakingRow, ScopeChoices
from dashboard.views.bars import signed
from dashboard.views.chrome import plain, sentence
from dashboard.views.tables import table
from dashboard.views.text import KINDS, STATES, firm, moment, plural, share, short, sized

FIRST = (
    "coverage", "accuracy", "sensitivity", "precision", "spurious_share", "agreement", "ece",
    "worst_group", "reliance", "label_agreement",
)  # fmt: skip
SHORT = {
    "worst_group": "Worst group", "reliance": "Rests on rejected", "agreement": "Agreement on cues",
    "label_agreement": "Agree with decision", "spurious_share": "Spurious cues",
}  # fmt: skip
ACROSS = 4
SHOWN = 12  # rows of a table on the screen; the files hold all
KIND_WORDS = {"class": "Class", "split": "Split", "group": "Group"}
PASSED = {
    True: ":green-badge[:material/check_circle: pass]",
    False: ":red-badge[:material/cancel: fail]",
    None: ":gray-badge[:material/help: cannot be said]",
}
GONE, ELSEWHERE = "no longer in the workspace", "written outside the workspace"
ACTS = {"made": "made", "activate": "activated", "rollback": "gone back to", "discard": "discarded"}


def cover(content: ReportContent) -> None:
    """What is reported on, and when it was drawn up."""
    about = content.cover
    version = f"version {short(about.version)}" if about.version else "no model version yet"
    said = [plain(about.scope_sentence), plain(version), f"drawn up {moment(about.generated_at)}"]
    st.caption(" · ".join(said))


def headline(content: ReportContent) -> None:
    """The figures that matter, each with its interval beneath."""
    found = {figure.key: figure for figure in content.headline}
    shown = [found[key] for key in FIRST if key in found]
    for start in range(0, len(shown), ACROSS):
        for column, figure in zip(st.columns(ACROSS), shown[start : start + ACROSS], strict=False):
            with column, st.container(border=True, gap="xxsmall", height="stretch"):
                _metric(figure, content)


def _metric(figure: Figure, content: ReportContent) -> None:
    value = "not known" if figure.value is None else figure.text.split(" (")[0]
    help_ = plain(f"{figure.label}: {sentence(figure.what_is_this)}")
    st.metric(plain(SHORT.get(figure.key, figure.label)), firm(value), help=help_)
    st.caption(plain(_beneath(figure, content)))


def _beneath(figure: Figure, content: ReportContent) -> str:
    """How sure the figure is, or why there is none."""
    if figure.key == "coverage":
        part = content.coverage
        return f"{part.reviewed:,} of {plural(part.cases, 'case')} reviewed"
    if figure.value is None:
        return figure.text.removeprefix("not known: ")
    said = figure.text.partition(" (")[2].removesuffix(")")
    which = figure.label.partition(": ")[2]
    return f"{which}; {said}" if which else said


def criteria(rows: Sequence[CriterionLine]) -> None:
    """Pass or fail of each criterion that was fixed in advance."""
    st.header("Success criteria", anchor=False)
    if not rows:
        st.caption("No criterion was fixed in advance; a lead does that under Decisions.")
        return
    for row in rows:
        left, right = st.columns([1, 4], gap="small", vertical_alignment="center")
        left.markdown(PASSED[row.passed])
        why = f" {plain(sentence(row.reason))}" if row.passed is None and row.reason else ""
        right.markdown(f"{plain(row.evidence or row.label)}{why}")


def ranking(rows: Sequence[SpuriousConcept]) -> None:
    """Concepts by how surely people call them spurious."""
    st.header(
        "Spurious cues by concept", anchor=False,
        help="Ordered by the lower end of the interval: the concepts first that are most surely "
        "called spurious. The interval counts each case once.",
    )  # fmt: skip
    if not rows:
        st.caption("No verdicts in this scope. Mark cues on the Review screen with Y, X or U.")
        return
    shown, names = rows[:SHOWN], called(rows)
    table(
        {
            "Concept": [names[row.concept_id] for row in shown],
            "Called spurious": [row.share.text.split(" (")[0] for row in shown],
            "95 % interval": [_ends(row.share) for row in shown],
            "Spurious / correct / unsure": [
                f"{row.spurious} / {row.correct} / {row.unsure}" for row in shown
            ],
            "Cases": [row.cases for row in shown],
            "People": [row.people for row in shown],
            "Effect if removed (logit)": [signed(row.mean_causal_effect) for row in shown],
        },
        alt="Concepts and the verdicts given on them",
    )
    _more(len(rows))


def _ends(figure: Figure) -> str:
    if figure.low is None or figure.high is None:
        return "\u2013"
    return f"{100 * figure.low:.1f} to {share(figure.high)}"


def _more(total: int) -> None:
    if total > SHOWN:
        st.caption(f"And {total - SHOWN:,} more: the files hold them all.")


def called(rows: Sequence[SpuriousConcept]) -> dict[str, str]:
    """Names of the ranked concepts by id, those of one name with their numbers."""
    return concept_names.by_id(
        (row.concept_id, row.concept, row.dictionary, row.name) for row in rows
    )


def concept_line(row: SpuriousConcept, name: str) -> None:
    """Which concept the pictures below show."""
    st.markdown(
        f"**{plain(name)}**: {plural(row.spurious, 'verdict')} spurious in "
        f"{plural(row.cases, 'case')}"
    )


def picture(one: ExamplePicture, name: str, content: bytes) -> None:
    """One example with the region of the concept over it."""
    told = f"{one.prediction}" + (f", labelled {one.label}" if one.label else "")
    st.image(
        content, width="stretch", caption=plain(told),
        alt=f"{one.image_name} with the region of {name}; decided as {told}",
    )  # fmt: skip


def not_reviewed(part: CoveragePart) -> None:
    """What nobody looked at, least covered first."""
    st.header("What was not reviewed", anchor=False)
    st.markdown(plain(part.sentence))
    rows = sorted(part.rows, key=lambda row: (row.kind, row.share.value or 0.0))
    if rows:
        shown = rows[:SHOWN]
        table(
            {
                "Of": [KIND_WORDS[row.kind] for row in shown],
                "Name": [row.name or "without one" for row in shown],
                "Not reviewed": [f"{row.missing:,}" for row in shown],
                "Cases": [f"{row.cases:,}" for row in shown],
                "Reviewed": [share(row.share.value, 0) for row in shown],
            },
            alt="Cases that were not reviewed, by class, split and group",
        )
        _more(len(rows))
    if part.not_judged_first:
        named = part.not_judged_first[:8]
        told = told_apart({row.concept: row.name for row in part.not_judged_first})
        names = ", ".join(told[row.concept] for row in named)
        more = part.not_judged - len(named)
        st.caption(
            f"Never judged, largest effect first: {plain(names)}"
            + (f" and {more:,} more" if more else "")
            + "."
        )


def runs(rows: Sequence[RunChange]) -> None:
    """Runs with their first sentence."""
    st.header("Runs, before and after", anchor=False)
    if not rows:
        st.caption("No run in this scope.")
        return
    for row in rows[:4]:
        kind = KINDS.get(row.kind, row.kind)
        strategy = f", {row.strategy}" if row.strategy else ""
        st.markdown(
            f"**{plain(kind + strategy)}**, seed {row.seed}, {STATES.get(row.state, row.state)}, "
            f"{moment(row.at)}. {plain(row.sentence)}"
        )
    if len(rows) > 4:
        st.caption(f"And {len(rows) - 4} more: the files hold them all.")


def names(rows: Sequence[NameChange]) -> None:
    """Names that people gave."""
    st.header("Names that changed", anchor=False)
    if not rows:
        st.caption("No concept was renamed.")
        return
    shown = rows[:SHOWN]
    table(
        {
            "From": [row.former for row in shown],
            "To": [row.name for row in shown],
            "By": [row.by for row in shown],
            "When": [moment(row.at) for row in shown],
            "Why": [row.reason for row in shown],
        },
        alt="Names that people gave",
    )
    _more(len(rows))


def versions(rows: Sequence[VersionStep]) -> None:
    """How the model versions came about."""
    st.header("Model versions", anchor=False)
    if not rows:
        st.caption("Nothing happened to a model version in this scope.")
        return
    for row in list(reversed(rows))[:6]:
        who = f" by {plain(row.by)}" if row.by else ""
        reason = f": {plain(row.reason)}" if row.reason else ""
        st.markdown(
            f"{moment(row.at)} · **{short(row.version)}** {ACTS.get(row.what, row.what)}"
            f"{who}{reason}"
        )


def decisions(rows: Sequence[DecisionLine]) -> None:
    """Why something was chosen."""
    st.header("Decisions", anchor=False)
    if not rows:
        st.caption("No decision was written down in this scope.")
        return
    for row in rows[:5]:
        st.markdown(
            f"**{plain(row.title)}**: {plain(row.choice)}. {plain(row.reason)} "
            f":gray[{plain(row.by)}, {moment(row.at)}]"
        )


def open_points(part: OpenPart) -> None:
    """What nobody has decided yet."""
    st.header("Not decided yet", anchor=False)
    if part.note:
        st.caption(plain(part.note))
        return
    said = [
        plural(part.disputes_total, "disagreement"),
        f"{plural(part.marks_total, 'case')} flagged or escalated",
    ]
    st.markdown(" and ".join(said) + ".")


def limits(content: ReportContent) -> None:
    """What to bear in mind."""
    st.header("Limits", anchor=False)
    st.markdown("\n".join(f"- {plain(each)}" for each in content.limits))
    with st.expander("How these figures came about"):
        for each in content.method:
            st.markdown(plain(each))


def provenance(rows: Sequence[ProvenanceRow]) -> None:
    """Where the figures come from."""
    with st.expander("Provenance: hashes, versions, seeds, software"):
        table(
            {
                "Of": [row.section for row in rows],
                "What": [row.label for row in rows],
                "Value": [row.value for row in rows],
            },
            alt="Hashes, versions, seeds and software",
        )


def span_help(choices: ScopeChoices) -> str:
    """One line for the days."""
    if choices.first is None or choices.last is None:
        return "A day in UTC; no word was given yet"
    return f"A day in UTC, itself included; words were given {choices.first} to {choices.last}"


def making_heading(form: MakingForm) -> None:
    """What would be made."""
    st.subheader("Make a report", anchor=False)
    how = "It is made while you wait." if form.at_once else "The worker makes it."
    st.caption(f"{plural(form.cases, 'case')}, one page or more each. {how}")


def bar(row: MakingRow) -> None:
    """How far a report is."""
    forms = ", ".join(row.formats)
    if row.state == "queued":
        st.progress(0.0, text=plain(f"{forms}: waiting for the worker (0 %)"))
    else:
        done = min(max(row.progress, 0.0), 1.0)
        st.progress(done, text=plain(f"{forms}: {row.stage or 'working'} ({100 * done:.0f} %)"))


def stopped(row: MakingRow) -> None:
    """A report that did not come to an end."""
    forms = ", ".join(row.formats)
    what = f"{forms} of {moment(row.at)}: {STATES[row.state]}."
    st.warning(plain(f"{what} {sentence(row.message)}".strip()))


def files_heading(rows: Sequence[FileRow]) -> None:
    """What was made so far."""
    st.subheader(
        "Files made", anchor=False,
        help="Every file that left the app, with who took it and its hash (SHA-256)",
    )  # fmt: skip
    if not rows:
        st.caption("None yet.")


def file_line(row: FileRow, *, fresh: bool) -> None:
    """One file: what, who, when, its hash."""
    mark = ":green-badge[new] " if fresh else ""
    gone = "" if row.there else f" :gray-badge[{ELSEWHERE if row.path is None else GONE}]"
    where = "" if row.small or not row.path else f" In the workspace: `{row.path}`."
    st.markdown(
        f"{mark}**{plain(row.label)}**, {sized(row.size)}, {plain(row.by)}, {moment(row.at)}{gone}"
        f"{where}  \n:gray[{plain(row.scope)} SHA-256 {row.sha256[:16]}...]"
    )
