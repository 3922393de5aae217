"""The decisions of a model version as one table with its codes: what the three modes work on.

Held per version and read again only when cases, labels or codes were added: predictions never
change, since versions are immutable. Legend: I cases with codes, N concepts, C classes.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from core.errors import InsightError
from dashboard.services.concept_examples import ConceptCodes, as_u8, concept_map
from dashboard.services.engines import Engines
from dashboard.viewmodels.modes import ExamplePicture
from db.records import VersionRecord
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory

if TYPE_CHECKING:
    from core.artifacts import ModelBundle

KEPT: Final = 2  # versions whose table stays in memory
PICTURES: Final = 8


@dataclass(frozen=True)
class Decision:
    """One case, without its cues."""

    case_id: str
    image_id: str
    name: str  # the image's path
    sha: str
    label: str | None
    split: str | None
    prediction: str
    confidence: float
    probabilities: tuple[tuple[str, float], ...]

    @property
    def lead(self) -> float:
        """Probability by which the decision leads the next class."""
        rest = [p for name, p in self.probabilities if name != self.prediction]
        return self.confidence - max(rest, default=0.0)

    @property
    def runner_up(self) -> str:
        """The next class; the decision itself where there is no other."""
        rest = [(p, name) for name, p in self.probabilities if name != self.prediction]
        return max(rest, default=(0.0, self.prediction))[1]


@dataclass(frozen=True, eq=False)
class Decisions:
    """Every case of a version. Shared between threads: never change anything in it."""

    version: VersionRecord
    bundle: ModelBundle
    all: tuple[Decision, ...]  # in queue order
    coded: tuple[Decision, ...]  # those with codes, row by row
    codes_IN: Any = field(repr=False)  # scipy CSR float32, pooled activations
    place: dict[str, int] = field(repr=False)  # case id -> row

    @property
    def classes(self) -> tuple[str, ...]:
        """In the order of the head's rows."""
        return self.bundle.head.classes

    def predicted_I(self) -> NDArray[np.int64]:
        """Class index of each row's decision."""
        number = {name: k for k, name in enumerate(self.classes)}
        return np.array([number[d.prediction] for d in self.coded], dtype=np.int64)

    def labels_I(self) -> NDArray[np.int64]:
        """Class index of each row's label; -1 where there is none, or none of the classes."""
        number = {name: k for k, name in enumerate(self.classes)}
        return np.array([number.get(d.label or "", -1) for d in self.coded], dtype=np.int64)

    def row(self, case_id: str) -> NDArray[np.float64] | None:
        """Pooled activations [N] of a case, or None where its codes are not there."""
        at = self.place.get(case_id)
        if at is None:
            return None
        dense: NDArray[np.float64] = self.codes_IN[at].toarray()[0].astype(np.float64)
        return dense


class DecisionTables:
    """Tables per version, the last few kept; safe to share between threads."""

    def __init__(self, uow_factory: UnitOfWorkFactory, codes: ConceptCodes) -> None:
        self._uow = uow_factory
        self._codes = codes
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[object, Decisions]] = OrderedDict()
        self._rows: OrderedDict[str, tuple[object, tuple[Decision, ...]]] = OrderedDict()

    def of_project(self, project_id: str) -> Decisions:
        """The table of the active version. Raises InsightError where there is none."""
        return self.of(self._active(project_id))

    def rows(self, project_id: str) -> tuple[Decision, ...]:
        """The decisions of the active version alone: no model is loaded for them."""
        return self._decisions(self._active(project_id))[1]

    def of(self, version: VersionRecord) -> Decisions:
        """The table of a version."""
        codes = self._codes.of(version.project_id, version)
        stamp, rows = self._decisions(version)
        stamp = (stamp, len(codes.shas))
        with self._lock:
            kept = self._kept.get(version.id)
            if kept is None or kept[0] != stamp:
                kept = (stamp, _joined(version, codes, rows))
            _keep(self._kept, version.id, kept)
        return kept[1]

    def _active(self, project_id: str) -> VersionRecord:
        with self._uow(read_only=True) as uow:
            version = uow.versions.active(project_id)
        if version is None:
            raise InsightError("this project has no model version yet; discover its concepts first")
        return version

    def _decisions(self, version: VersionRecord) -> tuple[object, tuple[Decision, ...]]:
        """What tells whether anything was added, and the decisions as they stand."""
        with self._uow(read_only=True) as uow, self._lock:
            counts = uow.images.counts(version.project_id)
            labels = tuple(sorted(counts.by_label.items(), key=str))
            stamp = (uow.cases.total(version.id), labels)
            kept = self._rows.get(version.id)
            if kept is None or kept[0] != stamp:
                kept = (stamp, decisions(uow, version.id))
            _keep(self._rows, version.id, kept)
        return kept


