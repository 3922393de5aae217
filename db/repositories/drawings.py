"""Drawings: places that a reviewer marked by hand on a case."""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.orm import aliased

from db.desk_records import DrawingKind, DrawingRecord, Shape
from db.errors import Conflict, InvalidValue, NotFound
from db.feedback_records import DrawingMark
from db.models import Case, Concept, Cue, Drawing, Image, Reviewer
from db.records import utc_now
from db.repositories.base import AnySelect, Repository, build, checked_id, checked_word, cleaned

MAX_POINTS = 2000


class DrawingRepository(Repository):
    """Append-only: erasing appends a row that `removes` one, undo a row that `undoes` one.

    A drawing stands unless it was undone, or erased by an erasing that was not undone.
    """

    def draw(
        self,
        *,
        id: str,
        case_id: str,
        reviewer_id: str,
        kind: DrawingKind,
        shape: Shape,
        points: Sequence[Sequence[float]],
        note: str = "",
        cue_id: str | None = None,
        created_at: datetime | None = None,
    ) -> DrawingRecord:
        """Append a drawing.

        Args:
            points: (x, y) in fractions of the image; a box has two corners, a lasso three or more.
            cue_id: the cue of this case that it speaks of; None for kind "spurious", which stands
                for what no cue shows.
            created_at: when it was drawn (imports); by default now.

        Raises InvalidValue for impossible points or a cue that does not fit, Conflict where the id
        came with other content.
        """
        content: dict[str, Any] = {
            "case_id": case_id,
            "cue_id": cue_id,
            "reviewer_id": reviewer_id,
            "kind": checked_word(kind, DrawingKind, "kind of drawing"),
            "shape": checked_word(shape, Shape, "shape"),
            "points": _checked_points(shape, points),
            "note": cleaned(note),
            "removes": None,
            "undoes": None,
        }
        if cue_id is not None and kind == "spurious":
            raise InvalidValue("a place that must not count speaks of no cue: judge the cue itself")
        if cue_id is not None and self._part("cue", cue_id, Cue.case_id).case_id != case_id:
            raise InvalidValue("a drawing can only speak of a cue of the same case")
        return self._append(id, content, created_at)

    def erase(self, *, id: str, drawing_id: str, reviewer_id: str) -> DrawingRecord:
        """Take a drawing of one's own away; returns the row that says so.

        Raises NotFound, InvalidValue for somebody else's, Conflict where it is gone already.
        """
        drawing = self.get(drawing_id)
        if drawing.removes is not None or drawing.undoes is not None:
            raise NotFound("drawing", drawing_id)
        if drawing.reviewer_id != reviewer_id:
            raise InvalidValue("a drawing can only be erased by the one who drew it")
        content = _end_of(drawing) | {"removes": drawing_id}
        self._require(Reviewer, reviewer_id, "reviewer", lock=True)
        if self._known(Drawing, checked_id(id), content) is None and not self._stands(drawing_id):
            raise Conflict("this drawing was taken away already")
        return self._append(id, content)

    def take_back(self, target: DrawingRecord, event_id: str) -> DrawingRecord:
        """Undo a drawing or an erasing; Conflict where that was done already."""
        return self._append(event_id, _end_of(target) | {"undoes": target.id})

    def get(self, drawing_id: str) -> DrawingRecord:
        """The event of that id, or NotFound."""
        found = self.find(drawing_id)
        if found is None:
            raise NotFound("drawing", drawing_id)
        return found

    def find(self, drawing_id: str) -> DrawingRecord | None:
        """The event of that id, if there is one."""
        return next(iter(self._read(_events().where(Drawing.id == drawing_id))), None)

    def standing(self, case_id: str, reviewer_id: str | None = None) -> tuple[DrawingRecord, ...]:
        """The drawings on a case that stand (of one reviewer), in the order of being made."""
        query = _events().where(Drawing.case_id == case_id, *standing_drawings())
        if reviewer_id is not None:
            query = query.where(Drawing.reviewer_id == reviewer_id)
        return self._read(query.order_by(Drawing.seq))

    def standing_of_project(self, project_id: str) -> tuple[DrawingRecord, ...]:
        """Every drawing that stands in a project, in the order of being made."""
        query = _events().where(Drawing.project_id == project_id, *standing_drawings())
        return self._read(query.order_by(Drawing.seq))

    def marks(self, project_id: str) -> tuple[DrawingMark, ...]:
        """Every drawing that stands, with image and concept, sorted by id (to be hashed)."""
        query = (
            select(
                Drawing.id.label("drawing_id"),
                Drawing.reviewer_id,
                Reviewer.name.label("reviewer"),
                Image.sha256.label("image_sha256"),
                Case.prediction,
                Concept.number.label("concept"),
                Concept.dictionary_hash,
                Drawing.kind,
                Drawing.shape,
                Drawing.points,
            )
            .join(Reviewer, Reviewer.id == Drawing.reviewer_id)
            .join(Case, Case.id == Drawing.case_id)
            .join(Image, Image.id == Case.image_id)
            .outerjoin(Cue, Cue.id == Drawing.cue_id)
            .outerjoin(Concept, Concept.id == Cue.concept_id)
            .where(Drawing.project_id == project_id, *standing_drawings())
            .order_by(Drawing.id)
        )
        return tuple(build(DrawingMark, row) for row in self._session.execute(query))

    def undoable(self, project_id: str, reviewer_id: str) -> DrawingRecord | None:
        """The reviewer's latest drawing or erasing that is not undone."""
        taker = aliased(Drawing)
        query = _events().where(
            Drawing.project_id == project_id,
            Drawing.reviewer_id == reviewer_id,
            Drawing.undoes.is_(None),
            ~exists().where(taker.undoes == Drawing.id),
        )
        return next(iter(self._read(query.order_by(Drawing.seq.desc()).limit(1))), None)

    def _stands(self, drawing_id: str) -> bool:
        query = select(Drawing.seq).where(Drawing.id == drawing_id, *standing_drawings())
        return self._session.scalar(query) is not None

    def _append(
        self, event_id: str, content: dict[str, Any], at: datetime | None = None
    ) -> DrawingRecord:
        clean = checked_id(event_id)
        row = self._known(Drawing, clean, content)
        if row is None:
            case = self._part("case", content["case_id"], Case.project_id)
            self._require(Reviewer, content["reviewer_id"], "reviewer", lock=True)
            row = self._insert_event(
                Drawing(id=clean, project_id=case.project_id, created_at=at or utc_now(), **content)
            )
        return self.get(row.id)

    def _read(self, query: AnySelect) -> tuple[DrawingRecord, ...]:
        return tuple(
            build(DrawingRecord, row.Drawing, reviewer=row.reviewer_name)
            for row in self._session.execute(query)
        )


