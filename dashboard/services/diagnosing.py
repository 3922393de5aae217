"""Why a case went wrong: what pulled, what would have turned it, and what went right instead.

All figures are differences of two logits, so they are exact for the linear head: the lead of the
decision over its rival is the bias's part plus every concept's pull. The rival is the true label
after an error, else the runner-up.

Legend: N concepts; C classes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, get_args

import numpy as np
from numpy.typing import NDArray

from core.errors import InsightError
from dashboard.services.similar import Decision, Decisions, DecisionTables, alike
from dashboard.services.what_if import activations
from dashboard.viewmodels.concept_names import told_apart
from dashboard.viewmodels.modes import (
    AlikeView,
    DiagnosisView,
    DifferenceView,
    Outcome,
    PathView,
    PullView,
    StepView,
    TroubleRow,
    TroubleView,
    Way,
)
from db.records import CaseRecord
from db.unit_of_work import UnitOfWorkFactory

if TYPE_CHECKING:
    from core.heads import LinearHead
    from dashboard.services.engines import Engines

PULLS: Final = 8
ALIKE: Final = 4
DIFFERENCES: Final = 4
MOST_STEPS: Final = 6  # a longer way to another decision helps nobody
MARGIN: Final = 1e-6  # logit units, so that rounding never decides

WAYS: Final[tuple[Way, ...]] = get_args(Way)
Names = Mapping[int, str]


@dataclass(frozen=True)
class Step:
    """One concept changed on the way to another decision."""

    concept: int
    before: float
    after: float
    gain: float  # logit units


class DiagnoseService:
    """Errors, near misses and why they came about."""

    def __init__(
        self, uow_factory: UnitOfWorkFactory, tables: DecisionTables, engines: Engines
    ) -> None:
        self._uow = uow_factory
        self._tables = tables
        self._engines = engines
        self._kept: dict[str, tuple[tuple[Decision, ...], float, TroubleView]] = {}

    def trouble(
        self, project_id: str, *, margin: float, said: Collection[str] | None = None
    ) -> TroubleView:
        """Errors, the surest first, then right decisions that were close, the closest first.

        Args:
            margin: lead in probability below which a right decision is a near miss.
            said: cases on which the reviewer's word is in, for a blind project; None shows all.
        """
        rows = self._tables.rows(project_id)
        if said is not None:
            return trouble(rows, margin, said)
        kept = self._kept.get(project_id)
        if kept is None or kept[0] is not rows or kept[1] != margin:
            # Asked for at every rerun of the desk; the table is the same one until it changes.
            kept = (rows, margin, trouble(rows, margin, None))
            self._kept[project_id] = kept
        return kept[2]

    def said(self, project_id: str, reviewer_id: str) -> frozenset[str]:
        """Cases of the active version on which this reviewer's word is in."""
        with self._uow(read_only=True) as uow:
            version = uow.versions.active(project_id)
            return uow.modes.said(version.id, reviewer_id) if version else frozenset()

    def diagnose(self, case_id: str, *, margin: float) -> DiagnosisView:
        """One case. Raises NotFound, BundleError where the version's files are gone."""
        with self._uow(read_only=True) as uow:
            case = uow.cases.get(case_id)
            version = uow.versions.get(case.version_id)
            names = told_apart(uow.concepts.names(case.project_id, version.dictionary_hash))
            ids = uow.concepts.ids(case.project_id, version.dictionary_hash)
            cues = {cue.number: cue.activation for cue in uow.cues.list(case_id)}
        table = self._tables.of(version)
        head = table.bundle.head
        pooled_N = table.row(case_id)
        note = ""
        if pooled_N is None and case.explanation is None:
            raise InsightError("this case has no explanation yet: open it at the desk first")
        if pooled_N is None:  # the stored explanation names every concept that is there
            pooled_N = np.zeros(head.n)
            for number, value in activations(head, case, cues).items():
                pooled_N[number] = value
            note = "Similar cases need the codes of all images, which are not on this machine."
        return _diagnosis(
            _Case(case, table, pooled_N, names, ids), margin, note, self._reread(case, table)
        )

    def _reread(self, case: CaseRecord, table: Decisions) -> _Reread:
        version = table.version
        return _Reread(
            self._engines, case.project_id, version.encoder_hash, case.image.sha256, table
        )


