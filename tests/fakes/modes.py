"""Diagnose, validate and discover over the phantoms: what the real services give, in small."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from core.errors import ConfigError
from core.phantoms import CLASSES
from dashboard.viewmodels import NoteView
from dashboard.viewmodels.modes import (
    AlikeView,
    CandidateRow,
    CandidateView,
    ClassView,
    ClassWordView,
    DiagnosisView,
    DifferenceView,
    DiscoverView,
    ExamplePicture,
    FragileView,
    PathView,
    PullView,
    ReasonRow,
    StepView,
    TroubleRow,
    TroubleView,
)
from db.errors import NotFound, StaleWrite
from tests.fakes.cases import GRID, HOSTILE, START, Book, map_of, phantom, uid

NAMELESS = "concept 3"
CARRIES = (
    ("ruler", 0.31, 1.9), ("streaks", 0.18, 1.1), ("atypical network", 0.14, 0.9),
    ("blue-white veil", 0.09, 0.7), ("typical network", 0.05, -0.6), (NAMELESS, 0.04, 0.4),
)  # fmt: skip


class FakeNotes:
    """Notes in a list."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self.kept: list[tuple[str | None, str | None, NoteView]] = []  # case, concept

    def write(
        self, *, id: str, project_id: str, reviewer_id: str, kind: Any, text: str,
        payload: Any = None, case_id: str | None = None, concept_id: str | None = None,
    ) -> NoteView:  # fmt: skip
        if not text.strip():
            raise ConfigError("the note is empty")
        for _, _, known in self.kept:
            if known.id == id:
                return known
        note = NoteView(id, kind, text.strip(), dict(payload or {}), "Dr Example", START)
        self.kept.append((case_id, concept_id, note))
        return note

    def of_concept(self, concept_id: str) -> tuple[NoteView, ...]:
        return tuple(note for _, concept, note in self.kept if concept == concept_id)


class FakeDiagnosing:
    """Two errors and a near miss; cases two and three of the fakes' series went right."""

    def __init__(self, book: Book, *, labelled: bool = True) -> None:
        self._book, self._labelled = book, labelled

    def said(self, project_id: str, reviewer_id: str) -> frozenset[str]:
        given = {case for case, who in self._book.assessments if who == reviewer_id}
        return frozenset(given)

    def trouble(self, project_id: str, *, margin: float, said: Any = None) -> TroubleView:
        if not self._labelled:
            return TroubleView((), 0, 0, 0, margin, ())
        rows = tuple(
            TroubleRow(
                uid("case", at), f"phantom_{at:04d}.png", label, decided, label if kind == "error"
                else CLASSES[2], sure, lead, kind, "test",
            )
            for at, label, decided, sure, lead, kind in (
                (0, CLASSES[0], CLASSES[1], 0.91, 0.84, "error"),
                (3, CLASSES[1], CLASSES[0], 0.72, 0.48, "error"),
                (4, CLASSES[0], CLASSES[0], 0.51, 0.06, "near miss"),
            )
        )  # fmt: skip
        if said is not None:
            shown = tuple(row for row in rows if row.case_id in said)
            return TroubleView(shown, 2, 1, len(said), margin, (), self._book.cases - len(said))
        pairs = ((CLASSES[0], CLASSES[1], 1), (CLASSES[1], CLASSES[0], 1))
        return TroubleView(rows, 2, 1, self._book.cases, margin, pairs)

    def diagnose(self, case_id: str, *, margin: float) -> DiagnosisView:
        at = next(n for n in range(self._book.cases) if uid("case", n) == case_id)
        name = HOSTILE if self._book.hostile else "ruler"
        pulls = tuple(
            PullView(uid("concept", one), number, one, activation, pull)
            for number, (one, activation, pull) in enumerate(
                ((name, 17.7, 3.4), ("typical network", 9.6, -1.4), ("hair", 4.1, 0.6))
            )
        )
        step = StepView(uid("concept", "ruler"), 0, name, 17.7, 0.0, 3.4)
        more = StepView(uid("concept", "milia"), 4, "milia-like cysts", 0.0, 9.8, 4.1)
        return DiagnosisView(
            case_id=case_id, image_id=uid("image", at), image_name=f"phantom_{at:04d}.png",
            outcome="error", label=CLASSES[0], prediction=CLASSES[1], rival=CLASSES[0],
            confidence=0.91, lead=2.31, bias=0.11, pulls=pulls, other=-0.4,
            paths=(
                PathView("removed", (step,), 1.09, CLASSES[0]),
                PathView("added", (more,), 1.79, None),
            ),
            alike=tuple(self._alike(n) for n in (1, 2)),
        )  # fmt: skip

    def _alike(self, at: int) -> AlikeView:
        return AlikeView(
            uid("case", at), uid("image", at), f"phantom_{at:04d}.png", CLASSES[0], CLASSES[0],
            0.97, 0.8 - at / 20, (DifferenceView(0, "ruler", 17.7, 0.0, 3.4),
                                  DifferenceView(4, "milia-like cysts", 0.0, 5.0, 0.8)),
        )  # fmt: skip