def _events() -> AnySelect:
    name = Reviewer.name.label("reviewer_name")
    return select(Drawing, name).join(Reviewer, Reviewer.id == Drawing.reviewer_id)


def standing_drawings() -> tuple[ColumnElement[bool], ...]:
    """That a drawing of the enclosing query is neither erased nor undone."""
    eraser, taker, saver = aliased(Drawing), aliased(Drawing), aliased(Drawing)
    erased = exists().where(
        eraser.removes == Drawing.id, ~exists().where(saver.undoes == eraser.id)
    )
    undone = exists().where(taker.undoes == Drawing.id)
    return Drawing.removes.is_(None), Drawing.undoes.is_(None), ~undone, ~erased


def _end_of(drawing: DrawingRecord) -> dict[str, Any]:
    """The content of a row that ends (or brings back) a drawing: it draws nothing itself."""
    return {
        "case_id": drawing.case_id,
        "cue_id": drawing.cue_id,
        "reviewer_id": drawing.reviewer_id,
        "kind": drawing.kind,
        "shape": drawing.shape,
        "points": (),
        "note": "",
        "removes": None,
        "undoes": None,
    }


def _checked_points(shape: str, points: Sequence[Sequence[float]]) -> tuple[Any, ...]:
    if not all(len(point) == 2 for point in points):
        raise InvalidValue("a point has two coordinates")
    clean = tuple((float(x), float(y)) for x, y in points)
    if not all(math.isfinite(at) and 0 <= at <= 1 for point in clean for at in point):
        raise InvalidValue("points are given in fractions of the image, from 0 to 1")
    fits = len(clean) == 2 if shape == "box" else 3 <= len(clean) <= MAX_POINTS
    if not fits:
        raise InvalidValue(f"a box has 2 points, a lasso 3 to {MAX_POINTS}; not {len(clean)}")
    return clean
