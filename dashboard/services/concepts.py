"""The concepts of a project: listing, one concept's page, names, marks."""

from __future__ import annotations

from typing import Any, Literal

from core.errors import ConfigError
from dashboard.services import concept_examples, concept_facts
from dashboard.services import concept_rows as rows
from dashboard.services.concept_examples import ConceptCodes, ConceptEngines
from dashboard.services.concept_rows import name_event
from dashboard.services.folded import Folded
from dashboard.services.hierarchy import DECIDES, Roles, may
from dashboard.services.names import clean_name
from dashboard.viewmodels.concepts import (
    ConceptListView,
    ConceptRow,
    ConceptView,
    ExampleView,
    FactsView,
    MarkEvent,
    MarkKind,
    NameEvent,
    TallyView,
)
from db.records import ConceptListing
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory

__all__ = ["ConceptService", "LockedName", "Only", "Order", "name_event"]

Order = Literal["number", "frequency", "level", "margin", "name", "spurious"]
Only = Literal["all", "named", "unnamed", "judged", "artefact", "locked"]
MAX_REASON = 500  # characters


class LockedName(ConfigError):
    """A name that people agreed on and locked; nothing was changed."""


class ConceptService:
    """Concepts belong to a dictionary, so names outlive a reweighted version."""

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        engines: ConceptEngines,
        roles: Roles,
        folded: Folded | None = None,
        codes: ConceptCodes | None = None,
    ) -> None:
        self._uow = uow
        self._engines = engines
        self._roles = roles
        self._folded = folded or Folded()
        self._codes = codes or ConceptCodes(engines)

    def list(
        self,
        project_id: str,
        search: str = "",
        *,
        level: int | None = None,
        order: Order = "spurious",
        limit: int = 200,
        offset: int = 0,
        min_frequency: float = 0.0,
    ) -> tuple[ConceptRow, ...]:
        """The rows of `page`."""
        return self.page(
            project_id, search, level=level, order=order, limit=limit, offset=offset,
            min_frequency=min_frequency,
        ).rows  # fmt: skip

    def page(
        self,
        project_id: str,
        search: str = "",
        *,
        level: int | None = None,
        order: Order = "spurious",
        only: Only = "all",
        limit: int = 50,
        offset: int = 0,
        min_frequency: float = 0.0,
    ) -> ConceptListView:
        """Some concepts of the active version's dictionary; none before the first version.

        Args:
            search: part of a name, case-insensitive, or a concept's number.
            only: leaves out the others.
            min_frequency: leaves out concepts that fire in a smaller share of the images.
        """
        with self._uow(read_only=True) as uow:
            version = uow.versions.active(project_id)
            if version is None:
                return ConceptListView((), 0, offset)
            where = (project_id, version.dictionary_hash)
            found = uow.concepts.list(
                *where, search=search.strip()[:200], level=level, min_frequency=min_frequency,
                order=order, limit=limit, offset=offset, **_filter(only),
            )  # fmt: skip
            listed = [item.concept for item in found.items]
            shown = rows.Shown(uow, where, self._folded, listed)
        return ConceptListView(tuple(shown.row(item) for item in found.items), found.total, offset)

    def view(self, concept_id: str, reviewer_id: str | None = None) -> ConceptView:
        """The page of one concept. Raises NotFound."""
        with self._uow(read_only=True) as uow:
            concept = uow.concepts.get(concept_id)
            project = uow.projects.get(concept.project_id)
            version = rows.version_of(uow, concept)
            where = (project.id, concept.dictionary_hash)
            folded = self._folded.of(uow, *where)
            near = [edge for edge in folded.edges if concept.number in (edge.child, edge.parent)]
            ends = {end for edge in near for end in (edge.child, edge.parent)}
            survivor = folded.survivor(concept.number)
            merged = [n for n, into in folded.aliases.items() if into == concept.number]
            others = self._folded.concepts(uow, *where, {*ends, survivor, *merged})
            history = uow.concepts.name_history(concept_id)
            tallies = uow.concepts.tally_by_class(concept_id)
            marks = uow.concept_marks.history(concept_id)
            shown = rows.Shown(uow, where, self._folded, [concept])
        correct, spurious, unsure = (
            sum(getattr(tally, value) for tally in tallies)
            for value in ("correct", "spurious", "unsure")
        )
        bundle = self._engines.bundle(version.folder)
        return ConceptView(
            row=shown.row(ConceptListing(concept, correct, spurious, unsure)),
            revision=concept.revision,
            suggestions=rows.suggestions(concept, project),
            history=rows.history(concept, version, history),
            parents=rows.relatives(
                [e for e in near if e.child == concept.number], "parent", others
            ),
            children=rows.relatives(
                [e for e in near if e.parent == concept.number], "child", others
            ),
            weights=rows.weights(bundle, concept.number),
            tallies=tuple(TallyView(t.label, t.correct, t.spurious, t.unsure) for t in tallies),
            marks=tuple(rows.mark_event(mark) for mark in marks),
            mark_revisions=rows.revisions(marks),
            merged=tuple(others[n].shown_name for n in sorted(merged) if n in others),
            parts=folded.splits.get(concept.number, ()),
            survivor_id=others[survivor].id if survivor != concept.number else None,
            may_change=reviewer_id is None or may(self._roles, project.id, reviewer_id),
        )

    def examples(self, concept_id: str) -> tuple[ExampleView, ...]:
        """Images in which it fires most, middlingly and least, with maps. Raises NotFound."""
        with self._uow(read_only=True) as uow:
            concept = uow.concepts.get(concept_id)
            version = rows.version_of(uow, concept)
        codes = self._codes.of(concept.project_id, version)
        with self._uow(read_only=True) as uow:
            return concept_examples.examples(uow, codes, concept)

    def facts(self, concept_id: str) -> FactsView:
        """Where it fires, and the concepts nearest to it. Raises NotFound."""
        with self._uow(read_only=True) as uow:
            concept = uow.concepts.get(concept_id)
            version = rows.version_of(uow, concept)
        codes = self._codes.of(concept.project_id, version)
        near = concept_facts.nearest(codes.bundle.sae, concept.number)
        with self._uow(read_only=True) as uow:
            images = uow.images.lookup(concept.project_id).by_sha256
            where = (concept.project_id, concept.dictionary_hash)
            others = self._folded.concepts(uow, *where, {number for number, _ in near})
        return concept_facts.facts(codes, concept, images, near, others)

    def rename(
        self, *, id: str, concept_id: str, reviewer_id: str, name: str, reason: str = "",
        based_on: int,
    ) -> NameEvent:  # fmt: skip
        """Gives a concept another name; the former ones stay in its history.

        Args:
            id: uuid made by the client; a repeat with the same content changes nothing.
            based_on: revision of the name that stands (ConceptView.revision).

        Raises:
            ConfigError: an empty or overlong name, or one with control characters; a locked name.
            Forbidden: this person may not rename.
            StaleWrite: somebody renamed it meanwhile. Conflict: the id was used before.
        """
        text = clean_name(name)
        why = clean_name(reason, "the reason", limit=500) if reason.strip() else ""
        self._require(concept_id, reviewer_id)
        with self._uow() as uow:
            known = {event.id for event in uow.concepts.name_history(concept_id)}
            former = uow.concepts.get(concept_id)
            event = uow.concepts.add_name(
                id=id, concept_id=concept_id, name=text, based_on=based_on, source="person",
                reviewer_id=reviewer_id, reason=why,
            )  # fmt: skip
            if event.id not in known:
                _refuse_locked(uow, concept_id)
                uow.audit.append(
                    actor=event.reviewer or "", action="concept.renamed", entity="concept",
                    entity_id=concept_id,
                    detail={"from": former.name, "to": text, "revision": event.revision},
                    project_id=former.project_id,
                )  # fmt: skip
            uow.commit()
        return name_event(event)

    def mark(
        self, *, id: str, concept_id: str, reviewer_id: str, kind: MarkKind, value: bool,
        reason: str = "", based_on: int,
    ) -> MarkEvent:  # fmt: skip
        """Mark a concept as artefact or lock its name; with value False, take that back.

        Args:
            id: uuid made by the client; a repeat with the same content changes nothing.
            based_on: revision of that kind of mark (ConceptView.mark_revisions).

        Raises:
            Forbidden: this person may not. StaleWrite: somebody marked it meanwhile.
        """
        why = clean_name(reason, "the reason", limit=MAX_REASON) if reason.strip() else ""
        self._require(concept_id, reviewer_id)
        with self._uow() as uow:
            known = {mark.id for mark in uow.concept_marks.history(concept_id)}
            record = uow.concept_marks.append(
                id=id, concept_id=concept_id, reviewer_id=reviewer_id, kind=kind, value=value,
                reason=why, based_on=based_on,
            )  # fmt: skip
            if record.id not in known:
                uow.audit.append(
                    actor=record.reviewer, action=f"concept.{kind}", entity="concept",
                    entity_id=concept_id, detail={"value": value, "revision": record.revision},
                    project_id=record.project_id,
                )  # fmt: skip
            uow.commit()
        return rows.mark_event(record)

    def _require(self, concept_id: str, reviewer_id: str) -> None:
        with self._uow(read_only=True) as uow:
            project_id = uow.concepts.get(concept_id).project_id
        self._roles.require(project_id, reviewer_id, DECIDES)


def _filter(only: Only) -> dict[str, Any]:
    """What `only` asks of the store."""
    filters: dict[Only, dict[str, Any]] = {
        "all": {},
        "named": {"named": True},
        "unnamed": {"named": False},
        "judged": {"judged": True},
        "artefact": {"marked": "artefact"},
        "locked": {"marked": "locked"},
    }
    return filters[only]


def _refuse_locked(uow: UnitOfWork, concept_id: str) -> None:
    """Within the transaction that holds the concept's row, so that a lock cannot slip between."""
    mark = uow.concept_marks.of_concept(concept_id).get("locked")
    if mark is not None and mark.value:
        raise LockedName(f"{mark.reviewer} locked this name; unlock it first")
