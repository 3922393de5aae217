"""Collections, pins and training over dicts, with the real comparison of answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from core.errors import ConfigError
from core.phantoms import ARTEFACTS, CLASSES
from dashboard.services.training import attempts, compare, training_view
from dashboard.viewmodels import CaseView, CueView
from dashboard.viewmodels.studies import (
    AnsweredPinView,
    AttemptView,
    CollectionKind,
    CollectionView,
    PinnedCueView,
    PinnedWordView,
    PinView,
    StudyView,
    TrainingView,
)
from db.desk_records import TrainingRecord
from db.errors import Conflict, NotFound
from tests.fakes.cases import START, Book, case_view, uid

FIRST = "Shortcuts to know"
NOTES = (
    "The ruler lies at the edge, yet it carries most of the decision.",
    "A good one: the network is what I would look at, and so does the model.",
    "Ink marking and hair together; the lesion itself is hardly used.",
)


class FakeStudies:
    """What `dashboard.services.studies.StudyService` does, over a book."""

    def __init__(self, book: Book, *, pinned: int = 0) -> None:
        self._book = book
        self.pinned: dict[str, tuple[str, str, str]] = {}  # pin id: title, case id, note
        self._made: dict[str, CollectionView] = {}
        self._pins: dict[str, PinView] = {}
        self.create(
            id=uid("study", FIRST), project_id="", reviewer_id="", title=FIRST,
            about="Cases in which an artefact decides: what to look for before believing the map.",
        )  # fmt: skip
        for at in range(min(pinned, book.cases)):
            self.pin(
                id=uid("pin", at), collection_id=uid("study", FIRST), case_id=uid("case", at),
                reviewer_id="", note=NOTES[at % len(NOTES)],
            )  # fmt: skip

    def collections(
        self, project_id: str, kind: CollectionKind | None = None
    ) -> tuple[CollectionView, ...]:
        found = (view for view in self._made.values() if kind in {None, view.kind})
        return tuple(replace(view, pins=len(self.pins_of(view.id))) for view in found)

    def study(
        self, project_id: str, collection_id: str, reviewer_id: str | None = None
    ) -> StudyView:
        if collection_id not in self._made:
            raise NotFound("collection", collection_id)
        pins = self.pins_of(collection_id)
        return StudyView(replace(self._made[collection_id], pins=len(pins)), pins, open=False)

    def create(
        self, *, id: str, project_id: str, reviewer_id: str, title: str, about: str = "",
        kind: CollectionKind = "study",
    ) -> CollectionView:  # fmt: skip
        if not title.strip():
            raise ConfigError("the title is empty")
        made = CollectionView(id, title.strip(), about, kind, 0, "Dr Example", START)
        return self._made.setdefault(id, made)

    def pin(
        self, *, id: str, collection_id: str | None = None, title: str = "", case_id: str,
        reviewer_id: str, note: str = "", kind: CollectionKind = "study",
    ) -> PinView:  # fmt: skip
        if id in self._pins:
            return self._pins[id]
        to = collection_id or next(
            (key for key, view in self._made.items() if view.title == title), None
        )
        if to is None:
            to = self.create(
                id=uid("study", title), project_id="", reviewer_id="", title=title, kind=kind
            ).id
        ids = [uid("case", at) for at in range(self._book.cases)]
        view = case_view(self._book, ids.index(case_id), ids, reviewer_id)
        self._pins[id] = _pinned(view, id, to, note, len(self._pins))
        self.pinned[id] = (self._made[to].title, case_id, note)
        return self._pins[id]

    def unpin(self, *, id: str, project_id: str, pin_id: str, reviewer_id: str) -> None:
        if self._pins.pop(pin_id, None) is None:
            raise NotFound("pin", pin_id)

    def pins_of(self, collection_id: str) -> tuple[PinView, ...]:
        return tuple(pin for pin in self._pins.values() if pin.collection_id == collection_id)


def _pinned(case: CaseView, id: str, collection_id: str, note: str, number: int) -> PinView:
    return PinView(
        id, collection_id, case.id, note, "Dr Example", START + timedelta(days=number),
        case.image_id, case.image_name, case.label, case.prediction, case.confidence,
        case.narrative, case.version_hash, tuple(_cue(cue) for cue in case.cues), case.label,
        f"{number:02d}" * 32,
    )  # fmt: skip


def _cue(cue: CueView) -> PinnedCueView:
    right = "spurious" if cue.name in ARTEFACTS else "correct"
    disputed = cue.letter == "F"
    words = (
        PinnedWordView("Dr Berg", right, "here", "artefact" if right == "spurious" else None, ""),
        PinnedWordView(
            "Dr Cho", "unsure" if disputed else right, "here", None, "Seen in many of them."
        ),
    )
    return PinnedCueView(
        cue.id, cue.letter, cue.name, cue.contribution, cue.causal_effect, cue.grid, cue.map_u8,
        cue.regions, words, None if disputed else right, None if disputed else "majority",
    )  # fmt: skip


class FakeTraining:
    """What `dashboard.services.training.TrainingService` does, over the fake studies."""

    def __init__(self, studies: FakeStudies) -> None:
        self._studies = studies
        self.rows: list[TrainingRecord] = []

    def view(
        self, project_id: str, collection_id: str, reviewer_id: str, attempt: int | None = None
    ) -> TrainingView:
        study = self._studies.study(project_id, collection_id)
        mine = [row for row in self.rows if row.reviewer_id == reviewer_id]
        return training_view(study.collection, study.pins, mine, CLASSES, reviewer_id, attempt)

    def answer(
        self, *, id: str, project_id: str, collection_id: str, pin_id: str, attempt: int,
        reviewer_id: str, answers: Mapping[str, str], label: str | None = None,
    ) -> AnsweredPinView:  # fmt: skip
        pin = next(pin for pin in self._studies.pins_of(collection_id) if pin.id == pin_id)
        found = compare(pin, answers, label)
        key = (reviewer_id, pin_id, attempt)
        known = {(row.reviewer_id, row.pin_id, row.attempt): row.id for row in self.rows}
        if known.get(key, id) != id:
            raise Conflict("this case was answered in this attempt already")
        if key not in known:
            number = len(self.rows) + 1
            self.rows.append(
                TrainingRecord(
                    number, id, project_id, collection_id, pin_id, reviewer_id, "Ada", attempt,
                    {"cues": dict(answers), "label": label}, found.right / max(found.asked, 1),
                    START + timedelta(minutes=number),
                )
            )  # fmt: skip
        return found

    def everybody(self, project_id: str, collection_id: str) -> tuple[AttemptView, ...]:
        return attempts(self.rows, self._studies.pins_of(collection_id))
