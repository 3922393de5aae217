"""The concepts of a project: listing, one concept's page, renaming."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from core.errors import ConfigError
from dashboard.services.names import clean_name
from dashboard.services.progress import Progress, silent
from dashboard.viewmodels import ConceptRow, ConceptView, ExampleView, NameEvent
from db.errors import NotFound
from db.records import (
    ConceptListing,
    ConceptRecord,
    ImageRecord,
    NameRecord,
    ProjectRecord,
    RelationRecord,
    VersionRecord,
)
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory

if TYPE_CHECKING:
    from core.artifacts import ModelBundle
    from core.tokens import TokenStore

Order = Literal["number", "frequency", "level", "margin", "name", "spurious"]
EXAMPLES = 12
MAX_SUGGESTIONS = 60


class ConceptEngines(Protocol):
    """What is needed of Engines."""

    def bundle(self, folder: str) -> ModelBundle:
        """The model version in a folder."""

    def tokens(self, project_id: str, encoder_hash: str) -> TokenStore:
        """The dense tokens of a project, as far as this process has looked."""

    def pooled(
        self,
        project_id: str,
        bundle: ModelBundle,
        tokens: TokenStore,
        shas: Sequence[str],
        progress: Progress = silent,
    ) -> Any:
        """Pooled codes csr [I, N], rows in the order of `shas`."""


class ConceptService:
    """Concepts belong to a dictionary, so names outlive a reweighted version."""

    def __init__(self, uow: UnitOfWorkFactory, engines: ConceptEngines) -> None:
        self._uow = uow
        self._engines = engines

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
        """The concepts of the active version's dictionary; empty before the first version.

        Args:
            search: part of a name, case-insensitive.
            min_frequency: leaves out concepts that fire in a smaller share of the images.
        """
        with self._uow(read_only=True) as uow:
            version = uow.versions.active(project_id)
            if version is None:
                return ()
            page = uow.concepts.list(
                project_id, version.dictionary_hash, search=search.strip()[:200], level=level,
                min_frequency=min_frequency, order=order, limit=limit, offset=offset,
            )  # fmt: skip
            names = uow.concepts.names(project_id, version.dictionary_hash)
            parents = _parent_names(uow.relations.list(project_id, version.dictionary_hash), names)
        return tuple(_row(item, parents) for item in page.items)

    def view(self, concept_id: str) -> ConceptView:
        """The page of one concept, with the images that activate it most. Raises NotFound."""
        with self._uow(read_only=True) as uow:
            concept = uow.concepts.get(concept_id)
            project = uow.projects.get(concept.project_id)
            version = _version_of(uow, concept)
            names = uow.concepts.names(project.id, concept.dictionary_hash)
            ids = uow.concepts.ids(project.id, concept.dictionary_hash)
            edges = uow.relations.list(project.id, concept.dictionary_hash, number=concept.number)
            tallies = {
                t.concept_id: t for t in uow.concepts.tallies(project.id, concept.dictionary_hash)
            }
            history = uow.concepts.name_history(concept_id)
            images = uow.images.list(project.id)
        tally = tallies.get(concept_id)
        listing = ConceptListing(
            concept, tally.correct if tally else 0, tally.spurious if tally else 0,
            tally.unsure if tally else 0,
        )  # fmt: skip
        bundle = self._engines.bundle(version.folder)
        return ConceptView(
            row=_row(listing, _parent_names(edges, names)),
            revision=concept.revision,
            suggestions=_suggestions(concept, project),
            history=_history(concept, version, history),
            parents=_linked(edges, names, ids, child=concept.number),
            children=_linked(edges, names, ids, parent=concept.number),
            examples=self._examples(concept, version, bundle, images),
            weights=tuple(
                (name, float(bundle.head.weight_CN[row, concept.number]))
                for row, name in enumerate(bundle.head.classes)
            ),
        )

    def rename(
        self, *, id: str, concept_id: str, reviewer_id: str, name: str, reason: str = "",
        based_on: int,
    ) -> NameEvent:  # fmt: skip
        """Gives a concept another name; the former ones stay in its history.

        Args:
            id: uuid made by the client; a repeat with the same content changes nothing.
            based_on: revision of the name that stands (ConceptView.revision).

        Raises:
            ConfigError: an empty or overlong name, or one with control characters.
            StaleWrite: somebody renamed it meanwhile. Conflict: the id was used before.
        """
        text = clean_name(name)
        why = clean_name(reason, "the reason", limit=500) if reason.strip() else ""
        with self._uow() as uow:
            known = {event.id for event in uow.concepts.name_history(concept_id)}
            former = uow.concepts.get(concept_id)
            event = uow.concepts.add_name(
                id=id, concept_id=concept_id, name=text, based_on=based_on, source="person",
                reviewer_id=reviewer_id, reason=why,
            )  # fmt: skip
            if event.id not in known:
                uow.audit.append(
                    actor=event.reviewer or "", action="concept.renamed", entity="concept",
                    entity_id=concept_id,
                    detail={"from": former.name, "to": text, "revision": event.revision},
                )  # fmt: skip
            uow.commit()
        return name_event(event)

    def _examples(
        self,
        concept: ConceptRecord,
        version: VersionRecord,
        bundle: ModelBundle,
        images: Sequence[ImageRecord],
    ) -> tuple[ExampleView, ...]:
        import torch

        tokens = self._engines.tokens(concept.project_id, version.encoder_hash)
        tokens.refresh()  # the worker may have written more
        present = [image for image in images if image.sha256 in tokens]
        if not present:
            return ()
        shas = [image.sha256 for image in present]
        pooled = self._engines.pooled(concept.project_id, bundle, tokens, shas)
        column_I = np.asarray(pooled[:, [concept.number]].todense()).ravel()
        views = []
        for row in top_rows(column_I, EXAMPLES):
            with torch.no_grad():
                acts = bundle.sae.encode_dense(torch.as_tensor(tokens.get(shas[row])))
            map_P = acts[:, concept.number].float().numpy()
            image = present[row]
            view = ExampleView(
                image.id, image.relpath, image.label, float(column_I[row]),
                bundle.manifest.encoder.grid, _as_u8(map_P),
            )  # fmt: skip
            views.append(view)
        return tuple(views)


def top_rows(column_I: Any, count: int) -> tuple[int, ...]:
    """Rows with the largest positive values, largest first; ties go to the earlier row."""
    order = np.argsort(-np.asarray(column_I), kind="stable")[:count]
    return tuple(int(row) for row in order if column_I[row] > 0)


def name_event(event: NameRecord) -> NameEvent:
    """A name event as shown."""
    return NameEvent(
        event.name, event.source, event.reviewer, event.reason, event.created_at, event.revision
    )


def _as_u8(map_P: Any) -> bytes:
    """0..255 of the map's own maximum, one byte a patch."""
    top = float(map_P.max()) if map_P.size else 0.0
    if top <= 0:
        return bytes(map_P.size)
    scaled: bytes = np.clip(np.rint(map_P / top * 255), 0, 255).astype(np.uint8).tobytes()
    return scaled


