"""What each strategy of the plan has to say of every case of a version, as arrays.

Everything is read from the store and, where they are there, from the codes that were pooled when
the version was published; no image or token is touched, nothing is computed anew. What is missing
is said in `notes`, never guessed.

Legend: I cases, C classes, N concepts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from core.agreement import trust_of_all
from core.errors import InsightError
from dashboard.services import feedback, queue_plan
from dashboard.services.publishing import DEVELOPMENT
from db.desk_records import CaseFacts
from db.records import VersionRecord
from db.repositories.plan_reads import FigureRow
from db.unit_of_work import UnitOfWork

if TYPE_CHECKING:
    from core.artifacts import ModelBundle
    from core.teaching import Lessons
    from dashboard.services.pooled import PooledStore

Array = NDArray[np.float64]


class Codes(Protocol):
    """What is needed of Engines."""

    def bundle(self, folder: str) -> ModelBundle:
        """The model version in a folder."""

    def pooled_store(self, project_id: str, bundle: ModelBundle) -> PooledStore:
        """Its pooled codes on disk."""


@dataclass(frozen=True)
class Facts:
    """What the store knows of a version's cases."""

    rows: tuple[CaseFacts, ...]
    figures: tuple[FigureRow, ...]
    reconstructions: dict[str, float]
    disputed: dict[str, float]
    judged: dict[int, tuple[int, int]]  # concept -> spurious, of how many verdicts
    artefacts: frozenset[int]
    concepts: int
    spoken: frozenset[str] = frozenset()  # cases with a word
    words: Mapping[int, tuple[float, float]] = field(default_factory=dict)
    """Concept -> words that call it spurious and correct, as the evidence weighs them."""


@dataclass(frozen=True)
class Scores:
    """Scores by strategy [I], [0, 1], and what could not be used."""

    by_strategy: dict[str, Array]
    notes: tuple[str, ...]
    about_I: NDArray[np.int64] | None = None
    """The concept that each case would teach most about [I], -1 for none; None: not known."""


def read(uow: UnitOfWork, version: VersionRecord, *, among: Sequence[str] | None = None) -> Facts:
    """All that is needed, in one reading unit of work.

    Args:
        among: the cases to read of; None: every case. What is said of concepts comes from all.
    """
    key = version.project_id, version.dictionary_hash
    # By content: the order they have now must not decide the order they get.
    rows = tuple(sorted(uow.queue.rows(version.id, among), key=lambda row: row.sha256))
    said = uow.queue.progress(version.id, "").by_reviewer
    numbers = uow.concepts.ids(*key)
    return Facts(
        rows=rows,
        figures=uow.plan.figures(version.id, among) if any(row.explained for row in rows) else (),
        reconstructions=uow.plan.reconstructions(version.id, among),
        disputed=uow.plan.disputed(version.project_id, version.id) if len(said) > 1 else {},
        judged=uow.plan.judged(*key),
        artefacts=uow.plan.artefacts(*key),
        concepts=max(numbers, default=-1) + 1,
        spoken=uow.plan.spoken(version.id),
        words=_words(uow, *key),
    )


def scores(facts: Facts, version: VersionRecord, codes: Codes | None, *, seed: int) -> Scores:
    """The score of every case for every strategy."""
    notes: list[str] = []
    rows = facts.rows
    at = {row.case_id: index for index, row in enumerate(rows)}
    probability_IC = _probabilities(rows, version.classes)
    pooled_IN, weight_CN = _codes(rows, version, codes, notes)
    contribution_IN = (
        _from_codes(pooled_IN, weight_CN, rows, version.classes)
        if pooled_IN is not None and weight_CN is not None
        else _from_cues(facts, at)
    )
    features = _features(pooled_IN, probability_IC, seed)
    suspected_N = _suspected(facts, contribution_IN)
    lessons = _teaching(
        facts, version, probability_IC, pooled_IN, weight_CN, suspected_N, notes, seed
    )
    return Scores(
        {
            "uncertain": queue_plan.uncertainty(probability_IC),
            "explanation": _doubtful(facts, at, notes),
            "experts": _spread(facts.disputed, at),
            "shortcut": _shortcut(contribution_IN, suspected_N),
            "teach": np.zeros(len(rows)) if lessons is None else lessons.score_I,
            "diverse": queue_plan.coverage(features, seed=seed),
        },
        tuple(notes),
        None if lessons is None else lessons.concept_I,
    )


