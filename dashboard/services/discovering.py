"""Concepts that tell classes apart and have no trusted word: does the model see what we do not?

For each such concept and each class, AUC = P(it is stronger in an image of the class than in one
of another), ties counting half: how well it alone tells the class, .5 is chance. The interval is
Hanley and McNeil's (Radiology 1982). Ranked by |2 AUC - 1| times the concept's share of all
decisions over the largest such share: it must both tell and be used. The best of many figures
flatters itself, so this is a place to look, not a result.

Legend: I cases with codes, L of them labelled, N concepts, C classes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from dashboard.services.engines import Engines
from dashboard.services.notes import note_view
from dashboard.services.similar import Decisions, DecisionTables, pictures, strength
from dashboard.viewmodels.concept_names import told_apart
from dashboard.viewmodels.modes import CandidateRow, CandidateView, DiscoverView
from db.errors import NotFound
from db.records import ConceptRecord
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory

LEAST: Final = 5  # images in which a concept must fire: fewer say nothing
SHOWN: Final = 60  # candidates listed
Z: Final = 1.96
Why = Literal["unnamed", "unknown to the vocabulary"]


class DiscoverService:
    """Ranks candidates and shows what they might be."""

    def __init__(
        self, uow_factory: UnitOfWorkFactory, tables: DecisionTables, engines: Engines
    ) -> None:
        self._uow = uow_factory
        self._tables = tables
        self._engines = engines
        self._kept: tuple[Decisions, frozenset[int], tuple[Told, ...]] | None = None

    def candidates(self, project_id: str) -> DiscoverView:
        """All candidates of the active version, strongest first."""
        table = self._tables.of_project(project_id)
        with self._uow(read_only=True) as uow:
            unknown = _unknown(uow, project_id, table.version.dictionary_hash)
            written = uow.notes.list(project_id, kind="hypothesis")
        notes = Counter(note.concept_id for note in written if note.concept_id is not None)
        rows = rank(table, self._told(table, unknown), unknown, notes)
        fired = np.asarray(table.codes_IN.getnnz(axis=0)) > 0
        labelled = int((table.labels_I() >= 0).sum())
        return DiscoverView(tuple(rows[:SHOWN]), int(fired.sum()), labelled)

    def candidate(
        self, project_id: str, concept_id: str, *, said: Collection[str] | None = None
    ) -> CandidateView:
        """One of them, with pictures. Raises NotFound where it is none.

        Args:
            said: cases on which the reviewer's word is in, for a blind project; None shows all.
        """
        table = self._tables.of_project(project_id)
        with self._uow(read_only=True) as uow:
            unknown = _unknown(uow, project_id, table.version.dictionary_hash)
            notes = uow.notes.of_concept(concept_id)
        hypotheses = [note for note in notes if note.kind == "hypothesis"]
        counted = Counter({concept_id: len(hypotheses)})
        rows = rank(table, self._told(table, unknown), unknown, counted)
        row = next((r for r in rows if r.concept_id == concept_id), None)
        if row is None:
            raise NotFound("candidate", concept_id)
        column = strength(table, row.concept)
        labels = [d.label for d in table.coded]
        inside = [label == row.class_name for label in labels]
        outside = [label not in (row.class_name, None) for label in labels]
        return CandidateView(
            row=row,
            words=tuple(unknown[row.concept][0].runners_up[:5]),
            by_class=_by_class(labels, column),
            inside=pictures(self._engines, table, row.concept, inside, said),
            outside=pictures(self._engines, table, row.concept, outside, said),
            notes=tuple(note_view(note) for note in hypotheses),
        )

    def _told(
        self, table: Decisions, unknown: Mapping[int, tuple[ConceptRecord, Why]]
    ) -> tuple[Told, ...]:
        """Asked for twice at every rerun of the screen; the table is one until it changes."""
        kept = self._kept
        if kept is None or kept[0] is not table or kept[1] != unknown.keys():
            kept = self._kept = (table, frozenset(unknown), told(table, unknown))
        return kept[2]


@dataclass(frozen=True)
class Told:
    """The class that a concept tells best, better than chance."""

    concept: int
    class_number: int
    auc: float
    interval: tuple[float, float]
    share: float  # of all decisions
    images: int  # in which it fires


def told(table: Decisions, concepts: Iterable[int]) -> tuple[Told, ...]:
    """What each of these concepts tells, where it tells anything."""
    labels_I = table.labels_I()
    labelled = labels_I >= 0
    columns_LN = table.codes_IN[labelled].tocsc()
    share_N = decision_shares(table)
    fired_N = np.asarray(table.codes_IN.getnnz(axis=0))
    found = []
    for n in concepts:
        if fired_N[n] < LEAST:
            continue
        best = _best_class(columns_LN, n, labels_I[labelled], len(table.classes))
        if best is None or best[2][0] <= 0.5 <= best[2][1]:  # no better than chance may be
            continue
        found.append(Told(n, *best, float(share_N[n]), int(fired_N[n])))
    return tuple(found)


def rank(
    table: Decisions,
    found: Sequence[Told],
    unknown: Mapping[int, tuple[ConceptRecord, Why]],
    notes: Mapping[str, int],
) -> list[CandidateRow]:
    """Candidates among the concepts without a trusted word, strongest first."""
    top = max((each.share for each in found), default=0.0) or 1.0
    rows = []
    names = told_apart({each.concept: unknown[each.concept][0].shown_name for each in found})
    for each in found:
        record, why = unknown[each.concept]
        rows.append(CandidateRow(
            concept_id=record.id, concept=each.concept, name=names[each.concept], why=why,
            class_name=table.classes[each.class_number], auc=each.auc, interval=each.interval,
            toward=each.auc >= 0.5, share=each.share, images=each.images,
            total=len(table.coded), hypotheses=notes.get(record.id, 0),
            score=abs(2 * each.auc - 1) * each.share / top,
        ))  # fmt: skip
    return sorted(rows, key=lambda row: (-row.score, row.concept))


def decision_shares(table: Decisions) -> NDArray[np.float64]:
    """Share of every concept in all decisions: |contribution| to the decided class, summed."""
    predicted_I = table.predicted_I()
    size_N = np.zeros(table.bundle.head.n)
    for number in range(len(table.classes)):
        sum_N = np.asarray(table.codes_IN[predicted_I == number].sum(axis=0), dtype=np.float64)
        size_N += sum_N.ravel() * np.abs(table.bundle.head.weight_CN[number].astype(np.float64))
    whole = float(size_N.sum())
    shares: NDArray[np.float64] = size_N / whole if whole > 0 else size_N
    return shares


def auc_of(
    rows: NDArray[Any], values: NDArray[Any], labels_L: NDArray[np.int64], classes: int
) -> NDArray[np.float64]:
    """AUC of a sparse column for each class against the others, [C]; nan where one is empty.

    All zeros share one rank below every value, so only what fires is sorted.

    Args:
        rows, values: where it fires and how strongly, > 0.
    """
    total = len(labels_L)
    count_C = np.bincount(labels_L, minlength=classes).astype(np.float64)
    fired_C = np.bincount(labels_L[rows], minlength=classes).astype(np.float64)
    silent = total - len(rows)
    above_C = np.bincount(labels_L[rows], weights=silent + rankdata(values), minlength=classes)
    rank_C = above_C + (count_C - fired_C) * (silent + 1) / 2
    pairs_C = count_C * (total - count_C)
    wins_C = rank_C - count_C * (count_C + 1) / 2
    found_C: NDArray[np.float64] = np.full(classes, np.nan)
    return np.divide(wins_C, pairs_C, out=found_C, where=pairs_C > 0)


def auc_interval(auc: float, positive: int, negative: int) -> tuple[float, float]:
    """95 % interval of an AUC by Hanley and McNeil's standard error, within [0, 1].

    >>> auc_interval(0.5, 100, 100)
    (0.4198..., 0.5801...)
    """
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (positive - 1) * (q1 - auc**2) + (negative - 1) * (q2 - auc**2)
    error = math.sqrt(max(variance, 0.0) / (positive * negative))
    return max(0.0, auc - Z * error), min(1.0, auc + Z * error)


def _best_class(
    columns_LN: Any, n: int, labels_L: NDArray[np.int64], classes: int
) -> tuple[int, float, tuple[float, float]] | None:
    """The class that a concept tells best, its AUC and the interval; None without two classes."""
    start, stop = columns_LN.indptr[n : n + 2]
    auc_C = auc_of(columns_LN.indices[start:stop], columns_LN.data[start:stop], labels_L, classes)
    if np.isnan(auc_C).all():
        return None
    best = int(np.nanargmax(np.abs(auc_C - 0.5)))
    positive = int((labels_L == best).sum())
    auc = float(auc_C[best])
    return best, auc, auc_interval(auc, positive, len(labels_L) - positive)


def _unknown(
    uow: UnitOfWork, project_id: str, dictionary: str
) -> dict[int, tuple[ConceptRecord, Why]]:
    """Concepts without a name, or with one that the project's vocabulary does not know."""
    known = vocabulary_words(uow.projects.get(project_id).vocabulary)
    found: dict[int, tuple[ConceptRecord, Why]] = {}
    for number, record in uow.concepts.by_number(project_id, dictionary).items():
        if record.name is None:
            found[number] = (record, "unnamed")
        elif known and record.name.casefold() not in known:
            found[number] = (record, "unknown to the vocabulary")
    return found


def vocabulary_words(vocabulary: Mapping[str, Any]) -> frozenset[str]:
    """Every term and synonym, in one case of letters.

    >>> sorted(vocabulary_words({"terms": [{"name": "Skin", "synonyms": ["healthy skin"]}]}))
    ['healthy skin', 'skin']
    """
    words: list[str] = []
    for term in vocabulary.get("terms", []):
        words += [str(term.get("name", "")), *map(str, term.get("synonyms") or [])]
    return frozenset(word.casefold() for word in words if word)


def _by_class(
    labels: Sequence[str | None], column: NDArray[np.float64]
) -> tuple[tuple[str, int, int], ...]:
    """Label, images in which it fires, of how many; labels in order."""
    total = Counter(label for label in labels if label is not None)
    fired = Counter(
        label for label, value in zip(labels, column, strict=True) if label and value > 0
    )
    return tuple((label, fired[label], total[label]) for label in sorted(total))
