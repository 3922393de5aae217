"""Cases and the review queue of a model version."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import contains_eager, joinedload

from db.errors import NotFound
from db.models import Case, Image, ModelVersion, QueueProgress
from db.records import (
    CaseCounts,
    CaseRecord,
    ImageRecord,
    Neighbours,
    NewCase,
    QueueItem,
    new_id,
)
from db.repositories.base import Repository, build, values_of
from db.repositories.counters import Counters
from db.repositories.folds import after_in_queue, before_in_queue
from db.repositories.queue_folds import has_word
from db.run_records import PredictionRow


class CaseRepository(Repository):
    """One image under one model version; the queue runs by (queue_order, id)."""

    def add_many(self, version_id: str, cases: Sequence[NewCase]) -> int:
        """Insert predictions in bulk and say how many; images that have a case are skipped.

        Raises NotFound for an image that is not of the version's project.
        """
        version = self._require(ModelVersion, version_id, "model version", lock=True)
        known = set(
            self._session.scalars(select(Case.image_id).where(Case.version_id == version_id))
        )
        fresh = {each.image_id: each for each in cases if each.image_id not in known}
        if fresh:
            self._refuse_strangers(version.project_id, fresh.keys() - known)
        first = self.total(version_id)  # places stay dense: new cases come after the others
        ordered = sorted(fresh.values(), key=lambda each: each.queue_order)
        key = {"project_id": version.project_id, "version_id": version_id, "explanation": None}
        rows = [
            {"id": new_id()} | key | values_of(each) | {"queue_order": order}
            for order, each in enumerate(ordered, first)
        ]
        self._insert_many(Case, rows)
        if rows:
            Counters(self._session).opened(version_id, first)
        return len(rows)

    def _refuse_strangers(self, project_id: str, image_ids: set[str]) -> None:
        own = self._session.scalars(select(Image.id).where(Image.project_id == project_id))
        strangers = image_ids - set(own)
        if strangers:
            raise NotFound("image of this project with id", min(strangers))

    def get(self, case_id: str) -> CaseRecord:
        """The case of that id with its image, or NotFound."""
        query = select(Case).where(Case.id == case_id).options(joinedload(Case.image))
        row = self._session.scalars(query).one_or_none()
        if row is None:
            raise NotFound("case", case_id)
        return _record(row)

    def by_image(self, version_id: str, image_id: str) -> CaseRecord | None:
        """The case of that image under that version, if there is one."""
        query = _in_order(version_id).where(Case.image_id == image_id)
        row = self._session.scalars(query).one_or_none()
        return None if row is None else _record(row)

    def queue(
        self,
        version_id: str,
        reviewer_id: str,
        *,
        only_open: bool = False,
        limit: int | None = None,
        offset: int = 0,
    ) -> tuple[QueueItem, ...]:
        """Cases in queue order, each with whether this reviewer has a standing word on it."""
        done = has_word(reviewer_id)
        page = select(Case.id).where(Case.version_id == version_id)
        if only_open:
            page = page.where(~done)
        # The page first: PostgreSQL would else work out `done` for every row it skips.
        chosen = page.order_by(Case.queue_order, Case.id).limit(limit).offset(offset).subquery()
        query = (
            select(
                Case.id.label("case_id"),
                Case.image_id,
                Image.relpath,
                Image.label,
                Image.split,
                Case.prediction,
                Case.confidence,
                Case.queue_order,
                done.label("done"),
            )
            .join(chosen, chosen.c.id == Case.id)
            .join(Image, Image.id == Case.image_id)
            .order_by(Case.queue_order, Case.id)
        )
        rows = self._session.execute(query)
        return tuple(build(QueueItem, row, done=bool(row.done)) for row in rows)

    def neighbours(self, case_id: str) -> Neighbours:
        """Position of a case in its version's queue, and the cases beside it."""
        case = self._part("case", case_id, Case.id, Case.version_id, Case.queue_order)
        own = Case.version_id == case.version_id
        earlier = before_in_queue(case.queue_order, case.id)
        later = after_in_queue(case.queue_order, case.id)
        previous = (
            select(Case.id)
            .where(own, earlier)
            .order_by(Case.queue_order.desc(), Case.id.desc())
            .limit(1)
        )
        return Neighbours(
            position=case.queue_order + 1,
            total=self.total(case.version_id),
            previous_id=self._session.scalar(previous),
            next_id=self._first(own, later),
        )

    def first(self, version_id: str) -> str | None:
        """The id of the first case of the queue."""
        return self._first(Case.version_id == version_id)

    def first_open(
        self, version_id: str, reviewer_id: str, *, after: str | None = None
    ) -> str | None:
        """The first case without a standing word of this reviewer (strictly after a case)."""
        start = select(QueueProgress.open_from).where(
            QueueProgress.version_id == version_id, QueueProgress.who == reviewer_id
        )
        where = [
            Case.version_id == version_id,
            Case.queue_order >= (self._session.scalar(start) or 0),
            ~has_word(reviewer_id),
        ]
        if after is not None:
            case = self._part("case", after, Case.id, Case.queue_order)
            where.append(after_in_queue(case.queue_order, case.id))
        return self._first(*where)

    def _first(self, *where: ColumnElement[bool]) -> str | None:
        query = select(Case.id).where(*where).order_by(Case.queue_order, Case.id).limit(1)
        return self._session.scalar(query)

    def set_explanation(self, case_id: str, explanation: dict[str, Any]) -> bool:
        """Keep the explanation of a case; once only.

        Returns whether this call stored it: False where the case was explained already.
        """
        row = self._require(Case, case_id, "case", lock=True)
        if row.explanation is not None:
            return False
        row.explanation = explanation
        self._flush()
        return True

    def total(self, version_id: str) -> int:
        """How many cases a version has: from the last place where the queue is dense."""
        last = self._session.scalar(
            select(func.max(Case.queue_order)).where(Case.version_id == version_id)
        )
        return 0 if last is None else last + 1

    def counts(self, version_id: str) -> CaseCounts:
        """How many cases a version has, how many are explained, how many reviewed by anyone."""

        def count(*where: ColumnElement[bool]) -> int:
            query = select(func.count()).select_from(Case)
            return self._session.scalar(query.where(Case.version_id == version_id, *where)) or 0

        return CaseCounts(count(), count(Case.explanation.is_not(None)), count(has_word(None)))

    def list(
        self,
        version_id: str,
        *,
        split: str | None = None,
        label: str | None = None,
        prediction: str | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> tuple[CaseRecord, ...]:
        """Cases with their images, in queue order."""
        query = _in_order(version_id)
        if split is not None:
            query = query.where(Image.split == split)
        if label is not None:
            query = query.where(Image.label == label)
        if prediction is not None:
            query = query.where(Case.prediction == prediction)
        rows = self._session.scalars(query.limit(limit).offset(offset))
        return tuple(_record(row) for row in rows)

    def predictions(
        self, version_id: str, *, splits: Sequence[str] | None = None
    ) -> tuple[PredictionRow, ...]:
        """What a version says of every image (of those splits), by path; no explanations read.

        Two versions' rows match by `image_id` (or by `sha256` over projects).
        """
        query = (
            select(
                Case.image_id,
                Case.id.label("case_id"),
                Image.sha256,
                Image.relpath,
                Image.label,
                Image.split,
                Image.group_name.label("group"),
                Case.prediction,
                Case.confidence,
                Case.probabilities,
            )
            .join(Image, Image.id == Case.image_id)
            .where(Case.version_id == version_id)
        )
        if splits is not None:
            query = query.where(Image.split.in_(splits))
        rows = self._session.execute(query.order_by(Image.relpath))
        return tuple(build(PredictionRow, row) for row in rows)


def _in_order(version_id: str) -> Select[Case]:
    return (
        select(Case)
        .join(Case.image)
        .options(contains_eager(Case.image))
        .where(Case.version_id == version_id)
        .order_by(Case.queue_order, Case.id)
    )


def _record(row: Case) -> CaseRecord:
    return build(CaseRecord, row, image=build(ImageRecord, row.image))
