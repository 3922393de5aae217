"""Concepts of a dictionary, as listed and tallied. Their names: concept_names.py."""

from collections.abc import Collection, Sequence
from typing import Any, Literal, assert_never

from sqlalchemy import ColumnElement, Integer, case, cast, exists, func, or_, select
from sqlalchemy.orm import aliased
from sqlalchemy.sql.selectable import Subquery

from db.errors import NotFound
from db.hierarchy_records import ConceptMarkKind
from db.models import Case, Concept, ConceptMark, ConceptTally, Cue, Project, Verdict
from db.records import (
    ClassTally,
    ConceptListing,
    ConceptPage,
    ConceptRecord,
    NewConcept,
    TallyRecord,
    new_id,
)
from db.repositories.base import batches, build, like_pattern, values_of
from db.repositories.concept_names import ConceptNames
from db.repositories.counters import TALLIED
from db.repositories.folds import latest_name, standing_verdicts

ConceptOrder = Literal["number", "frequency", "level", "margin", "name", "spurious"]


class ConceptRepository(ConceptNames):
    """Concepts belong to a dictionary, so that reweighted versions share names and tallies."""

    def add_many(
        self, project_id: str, dictionary_hash: str, concepts: Sequence[NewConcept]
    ) -> int:
        """Insert the numbers not known yet and say how many; known ones stay as they are."""
        self._require(Project, project_id, "project", lock=True)
        known = set(self.ids(project_id, dictionary_hash))
        fresh = {each.number: each for each in concepts if each.number not in known}
        key = {"project_id": project_id, "dictionary_hash": dictionary_hash}
        rows = [{"id": new_id()} | key | values_of(each) for each in fresh.values()]
        self._insert_many(Concept, rows)
        return len(rows)

    def by_number(self, project_id: str, dictionary_hash: str) -> dict[int, ConceptRecord]:
        """Every concept of a dictionary with the name that stands, by number."""
        query = self._with_names().where(*_in_dictionary(project_id, dictionary_hash))
        rows = self._session.execute(query.order_by(Concept.number))
        return {row.Concept.number: _record(row) for row in rows}

    def ids(self, project_id: str, dictionary_hash: str) -> dict[int, str]:
        """Concept ids by number."""
        query = select(Concept.number, Concept.id)
        return self._mapping(query.where(*_in_dictionary(project_id, dictionary_hash)))

    def by_ids(self, ids: Sequence[str]) -> dict[str, ConceptRecord]:
        """The concepts of those ids that exist, with the names that stand."""
        found: dict[str, ConceptRecord] = {}
        for batch in batches(ids):
            rows = self._session.execute(self._with_names().where(Concept.id.in_(batch)))
            found |= {row.Concept.id: _record(row) for row in rows}
        return found

    def tallies(self, project_id: str, dictionary_hash: str) -> tuple[TallyRecord, ...]:
        """Concepts with standing verdicts: most often spurious first, then by number."""
        counted = _tally(Verdict.project_id == project_id)
        query = (
            select(
                Concept.id.label("concept_id"),
                Concept.number,
                latest_name().label("name"),
                counted.c.correct,
                counted.c.spurious,
                counted.c.unsure,
                counted.c.mean_causal_effect,
            )
            .join(counted, counted.c.concept_id == Concept.id)
            .where(*_in_dictionary(project_id, dictionary_hash))
            .order_by(counted.c.spurious.desc(), Concept.number)
        )
        return tuple(build(TallyRecord, row) for row in self._session.execute(query))

    def list(
        self,
        project_id: str,
        dictionary_hash: str,
        *,
        search: str = "",
        level: int | None = None,
        min_frequency: float = 0.0,
        named: bool | None = None,
        judged: bool | None = None,
        marked: ConceptMarkKind | None = None,
        hide: Collection[int] = (),
        order: ConceptOrder = "number",
        limit: int = 100,
        offset: int = 0,
    ) -> ConceptPage:
        """One page of concepts with names and verdict tallies, and how many match.

        Args:
            search: matches within the name that stands, whatever the case of letters; a number
                matches the concept of that number too.
            named: with a name (of anybody's), or without.
            judged: with standing verdicts, or without.
            marked: that bear this mark now.
            hide: numbers left out (merged into others).
        """
        where = [*_in_dictionary(project_id, dictionary_hash), Concept.frequency >= min_frequency]
        if level is not None:
            where.append(Concept.level == level)
        if named is not None:
            where.append(latest_name().is_not(None) if named else latest_name().is_(None))
        if judged is not None:
            where.append(_judged() if judged else ~_judged())
        if marked is not None:
            where.append(_marked(marked))
        if hide:
            where.append(Concept.number.not_in(hide))
        if search.strip():
            where.append(_found(search))
        total = self._session.scalar(select(func.count()).select_from(Concept).where(*where)) or 0
        chosen = select(Concept.id).where(*where)
        if order == "spurious":
            chosen = chosen.outerjoin(ConceptTally, ConceptTally.concept_id == Concept.id)
        chosen = chosen.order_by(*_ordering(order)).limit(limit).offset(offset)
        return ConceptPage(self._listed(list(self._session.scalars(chosen))), total)

    def numbered(
        self, project_id: str, dictionary_hash: str, numbers: Collection[int]
    ) -> dict[int, ConceptRecord]:
        """The concepts of those numbers that exist, with the names that stand."""
        found: dict[int, ConceptRecord] = {}
        for batch in batches(numbers):
            where = (*_in_dictionary(project_id, dictionary_hash), Concept.number.in_(batch))
            rows = self._session.execute(self._with_names().where(*where))
            found |= {row.Concept.number: _record(row) for row in rows}
        return found

    def tally(self, concept_id: str) -> ConceptListing:
        """One concept with the verdicts that stand on its cues, all reviewers."""
        found = self._listed([concept_id])
        if not found:
            raise NotFound("concept", concept_id)
        return found[0]

    def tally_by_class(self, concept_id: str) -> tuple[ClassTally, ...]:
        """Standing verdicts on one concept by the class that each case was predicted as."""
        stands = standing_verdicts(Verdict.concept_id == concept_id)
        query = (
            select(Case.prediction.label("label"), *_counted(stands))
            .join(stands, stands.c.case_id == Case.id)
            .group_by(Case.prediction)
            .order_by(Case.prediction)
        )
        return tuple(build(ClassTally, row) for row in self._session.execute(query))

    def _listed(self, ids: Sequence[str]) -> tuple[ConceptListing, ...]:
        """Listings of those concepts, in that order."""
        known = self.by_ids(ids)
        counted: dict[str, ConceptTally] = {}
        for batch in batches(ids):
            query = select(ConceptTally).where(ConceptTally.concept_id.in_(batch))
            fresh = query.execution_options(populate_existing=True)
            counted |= {row.concept_id: row for row in self._session.scalars(fresh)}
        return tuple(
            ConceptListing(
                known[each],
                *(getattr(counted[each], value) if each in counted else 0 for value in TALLIED),
            )
            for each in ids
            if each in known
        )


