"""The desk over phantoms: verdicts, words on cases, drawings and notes in one list of acts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Literal

from core.errors import ConfigError, ImageError
from core.phantoms import CLASSES
from dashboard.services.blinding import blinded, hidden_now
from dashboard.viewmodels import (
    AssessmentView,
    CaseView,
    DrawingView,
    NoteView,
    PlaceView,
    QueueRow,
    VerdictView,
)
from dashboard.viewmodels.queue import UndoneView
from db.errors import NotFound, StaleWrite
from tests.fakes.cases import START, Book, case_view, phantom, png, uid
from tests.fakes.queue import FakeQueue
from tests.fakes.settings import FakeSettings

WHY_HERE = ("uncertain: two classes are close", "suspected shortcut: ruler", "random control")


@dataclass(frozen=True)
class _Act:
    """Something that can be undone."""

    kind: Literal["verdict", "assessment", "drawing"]
    reviewer_id: str
    case_id: str
    cue_id: str | None
    before: Any


class FakeReview:
    """What `dashboard.services.review.ReviewService` does, over a book."""

    def __init__(self, book: Book, rules: FakeSettings, queue: FakeQueue) -> None:
        self._book, self._rules, self._queue = book, rules, queue
        self._acts: list[_Act] = []

    def sign_in(self, name: str) -> str:
        if not name.strip():
            raise ConfigError("your name must not be empty")
        return self._book.reviewers.setdefault(name.strip(), uid("reviewer", name.strip()))

    def queue(self, project_id: str, reviewer_id: str) -> tuple[QueueRow, ...]:
        views = (self.case(project_id, id, reviewer_id) for id in self._ids())
        return tuple(
            QueueRow(
                v.id, v.position, v.image_name, v.label, v.split, v.prediction, v.confidence,
                any(cue.mine for cue in v.cues) or v.assessment is not None,
            )
            for v in views
        )  # fmt: skip

    def case(self, project_id: str, case_id: str | None, reviewer_id: str) -> CaseView:
        ids = self._ids()
        if case_id is not None and case_id not in ids:
            raise NotFound("case", case_id)
        at = ids.index(case_id) if case_id else 0
        now = self._rules.of(project_id)
        view = replace(
            case_view(self._book, at, ids, reviewer_id),
            criteria=now.criteria,
            reasons=now.reasons,
            drawings=tuple(self._book.drawings.get((ids[at], reviewer_id), {}).values()),
            notes=tuple(self._book.notes.get(ids[at], ())),
            place=self._place(ids[at], at, reviewer_id),
        )
        return blinded(view, hidden_now(now.blind, view.assessment))

    def _ids(self) -> list[str]:
        return [uid("case", index) for index in range(self._book.cases)]

    def _place(self, case_id: str, at: int, reviewer_id: str) -> PlaceView:
        queue, book = self._queue, self._book
        spoken = {case for case, who in book.assessments if who == reviewer_id}
        holder = queue.held.get(case_id)
        return PlaceView(
            WHY_HERE[at % 3], holder, START + timedelta(minutes=10) if holder else None,
            2 if at % 3 == 1 else 1, len({who for at, who in book.assessments if at == case_id}),
            tuple(sorted(queue.marks.get(case_id, ()))), len(spoken),
            len({case for case, _ in book.assessments}), book.cases,
        )  # fmt: skip

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
        self._acts.append(_Act("verdict", reviewer_id, self._case_of(cue_id), cue_id, stands))
        return view

    def _case_of(self, cue_id: str) -> str:
        for at, case_id in enumerate(self._ids()):
            if any(cue_id == uid("cue", at, name) for name in phantom(at).cues):
                return case_id
        return ""  # a cue that a test made up

    def assess(
        self, *, id: str, case_id: str, reviewer_id: str, agree: bool | None,
        corrected_label: str | None, comment: str, based_on: int,
        ratings: Mapping[str, int] | Sequence[tuple[str, int]] = (),
    ) -> AssessmentView:  # fmt: skip
        key = (case_id, reviewer_id)
        stands = self._book.assessments.get(key)
        if stands and stands.id == id:
            return stands
        revision = self._book.revisions.get(key, 0)
        if based_on != revision:
            raise StaleWrite("assessment", based_on, revision)
        if corrected_label is not None and corrected_label not in CLASSES:
            raise ConfigError(f"there is no class {corrected_label!r}")
        hidden = hidden_now(self._rules.now.blind, stands)
        if agree is not None and "prediction" in hidden:
            raise ConfigError("the prediction is hidden: give your own label first")
        view = AssessmentView(
            id, agree, corrected_label, comment, revision + 1, START, "me",
            tuple(sorted(dict(ratings).items())),
        )  # fmt: skip
        self._book.assessments[key], self._book.revisions[key] = view, revision + 1
        self._acts.append(_Act("assessment", reviewer_id, case_id, None, stands))
        return view

    def draw(
        self, *, id: str, case_id: str, reviewer_id: str, cue_id: str | None, kind: Any,
        shape: Any, points: Sequence[tuple[float, float]], note: str = "",
    ) -> DrawingView:  # fmt: skip
        mine = self._book.drawings.setdefault((case_id, reviewer_id), {})
        if id not in mine:
            self._acts.append(_Act("drawing", reviewer_id, case_id, cue_id, id))
        view = DrawingView(id, kind, shape, tuple(points), note, cue_id, "me", START)
        return mine.setdefault(id, view)

    def erase(self, *, id: str, drawing_id: str, reviewer_id: str) -> None:
        for (case_id, who), drawings in self._book.drawings.items():
            if who == reviewer_id and drawing_id in drawings:
                gone = drawings.pop(drawing_id)
                self._acts.append(_Act("drawing", reviewer_id, case_id, gone.cue_id, gone))

    def note(
        self, *, id: str, case_id: str, reviewer_id: str, kind: Any, text: str,
        payload: Mapping[str, Any] | None = None,
    ) -> NoteView:  # fmt: skip
        notes = self._book.notes.setdefault(case_id, [])
        for known in notes:
            if known.id == id:
                return known
        if not text.strip() and not payload:
            raise ConfigError("the note is empty")
        view = NoteView(id, kind, text, dict(payload or {}), "me", START)
        notes.append(view)
        return view

    def undo(self, reviewer_id: str, project_id: str, id: str) -> UndoneView | None:
        if id in self._book.undone:
            return self._book.undone[id]
        act = next((one for one in reversed(self._acts) if one.reviewer_id == reviewer_id), None)
        if act is None:
            return None
        self._acts.remove(act)
        view = UndoneView(id, act.kind, act.case_id, act.cue_id, self._take_back(act, id))
        self._book.undone[id] = view
        return view

    def _take_back(self, act: _Act, id: str) -> str:
        key = (act.case_id, act.reviewer_id)
        if act.kind == "verdict" and act.cue_id is not None:
            return self._verdict_back(act, act.cue_id, id)
        if act.kind == "assessment":
            self._book.revisions[key] += 1
            if act.before is None:
                del self._book.assessments[key]
            else:
                revision = self._book.revisions[key]
                self._book.assessments[key] = replace(act.before, id=id, revision=revision)
        elif isinstance(act.before, DrawingView):
            self._book.drawings[key][act.before.id] = act.before
        else:
            self._book.drawings[key].pop(act.before, None)
        return ""

    def _verdict_back(self, act: _Act, cue_id: str, id: str) -> str:
        last = self._book.standing(cue_id, act.reviewer_id)
        assert last is not None
        value = act.before.value if act.before else "withdrawn"
        view = replace(act.before or last, id=id, value=value, revision=last.revision + 1)
        self._book.verdicts.append((cue_id, act.reviewer_id, view))
        return str(value)

    def image_bytes(self, image_id: str, max_side: int = 1024) -> tuple[bytes, str]:
        if image_id in self._book.lost:
            raise ImageError("phantom.png", "the file is gone")
        for index in range(40):
            if image_id == uid("image", index):
                return png(phantom(index).image), "image/png"
        raise NotFound("image", image_id)
