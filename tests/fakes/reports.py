"""A report over the phantoms: figures as people would get them, and files made in a list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

from core.errors import ConfigError, InputError
from core.phantoms import CLASSES
from dashboard.services import report_example, report_words
from dashboard.services.progress import Progress, silent
from dashboard.services.report_scope import ReportScope
from dashboard.viewmodels.judgement import Estimate
from dashboard.viewmodels.modes import ExamplePicture
from dashboard.viewmodels.report_content import (
    CoveragePart,
    CoverageRow,
    CriterionLine,
    Figure,
    NotJudged,
    OpenPart,
    ReportContent,
    SpuriousConcept,
    SpuriousExample,
)
from dashboard.viewmodels.reports import (
    FileRow,
    FormatChoice,
    MakingForm,
    MakingRow,
    ScopeChoices,
)
from db.errors import NotFound
from db.records import ReviewerRecord
from tests.fakes.cases import HOSTILE, START, Book, uid
from tests.fakes.modes import pictures
from tests.fakes.runs import BASE


def _figure(key: str, label: str, *found: float | None, n: int, of: str, unit: Any) -> Figure:
    why = "no cue was judged by two people"
    return report_words.figure(key, label, Estimate(*found), unit, n, of, why_not=why)


HEADLINE = (
    _figure("coverage", "Coverage", 0.41, n=849, of="cases", unit="share"),
    _figure("accuracy", "Accuracy", 0.873, 0.827, 0.908, n=249, of="held-out cases", unit="share"),
    _figure("spurious_share", "Share of spurious cues", 0.31, 0.27, 0.36, n=612,
            of="verdicts in 348 cases", unit="share"),
    _figure("agreement", "Agreement on cues", None, n=0, of="shared", unit="score"),
    _figure("ece", "Calibration error", 0.061, 0.035, 0.08, n=249, of="cases", unit="share"),
    _figure("worst_group", "Worst group: melanoma, no ruler", 0.62, 0.47, 0.75, n=42, of="cases",
            unit="share"),
    _figure("reliance", "Reliance on rejected concepts", 0.34, 0.31, 0.37, n=249, of="cases",
            unit="share"),
    _figure("label_agreement", "Agreement with the decision", 0.84, 0.78, 0.89, n=180,
            of="words on 160 cases", unit="share"),
)  # fmt: skip


class FakeReports:
    """One content, whatever the scope; empty until somebody judged."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self.asked: list[tuple[ReportScope, str]] = []

    def person(self, reviewer_id: str) -> ReviewerRecord:
        name = next(name for name, known in self._book.reviewers.items() if known == reviewer_id)
        return ReviewerRecord(reviewer_id, name, START)

    def content(
        self, project_id: str, scope: ReportScope, person: ReviewerRecord | None = None
    ) -> ReportContent:
        if scope.class_name not in (None, *CLASSES):
            raise ConfigError(f"{scope.class_name!r} is not a class of this project")
        self.asked.append((scope, person.name if person else ""))
        text = HOSTILE if self._book.hostile else "scale bar"
        whole = report_example.content(text)
        cover = replace(
            whole.cover, project="demo", version=BASE, scope_sentence=scope.sentence(),
            generated_at=START, scope=tuple(scope.as_dict().items()),
        )  # fmt: skip
        judged = bool(self._book.verdicts)
        return replace(
            whole,
            cover=cover,
            headline=HEADLINE,
            spurious=_ranking(text) if judged else (),
            coverage=_coverage(text),
            criteria=_criteria() if judged else (),
            runs=whole.runs if judged else (),
            names=whole.names if judged else (),
            open=replace(whole.open, note="") if judged else OpenPart((), 0, (), 0),
        )

    def pictures(self, row: SpuriousConcept) -> tuple[ExamplePicture, ...]:
        return pictures(len(row.examples))


def _ranking(text: str) -> tuple[SpuriousConcept, ...]:
    example = SpuriousExample(
        uid("cue", 0), uid("case", 0), uid("image", 0), "phantom_0000.png", "ab" * 32, CLASSES[0],
        CLASSES[1], 1.9, 3,
    )  # fmt: skip
    share = _figure("concept", "Called spurious", 0.94, 0.88, 0.97, n=143,
                    of="verdicts in 120 cases", unit="share")  # fmt: skip
    low = _figure("concept", "Called spurious", 0.04, 0.01, 0.12, n=60, of="verdicts", unit="share")
    return (
        SpuriousConcept(uid("concept", "ruler"), 41, BASE, text, 9, 134, 4, 120, 3, share, 1.87,
                        (example,) * 3),
        SpuriousConcept(uid("concept", "hair"), 45, BASE, "hair", 58, 2, 1, 60, 2, low, 0.08),
    )  # fmt: skip


