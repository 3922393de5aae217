"""Reading for traces: what begins with a few characters, who said what, which snapshots hold it."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, String, and_, case, cast, func, select
from sqlalchemy.orm import aliased

from db.models import (
    Assessment,
    Case,
    ClassVerdict,
    ColumnVerdict,
    Drawing,
    Export,
    FeedbackSnapshot,
    Image,
    ModelVersion,
    Reviewer,
    Run,
    Verdict,
)
from db.records import VersionRecord
from db.repositories.base import Repository, batches, build, like_pattern
from db.trace_records import Flip, Flips, ImageTally, Match, SnapshotHead, TracedKind, TracedWord

_HEAD = (
    FeedbackSnapshot.id,
    FeedbackSnapshot.project_id,
    FeedbackSnapshot.hash,
    FeedbackSnapshot.verdicts,
    FeedbackSnapshot.created_at,
)
# Kind -> what is matched, the row's id, its project, how it is called.
_KINDS: dict[TracedKind, tuple[Any, Any, Any, Any]] = {
    "version": (ModelVersion.hash, ModelVersion.id, ModelVersion.project_id, ModelVersion.kind),
    "snapshot": (
        FeedbackSnapshot.hash, FeedbackSnapshot.id, FeedbackSnapshot.project_id,
        cast(FeedbackSnapshot.verdicts, String),
    ),
    "image": (Image.sha256, Image.id, Image.project_id, Image.relpath),
    "export": (Export.sha256, Export.id, Export.project_id, Export.kind),
    "case": (Case.id, Case.id, Case.project_id, Case.prediction),
    "verdict": (Verdict.id, Verdict.id, Verdict.project_id, Verdict.value),
    "run": (Run.id, Run.id, Run.project_id, Run.kind),
}  # fmt: skip


class TraceReads(Repository):
    """Each call reads a bounded number of rows."""

    def matches(
        self, kind: TracedKind, start: str, *, project_id: str | None = None, limit: int = 10
    ) -> tuple[Match, ...]:
        """What of a kind begins with `start`; no more than `limit`, in order of id or hash."""
        matched, key, project, title = _KINDS[kind]
        query = (
            select(
                matched.label("ref"),
                key.label("id"),
                project.label("project"),
                title.label("title"),
            )
            .where(matched.startswith(start, autoescape=True))
            .order_by(matched, key)
            .limit(limit)
        )
        if project_id is not None:
            query = query.where(project == project_id)
        rows = self._session.execute(query)
        return tuple(Match(kind, row.project, row.id, row.ref, str(row.title)) for row in rows)

    def snapshot_heads(self, project_id: str, *, limit: int = 100) -> tuple[SnapshotHead, ...]:
        """The snapshots of a project without their content, newest first."""
        return self._heads(FeedbackSnapshot.project_id == project_id, limit=limit)

    def holding(
        self, project_id: str, word_id: str, *, limit: int = 10
    ) -> tuple[SnapshotHead, ...]:
        """The snapshots whose content names a word (or a person) by id, newest first.

        The database looks through the text of each snapshot, so nothing large is read here.
        """
        named = cast(FeedbackSnapshot.payload, String).like(like_pattern(word_id), escape="\\")
        return self._heads(FeedbackSnapshot.project_id == project_id, named, limit=limit)

    def flips(self, before_id: str, after_id: str, *, limit: int = 12) -> Flips:
        """What one version decides otherwise than another; the database does the comparing."""
        old, new = aliased(Case), aliased(Case)
        turned = old.prediction != new.prediction
        right_before, right_now = old.prediction == Image.label, new.prediction == Image.label
        joined = (
            select()
            .select_from(new)
            .join(old, old.image_id == new.image_id)
            .join(Image, Image.id == new.image_id)
            .where(old.version_id == before_id, new.version_id == after_id)
        )

        def tally(*where: ColumnElement[bool]) -> Any:
            return func.coalesce(func.sum(case((and_(*where), 1), else_=0)), 0)

        counted = self._session.execute(
            joined.add_columns(
                func.count(), tally(turned), tally(turned, right_now),
                tally(turned, right_before),
            )
        ).one()  # fmt: skip
        rows = self._session.execute(
            joined.add_columns(
                new.id.label("case_id"), new.image_id, Image.relpath, Image.label,
                old.prediction.label("before"), new.prediction.label("after"),
                old.confidence.label("before_confidence"),
                new.confidence.label("after_confidence"),
            )
            .where(turned)
            .order_by(Image.relpath)
            .limit(limit)
        )  # fmt: skip
        cases, all_turned, righted, broken = (int(each) for each in counted)
        return Flips(cases, all_turned, righted, broken, tuple(build(Flip, row) for row in rows))

    def versions_of(
        self, snapshot_ids: Iterable[str], *, limit: int = 12
    ) -> tuple[VersionRecord, ...]:
        """The newest versions that were made with those snapshots, oldest of them first."""
        found: list[VersionRecord] = []
        for batch in batches(set(snapshot_ids)):
            query = select(ModelVersion).where(ModelVersion.snapshot_id.in_(batch))
            query = query.order_by(ModelVersion.created_at.desc(), ModelVersion.id).limit(limit)
            found += [build(VersionRecord, row) for row in self._session.scalars(query)]
        return tuple(sorted(found, key=lambda version: version.created_at)[-limit:])

    def word(self, word_id: str) -> TracedWord | None:
        """What a person said, by its id, of whichever kind."""
        return (
            self._verdict(word_id)
            or self._class_word(word_id)
            or self._column_word(word_id)
            or self._drawing(word_id)
        )

    def count_words(self, project_id: str, reviewer_id: str) -> dict[str, int]:
        """Kind of word -> how many a person ever gave in a project."""
        return {
            name: self._session.scalar(
                select(func.count())
                .select_from(model)
                .where(model.project_id == project_id, model.reviewer_id == reviewer_id)
            )
            or 0
            for name, model in (
                ("verdicts", Verdict),
                ("assessments", Assessment),
                ("words on classes", ClassVerdict),
                ("words on columns", ColumnVerdict),
                ("drawings", Drawing),
            )
        }

    def image_tallies(self, project_id: str) -> tuple[ImageTally, ...]:
        """How many images there are per label, split and group."""
        parts = (Image.label, Image.split, Image.group_name)
        query = (
            select(*parts, func.count().label("count"))
            .where(Image.project_id == project_id)
            .group_by(*parts)
            .order_by(*parts)
        )
        return tuple(build(ImageTally, row) for row in self._session.execute(query))

    def image_sides(self, project_id: str) -> tuple[int, int, int, int]:
        """Least and most width, least and most height, in pixels; 0 without images."""
        ends = [edge(side) for side in (Image.width, Image.height) for edge in (func.min, func.max)]
        row = self._session.execute(select(*ends).where(Image.project_id == project_id)).one()
        narrow, wide, low, high = (int(value or 0) for value in row)
        return narrow, wide, low, high

    def _heads(self, *where: ColumnElement[bool], limit: int) -> tuple[SnapshotHead, ...]:
        query = select(*_HEAD).where(*where)
        query = query.order_by(FeedbackSnapshot.created_at.desc(), FeedbackSnapshot.id).limit(limit)
        return tuple(build(SnapshotHead, row) for row in self._session.execute(query))

    def _row(self, model: Any, word_id: str) -> Any:
        query = (
            select(model, Reviewer.name.label("reviewer_name"))
            .join(Reviewer, Reviewer.id == model.reviewer_id)
            .where(model.id == word_id)
        )
        return self._session.execute(query).one_or_none()

    def _verdict(self, word_id: str) -> TracedWord | None:
        found = self._row(Verdict, word_id)
        if found is None:
            return None
        row: Verdict = found[0]
        return TracedWord(
            "verdict", row.id, row.project_id, row.reviewer_id, found.reviewer_name, row.value,
            row.reason, row.comment, row.revision, row.created_at, row.case_id, row.cue_id,
            row.concept_id, "",
        )  # fmt: skip

    def _class_word(self, word_id: str) -> TracedWord | None:
        found = self._row(ClassVerdict, word_id)
        if found is None:
            return None
        row: ClassVerdict = found[0]
        return TracedWord(
            "class verdict", row.id, row.project_id, row.reviewer_id, found.reviewer_name,
            row.value, row.reason, row.comment, row.revision, row.created_at, None, None,
            row.concept_id, row.class_name,
        )  # fmt: skip

    def _column_word(self, word_id: str) -> TracedWord | None:
        found = self._row(ColumnVerdict, word_id)
        if found is None:
            return None
        row: ColumnVerdict = found[0]
        return TracedWord(
            "column verdict", row.id, row.project_id, row.reviewer_id, found.reviewer_name,
            row.value, row.reason, row.comment, row.revision, row.created_at, None, None, None,
            row.column_name,
        )  # fmt: skip

    def _drawing(self, word_id: str) -> TracedWord | None:
        found = self._row(Drawing, word_id)
        if found is None:
            return None
        row: Drawing = found[0]
        return TracedWord(
            "drawing", row.id, row.project_id, row.reviewer_id, found.reviewer_name, row.kind,
            None, row.note, None, row.created_at, row.case_id, row.cue_id, None, "",
        )  # fmt: skip
