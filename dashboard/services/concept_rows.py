"""Concepts as rows and relatives: records of the store turned into what the screens show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from core.errors import ConfigError
from dashboard.services.folded import Folded
from dashboard.viewmodels.concept_names import by_id, told_apart
from dashboard.viewmodels.concepts import (
    ConceptRow,
    MarkEvent,
    MarkKind,
    NameEvent,
    RelativeView,
)
from db.errors import NotFound
from db.hierarchy_records import ConceptMarkRecord, EdgeRecord
from db.records import ConceptListing, ConceptRecord, NameRecord, ProjectRecord, VersionRecord
from db.unit_of_work import UnitOfWork

if TYPE_CHECKING:
    from core.artifacts import ModelBundle

MARKS: tuple[MarkKind, ...] = ("artefact", "locked")
MAX_SUGGESTIONS = 60


def shown_names(uow: UnitOfWork, ids: Iterable[str]) -> dict[str, str]:
    """Names to show of the concepts of those ids that exist; those of one name are numbered."""
    records = uow.concepts.by_ids(sorted(set(ids)))
    return by_id(
        (key, row.number, row.dictionary_hash, row.shown_name) for key, row in records.items()
    )


class Shown:
    """What rows of some concepts need besides themselves: parents, marks, survivors."""

    def __init__(
        self,
        uow: UnitOfWork,
        where: tuple[str, str],
        hierarchy: Folded,
        concepts: Sequence[ConceptRecord],
    ) -> None:
        folded = self._folded = hierarchy.of(uow, *where)
        numbers = {concept.number for concept in concepts}
        self._parent: dict[int, EdgeRecord] = {}
        for edge in folded.edges:
            known = self._parent.get(edge.child)
            if edge.child in numbers and (known is None or _stronger(edge, known)):
                self._parent[edge.child] = edge
        wanted = {edge.parent for edge in self._parent.values()}
        wanted |= {folded.aliases[n] for n in numbers if n in folded.aliases}
        others = hierarchy.concepts(uow, *where, wanted)
        beside = {concept.number: concept.shown_name for concept in concepts}
        beside |= {n: other.shown_name for n, other in others.items()}
        self._names = told_apart(beside)  # "belongs to ruler" where the list shows three of them
        self._marked = uow.concept_marks.numbers(*where)

    def row(self, item: ConceptListing) -> ConceptRow:
        """A concept as listed."""
        concept = item.concept
        edge = self._parent.get(concept.number)
        survivor = self._folded.aliases.get(concept.number)
        return ConceptRow(
            id=concept.id,
            concept=concept.number,
            name=concept.shown_name,
            named=concept.name is not None,
            level=concept.level,
            frequency=concept.frequency,
            parent=None if edge is None else self._name(edge.parent),
            margin=concept.margin,
            verdicts_correct=item.correct,
            verdicts_spurious=item.spurious,
            verdicts_unsure=item.unsure,
            artefact=concept.number in self._marked["artefact"],
            locked=concept.number in self._marked["locked"],
            merged_into=None if survivor is None else self._name(survivor),
        )

    def _name(self, number: int) -> str:
        return self._names.get(number, f"concept {number}")


def _stronger(edge: EdgeRecord, than: EdgeRecord) -> bool:
    """A person's word goes before the model's, then the heavier one."""
    return (edge.source == "person", edge.weight) > (than.source == "person", than.weight)


def relatives(
    edges: Sequence[EdgeRecord],
    end: Literal["parent", "child"],
    others: Mapping[int, ConceptRecord],
) -> tuple[RelativeView, ...]:
    """The concepts at that end of the edges, a person's first, then the heaviest."""
    found = []
    for edge in sorted(edges, key=lambda e: (e.source != "person", -e.weight, e.child, e.parent)):
        other = others.get(edge.parent if end == "parent" else edge.child)
        if other is not None:
            found.append(
                RelativeView(
                    other.id, other.number, other.shown_name, edge.kind, edge.source, edge.weight
                )
            )
    return tuple(found)


def weights(bundle: ModelBundle, concept: int) -> tuple[tuple[str, float], ...]:
    column_C = bundle.head.weight_CN[:, concept].tolist()
    return tuple(zip(bundle.head.classes, (float(w) for w in column_C), strict=True))


def revisions(marks: Sequence[ConceptMarkRecord]) -> tuple[tuple[MarkKind, int], ...]:
    """Kind -> revision of its latest mark, 0 where there is none."""
    return tuple(
        (kind, max((mark.revision for mark in marks if mark.kind == kind), default=0))
        for kind in MARKS
    )


def name_event(event: NameRecord) -> NameEvent:
    """A name event as shown."""
    return NameEvent(
        event.name, event.source, event.reviewer, event.reason, event.created_at, event.revision
    )


def version_of(uow: UnitOfWork, concept: ConceptRecord) -> VersionRecord:
    """The active version, or the newest with this dictionary where another one is active."""
    active = uow.versions.active(concept.project_id)
    if active is not None and active.dictionary_hash == concept.dictionary_hash:
        return active
    for version in uow.versions.list(concept.project_id):
        if version.dictionary_hash == concept.dictionary_hash:
            return version
    raise NotFound("model version of concept", concept.id)


def history(
    concept: ConceptRecord, version: VersionRecord, events: Sequence[NameRecord]
) -> tuple[NameEvent, ...]:
    """Oldest first, beginning with the model's own name."""
    first = NameEvent(
        concept.model_name or f"concept {concept.number}", "model", None,
        "" if concept.model_name else "the model was not sure enough to name it",
        version.created_at, 0,
    )  # fmt: skip
    return (first, *(name_event(event) for event in events))


def suggestions(concept: ConceptRecord, project: ProjectRecord) -> tuple[tuple[str, float], ...]:
    """The model's name and runners-up by score, then the rest of the vocabulary with score 0."""
    scored: dict[str, float] = {}
    if concept.model_name is not None:
        scored[concept.model_name] = concept.score
    for name, score in concept.runners_up:
        scored.setdefault(name, score)
    ranked = sorted(scored.items(), key=lambda pair: -pair[1])
    rest = [(term, 0.0) for term in vocabulary_names(project.vocabulary) if term not in scored]
    found = [pair for pair in (*ranked, *rest) if pair[0] != concept.name]
    return tuple(found[:MAX_SUGGESTIONS])


def vocabulary_names(vocabulary: Mapping[str, Any]) -> tuple[str, ...]:
    """Term names of a project's stored vocabulary, {"terms": [{"name": ...}, ...]}."""
    terms = vocabulary.get("terms", [])
    if not isinstance(terms, list):
        raise ConfigError("the project's vocabulary has no list of terms")
    return tuple(str(term["name"]) for term in terms if isinstance(term, dict) and "name" in term)


def mark_event(record: ConceptMarkRecord) -> MarkEvent:
    """A mark as shown."""
    return MarkEvent(
        record.kind, record.value, record.reviewer, record.reason, record.created_at,
        record.revision,
    )  # fmt: skip