def _coverage(text: str) -> CoveragePart:
    def row(kind: Any, name: str | None, cases: int, reviewed: int) -> CoverageRow:
        share = _figure("covered", "Reviewed", reviewed / cases, n=cases, of="cases", unit="share")
        return CoverageRow(kind, name, cases, reviewed, share)

    return CoveragePart(
        849, 348, HEADLINE[0], "501 cases of 849 (59.0 %) were not reviewed by anybody.",
        (row("class", CLASSES[1], 300, 60), row("class", CLASSES[0], 549, 288),
         row("split", "test", 249, 0), row("group", None, 849, 348)),
        400, 64, 21, (NotJudged(uid("concept", "x"), 7, text, 130, 1.2),),
    )  # fmt: skip


def _criteria() -> tuple[CriterionLine, ...]:
    return (
        CriterionLine("coverage", "Coverage", ">=", 0.8, 0.41, None, None, False,
                      "agreed with the customer", "Coverage is 41 %, at least 80 % was asked for."),
        CriterionLine("alpha", "Agreement", ">=", 0.6, None, None, None, None,
                      "no cue was judged by two people yet", "Agreement of at least 0.60."),
        CriterionLine("accuracy", "Accuracy", ">=", 0.8, 0.87, 0.83, 0.91, True, "",
                      "Accuracy is 87.3 %, at least 80 % was asked for."),
    )  # fmt: skip


@dataclass
class _Run:
    id: str
    formats: tuple[str, ...]
    scope: ReportScope
    looked: int = 0
    state: Any = "queued"


@dataclass
class FakeMaking:
    """Files in a list; what the worker makes is done the third time it is looked at."""

    book: Book
    cases: int = 120
    refuses: str = ""
    blind: bool = False
    made: list[FileRow] = field(default_factory=list)
    runs: list[_Run] = field(default_factory=list)

    FORMATS = (
        FormatChoice("html", "HTML", "One file to read"), FormatChoice("pdf", "PDF", "Pages"),
        FormatChoice("csv", "CSV tables", "For a spreadsheet"),
    )  # fmt: skip

    def choices(self, project_id: str, reviewer_id: str) -> ScopeChoices:
        people = tuple(sorted(self.book.reviewers))
        versions = ((BASE, f"{BASE[:10]} (discover, active)"),)
        day = date(2026, 5, 4)
        return ScopeChoices(versions, tuple(CLASSES), people, day, day, self.blind)

    def form(self, project_id: str, scope: ReportScope, reviewer_id: str) -> MakingForm:
        return MakingForm(self.FORMATS, self.cases, self.cases <= 200)

    def make(
        self, *, id: str, project_id: str, reviewer_id: str, scope: ReportScope,
        formats: Sequence[str], progress: Progress = silent,
    ) -> tuple[FileRow, ...]:  # fmt: skip
        if self.refuses:
            raise ConfigError(self.refuses)
        progress(0.5, "drawing the pictures")
        rows = tuple(self._file(name, scope) for name in formats)
        self.made = [*rows, *self.made]
        return rows

    def start(
        self, *, id: str, project_id: str, reviewer_id: str, scope: ReportScope,
        formats: Sequence[str],
    ) -> str:  # fmt: skip
        self.runs.append(_Run(id, tuple(formats), scope))
        return id

    def under_way(self, project_id: str, reviewer_id: str) -> tuple[MakingRow, ...]:
        rows = []
        for run in self.runs:
            run.looked += run.state != "failed"
            if run.looked >= 4 and run.state != "succeeded":
                run.state = "succeeded"
                self.made = [*(self._file(each, run.scope) for each in run.formats), *self.made]
            elif run.looked >= 2 and run.state == "queued":
                run.state = "running"
            if run.state != "succeeded":
                rows.append(
                    MakingRow(run.id, run.state, 0.4, "drawing the pictures", "too few words",
                              tuple(each.upper() for each in run.formats), run.scope.sentence(),
                              "Ada", START)
                )  # fmt: skip
        return tuple(rows)

    def files(self, project_id: str, reviewer_id: str) -> tuple[FileRow, ...]:
        return tuple(self.made)

    def read(self, export_id: str, reviewer_id: str) -> bytes:
        found = next((row for row in self.made if row.id == export_id), None)
        if found is None:
            raise NotFound("export", export_id)
        if not found.there:
            raise InputError(found.name, "the file is no longer in the workspace")
        return b"a report"

    def _file(self, name: str, scope: ReportScope) -> FileRow:
        number = len(self.made)
        return FileRow(
            uid("export", number, name), name, name.upper(), f"demo-report.{name}", "Ada",
            START + timedelta(minutes=number), scope.sentence(), "ab" * 32, 1_250_000, True, True,
            f"exports/demo/report.{name}",
        )  # fmt: skip
