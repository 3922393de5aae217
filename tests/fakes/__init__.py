"""Hand-written stand-ins for the services, for the screens' tests and pictures.

They keep the contract of the real ones (append-only verdicts, client-made ids, `based_on`) in a
few dicts, with phantoms for pictures. No patching anywhere: a screen gets one set or the other.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.phantoms import CLASSES
from dashboard.viewmodels import (
    ProjectView,
    VerdictValue,
    VerdictView,
)
from tests.fakes.agreement import FakeAgreement
from tests.fakes.audit import FakeAudit
from tests.fakes.cases import HOSTILE, START, Book, uid
from tests.fakes.concepts import FakeConcepts, FakeHierarchy, Marks
from tests.fakes.data import FakeData
from tests.fakes.drift import FakeDrift
from tests.fakes.groups import FakeColumns, FakeGroups
from tests.fakes.judging import FakeJudging
from tests.fakes.lead import FakeDecisions, FakeHome, FakeSchedules, FakeSuccess
from tests.fakes.modes import FakeDiagnosing, FakeDiscovering, FakeNotes, FakeValidating
from tests.fakes.queue import FakeQueue
from tests.fakes.reports import FakeMaking, FakeReports
from tests.fakes.review import FakeReview
from tests.fakes.runs import FakeRuns
from tests.fakes.settings import FakeSettings
from tests.fakes.studies import FakeStudies, FakeTraining
from tests.fakes.trace import FakeTrace
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


@dataclass(frozen=True)
class FakeServices:
    """Stands where `dashboard.bootstrap.Services` stands."""

    projects: FakeProjects
    review: FakeReview
    concepts: FakeConcepts
    hierarchy: FakeHierarchy
    runs: FakeRuns
    reports: FakeReports
    report_making: FakeMaking
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
    trace: FakeTrace
    home: FakeHome
    success: FakeSuccess
    decision_log: FakeDecisions
    schedules: FakeSchedules
    audit: FakeAudit
    data: FakeData


def services(book: Book | None = None, projects: tuple[str, ...] = ("demo",)) -> FakeServices:
    """A set of fakes over one book."""
    book = book or Book()
    listed, rules = FakeProjects(book, projects), FakeSettings(book)
    queue = FakeQueue(book, rules)
    concepts = FakeConcepts(book, Marks())
    studies = FakeStudies(book, pinned=3)
    notes = FakeNotes(book)
    success, schedules = FakeSuccess(book), FakeSchedules(book)
    return FakeServices(
        listed, FakeReview(book, rules, queue), concepts, FakeHierarchy(book, concepts),
        FakeRuns(book), FakeReports(book), FakeMaking(book), book, rules, queue,
        studies, FakeTraining(studies), FakeAgreement(book, rules), notes,
        FakeDiagnosing(book), FakeValidating(book), FakeDiscovering(notes),
        FakeJudging(book), FakeVersions(book), FakeGroups(book), FakeColumns(book),
        FakeDrift(book), trace=FakeTrace(book),
        home=FakeHome(book, success, schedules), success=success,
        decision_log=FakeDecisions(book), schedules=schedules,
        audit=FakeAudit(book, rules),
        data=FakeData(),
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
    made.schedules.past()
