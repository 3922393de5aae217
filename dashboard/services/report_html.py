"""What a report's template is given, and the page written to a file as the cases come in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from jinja2 import Template
from markupsafe import Markup

from dashboard.services.report_charts import Bar, Pair, Point, bars, curve, pairs, reliability
from dashboard.services.report_filters import percent
from dashboard.services.report_pictures import Picture, uri
from dashboard.services.report_template import Look, streamed
from dashboard.viewmodels import concept_names
from dashboard.viewmodels.groups import GroupsView
from dashboard.viewmodels.judgement import Estimate
from dashboard.viewmodels.report_content import (
    CaseContent,
    Reliability,
    ReportContent,
    RunSplit,
    SpuriousConcept,
)

Form = Literal["html", "pdf"]
MOST_BARS: Final = 15
MOST_ROWS: Final = 60  # of a table that may have one row per concept
SECTIONS: Final[tuple[tuple[str, str], ...]] = (
    ("summary", "Summary"),
    ("criteria", "Success criteria"),
    ("method", "Method"),
    ("coverage", "What was reviewed, and what was not"),
    ("spurious", "Spurious cues"),
    ("agreement", "Agreement between reviewers"),
    ("open", "Open disagreements"),
    ("calibration", "Accuracy and calibration"),
    ("groups", "Groups"),
    ("drift", "Drift"),
    ("runs", "Runs, before and after"),
    ("names", "Names and hierarchy"),
    ("decisions", "Decisions"),
    ("limits", "Limits"),
    ("provenance", "Provenance"),
    ("sign-off", "Sign-off"),
    ("cases", "Annex: the cases"),
)


@dataclass(frozen=True)
class Printed:
    """A case with its picture."""

    case: CaseContent
    picture: Picture


@dataclass(frozen=True)
class Front:
    """Everything of a report that stands before its cases, ready for a template."""

    report: ReportContent
    look: Look
    pictures: Mapping[str, Picture]  # of the examples of spurious concepts, by cue id

    def context(
        self,
        form: Form,
        cases: Iterable[Printed] = (),
        *,
        shows_front: bool = True,
        shows_cases: bool = True,
        first_number: int = 1,
    ) -> dict[str, Any]:
        """The names that a template may use; they are told in docs/reporting.md."""
        return {
            "report": self.report,
            "form": form,
            "cases": cases,
            "shows_front": shows_front,
            "shows_cases": shows_cases,
            "first_number": first_number,
            "charts": charts(self.report) if shows_front else {},
            "pictures": self.pictures,
            "look": self.look,
            "logo": uri(self.look.logo, "image/png") if self.look.logo else None,
            "sections": SECTIONS,
            "title_of": dict(SECTIONS),
            "most_rows": MOST_ROWS,
        }


def write(template: Template, context: Mapping[str, Any], target: Path) -> None:
    """Write a page piece by piece; the target is there when all of it is."""
    temporary = target.with_name(target.name + ".part")
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            for piece in streamed(template, dict(context)):
                file.write(piece)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def charts(report: ReportContent) -> dict[str, Any]:
    """Every chart of a report, by the name that the template uses."""
    return {
        "coverage": _coverage(report),
        "spurious": _spurious(report.spurious[:MOST_BARS]),
        "reliability": [_reliability(part) for part in report.calibration],
        "groups": [_groups(view) for view in report.groups],
        "runs": [[_change(part) for part in run.splits] for run in report.runs],
        "over_time": _over_time(report),
    }


def _coverage(report: ReportContent) -> Markup:
    rows = report.coverage.rows[:MOST_BARS]
    return bars(
        [
            Bar(f"{row.kind}: {'without one' if row.name is None else row.name}", row.share.value,
                text=f"{row.reviewed:,} of {row.cases:,}")
            for row in rows
        ],
        title="Share of the cases that were reviewed, per class, split and group",
    )  # fmt: skip


def _spurious(rows: Sequence[SpuriousConcept]) -> Markup:
    names = concept_names.by_id(
        (row.concept_id, row.concept, row.dictionary, row.name) for row in rows
    )
    return bars(
        [
            Bar(names[row.concept_id], row.share.value, row.share.low, row.share.high,
                f"{row.spurious:,} of {row.correct + row.spurious:,}")
            for row in rows
        ],
        title="Share of verdicts that call the concept spurious, with 95 % intervals",
    )  # fmt: skip


def _reliability(part: Reliability) -> Markup:
    points = [
        Point(row.confidence, row.accuracy.value, row.accuracy.low, row.accuracy.high, row.n)
        for row in part.bins
        if row.n and row.confidence is not None and row.accuracy.value is not None
    ]
    return reliability(points, title=f"Share that is right against stated confidence, {part.cases}")


def _groups(view: GroupsView) -> Markup:
    return bars(
        [
            Bar(row.value, row.accuracy.value, row.accuracy.low, row.accuracy.high,
                f"{percent(row.accuracy.value)} of {row.n:,}")
            for row in view.rows[:MOST_BARS]
        ],
        title=f"Accuracy by {view.column.label}, with 95 % intervals",
    )  # fmt: skip


def _change(part: RunSplit) -> Markup:
    """Shares only: other units have no common scale."""
    shown = [
        row for row in part.figures if row.unit == "share" and _in_share(row.before, row.after)
    ]
    return pairs(
        [
            Pair(row.label, _bar(row.label, row.before), _bar(row.label, row.after))
            for row in shown
        ],
        title=f"Before and after on {part.split}, with 95 % intervals",
    )  # fmt: skip


def _in_share(*found: Estimate) -> bool:
    return all(each.value is None or 0 <= each.value <= 1 for each in found)


def _bar(label: str, found: Estimate) -> Bar:
    return Bar(label, found.value, found.low, found.high, percent(found.value, 1))


def _over_time(report: ReportContent) -> Markup:
    points = [
        (each.start.isoformat()[:7], each.alpha)
        for each in report.agreement.over_time
        if each.alpha.value is not None
    ]
    return curve(
        [Point(0, found.value or 0.0, found.low, found.high) for _, found in points],
        [label for label, _ in points],
        title="Krippendorff's alpha of the verdicts on cues, by month of the last word",
        low=min([0.0, *(f.low for _, f in points if f.low is not None)]),
    )