def _in_dictionary(project_id: str, dictionary_hash: str) -> tuple[ColumnElement[bool], ...]:
    return Concept.project_id == project_id, Concept.dictionary_hash == dictionary_hash


def _tally(where: ColumnElement[bool]) -> Subquery:
    stands = standing_verdicts(where)
    return (
        select(
            stands.c.concept_id,
            *_counted(stands),
            func.avg(Cue.causal_effect).label("mean_causal_effect"),
        )
        .join(Cue, Cue.id == stands.c.cue_id)
        .group_by(stands.c.concept_id)
        .subquery()
    )


def _counted(stands: Subquery) -> list[ColumnElement[int]]:
    return [
        cast(func.sum(case((stands.c.value == value, 1), else_=0)), Integer).label(value)
        for value in TALLIED
    ]


def _judged() -> ColumnElement[bool]:
    said = ConceptTally.correct + ConceptTally.spurious + ConceptTally.unsure
    found = exists().where(ConceptTally.concept_id == Concept.id, said > 0)
    return found.correlate(Concept)


def _marked(kind: ConceptMarkKind) -> ColumnElement[bool]:
    later = aliased(ConceptMark)
    superseded = exists().where(
        later.concept_id == ConceptMark.concept_id,
        later.kind == ConceptMark.kind,
        later.revision > ConceptMark.revision,
    )
    found = exists().where(
        ConceptMark.concept_id == Concept.id,
        ConceptMark.kind == kind,
        ConceptMark.value,
        ~superseded,
    )
    return found.correlate(Concept)


def _found(search: str) -> ColumnElement[bool]:
    wanted = search.strip().lower()
    pattern = like_pattern(wanted)
    matches: ColumnElement[bool] = func.lower(latest_name()).like(pattern, escape="\\")
    number = wanted.removeprefix("concept").strip()
    if number.isascii() and number.isdigit() and len(number) < 10:
        matches = or_(matches, Concept.number == int(number))
    return matches


def _ordering(order: ConceptOrder) -> tuple[ColumnElement[Any], ...]:
    number = Concept.number.asc()
    match order:
        case "number":
            return (number,)
        case "spurious":
            return (func.coalesce(ConceptTally.spurious, 0).desc(), number)
        case "frequency":
            return (Concept.frequency.desc(), number)
        case "level":
            return (Concept.level.asc(), number)
        case "margin":
            return (Concept.margin.desc(), number)
        case "name":
            shown = func.lower(latest_name())
            return (shown.is_(None), shown.asc(), number)
        case _:
            assert_never(order)


def _record(row: Any) -> ConceptRecord:
    return build(ConceptRecord, row.Concept, name=row.shown, revision=row.revision)
