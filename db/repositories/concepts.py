"""Concepts of a dictionary, as listed and tallied. Their names: concept_names.py."""

from collections.abc import Sequence
from typing import Any, Literal, assert_never

from sqlalchemy import ColumnElement, Integer, case, cast, func, or_, select
from sqlalchemy.sql.selectable import Subquery

from db.models import Concept, Cue, Project, Verdict
from db.records import (
    ConceptListing,
    ConceptPage,
    ConceptRecord,
    NewConcept,
    TallyRecord,
    new_id,
)
from db.repositories.base import AnySelect, batches, build, like_pattern, values_of
from db.repositories.concept_names import ConceptNames
from db.repositories.folds import latest_name, name_revision, standing_verdicts

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
        order: ConceptOrder = "number",
        limit: int = 100,
        offset: int = 0,
    ) -> ConceptPage:
        """One page of concepts with names and verdict tallies, and how many match.

        `search` matches within the name that stands, whatever the case of letters; a number
        matches the concept of that number too.
        """
        query = self._matching(project_id, dictionary_hash, search, level, min_frequency)
        ordering = _ordering(order)
        if order == "spurious":
            counted = _tally(Verdict.project_id == project_id)
            query = query.outerjoin(counted, counted.c.concept_id == Concept.id)
            ordering = (func.coalesce(counted.c.spurious, 0).desc(), *ordering)
        position = func.row_number().over(order_by=ordering).label("position")
        return self._page(query.add_columns(position).order_by(*ordering), limit, offset)

    def _matching(
        self, project_id: str, dictionary_hash: str, search: str, level: int | None, least: float
    ) -> AnySelect:
        query: AnySelect = select(
            Concept.id,
            latest_name().label("shown"),
            name_revision().label("revision"),
            func.count().over().label("total"),
        ).where(*_in_dictionary(project_id, dictionary_hash), Concept.frequency >= least)
        if level is not None:
            query = query.where(Concept.level == level)
        wanted = search.strip().lower()
        if wanted:
            pattern = like_pattern(wanted)
            matches: ColumnElement[bool] = func.lower(latest_name()).like(pattern, escape="\\")
            number = wanted.removeprefix("concept").strip()
            if number.isascii() and number.isdigit() and len(number) < 10:
                matches = or_(matches, Concept.number == int(number))
            query = query.where(matches)
        return query

    def _page(self, query: AnySelect, limit: int, offset: int) -> ConceptPage:
        """Names and total come from the page's own query; tallies only for its concepts."""
        page = query.limit(limit).offset(offset).cte("page")
        counted = _tally(Verdict.concept_id.in_(select(page.c.id)))
        final = (
            select(
                Concept,
                page.c.shown,
                page.c.revision,
                page.c.total,
                *(func.coalesce(counted.c[each], 0).label(each) for each in _TALLIED),
            )
            .join(page, page.c.id == Concept.id)
            .outerjoin(counted, counted.c.concept_id == Concept.id)
            .order_by(page.c.position)
        )
        rows = self._session.execute(final).all()
        if not rows and offset:  # past the end: the window had no row to say the total on
            return ConceptPage((), self._page(query, limit=1, offset=0).total)
        items = tuple(
            ConceptListing(_record(row), row.correct, row.spurious, row.unsure) for row in rows
        )
        return ConceptPage(items, rows[0].total if rows else 0)


_TALLIED = ("correct", "spurious", "unsure")


def _in_dictionary(project_id: str, dictionary_hash: str) -> tuple[ColumnElement[bool], ...]:
    return Concept.project_id == project_id, Concept.dictionary_hash == dictionary_hash


def _tally(where: ColumnElement[bool]) -> Subquery:
    stands = standing_verdicts(where)
    value = stands.c.value
    return (
        select(
            stands.c.concept_id,
            *(
                cast(func.sum(case((value == each, 1), else_=0)), Integer).label(each)
                for each in _TALLIED
            ),
            func.avg(Cue.causal_effect).label("mean_causal_effect"),
        )
        .join(Cue, Cue.id == stands.c.cue_id)
        .group_by(stands.c.concept_id)
        .subquery()
    )


def _ordering(order: ConceptOrder) -> tuple[ColumnElement[Any], ...]:
    number = Concept.number.asc()
    match order:
        case "number" | "spurious":
            return (number,)
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