class FakeValidating:
    """Six concepts per class; words are kept like the real ones."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self.given: dict[tuple[str, str, str], ClassWordView] = {}  # concept, class, reviewer
        self.ids: dict[str, ClassWordView] = {}

    def view(self, project_id: str, class_name: str, reviewer_id: str) -> ClassView:
        if class_name not in CLASSES:
            raise ConfigError(f"{class_name!r} is not a class of this model")
        rows = tuple(
            self._row(n, name, share, push, class_name, reviewer_id)
            for n, (name, share, push) in enumerate(CARRIES)
        )
        words = ("correct", "spurious", "unsure")
        judged = tuple((w, sum(r.share for r in rows if r.word == w)) for w in words)
        bad = any(row.word == "spurious" for row in rows)
        fragile = (FragileView(uid("case", 2), uid("image", 2), "phantom_0002.png", 0.88,
                               CLASSES[0]),) if bad else ()  # fmt: skip
        return ClassView(
            class_name, 120, 31, 118, 104, rows, 1 - sum(r.share for r in rows), judged,
            fragile, 17 if bad else 0,
        )  # fmt: skip

    def _row(
        self, n: int, name: str, share: float, push: float, class_name: str, reviewer_id: str
    ) -> ReasonRow:
        id = uid("concept", name)
        mine = self.given.get((id, class_name, reviewer_id))
        spoken = mine is not None and mine.value != "withdrawn"
        other = ClassWordView("spurious", "artefact", "seen in <b>one</b> ward", 1, "Dr B", START)
        shown = HOSTILE if self._book.hostile and n == 1 else self._book.name_of(name)
        word: Any = mine.value if mine is not None and spoken else None
        return ReasonRow(
            id, n, shown, name != NAMELESS, share, push, 0.8 - n / 10, 0.1 + n / 20,
            3 if spoken else None, 5 if spoken else None, 1 if spoken else None, mine,
            (other,) if spoken else (), word, artefact=name == "ruler",
        )  # fmt: skip

    def examples(
        self, project_id: str, class_name: str, concept: int, *, said: Any = None
    ) -> tuple[ExamplePicture, ...]:
        return tuple(one for one in pictures(6) if said is None or one.case_id in said)

    def judge(
        self, *, id: str, concept_id: str, class_name: str, reviewer_id: str, value: Any,
        reason: str | None = None, comment: str = "", based_on: int,
    ) -> ClassWordView:  # fmt: skip
        if id in self.ids:
            return self.ids[id]
        key = (concept_id, class_name, reviewer_id)
        revision = self.given[key].revision if key in self.given else 0
        if based_on != revision:
            raise StaleWrite("class verdict", based_on, revision)
        word = ClassWordView(value, reason, comment, revision + 1, "Dr Example", START)
        self.given[key] = self.ids[id] = word
        return word


class FakeDiscovering:
    """Two candidates."""

    def __init__(self, notes: FakeNotes, *, rows: int = 2) -> None:
        self._notes, self._rows = notes, rows

    def candidates(self, project_id: str) -> DiscoverView:
        first = CandidateRow(
            uid("concept", NAMELESS), 3, NAMELESS, "unnamed", CLASSES[2], 0.974, (0.93, 1.0), True,
            0.131, 43, 72, len(self._notes.of_concept(uid("concept", NAMELESS))), 0.95,
        )  # fmt: skip
        second = replace(
            first, concept_id=uid("concept", "scar"), concept=46, name="scar", auc=0.21,
            interval=(0.1, 0.32), toward=False, why="unknown to the vocabulary", score=0.2,
        )  # fmt: skip
        return DiscoverView((first, second)[: self._rows], 99, 72)

    def candidate(self, project_id: str, concept_id: str, *, said: Any = None) -> CandidateView:
        rows = {row.concept_id: row for row in self.candidates(project_id).rows}
        if concept_id not in rows:
            raise NotFound("candidate", concept_id)
        shown = tuple(one for one in pictures(6) if said is None or one.case_id in said)
        return CandidateView(
            rows[concept_id], (("comedo-like openings", 0.7), ("milia-like cysts", 0.69)),
            ((CLASSES[0], 4, 19), (CLASSES[1], 13, 26), (CLASSES[2], 26, 27)), shown[:4],
            shown[4:], self._notes.of_concept(concept_id),
        )  # fmt: skip


def pictures(count: int) -> tuple[ExamplePicture, ...]:
    """The first phantoms with a map of their lesion."""
    found = []
    for at in range(count):
        shown = phantom(at)
        map_u8 = map_of(shown.masks["lesion"], np.random.default_rng(at)).tobytes()
        found.append(
            ExamplePicture(
                uid("case", at), uid("image", at), f"phantom_{at:04d}.png", shown.label,
                CLASSES[1], 12.0 - at, (GRID, GRID), map_u8,
            )
        )  # fmt: skip
    return tuple(found)