def _probabilities(rows: Sequence[CaseFacts], classes: Sequence[str]) -> Array:
    found = [[dict(row.probabilities).get(name, 0.0) for name in classes] for row in rows]
    return np.array(found, dtype=np.float64).reshape(len(rows), len(classes))


def _codes(
    rows: Sequence[CaseFacts], version: VersionRecord, codes: Codes | None, notes: list[str]
) -> tuple[Any, Any]:
    """Pooled codes CSR [I, N] and the head's weights [C, N]; None where they are not here."""
    if codes is None or not rows:
        return None, None
    shas = [row.sha256 for row in rows]
    try:
        bundle = codes.bundle(version.folder)
        store = codes.pooled_store(version.project_id, bundle)
        missing = len(store.missing(shas))
    except (InsightError, OSError):
        notes.append("The version's files cannot be read: coverage goes by the decisions alone.")
        return None, None
    if missing:
        notes.append(
            f"{missing} of {len(rows)} images have no codes kept: coverage goes by the decisions, "
            "shortcuts by the cues of cases that were explained."
        )
        return None, None
    return store.rows(shas), np.asarray(bundle.head.weight_CN, dtype=np.float64)


def _from_codes(
    pooled_IN: Any, weight_CN: Any, rows: Sequence[CaseFacts], classes: Sequence[str]
) -> Any:
    """CSR [I, N]: what each concept adds to the logit of the predicted class."""
    number = {name: index for index, name in enumerate(classes)}
    chosen_I = np.array([number.get(row.prediction, 0) for row in rows])
    contribution_IN = sparse.csr_matrix(pooled_IN, dtype=np.float64, copy=True)
    row_of = np.repeat(np.arange(len(rows)), np.diff(contribution_IN.indptr))
    contribution_IN.data *= weight_CN[chosen_I[row_of], contribution_IN.indices]
    return contribution_IN


def _from_cues(facts: Facts, at: Mapping[str, int]) -> Any:
    """The same from stored cues; cases that are not explained have none."""
    used = [each for each in facts.figures if each.case_id in at]
    place = ([at[each.case_id] for each in used], [each.number for each in used])
    shape = (len(facts.rows), facts.concepts)
    return sparse.csr_matrix(([each.contribution for each in used], place), shape=shape)


def _features(pooled_IN: Any, probability_IC: Array, seed: int) -> NDArray[np.float32]:
    """What two cases are compared by: their codes, else their decisions."""
    if pooled_IN is None:
        return probability_IC.astype(np.float32)
    rng = np.random.default_rng(seed)
    draw_NF = rng.standard_normal((pooled_IN.shape[1], queue_plan.FEATURES), dtype=np.float32)
    return np.asarray(pooled_IN @ draw_NF, dtype=np.float32)


def _doubtful(facts: Facts, at: Mapping[str, int], notes: list[str]) -> Array:
    """1 - the trust in each explanation; 0 where a case is not explained yet."""
    found = np.zeros(len(at))
    by_case: dict[str, list[FigureRow]] = {}
    for each in facts.figures:
        by_case.setdefault(each.case_id, []).append(each)
    for case_id, cues in by_case.items():
        share = facts.reconstructions.get(case_id)
        if share is not None and case_id in at:
            sums = [cue.contribution for cue in cues]
            effects = [cue.causal_effect for cue in cues]
            found[at[case_id]] = 1.0 - trust_of_all(sums, effects, share)
    waiting = len(at) - len(facts.reconstructions)
    if waiting > 0:
        notes.append(
            f"{waiting:,} of {len(at):,} cases are not explained yet: how far their explanations "
            "can be trusted is not known before they are opened."
        )
    return found


