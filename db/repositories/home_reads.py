"""What a team lead's home reads: sums that the database makes over everything said so far.

Passes over all words of a project; its users keep what they got until `stamp` moves. Sums of
products per case are returned where an interval is to be drawn over cases, so that no row of a
verdict ever leaves the database. It writes nothing.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Literal

from sqlalchemy import (
    ColumnElement,
    Float,
    Integer,
    String,
    Subquery,
    case,
    cast,
    func,
    select,
    union_all,
)

from db.home_records import ConceptClassCount, PairSums, PartCount, ShareSums, WorkDay
from db.models import (
    Assessment,
    AuditEntry,
    Case,
    CaseWord,
    Concept,
    ConceptName,
    ConceptTally,
    Image,
    Run,
    Verdict,
)
from db.repositories.base import AnySelect, Repository, batches, build
from db.repositories.folds import standing_verdicts

Stretch = Literal["day", "week", "month"]
Part = Literal["class", "label", "split", "group"]
_PARTS: dict[Part, Any] = {
    "class": Case.prediction,
    "label": Image.label,
    "split": Image.split,
    "group": Image.group_name,
}
_TEXT = String()
Stamp = tuple[int, int, int, str]


class HomeReads(Repository):
    """Sums for the home screen and for success criteria."""

    def stamp(self, project_id: str) -> Stamp:
        """Changes with every word, act and ended run: what was read before may be kept until then.

        Every act of a person leaves a word or a line in the audit log.
        """
        words = (self._session.scalar(select(func.max(each.seq))) for each in (Verdict, Assessment))
        lines = self._session.scalar(select(func.max(AuditEntry.id)))
        ended = self._session.scalar(
            select(func.max(Run.finished_at)).where(Run.project_id == project_id)
        )
        first, second = (each or 0 for each in words)
        return first, second, lines or 0, str(ended or "")

    def work(self, project_id: str) -> tuple[WorkDay, ...]:
        """Words and cases by day and person, oldest first."""
        parts = [
            select(
                self._stretch(model.created_at, "day").label("day"),
                model.reviewer_id.label("reviewer_id"),
                model.case_id.label("case_id"),
                func.count().label("words"),
            )
            .where(model.project_id == project_id)
            .group_by("day", model.reviewer_id, model.case_id)
            for model in (Verdict, Assessment)
        ]
        given = union_all(*parts).subquery("given")
        query = (
            select(
                given.c.day,
                given.c.reviewer_id,
                func.sum(given.c.words).label("words"),
                func.count(given.c.case_id.distinct()).label("cases"),
            )
            .group_by(given.c.day, given.c.reviewer_id)
            .order_by(given.c.day, given.c.reviewer_id)
        )
        return tuple(
            WorkDay(date.fromisoformat(row.day), row.reviewer_id, int(row.words), int(row.cases))
            for row in self._session.execute(query)
        )

    def covered(self, version_id: str) -> tuple[tuple[date, int], ...]:
        """Day -> cases of a version to which the last wanted person came on that day.

        Words taken back since are counted: this is how the work went, not how it stands.
        """
        parts = [
            select(model.case_id, model.reviewer_id, func.min(model.created_at).label("at"))
            .join(Case, Case.id == model.case_id)
            .where(Case.version_id == version_id)
            .group_by(model.case_id, model.reviewer_id)
            for model in (Verdict, Assessment)
        ]
        given = union_all(*parts).subquery("given")
        first = (
            select(given.c.case_id, given.c.reviewer_id, func.min(given.c.at).label("at"))
            .group_by(given.c.case_id, given.c.reviewer_id)
            .subquery("first_words")
        )
        place = func.row_number().over(
            partition_by=first.c.case_id, order_by=(first.c.at, first.c.reviewer_id)
        )
        ranked = select(first.c.case_id, first.c.at, place.label("place")).subquery("ranked")
        day = self._stretch(ranked.c.at, "day").label("day")
        query = (
            select(day, func.count().label("cases"))
            .join(Case, Case.id == ranked.c.case_id)
            .where(ranked.c.place == Case.wanted)
            .group_by("day")
            .order_by("day")
        )
        rows = self._session.execute(query)
        return tuple((date.fromisoformat(row.day), int(row.cases)) for row in rows)

    def coverage(self, version_id: str, by: Part) -> tuple[PartCount, ...]:
        """Cases of a version by class, label, split or group: all, begun and done."""
        said = (
            select(CaseWord.case_id, func.count().label("people"))
            .group_by(CaseWord.case_id)
            .subquery("said")
        )
        people = func.coalesce(said.c.people, 0)
        name = _PARTS[by].label("name")
        query = (
            select(
                name,
                func.count().label("cases"),
                _count(people > 0).label("begun"),
                _count(people >= Case.wanted).label("done"),
            )
            .select_from(Case)
            .join(Image, Image.id == Case.image_id)
            .outerjoin(said, said.c.case_id == Case.id)
            .where(Case.version_id == version_id)
            .group_by(name)
            .order_by(func.count().desc(), name)
        )
        return tuple(build(PartCount, row) for row in self._session.execute(query))

    def people_per_case(self, version_id: str) -> dict[int, int]:
        """How many people gave a word -> cases of a version with that many; 0 left out."""
        said = (
            select(CaseWord.case_id, func.count().label("people"))
            .join(Case, Case.id == CaseWord.case_id)
            .where(Case.version_id == version_id)
            .group_by(CaseWord.case_id)
            .subquery("said")
        )
        return self._mapping(select(said.c.people, func.count()).group_by(said.c.people))

    def most_spurious(self, project_id: str, dictionary_hash: str, most: int) -> tuple[str, ...]:
        """Ids of the concepts that are called spurious most often."""
        query = (
            select(ConceptTally.concept_id)
            .join(Concept, Concept.id == ConceptTally.concept_id)
            .where(
                Concept.project_id == project_id,
                Concept.dictionary_hash == dictionary_hash,
                ConceptTally.spurious > 0,
            )
            .order_by(ConceptTally.spurious.desc(), Concept.number)
            .limit(most)
        )
        return tuple(self._session.scalars(query))

    def by_class(self, concept_ids: Sequence[str]) -> tuple[ConceptClassCount, ...]:
        """Standing verdicts on these concepts by the class that the model decided."""
        found: list[ConceptClassCount] = []
        for batch in batches(concept_ids):
            stands = standing_verdicts(Verdict.concept_id.in_(batch))
            query = (
                select(
                    stands.c.concept_id,
                    Case.prediction.label("class_name"),
                    _count(stands.c.value == "correct").label("correct"),
                    _count(stands.c.value == "spurious").label("spurious"),
                )
                .join(Case, Case.id == stands.c.case_id)
                .group_by(stands.c.concept_id, Case.prediction)
                .order_by(stands.c.concept_id, Case.prediction)
            )
            found += [build(ConceptClassCount, row) for row in self._session.execute(query)]
        return tuple(found)

    def elsewhere(self, project_id: str, version_id: str) -> int:
        """Verdicts of a project that stand on the cases of its other versions."""
        stands = standing_verdicts(Verdict.project_id == project_id)
        query = (
            select(func.count())
            .select_from(stands)
            .join(Case, Case.id == stands.c.case_id)
            .where(Case.version_id != version_id)
        )
        return int(self._session.scalar(query) or 0)

    def spurious_share(self, project_id: str) -> ShareSums:
        """Sums over cases for the share of the standing verdicts that say spurious."""
        stands = standing_verdicts(Verdict.project_id == project_id)
        of_case = (
            select(
                _count(stands.c.value == "spurious").label("hits"),
                func.count().label("total"),
            )
            .where(stands.c.value.in_(("correct", "spurious")))
            .group_by(stands.c.case_id)
            .subquery("of_case")
        )
        hits, total = cast(of_case.c.hits, Float), cast(of_case.c.total, Float)
        row = self._session.execute(
            select(
                func.count(), func.coalesce(func.sum(of_case.c.hits), 0),
                func.coalesce(func.sum(of_case.c.total), 0), _sum(hits * hits), _sum(hits * total),
                _sum(total * total),
            )
        ).one()  # fmt: skip
        return ShareSums(int(row[0]), int(row[1]), int(row[2]), *map(float, row[3:]))

    def agreement(self, project_id: str, stretch: Stretch) -> tuple[PairSums, ...]:
        """Sums for the agreement on cues, by the stretch in which a cue's last word was given.

        "Unsure" is an abstention. Oldest first; a stretch without shared cues is left out.
        """
        cues = _shared_cues(project_id)
        day = self._stretch(cues.c.last, stretch).label("day")
        c, s = cast(cues.c.c, Float), cast(cues.c.s, Float)
        of_case = (
            select(
                day,
                cues.c.case_id,
                func.count().label("cues"),
                func.sum(2.0 * c * s / (c + s - 1.0)).label("o"),
                func.sum(c).label("c"),
                func.sum(s).label("s"),
            )
            .group_by("day", cues.c.case_id)
            .subquery("of_case")
        )
        x = of_case.c
        query = (
            select(
                x.day, func.sum(x.cues).label("cues"), func.count().label("cases"),
                _sum(x.o).label("o"), _sum(x.c).label("c"), _sum(x.s).label("s"),
                _sum(x.o * x.o).label("oo"), _sum(x.c * x.c).label("cc"),
                _sum(x.s * x.s).label("ss"), _sum(x.o * x.c).label("oc"),
                _sum(x.o * x.s).label("os"), _sum(x.c * x.s).label("cs"),
            )
            .group_by(x.day)
            .order_by(x.day)
        )  # fmt: skip
        return tuple(
            build(PairSums, row, day=date.fromisoformat(row.day), cues=int(row.cues))
            for row in self._session.execute(query)
        )

    def named(self, project_id: str, dictionary_hash: str) -> tuple[int, int]:
        """Concepts of a dictionary that people judged, and of these the ones whose name a person
        gave or kept."""
        judged: list[ColumnElement[bool]] = [
            Concept.project_id == project_id,
            Concept.dictionary_hash == dictionary_hash,
            ConceptTally.correct + ConceptTally.spurious + ConceptTally.unsure > 0,
        ]
        by_person = (
            select(ConceptName.id)
            .where(ConceptName.concept_id == Concept.id, ConceptName.source == "person")
            .exists()
        )
        query = (
            select(func.count(), _count(by_person))
            .select_from(Concept)
            .join(ConceptTally, ConceptTally.concept_id == Concept.id)
        )
        row = self._session.execute(query.where(*judged)).one()
        return int(row[0]), int(row[1] or 0)

    def pace(self, project_id: str, reviewer_id: str, latest: int) -> tuple[datetime, ...]:
        """When a person gave their latest words (verdicts and assessments), newest first."""
        parts = [
            select(model.created_at)
            .where(model.project_id == project_id, model.reviewer_id == reviewer_id)
            .order_by(model.seq.desc())
            .limit(latest)
            for model in (Verdict, Assessment)
        ]
        found = [at for part in parts for at in self._session.scalars(part)]
        return tuple(sorted(found, reverse=True)[:latest])

    def _stretch(self, column: Any, stretch: Stretch) -> ColumnElement[str]:
        """The first day (UTC) of the stretch that a time lies in, as text: 2026-03-02."""
        if self._session.get_bind().dialect.name == "postgresql":
            utc = func.timezone("UTC", column)
            return func.to_char(func.date_trunc(stretch, utc), "YYYY-MM-DD")
        text: ColumnElement[str] = func.substr(column, 1, 10, type_=_TEXT)
        match stretch:
            case "week":  # back to Monday: seven days on, then the Monday before
                return func.date(text, "-6 days", "weekday 1", type_=_TEXT)
            case "month":
                return func.date(text, "start of month", type_=_TEXT)
            case _:
                return text


def _shared_cues(project_id: str) -> Subquery:
    """Per cue on which two people or more said correct or spurious: how many said which."""
    newer = (
        func.lead(Verdict.revision)
        .over(partition_by=(Verdict.cue_id, Verdict.reviewer_id), order_by=Verdict.revision)
        .label("newer")
    )
    ranked = (
        select(Verdict.cue_id, Verdict.case_id, Verdict.value, Verdict.created_at, newer)
        .where(Verdict.project_id == project_id)
        .subquery("ranked")
    )
    query: AnySelect = (
        select(
            ranked.c.cue_id,
            func.min(ranked.c.case_id).label("case_id"),
            _count(ranked.c.value == "correct").label("c"),
            _count(ranked.c.value == "spurious").label("s"),
            func.max(ranked.c.created_at).label("last"),
        )
        .where(ranked.c.newer.is_(None), ranked.c.value.in_(("correct", "spurious")))
        .group_by(ranked.c.cue_id)
        .having(func.count() >= 2)
    )
    return query.subquery("shared")


def _count(condition: Any) -> ColumnElement[int]:
    """How many rows of a group fulfil a condition."""
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0, type_=Integer)


def _sum(value: Any) -> ColumnElement[float]:
    return func.coalesce(func.sum(value), 0.0, type_=Float)
