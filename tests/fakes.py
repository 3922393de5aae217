"""Hand-written stand-ins for the services, for the screens' tests and pictures.

They keep the contract of the real ones (append-only verdicts, client-made ids, `based_on`) in a
few dicts, with phantoms for pictures. No patching anywhere: a screen gets one set or the other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np

from core.errors import ConfigError, ImageError
from core.phantoms import CLASSES, VOCABULARY
from dashboard.viewmodels import (
    AssessmentView,
    CaseView,
    ConceptRow,
    ConceptTally,
    ConceptView,
    ExampleView,
    MetricRow,
    NameEvent,
    ProjectView,
    QueueRow,
    ReportView,
    RunView,
    VerdictView,
    VersionView,
)
from db.errors import NotFound, StaleWrite
from tests.fake_cases import (
    GRID,
    HOSTILE,
    LEVELS,
    START,
    WEIGHTS,
    Book,
    case_view,
    map_of,
    phantom,
    png,
    uid,
)

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


class FakeReview:
    """The desk over phantoms."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def sign_in(self, name: str) -> str:
        if not name.strip():
            raise ConfigError("your name must not be empty")
        return self._book.reviewers.setdefault(name.strip(), uid("reviewer", name.strip()))

    def queue(self, project_id: str, reviewer_id: str) -> tuple[QueueRow, ...]:
        views = (self.case(project_id, uid("case", i), reviewer_id) for i in self._indices())
        return tuple(
            QueueRow(
                v.id, v.position, v.image_name, v.label, v.split, v.prediction, v.confidence,
                any(cue.mine for cue in v.cues) or v.assessment is not None,
            )
            for v in views
        )  # fmt: skip

    def case(self, project_id: str, case_id: str | None, reviewer_id: str) -> CaseView:
        ids = [uid("case", i) for i in self._indices()]
        if case_id is not None and case_id not in ids:
            raise NotFound("case", case_id)
        at = ids.index(case_id) if case_id else 0
        return case_view(self._book, at, ids, reviewer_id)

    def _indices(self) -> range:
        return range(self._book.cases)

    def give_verdict(
        self, *, id: str, cue_id: str, reviewer_id: str, value: Any, scope: Any = "here",
        reason: str | None = None, comment: str = "", based_on: int,
    ) -> VerdictView:  # fmt: skip
        for _, _, known in self._book.verdicts:
            if known.id == id:
                return known
        stands = self._book.standing(cue_id, reviewer_id)
        revision = stands.revision if stands else 0
        if based_on != revision:
            raise StaleWrite("verdict", based_on, revision)
        when = START + timedelta(minutes=len(self._book.verdicts))
        view = VerdictView(id, value, scope, reason, comment, revision + 1, when, reviewer_id)
        self._book.verdicts.append((cue_id, reviewer_id, view))
        return view

    def undo(self, reviewer_id: str, project_id: str, id: str) -> VerdictView | None:
        if id in self._book.undone:
            return self._book.undone[id]
        for cue, who, last in reversed(self._book.verdicts):
            if who == reviewer_id and last.value != "withdrawn":
                stands = self._book.standing(cue, who) or last
                view = replace(last, id=id, value="withdrawn", revision=stands.revision + 1)
                self._book.verdicts.append((cue, who, view))
                self._book.undone[id] = view
                return view
        return None

    def assess(
        self, *, id: str, case_id: str, reviewer_id: str, agree: bool | None,
        corrected_label: str | None, comment: str, based_on: int,
    ) -> AssessmentView:  # fmt: skip
        stands = self._book.assessments.get((case_id, reviewer_id))
        if stands and stands.id == id:
            return stands
        revision = stands.revision if stands else 0
        if based_on != revision:
            raise StaleWrite("assessment", based_on, revision)
        view = AssessmentView(id, agree, corrected_label, comment, revision + 1, START, "me")
        self._book.assessments[case_id, reviewer_id] = view
        return view

    def image_bytes(self, image_id: str, max_side: int = 1024) -> tuple[bytes, str]:
        if image_id in self._book.lost:
            raise ImageError("phantom.png", "the file is gone")
        for index in range(40):
            if image_id == uid("image", index):
                return png(phantom(index).image), "image/png"
        raise NotFound("image", image_id)


class FakeConcepts:
    """Concepts named after the phantoms' cues."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def list(self, project_id: str, search: str = "", **_: Any) -> tuple[ConceptRow, ...]:
        rows = (self._row(number, name) for number, name in enumerate(WEIGHTS))
        return tuple(row for row in rows if search.strip().lower() in row.name.lower())

    def _row(self, number: int, name: str) -> ConceptRow:
        id = uid("concept", name)
        on_it = [v for cue, _, v in self._book.verdicts if cue in self._cue_ids(name)]
        return ConceptRow(
            id, number, self._book.name_of(name), number != 8, LEVELS.get(name, 2),
            0.9 / (1 + number), "artefact" if name in {"ruler", "hair"} else None, 0.21,
            sum(v.value == "correct" for v in on_it), sum(v.value == "spurious" for v in on_it),
        )  # fmt: skip

    def _cue_ids(self, name: str) -> set[str]:
        return {uid("cue", at, name) for at in range(self._book.cases)}

    def view(self, concept_id: str) -> ConceptView:
        names = list(WEIGHTS)
        name = next((n for n in names if uid("concept", n) == concept_id), None)
        if name is None:
            raise NotFound("concept", concept_id)
        row = self._row(names.index(name), name)
        first = NameEvent(name, "model", None, "", START, 0)
        given = tuple(self._book.names.get(concept_id, ()))
        return ConceptView(
            row=row, revision=len(given),
            suggestions=(
                ("measuring scale", 0.31), ("ruler ticks", 0.24),
                *((term.name, 0.0) for term in VOCABULARY[:6]),
            ),
            history=(first, *given),
            parents=((uid("concept", "lesion"), "lesion", "part-of"),),
            children=((uid("concept", "hair"), "hair", "is-a"),),
            examples=tuple(self._examples(name)),
            weights=tuple(zip(CLASSES, (-0.8, 1.9, -0.4), strict=True)),
        )  # fmt: skip

    def _examples(self, name: str) -> list[ExampleView]:
        found = []
        for at in range(10):
            shown = phantom(at)
            if name in shown.masks and len(found) < 8:
                map_u8 = map_of(shown.masks[name], np.random.default_rng(at)).tobytes()
                found.append(
                    ExampleView(
                        uid("image", at), f"phantom_{at:04d}.png", shown.label,
                        1.6 - at / 20, (GRID, GRID), map_u8,
                    )
                )  # fmt: skip
        return found

    def rename(
        self, *, id: str, concept_id: str, reviewer_id: str, name: str, reason: str = "",
        based_on: int,
    ) -> NameEvent:  # fmt: skip
        if not name.strip():
            raise ConfigError("the name must not be empty")
        given = self._book.names.setdefault(concept_id, [])
        if based_on != len(given):
            raise StaleWrite("concept name", based_on, len(given))
        event = NameEvent(name.strip(), "person", "Dr Example", reason, START, based_on + 1)
        given.append(event)
        return event


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
    runs: FakeRuns
    reports: FakeReports
    book: Book


def services(book: Book | None = None, projects: tuple[str, ...] = ("demo",)) -> FakeServices:
    """A set of fakes over one book."""
    book = book or Book()
    listed = FakeProjects(book, projects)
    return FakeServices(
        listed, FakeReview(book), FakeConcepts(book), FakeRuns(book),
        FakeReports(book, listed), book,
    )  # fmt: skip
