"""What a report says of the model: accuracy, calibration, groups, on cases it did not learn from.

The same cases and the same rules as everywhere (compared.py, groups.py): held-out splits, without
the cases whose verdicts taught the version. Nothing here needs the encoder or the weights, but the
reliance on rejected concepts, which the groups' figures bring along where the codes are at hand.

Legend: I cases; B bins.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from core.errors import ConfigError, InsightError
from dashboard.services import compared
from dashboard.services.judging import clusters_of
from dashboard.services.judging_words import estimate
from dashboard.services.report_words import WHAT, figure
from dashboard.services.run_data import TRAIN
from dashboard.services.settings_of import settings_in
from dashboard.viewmodels.groups import ColumnRow, GroupsView
from dashboard.viewmodels.judgement import Estimate
from dashboard.viewmodels.report_content import (
    Figure,
    Reliability,
    ReliabilityBin,
    SplitAccuracy,
)
from db.errors import StoreError
from db.records import VersionRecord
from db.report_records import Selection
from db.unit_of_work import UnitOfWork

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.resampling import Drawn, Statistic
    from db.run_records import PredictionRow

NO_LABELS = "no case has a label of the model's classes"
NO_VERSION = "there is no model version yet"
GROUP_COLUMNS = ("group", "label")  # what the groups are made of, where it is there
EMPTY = Estimate(None)


class Groups(Protocol):
    """What is needed of GroupService."""

    def columns(self, project_id: str) -> tuple[ColumnRow, ...]:
        """Every column that there are values for."""

    def of(
        self, project_id: str, column: str, *, version_id: str | None = None,
        splits: Sequence[str] | None = None,
    ) -> GroupsView:  # fmt: skip
        """A version by one column."""


@dataclass(frozen=True)
class Decisions:
    """The labelled cases of a version that a report covers."""

    rows: tuple[PredictionRow, ...]
    splits: tuple[str, ...]  # of each row, as runs resolve them
    held: tuple[str, ...]  # the held-out splits
    taught: frozenset[str]  # hashes of the images whose words taught the version
    seed: int  # of the draws: the version's own
    clusters: Mapping[str, str] | None = None  # image id -> what it belongs to (patient, plate)

    def of(self, splits: Collection[str]) -> tuple[PredictionRow, ...]:
        """The rows of those splits that did not teach the version, or of the training splits."""
        pairs = zip(self.rows, self.splits, strict=True)
        return tuple(
            row
            for row, split in pairs
            if split in splits and not (split in self.held and row.sha256 in self.taught)
        )

    @property
    def learnt(self) -> bool:
        """Whether there is no held-out case at all, so that training cases have to do."""
        return self.held == (TRAIN,)

    def accuracy(self, rows: Sequence[PredictionRow], of: str) -> Figure:
        """The share of some rows that is decided right."""
        return self.share("accuracy", "Accuracy", rows, of)

    def share(self, key: str, label: str, rows: Sequence[PredictionRow], of: str) -> Figure:
        """The same under another name; the interval is Wilson's.

        Where images belong together it is at least as wide as that of whole patients (plates, ...)
        drawn anew, as the groups' figures have it.
        """
        from core.decided import mean_of
        from core.intervals import wilson

        right_I = np.array([row.prediction == row.label for row in rows], dtype=np.bool_)
        found = estimate(wilson(int(right_I.sum()), len(rows)))
        if self.clusters is not None and rows:
            over = self.drawn(rows, mean_of(right_I)).estimate(0.0, 1.0)
            low, high = (over.low, over.high) if over.low is not None else (1.0, 0.0)
            found = Estimate(
                found.value, min(found.low or 0.0, low or 0.0), max(found.high or 0.0, high or 0.0)
            )
        return figure(key, label, found, "share", len(rows), of, why_not=NO_LABELS)

    def drawn(self, rows: Sequence[PredictionRow], statistic: Statistic) -> Drawn:
        """A statistic of some rows with its draws."""
        from core.group_scores import RESAMPLES
        from core.resampling import bootstrap

        clusters = None
        if self.clusters is not None:
            clusters = np.array([self.clusters[row.image_id] for row in rows])
        return bootstrap(
            {"it": statistic}, cluster_I=clusters, resamples=RESAMPLES, seed=self.seed
        )["it"]


@dataclass(frozen=True)
class ModelPart:
    """What a report says of the model."""

    headline: tuple[Figure, ...]
    splits: tuple[SplitAccuracy, ...] = ()
    calibration: tuple[Reliability, ...] = ()
    groups: tuple[GroupsView, ...] = ()
    groups_note: str = ""


def decisions(uow: UnitOfWork, version: VersionRecord, sel: Selection) -> Decisions:
    """The labelled cases of the version, narrowed by the scope's class and case.

    Never by who judged them or when: the cases that people chose to look at are no fair sample.
    """
    rows = {row.image_id: row for row in uow.cases.predictions(version.id)}
    split_of = _splits(uow, version, rows)
    known = [r for r in rows.values() if r.label in version.classes and split_of[r.image_id]]
    held = compared.held_out([split_of[row.image_id] for row in known])
    kept = [row for row in known if _wanted(row, sel)]
    return Decisions(
        rows=tuple(kept),
        splits=tuple(split_of[row.image_id] for row in kept),
        held=held,
        taught=frozenset(compared.taught_by(uow, version)),
        seed=version.seed,
        clusters=_clusters(uow, version.project_id, [row.image_id for row in kept]),
    )


def _splits(
    uow: UnitOfWork, version: VersionRecord, rows: Mapping[str, PredictionRow]
) -> Mapping[str, str]:
    """Splits as runs resolve them; where no run could work on these images, as they were given."""
    try:
        return compared.splits_of(uow, version, rows)
    except ConfigError:
        return {key: row.split or "" for key, row in rows.items()}


def _clusters(
    uow: UnitOfWork, project_id: str, image_ids: Sequence[str]
) -> Mapping[str, str] | None:
    column = settings_in(uow, project_id).cluster_column
    if not column or not image_ids:
        return None
    cells = uow.images.column_values(project_id)
    values = clusters_of(image_ids, [cells.get(each, {}).get(column) for each in image_ids])
    return None if values is None else dict(zip(image_ids, values, strict=True))


def _wanted(row: PredictionRow, sel: Selection) -> bool:
    if sel.class_name is not None and sel.class_name not in (row.label, row.prediction):
        return False
    return sel.case_id in (None, row.case_id)


def model_figures(found: Decisions, class_name: str | None) -> ModelPart:
    """Accuracy by split, the headline accuracy and the calibration; no store needed."""
    held = found.of(found.held)
    of = "labelled training cases" if found.learnt else "labelled held-out cases"
    headline = (found.accuracy(held, of),) if class_name is None else _of_class(
        found, held, class_name, of
    )  # fmt: skip
    reliability = _reliability(found, held, of)
    splits = []
    for split in sorted(set(found.splits), key=lambda name: (name in found.held, name)):
        rows = found.of([split])
        every = sum(each == split for each in found.splits)
        splits.append(
            SplitAccuracy(
                split, split in found.held and not found.learnt, every - len(rows),
                found.accuracy(rows, "labelled cases"),
            )
        )  # fmt: skip
    return ModelPart((*headline, reliability.ece), tuple(splits), (reliability,) if held else ())


def _of_class(
    found: Decisions, rows: Sequence[PredictionRow], name: str, of: str
) -> tuple[Figure, ...]:
    """Of one class, accuracy would mix two questions; these are the two."""
    labelled = [row for row in rows if row.label == name]
    decided = [row for row in rows if row.prediction == name]
    return (
        found.share("sensitivity", f"Found among {name}", labelled, f"{of} of the class"),
        found.share("precision", f"Right among decided {name}", decided, f"{of} so decided"),
    )


def _reliability(found: Decisions, rows: Sequence[PredictionRow], of: str) -> Reliability:
    """How far the confidence holds; the interval is drawn as runs and groups draw theirs."""
    from core.decided import Decided, ece_of

    confidence_I = np.array([row.confidence for row in rows], dtype=np.float64)
    right_I = np.array([row.prediction == row.label for row in rows], dtype=np.bool_)
    ece = EMPTY
    if rows:
        drawn = found.drawn(rows, ece_of(Decided(confidence_I[:, None]), right_I))
        ece = estimate(drawn.estimate(0.0, 1.0, pivotal=True))
    told = figure("ece", "Calibration error", ece, "share", len(rows), of, why_not=NO_LABELS)
    return Reliability(of, told, _bins(confidence_I, right_I))


def bin_of(confidence_I: NDArray[np.float64]) -> NDArray[np.int64]:
    """The bin of each confidence: equal widths, open on the left, as core.calibration has them."""
    from core.calibration import BINS

    numbers = np.ceil(confidence_I * BINS - 1e-9).astype(np.int64) - 1
    return np.asarray(np.clip(numbers, 0, BINS - 1), dtype=np.int64)


def _bins(
    confidence_I: NDArray[np.float64], right_I: NDArray[np.bool_]
) -> tuple[ReliabilityBin, ...]:
    from core.calibration import BINS
    from core.intervals import wilson

    bin_I, found = bin_of(confidence_I), []
    for k in range(BINS):
        here = bin_I == k
        n, hits = int(here.sum()), int(right_I[here].sum())
        accuracy = figure("bin", "Accuracy", estimate(wilson(hits, n)), "share", n, "cases")
        mean = float(confidence_I[here].mean()) if n else None
        found.append(ReliabilityBin(k / BINS, (k + 1) / BINS, n, mean, accuracy))
    return tuple(found)


def group_figures(
    groups: Groups, project_id: str, version_id: str
) -> tuple[tuple[Figure, ...], tuple[GroupsView, ...], str]:
    """Worst group and reliance of the whole version, and the table behind them.

    They are those of the Groups screen. Where a version has no labelled case, they are left out
    and the sentence says why.
    """
    views, reasons = [], []
    usable = {row.column for row in groups.columns(project_id) if row.usable}
    for column in GROUP_COLUMNS:
        if column in usable:
            try:
                views.append(groups.of(project_id, column, version_id=version_id))
            except (InsightError, StoreError) as error:
                reasons.append(str(error))
    if not views:
        why = reasons[0] if reasons else "no column of the images makes groups"
        return (_worst(None, why), _reliance(None, why)), (), f"No groups: {why}."
    return (_worst(views[0], ""), _reliance(views[0], "")), tuple(views), ""


def _worst(view: GroupsView | None, why: str) -> Figure:
    rows = [] if view is None else [r for r in view.rows if not r.small and r.accuracy.value]
    if view is None or len(rows) < 2:
        return figure("worst_group", "Worst group", EMPTY, "share", 0, "cases",
                      why_not=why or "fewer than two groups have enough cases")  # fmt: skip
    row = min(rows, key=lambda each: each.accuracy.value or 0.0)
    what = f"{WHAT['worst_group']} ({view.column.label})"
    return figure("worst_group", f"Worst group: {row.value}", row.accuracy, "share", row.n,
                  "cases of the group", what=what)  # fmt: skip


def _reliance(view: GroupsView | None, why: str) -> Figure:
    found = EMPTY if view is None else view.overall.reliance
    said = why or next(iter(view.notes if view else ()), "nobody has rejected a concept yet")
    return figure("reliance", "Reliance on rejected concepts", found, "share",
                  view.overall.n if view else 0, "cases", why_not=said)  # fmt: skip