def _keep(kept: OrderedDict[str, Any], key: str, value: Any) -> None:
    """Put the latest last and let the oldest go."""
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > KEPT:
        kept.popitem(last=False)


def decisions(uow: UnitOfWork, version_id: str) -> tuple[Decision, ...]:
    """Every case of a version in queue order, without explanations."""
    return tuple(
        Decision(
            row.case_id, row.image_id, row.relpath, row.sha256, row.label, row.split,
            row.prediction, row.confidence, row.probabilities,
        )
        for row in uow.queue.rows(version_id)
    )  # fmt: skip


def _joined(version: VersionRecord, codes: Any, rows: tuple[Decision, ...]) -> Decisions:
    """Cases beside the rows of their codes."""
    at = {sha: number for number, sha in enumerate(codes.shas)}
    coded = tuple(row for row in rows if row.sha in at)
    matrix_IN = codes.columns_IN.tocsr()[[at[row.sha] for row in coded]]
    place = {row.case_id: number for number, row in enumerate(coded)}
    return Decisions(version, codes.bundle, rows, coded, matrix_IN, place)


def alike(
    table: Decisions, pooled_N: NDArray[np.float64], rows: Sequence[int], count: int
) -> list[tuple[int, float]]:
    """(row, cosine) of the `count` rows whose codes point most in the same direction.

    Codes are >= 0, so the cosine lies in [0, 1]. Ties go to the earlier row.
    """
    if not len(rows):
        return []
    some_RN = table.codes_IN[np.asarray(rows)]
    length_R = np.sqrt(np.asarray(some_RN.multiply(some_RN).sum(axis=1), dtype=np.float64)).ravel()
    length = float(np.linalg.norm(pooled_N))
    product_R = np.asarray(some_RN @ pooled_N, dtype=np.float64).ravel()
    cosine_R = np.divide(
        product_R, length * length_R, out=np.zeros_like(product_R), where=length * length_R > 0
    )
    order = np.argsort(-cosine_R, kind="stable")[:count]
    return [(int(rows[k]), float(np.clip(cosine_R[k], 0.0, 1.0))) for k in order]


def pictures(
    engines: Engines,
    table: Decisions,
    concept: int,
    among: Sequence[bool],
    said: Collection[str] | None = None,
    count: int = PICTURES,
) -> tuple[ExamplePicture, ...]:
    """The cases in which a concept fires most, with its map where the image's tokens are kept.

    Args:
        among: which rows of the table may be shown.
        said: cases on which the reviewer's word is in, for a blind project; None shows all.
    """
    column = strength(table, concept)
    found: list[ExamplePicture] = []
    for k in np.argsort(-column, kind="stable"):
        if column[k] <= 0 or len(found) == count:
            break
        d = table.coded[int(k)]
        if not among[int(k)] or (said is not None and d.case_id not in said):
            continue
        grid, map_u8 = _map(engines, table, concept, d.sha)
        found.append(
            ExamplePicture(
                d.case_id, d.image_id, d.name, d.label, d.prediction, float(column[k]), grid, map_u8
            )
        )
    return tuple(found)


def strength(table: Decisions, concept: int) -> NDArray[np.float64]:
    """Pooled activation of one concept in every coded case, [I]."""
    column: NDArray[np.float64] = table.codes_IN[:, [concept]].toarray().ravel().astype(np.float64)
    return column


def _map(
    engines: Engines, table: Decisions, concept: int, sha: str
) -> tuple[tuple[int, int], bytes]:
    version = table.version
    tokens_PD = engines.tokens_of(version.project_id, version.encoder_hash, sha)
    if tokens_PD is None:
        return (1, 1), b"\x00"
    map_P = concept_map(table.bundle.sae, tokens_PD, concept)
    return table.bundle.manifest.encoder.grid, as_u8(map_P)