@dataclass(frozen=True)
class _Reread:
    """Takes concepts out of a case's tokens and asks the model again."""

    engines: Engines
    project_id: str
    encoder_hash: str
    sha: str
    table: Decisions

    def without(self, concepts: Sequence[int]) -> str | None:
        """The decision then; None where the image's tokens are not kept."""
        from core.reading import read_image

        tokens_PD = self.engines.tokens_of(self.project_id, self.encoder_hash, self.sha)
        if tokens_PD is None:
            return None
        head = self.table.bundle.head
        seen = read_image(self.table.bundle.sae, tokens_PD.half().float(), head.pooling)
        logits_C = head.logits(seen.without(list(concepts))[None])[0]
        return head.classes[int(logits_C.argmax())]


@dataclass(frozen=True, eq=False)
class _Case:
    """A case with everything that its diagnosis needs."""

    case: CaseRecord
    table: Decisions
    pooled_N: NDArray[np.float64]
    names: Names
    ids: Mapping[int, str]

    def name(self, number: int) -> str:
        return self.names.get(number, f"concept {number}")


def outcome(row: Decision, classes: Collection[str], margin: float) -> Outcome:
    """How a decision stands to its label; a label outside the classes counts as none."""
    if row.label is None or row.label not in classes:
        return "no label"
    if row.label != row.prediction:
        return "error"
    return "near miss" if row.lead < margin else "right"


def trouble(rows: Sequence[Decision], margin: float, said: Collection[str] | None) -> TroubleView:
    """Errors and near misses among decisions, in the order in which to look at them."""
    found: list[TroubleRow] = []
    labelled = withheld = 0
    confusions: dict[tuple[str, str], int] = {}
    for row in rows:
        kind = outcome(row, {name for name, _ in row.probabilities}, margin)
        if kind == "no label" or row.label is None:
            continue
        if said is not None and row.case_id not in said:
            withheld += 1
            continue
        labelled += 1
        if kind == "error":
            pair = (row.label, row.prediction)
            confusions[pair] = confusions.get(pair, 0) + 1
        if kind != "right":
            found.append(
                TroubleRow(
                    row.case_id, row.name, row.label, row.prediction, row.runner_up,
                    row.confidence, row.lead, kind, row.split,
                )
            )  # fmt: skip
    found.sort(key=lambda r: (r.outcome != "error", -r.lead if r.outcome == "error" else r.lead))
    errors = sum(row.outcome == "error" for row in found)
    pairs = sorted(((*pair, n) for pair, n in confusions.items()), key=lambda p: (-p[2], p[:2]))
    return TroubleView(
        tuple(found), errors, len(found) - errors, labelled, margin, tuple(pairs), withheld
    )


def _diagnosis(own: _Case, margin: float, note: str, reread: _Reread) -> DiagnosisView:
    case, head = own.case, own.table.bundle.head
    row = Decision(
        case.id, case.image_id, case.image.relpath, case.image.sha256, case.image.label,
        case.image.split, case.prediction, case.confidence, case.probabilities,
    )  # fmt: skip
    kind = outcome(row, head.classes, margin)
    label = case.image.label
    rival = label if kind == "error" and label is not None else row.runner_up
    decided, other = head.classes.index(case.prediction), head.classes.index(rival)
    pull_N = own.pooled_N * (head.weight_CN[decided].astype(np.float64) - head.weight_CN[other])
    bias = float(head.bias_C[decided] - head.bias_C[other])
    shown = _largest(pull_N, PULLS)
    pulls = tuple(
        PullView(own.ids[k], k, own.name(k), float(own.pooled_N[k]), float(pull_N[k]))
        for k in shown
        if k in own.ids
    )
    return DiagnosisView(
        case_id=case.id, image_id=case.image_id, image_name=case.image.relpath, outcome=kind,
        label=label, prediction=case.prediction, rival=rival, confidence=case.confidence,
        lead=float(pull_N.sum()) + bias, bias=bias, pulls=pulls,
        other=float(pull_N.sum()) - sum(pull.pull for pull in pulls),
        paths=tuple(
            path
            for how in WAYS
            if (path := _path(own, head, other, how, reread)) is not None
        ),
        alike=() if note else _alike(own, decided, other),
        note=note,
    )  # fmt: skip