def _spread(shares: Mapping[str, float], at: Mapping[str, int]) -> Array:
    found = np.zeros(len(at))
    for case_id, share in shares.items():
        if case_id in at:
            found[at[case_id]] = share
    return found


def _suspected(facts: Facts, contribution_IN: Any) -> Array:
    """How far each concept is suspected of being a shortcut, [0, 1] [N]."""
    n = contribution_IN.shape[1]
    rows = facts.rows
    known_I = np.array([row.label is not None for row in rows], dtype=bool)
    wrong_I = np.array([row.label not in (None, row.prediction) for row in rows], dtype=bool)
    for_it_IN = contribution_IN.maximum(0).tocsr()
    suspected_N = queue_plan.suspicion(_leading(for_it_IN), wrong_I, known_I, n)
    for number, (spurious, judged) in facts.judged.items():
        if number < n:
            said = queue_plan.judged_spurious(np.array([spurious]), np.array([judged]))
            suspected_N[number] = max(suspected_N[number], float(said[0]))
    for number in facts.artefacts:
        if number < n:
            suspected_N[number] = 1.0
    return suspected_N


def _shortcut(contribution_IN: Any, suspected_N: Array) -> Array:
    """Share of what speaks for each decision that comes from suspected concepts, each weighed."""
    for_it_IN = contribution_IN.maximum(0).tocsr()
    total_I = np.asarray(for_it_IN.sum(axis=1)).ravel()
    suspected_I = np.asarray(for_it_IN @ suspected_N).ravel()
    return np.where(total_I > 0, suspected_I / np.where(total_I > 0, total_I, 1.0), 0.0)


def _teaching(
    facts: Facts, version: VersionRecord, probability_IC: Array, pooled_IN: Any, weight_CN: Any,
    suspected_N: Array, notes: list[str], seed: int,
) -> Lessons | None:  # fmt: skip
    """What a word on each case is expected to change in the next run; see core.teaching."""
    from core.teaching import teach

    if pooled_IN is None or weight_CN is None:
        return None
    number = {name: index for index, name in enumerate(version.classes)}
    labels_I = np.array([number.get(row.label or "", -1) for row in facts.rows])
    if not (labels_I >= 0).any():
        notes.append("No image has a label: what would teach the next run is not known.")
        return None
    spurious_N, correct_N = np.zeros(pooled_IN.shape[1]), np.zeros(pooled_IN.shape[1])
    for concept, (spurious, correct) in facts.words.items():
        if concept < len(spurious_N):
            spurious_N[concept], correct_N[concept] = spurious, correct
    open_I = np.array(
        [row.split in DEVELOPMENT and row.case_id not in facts.spoken for row in facts.rows]
    )
    return teach(
        pooled_IN, labels_I, probability_IC, weight_CN, spurious_N=spurious_N,
        correct_N=correct_N, suspicion_N=suspected_N, open_I=open_I, seed=seed,
    )  # fmt: skip


def _words(
    uow: UnitOfWork, project_id: str, dictionary_hash: str
) -> dict[int, tuple[float, float]]:
    return words_of(feedback.current_payload(uow, project_id, dictionary_hash))


def words_of(payload: Mapping[str, Any]) -> dict[int, tuple[float, float]]:
    """Concept -> words against it and for it: the evidence's probability times its words."""
    found: dict[int, tuple[float, float]] = {}
    for each in feedback.evidence_of(payload).concepts:
        said = each.probability * each.words, (1.0 - each.probability) * each.words
        if sum(said) > sum(found.get(each.concept, (0.0, 0.0))):
            found[each.concept] = said
    return found


def _leading(for_it_IN: Any) -> NDArray[np.int64]:
    """The concept that adds most to each decision; -1 where none adds anything."""
    if not for_it_IN.shape[1]:
        return np.full(for_it_IN.shape[0], -1)
    best_I = np.asarray(for_it_IN.argmax(axis=1)).ravel()
    top_I = for_it_IN.max(axis=1).toarray().ravel()
    return np.where(top_I > 0, best_I, -1).astype(np.int64)
