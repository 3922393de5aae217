"""The figures of a report, read in bulk: counts per case, concept, class and person.

Nothing here reads an explanation or a map, and nothing asks once per case.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    case,
    cast,
    func,
    literal,
    or_,
    select,
    text,
    union_all,
)
from sqlalchemy import distinct as once

from db.desk_records import StandingMark
from db.models import (
    Assessment,
    Case,
    Concept,
    Cue,
    FeedbackSnapshot,
    Image,
    QueueMark,
    Reviewer,
    Verdict,
)
from db.report_records import (
    AssessmentRow,
    CaseWords,
    ConceptWords,
    CoverageCount,
    OpenMarkRow,
    PersonWords,
    Selection,
    SharedWord,
    SnapshotHead,
    SpuriousCue,
    UnjudgedConcept,
)
from db.repositories.base import AnySelect, batches, build
from db.repositories.folds import latest_name
from db.repositories.queue_folds import resolved
from db.repositories.report_cases import ReportCases
from db.repositories.report_folds import (
    of_cases,
    spoken,
    standing_of_cases,
    standing_words,
)

ROWS = 5_000  # read at a time where there may be a million
OPEN_MARKS: tuple[StandingMark, ...] = ("escalate", "flag")


class ReportReads(ReportCases):
    """Reads only, all narrowed by a Selection."""

    def span(self, sel: Selection) -> tuple[datetime | None, datetime | None]:
        """When the first and the last of the words that count were given."""
        verdicts, assessed = standing_words(sel), standing_of_cases(sel)
        times = union_all(
            select(Verdict.created_at.label("at")).join(verdicts, verdicts.c.seq == Verdict.seq),
            select(Assessment.created_at.label("at")).join(
                assessed, assessed.c.seq == Assessment.seq
            ),
        ).subquery("times")
        row = self._session.execute(select(func.min(times.c.at), func.max(times.c.at))).one()
        return row[0], row[1]

    def spoken_total(self, sel: Selection) -> int:
        """On how many cases a word counts."""
        query = select(func.count()).select_from(spoken(sel).subquery("each"))
        return self._session.scalar(query) or 0

    def by_case(self, sel: Selection) -> tuple[CaseWords, ...]:
        """The verdicts that count, case by case."""
        words = standing_words(sel)
        query = select(words.c.case_id, *_counted(words.c.value)).group_by(words.c.case_id)
        rows = self._session.execute(query.order_by(words.c.case_id))
        return tuple(build(CaseWords, row) for row in rows)

    def by_concept(self, sel: Selection) -> tuple[ConceptWords, ...]:
        """The verdicts that count, concept by concept, over all dictionaries."""
        words = standing_words(sel)
        counted = (
            select(
                words.c.concept_id,
                *_counted(words.c.value),
                func.count(once(words.c.case_id)).label("cases"),
                func.count(once(words.c.reviewer_id)).label("people"),
                func.avg(Cue.causal_effect).label("mean_causal_effect"),
            )
            .join(Cue, Cue.id == words.c.cue_id)
            .group_by(words.c.concept_id)
            .subquery("counted")
        )
        query = (
            select(
                Concept.id.label("concept_id"), Concept.dictionary_hash, Concept.number,
                latest_name().label("name"), counted.c.correct, counted.c.spurious,
                counted.c.unsure, counted.c.cases, counted.c.people, counted.c.mean_causal_effect,
            )
            .join(counted, counted.c.concept_id == Concept.id)
            .order_by(Concept.dictionary_hash, Concept.number)
        )  # fmt: skip
        return tuple(build(ConceptWords, row) for row in self._session.execute(query))

    def spurious_cues(
        self, sel: Selection, concept_ids: Sequence[str], per_concept: int
    ) -> tuple[SpuriousCue, ...]:
        """For each concept the cues that most people call spurious, then by |causal effect|."""
        words = standing_words(sel, Verdict.concept_id.in_(concept_ids))
        people: ColumnElement[int] = func.count()
        votes = (
            select(words.c.concept_id, words.c.cue_id, words.c.case_id, people.label("people"))
            .where(words.c.value == "spurious")
            .group_by(words.c.concept_id, words.c.cue_id, words.c.case_id)
            .subquery("votes")
        )
        order = (votes.c.people.desc(), func.abs(Cue.causal_effect).desc(), Cue.id)
        place = func.row_number().over(partition_by=votes.c.concept_id, order_by=order)
        ranked = (
            select(*votes.c, Cue.causal_effect, place.label("place"))
            .join(Cue, Cue.id == votes.c.cue_id)
            .subquery("ranked")
        )
        query = select(ranked).where(ranked.c.place <= per_concept)
        rows = self._session.execute(query.order_by(ranked.c.concept_id, ranked.c.place))
        return tuple(build(SpuriousCue, row) for row in rows)

    def people(self, sel: Selection) -> tuple[PersonWords, ...]:
        """How much everybody said, by name."""
        verdicts, assessed = standing_words(sel), standing_of_cases(sel)
        said = union_all(
            select(
                verdicts.c.reviewer_id, verdicts.c.case_id, _number(1, "cue"), _number(0, "whole")
            ),
            select(
                assessed.c.reviewer_id, assessed.c.case_id, _number(0, "cue"), _number(1, "whole")
            ),
        ).subquery("said")
        query: Any = (
            select(
                Reviewer.name.label("reviewer"),
                func.sum(said.c.cue).label("verdicts"),
                func.sum(said.c.whole).label("assessments"),
                func.count(once(said.c.case_id)).label("cases"),
            )
            .join(Reviewer, Reviewer.id == said.c.reviewer_id)
            .group_by(Reviewer.name)
            .order_by(Reviewer.name)
        )
        return tuple(build(PersonWords, row) for row in self._session.execute(query))

    def assessed(self, sel: Selection) -> tuple[AssessmentRow, ...]:
        """The words on whole cases that count."""
        stands = standing_of_cases(sel)
        query = (
            select(
                Assessment.case_id, Reviewer.name.label("reviewer"), Assessment.agree,
                Assessment.corrected_label, Assessment.ratings,
            )
            .join(stands, stands.c.seq == Assessment.seq)
            .join(Reviewer, Reviewer.id == Assessment.reviewer_id)
            .order_by(Assessment.case_id, Assessment.seq)
        )  # fmt: skip
        return tuple(build(AssessmentRow, row) for row in self._session.execute(query))

    def shared_cues(self, sel: Selection, *, of: str | None = None) -> Iterator[SharedWord]:
        """Words on cues on which two or more people spoke; with `of`, this person among them."""
        words = standing_words(sel)
        ends = func.min(words.c.reviewer_id) != func.max(words.c.reviewer_id)
        shared: Select[str] = select(words.c.cue_id).group_by(words.c.cue_id).having(ends)
        if of is not None:
            mine = func.sum(cast(words.c.reviewer_id == of, Integer)) > 0
            shared = shared.having(mine)
        query = (
            select(
                words.c.cue_id.label("item"), words.c.case_id, words.c.concept_id.label("group"),
                Reviewer.name.label("reviewer"), words.c.value.label("word"),
            )
            .join(Reviewer, Reviewer.id == words.c.reviewer_id)
            .where(words.c.cue_id.in_(shared))
            .order_by(words.c.case_id, words.c.cue_id, words.c.seq)
        )  # fmt: skip
        yield from self._shared(query)

    def shared_cases(self, sel: Selection, *, of: str | None = None) -> Iterator[SharedWord]:
        """The classes that people give the cases on which two or more spoke."""
        stands = standing_of_cases(sel)
        ends = func.min(stands.c.reviewer_id) != func.max(stands.c.reviewer_id)
        shared: Select[str] = select(stands.c.case_id).group_by(stands.c.case_id).having(ends)
        if of is not None:
            shared = shared.having(func.sum(cast(stands.c.reviewer_id == of, Integer)) > 0)
        word = func.coalesce(
            Assessment.corrected_label,
            case((Assessment.agree.is_(True), Case.prediction), else_=None),
        )
        query = (
            select(
                Assessment.case_id.label("item"), Assessment.case_id,
                Case.prediction.label("group"), Reviewer.name.label("reviewer"),
                word.label("word"),
            )
            .join(stands, stands.c.seq == Assessment.seq)
            .join(Reviewer, Reviewer.id == Assessment.reviewer_id)
            .join(Case, Case.id == Assessment.case_id)
            .where(Assessment.case_id.in_(shared))
            .order_by(Assessment.case_id, Assessment.seq)
        )  # fmt: skip
        yield from (each for each in self._shared(query) if each.word is not None)

    def _shared(self, query: AnySelect) -> Iterator[SharedWord]:
        """Words one after another; an id or a name that comes again is the same text in memory."""
        known: dict[str, str] = {}
        for row in self._session.execute(query.execution_options(yield_per=ROWS)):
            item, case_id, group, reviewer = (known.setdefault(text, text) for text in row[:4])
            word = None if row.word is None else known.setdefault(row.word, row.word)
            yield SharedWord(item, case_id, group, reviewer, word)

    def coverage(self, sel: Selection) -> tuple[CoverageCount, ...]:
        """How many cases there are of each kind and how many were judged.

        The cases are those of the version whose decisions are told; a case counts as judged where
        a word counts on its image, be it under another version (unless one is named).
        """
        seen = select(Case.image_id).distinct().where(Case.id.in_(spoken(sel))).subquery("seen")
        total: ColumnElement[int] = func.count()
        judged = func.count(seen.c.image_id)
        query: Any = (
            select(
                Image.label, Case.prediction, Image.split, Image.group_name.label("group"),
                total.label("cases"), judged.label("reviewed"),
                func.sum(cast(Case.explanation.is_not(None), Integer)).label("explained"),
            )
            .join(Image, Image.id == Case.image_id)
            .outerjoin(seen, seen.c.image_id == Case.image_id)
            .where(*of_cases(sel, decided=True))
            .group_by(Image.label, Case.prediction, Image.split, Image.group_name)
        )  # fmt: skip
        return tuple(build(CoverageCount, row) for row in self._session.execute(query))

    def shown_concepts(self, sel: Selection) -> tuple[UnjudgedConcept, ...]:
        """Every concept that the deciding version's cases show as a cue, judged or not."""
        cues: ColumnElement[int] = func.count()
        counted = (
            select(
                Cue.concept_id,
                cues.label("cues"),
                func.max(func.abs(Cue.causal_effect)).label("largest_effect"),
            )
            .join(Case, Case.id == Cue.case_id)
            .join(Image, Image.id == Case.image_id)
            .where(*of_cases(sel, decided=True))
            .group_by(Cue.concept_id)
            .subquery("counted")
        )
        query: Any = (
            select(
                Concept.id.label("concept_id"), Concept.number, latest_name().label("name"),
                counted.c.cues, counted.c.largest_effect,
            )
            .join(counted, counted.c.concept_id == Concept.id)
            .order_by(counted.c.largest_effect.desc(), Concept.number)
        )  # fmt: skip
        return tuple(build(UnjudgedConcept, row) for row in self._session.execute(query))

    def open_marks(self, sel: Selection, limit: int) -> tuple[int, tuple[OpenMarkRow, ...]]:
        """How many flags and escalations nobody resolved, and the newest of them."""
        where = [
            QueueMark.project_id == sel.project_id,
            QueueMark.kind.in_(OPEN_MARKS),
            ~resolved(QueueMark),
        ]
        if sel.version_id is not None:
            where.append(Case.version_id == sel.version_id)
        if sel.class_name is not None:
            where.append(or_(Case.prediction == sel.class_name, Image.label == sel.class_name))
        if sel.case_id is not None:
            where.append(Case.id == sel.case_id)
        if sel.reviewer_id is not None:
            where.append(QueueMark.reviewer_id == sel.reviewer_id)
        if sel.until is not None:
            where.append(QueueMark.created_at < sel.until)
        query = (
            select(
                QueueMark.kind, QueueMark.case_id, Image.relpath, Reviewer.name.label("reviewer"),
                QueueMark.reason, QueueMark.created_at,
            )
            .join(Case, Case.id == QueueMark.case_id)
            .join(Image, Image.id == Case.image_id)
            .join(Reviewer, Reviewer.id == QueueMark.reviewer_id)
            .where(*where)
        )  # fmt: skip
        total = self._session.scalar(select(func.count()).select_from(query.subquery("marks")))
        rows = self._session.execute(query.order_by(QueueMark.seq.desc()).limit(limit))
        return total or 0, tuple(build(OpenMarkRow, row) for row in rows)

    def snapshot_heads(self, ids: Iterable[str]) -> dict[str, SnapshotHead]:
        """Snapshots without their payload, which may be large."""
        found: dict[str, SnapshotHead] = {}
        for batch in batches(set(ids)):
            query = select(
                FeedbackSnapshot.id, FeedbackSnapshot.hash, FeedbackSnapshot.verdicts
            ).where(FeedbackSnapshot.id.in_(batch))
            found |= {row.id: build(SnapshotHead, row) for row in self._session.execute(query)}
        return found

    def schema_revision(self) -> str | None:
        """The migration that the database is at."""
        found = self._session.scalar(text("SELECT version_num FROM alembic_version"))
        return None if found is None else str(found)

    def image_hashes(self, project_id: str) -> tuple[str, ...]:
        """The SHA-256 of every image file of a project, sorted."""
        query = select(Image.sha256).where(Image.project_id == project_id)
        return tuple(self._session.scalars(query.order_by(Image.sha256)))


def _counted(value: Any) -> list[ColumnElement[int]]:
    return [
        func.sum(cast(value == word, Integer)).label(word)
        for word in ("correct", "spurious", "unsure")
    ]


def _number(value: int, name: str) -> ColumnElement[int]:
    return literal(value).label(name)
