"""Hand-written stand-ins for the services, for the screens' tests and pictures.

They keep the contract of the real ones (append-only verdicts, client-made ids, `based_on`) in a
few dicts, with phantoms for pictures. No patching anywhere: a screen gets one set or the other.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.phantoms import CLASSES
from dashboard.viewmodels import (
    ConceptTally,
    ProjectView,
    ReportView,
    VerdictValue,
    VerdictView,
    VersionView,
)
from tests.fakes.agreement import FakeAgreement
from tests.fakes.cases import HOSTILE, START, WEIGHTS, Book, uid
from tests.fakes.concepts import FakeConcepts, FakeHierarchy, Marks
from tests.fakes.drift import FakeDrift
from tests.fakes.groups import FakeColumns, FakeGroups
from tests.fakes.judging import FakeJudging
from tests.fakes.modes import FakeDiagnosing, FakeDiscovering, FakeNotes, FakeValidating
from tests.fakes.queue import FakeQueue
from tests.fakes.review import FakeReview
from tests.fakes.runs import FakeRuns
from tests.fakes.settings import FakeSettings
from tests.fakes.studies import FakeStudies, FakeTraining
from tests.fakes.versions import FakeVersions

__all__ = ["HOSTILE", "Book", "services", "uid", "with_history"]


class FakeProjects:
    """One or more projects."""

    def __init__(self, book: Book, names: tuple[str, ...]) -> None:
        self._book, self._names = book, names

    def list(self) -> tuple[ProjectView, ...]:
        return tuple(
            ProjectView(
                uid("project", name), name, CLASSES, self._book.notice, "9f3c1ab7" * 8,
                self._book.cases, len({cue for cue, _, _ in self._book.verdicts}),
            )
            for name in self._names
        )  # fmt: skip


class FakeReports:
    """A summary of what the fakes remember."""

    def __init__(self, book: Book, projects: FakeProjects) -> None:
        self._book, self._projects = book, projects

    def view(self, project_id: str) -> ReportView:
        values = [verdict.value for _, _, verdict in self._book.verdicts]
        version = VersionView("9f3c1ab7" * 8, None, "discover", "active", 0, START)
        spurious = values.count("spurious")
        return ReportView(
            project=self._projects.list()[0], version=version, generated_at=START,
            reviewers=tuple(self._book.reviewers), cases_total=self._book.cases,
            cases_reviewed=len({cue for cue, _, _ in self._book.verdicts}), verdicts=len(values),
            correct=values.count("correct"), spurious=spurious, unsure=values.count("unsure"),
            agree=1, disagree=2,
            concepts=(ConceptTally(41, "ruler", 1, spurious, 0, 1.4),) if values else (),
            renames=tuple(
                (old, event)
                for old in WEIGHTS
                for event in self._book.names.get(uid("concept", old), ())
            ),
            runs=tuple(self._book.runs.values()), versions=(version,),
        )  # fmt: skip

    def export(self, project_id: str, fmt: str) -> bytes:
        return f"report as {fmt}".encode()


@dataclass(frozen=True)
class FakeServices:
    """Stands where `dashboard.bootstrap.Services` stands."""

    projects: FakeProjects
    review: FakeReview
    concepts: FakeConcepts
    hierarchy: FakeHierarchy
    runs: FakeRuns
    reports: FakeReports
    book: Book
    settings_of: FakeSettings
    queue: FakeQueue
    studies: FakeStudies
    training: FakeTraining
    agreement: FakeAgreement
    notes: FakeNotes
    diagnosing: FakeDiagnosing
    validating: FakeValidating
    discovering: FakeDiscovering
    judging: FakeJudging
    versions: FakeVersions
    groups: FakeGroups
    columns: FakeColumns
    drift: FakeDrift


def services(book: Book | None = None, projects: tuple[str, ...] = ("demo",)) -> FakeServices:
    """A set of fakes over one book."""
    book = book or Book()
    listed, rules = FakeProjects(book, projects), FakeSettings(book)
    queue = FakeQueue(book, rules)
    concepts = FakeConcepts(book, Marks())
    studies = FakeStudies(book, pinned=3)
    notes = FakeNotes(book)
    return FakeServices(
        listed, FakeReview(book, rules, queue), concepts, FakeHierarchy(book, concepts),
        FakeRuns(book), FakeReports(book, listed), book, rules, queue,
        studies, FakeTraining(studies), FakeAgreement(book, rules), notes,
        FakeDiagnosing(book), FakeValidating(book), FakeDiscovering(notes),
        FakeJudging(book), FakeVersions(book), FakeGroups(book), FakeColumns(book),
        FakeDrift(book),
    )  # fmt: skip


def with_history(made: FakeServices) -> None:
    """Give some verdicts, and let runs have come to each of their ends."""
    who = made.review.sign_in("Dr Before")
    for name in ("ruler", "streaks", "hair"):
        cue_id = uid("cue", "before", name)
        value: VerdictValue = "spurious" if name == "ruler" else "correct"
        said = VerdictView(uid("said", name), value, "here", None, "", 1, START, "Dr Before")
        made.book.verdicts.append((cue_id, who, said))
    made.runs.past()
    made.drift.past()