def steps_to(
    head: LinearHead, pooled_N: NDArray[np.float64], rival: int, way: Way
) -> tuple[Step, ...] | None:
    """Concept changes, largest gain first, until the head decides for the rival; None if too many.

    "removed": concepts that speak for the decision fall to nothing; "added": concepts that speak
    for the rival rise to their highest activation in training. Each gain stands for itself, so for
    two classes no smaller set of that kind would do; with more, a third class may lead on the way.
    """
    decided = int(head.logits(pooled_N[None])[0].argmax())
    slope_N = head.weight_CN[decided].astype(np.float64) - head.weight_CN[rival]
    if way == "removed":
        after_N = np.where(slope_N > 0, 0.0, pooled_N)
    elif head.upper_N is None:
        return None
    else:
        after_N = np.where(slope_N < 0, np.maximum(pooled_N, head.upper_N), pooled_N)
    gain_N = (pooled_N - after_N) * slope_N
    now_N = pooled_N.copy()
    steps: list[Step] = []
    for k in np.argsort(-gain_N, kind="stable")[:MOST_STEPS]:
        if gain_N[k] <= MARGIN:
            return None
        now_N[k] = after_N[k]
        steps.append(Step(int(k), float(pooled_N[k]), float(after_N[k]), float(gain_N[k])))
        if int(head.logits(now_N[None])[0].argmax()) == rival:
            return tuple(steps)
    return None


def _path(own: _Case, head: LinearHead, rival: int, way: Way, reread: _Reread) -> PathView | None:
    """One way to the rival, with removals tested on the image's tokens."""
    steps = steps_to(head, own.pooled_N, rival, way)
    if not steps:
        return None
    changed_N = own.pooled_N.copy()
    for step in steps:
        changed_N[step.concept] = step.after
    logits_C = head.logits(changed_N[None])[0]
    views = tuple(
        StepView(
            own.ids.get(s.concept, ""), s.concept, own.name(s.concept), s.before, s.after, s.gain
        )
        for s in steps
    )
    told = reread.without([step.concept for step in steps]) if way == "removed" else None
    return PathView(way, views, float(logits_C[rival] - np.delete(logits_C, rival).max()), told)


def _alike(own: _Case, decided: int, rival: int) -> tuple[AlikeView, ...]:
    """Cases labelled and decided as the rival that are most like this one, with what differs.

    For a right decision these are the cases that would be its nearest confusion.
    """
    table, head = own.table, own.table.bundle.head
    name = head.classes[rival]
    rows = [
        k
        for k, d in enumerate(table.coded)
        if d.label == d.prediction == name and d.case_id != own.case.id
    ]
    slope_N = head.weight_CN[rival].astype(np.float64) - head.weight_CN[decided]
    found = []
    for k, likeness in alike(table, own.pooled_N, rows, ALIKE):
        other = table.coded[k]
        there_N = table.codes_IN[k].toarray()[0].astype(np.float64)
        pull_N = (there_N - own.pooled_N) * slope_N
        differences = tuple(
            DifferenceView(
                n, own.name(n), float(own.pooled_N[n]), float(there_N[n]), float(pull_N[n])
            )
            for n in _largest(pull_N, DIFFERENCES)
        )
        found.append(
            AlikeView(
                other.case_id, other.image_id, other.name, name, other.prediction,
                other.confidence, likeness, differences,
            )
        )  # fmt: skip
    return tuple(found)


def _largest(value_N: NDArray[np.float64], count: int) -> list[int]:
    """Positions of the `count` largest |values| that are not zero; ties by position."""
    some = np.flatnonzero(value_N)
    order = np.argsort(-np.abs(value_N[some]), kind="stable")[:count]
    return [int(k) for k in some[order]]
