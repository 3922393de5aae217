"""Hand-written stand-ins for the services, for the screens' tests and pictures.

They keep the contract of the real ones (append-only verdicts, client-made ids, `based_on`) in a
few dicts, with phantoms for pictures. No patching anywhere: a screen gets one set or the other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from core.phantoms import CLASSES
from dashboard.viewmodels import (
    ConceptTally,
    MetricRow,
    ProjectView,
    ReportView,
    RunView,
    VersionView,
)
from tests.fakes.agreement import FakeAgreement
from tests.fakes.cases import HOSTILE, START, WEIGHTS, Book, uid
from tests.fakes.concepts import FakeConcepts, FakeHierarchy, Marks
from tests.fakes.modes import FakeDiagnosing, FakeDiscovering, FakeNotes, FakeValidating
from tests.fakes.queue import FakeQueue
from tests.fakes.review import FakeReview
from tests.fakes.settings import FakeSettings
from tests.fakes.studies import FakeStudies, FakeTraining

__all__ = ["HOSTILE", "Book", "services", "uid"]


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


METRICS = tuple(
    MetricRow(split, key, label, unit, before, after, better, f"{label}, on held-out images")
    for split, key, label, unit, before, after, better in (
        ("validation", "accuracy", "Accuracy", "share", 0.94, 0.93, True),
        ("validation", "worst_group", "Worst group", "share", 0.41, 0.90, True),
        ("validation", "average_group", "Average of groups", "share", 0.71, 0.93, True),
        ("validation", "spurious_share", "Rejected concepts", "share", 0.38, 0.04, False),
        ("validation", "ece", "Calibration error", "share", 0.06, 0.03, False),
        ("test", "accuracy", "Accuracy", "share", 0.95, 0.94, True),
        ("test", "worst_group", "Worst group", "share", 0.44, 0.91, True),
    )
)


class FakeRuns:
    """Runs that advance by an eighth whenever they are looked at."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def list(self, project_id: str) -> tuple[RunView, ...]:
        for id in self._book.runs:
            self.get(id)
        return tuple(sorted(self._book.runs.values(), key=lambda run: run.created_at, reverse=True))

    def get(self, run_id: str) -> RunView:
        run = self._book.runs[run_id]
        if run.state in {"queued", "running"}:
            done = min(run.progress + 0.125, 1.0)
            run = replace(run, state="running", progress=done, stage="Learning the rejected cues")
            if done == 1.0:
                run = _finished(run)
            self._book.runs[run_id] = run
        return run

    def start_reweight(
        self, *, id: str, project_id: str, reviewer_id: str | None, seed: int
    ) -> RunView:
        run = RunView(
            id, "reweight", "queued", 0.0, "waiting for the worker", "", seed, "Dr Example",
            START + timedelta(hours=len(self._book.runs)), None, "9f3c1ab7" * 8, None, None, None,
            len(self._book.verdicts), (),
        )  # fmt: skip
        return self._book.runs.setdefault(id, run)

    def cancel(self, run_id: str, *_: Any) -> RunView:
        return self._set(run_id, state="cancelled")

    def restart(self, run_id: str, *_: Any) -> RunView:
        return self._set(run_id, state="queued", progress=0.0, message="")

    def activate(self, run_id: str, reviewer_id: str) -> RunView:
        return self._set(run_id, result_state="active")

    def discard(self, run_id: str, reviewer_id: str) -> RunView:
        return self._set(run_id, result_state="discarded")

    def _set(self, run_id: str, **changes: Any) -> RunView:
        self._book.runs[run_id] = replace(self._book.runs[run_id], **changes)
        return self._book.runs[run_id]


def _finished(run: RunView) -> RunView:
    return replace(
        run, state="succeeded", stage="done", finished_at=run.created_at + timedelta(minutes=2),
        result_version="4be0c2d1" * 8, result_state="candidate", snapshot_hash="77aa" * 16,
        metrics=METRICS,
        details={
            "cues": [{"name": "ruler", "concepts": [3], "heldback_auc": 0.98, "regions": 8}],
            "train_groups": [
                {"label": "melanoma", "present": [True], "n": 412, "weight": 0.55},
                {"label": "melanoma", "present": [False], "n": 21, "weight": 0.45},
            ],
            "groups_from": "Groups are label and the group column that came with the images.",
            "group_sizes": {"test": {"melanoma, with ruler": 80, "melanoma, without": 9}},
            "group_accuracy": {
                "test": {"melanoma, with ruler": [0.99, 0.94], "melanoma, without": [0.44, 0.91]}
            },
        },
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
    )  # fmt: skip