def _version_of(uow: UnitOfWork, concept: ConceptRecord) -> VersionRecord:
    """The active version, or the newest with this dictionary where another one is active."""
    active = uow.versions.active(concept.project_id)
    if active is not None and active.dictionary_hash == concept.dictionary_hash:
        return active
    for version in uow.versions.list(concept.project_id):
        if version.dictionary_hash == concept.dictionary_hash:
            return version
    raise NotFound("model version of concept", concept.id)


def _row(item: ConceptListing, parents: Mapping[int, str]) -> ConceptRow:
    concept = item.concept
    return ConceptRow(
        id=concept.id,
        concept=concept.number,
        name=concept.shown_name,
        named=concept.name is not None,
        level=concept.level,
        frequency=concept.frequency,
        parent=parents.get(concept.number),
        margin=concept.margin,
        verdicts_correct=item.correct,
        verdicts_spurious=item.spurious,
    )


def _shown(number: int, names: Mapping[int, str]) -> str:
    return names.get(number, f"concept {number}")


def _parent_names(edges: Sequence[RelationRecord], names: Mapping[int, str]) -> dict[int, str]:
    """The heaviest parent of each child, by name."""
    best: dict[int, RelationRecord] = {}
    for edge in edges:
        known = best.get(edge.child_number)
        if known is None or edge.weight > known.weight:
            best[edge.child_number] = edge
    return {child: _shown(edge.parent_number, names) for child, edge in best.items()}


def _linked(
    edges: Sequence[RelationRecord],
    names: Mapping[int, str],
    ids: Mapping[int, str],
    *,
    child: int | None = None,
    parent: int | None = None,
) -> tuple[tuple[str, str, str], ...]:
    """(concept_id, name, kind) at the other end of the edges, heaviest first."""
    found = []
    for edge in sorted(edges, key=lambda e: -e.weight):
        if child is not None and edge.child_number == child:
            other = edge.parent_number
        elif parent is not None and edge.parent_number == parent:
            other = edge.child_number
        else:
            continue
        if other in ids:
            found.append((ids[other], _shown(other, names), edge.kind))
    return tuple(found)


def _history(
    concept: ConceptRecord, version: VersionRecord, events: Sequence[NameRecord]
) -> tuple[NameEvent, ...]:
    """Oldest first, beginning with the model's own name."""
    first = NameEvent(
        concept.model_name or f"concept {concept.number}", "model", None,
        "" if concept.model_name else "the model was not sure enough to name it",
        version.created_at, 0,
    )  # fmt: skip
    return (first, *(name_event(event) for event in events))


def _suggestions(concept: ConceptRecord, project: ProjectRecord) -> tuple[tuple[str, float], ...]:
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
