"""A version by groups: accuracy, calibration and reliance on rejected concepts, by any column.

By default held-out cases count that no verdict behind the version touched; other splits can be
asked for, and then it is said that the version learnt from them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import ConfigError, InsightError
from dashboard.services import group_words
from dashboard.services.compared import (
    held_out,
    rejected_concepts,
    splits_of,
    stored_decisions,
    taught_by,
)
from dashboard.services.engines import Engines
from dashboard.services.group_columns import LABEL, column_row, grouped
from dashboard.services.judging import clusters_of
from dashboard.services.run_data import TRAIN
from dashboard.services.settings_of import settings_in
from dashboard.viewmodels.groups import ColumnRow, ColumnScan, GroupsView
from db.records import VersionRecord
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory

if TYPE_CHECKING:
    from core.decided import Decided
    from db.run_records import PredictionRow

Cells = Mapping[str, Mapping[str, str]]  # image id -> column -> value


@dataclass(frozen=True)
class _Table:
    """A version's labelled cases with the columns of their images."""

    version: VersionRecord
    rows: tuple[PredictionRow, ...]
    split_of: Mapping[str, str]
    cells: Cells
    classes: tuple[str, ...]
    held: tuple[str, ...]  # the held-out splits
    left_out: int  # held-out cases that verdicts behind the version touched
    cluster_column: str
    rejected: tuple[int, ...]

    def value(self, row: PredictionRow, column: str) -> str | None:
        """A column's value for one case."""
        if column == LABEL:
            return row.label
        return self.cells.get(row.image_id, {}).get(column)


class GroupService:
    """Figures of a version by column; the active version where none is named."""

    def __init__(self, uow_factory: UnitOfWorkFactory, engines: Engines) -> None:
        self._uow = uow_factory
        self._engines = engines

    def columns(self, project_id: str) -> tuple[ColumnRow, ...]:
        """Every column that there are values for, the usable ones first."""
        with self._uow(read_only=True) as uow:
            cells = uow.images.column_values(project_id)
            labels = {image.id: image.label for image in uow.images.list(project_id)}
        names = sorted({name for values in cells.values() for name in values})
        found = [column_row(LABEL, list(labels.values()))]
        found += [
            column_row(name, [cells.get(image_id, {}).get(name) for image_id in labels])
            for name in names
            if name != LABEL
        ]
        known = [row for row in found if row.cases]
        return tuple(sorted(known, key=lambda row: (not row.usable, row.label.casefold())))

    def of(
        self, project_id: str, column: str, *, version_id: str | None = None,
        splits: Sequence[str] | None = None,
    ) -> GroupsView:  # fmt: skip
        """A version by one column.

        Args:
            column: "label", "group", "mask" or a column of the images' table.
            version_id: None takes the active version.
            splits: which cases; None takes the held-out ones.

        Raises ConfigError for an unknown or unusable column or split, InsightError where there is
        no version or no labelled case.
        """
        from core.group_scores import by_group

        with self._uow(read_only=True) as uow:
            table = _load(uow, project_id, version_id)
            every = uow.images.list(project_id)
            cells = table.cells
        about = column_row(
            column,
            [i.label if column == LABEL else cells.get(i.id, {}).get(column) for i in every],
        )
        _refuse(about, column)
        wanted = _wanted(table, splits)
        rows = [r for r in table.rows if table.split_of[r.image_id] in wanted]
        rows = [r for r in rows if table.value(r, column)]
        if not rows:
            raise InsightError(
                f"no labelled image of the split {' or '.join(wanted)} has a value for {column!r}"
            )
        groups, order = grouped(about.kind, [table.value(r, column) or "" for r in rows])
        decided, notes = self._decided(table, rows)
        found = by_group(
            decided, _labels(table, rows), groups, cluster_I=_clusters(table, rows),
            within_labels=column != LABEL, seed=settings_seed(table),
        )  # fmt: skip
        return group_words.groups_view(
            found, about, table.version.hash, wanted, order,
            wrong=group_words.wrong_cases(decided, _labels(table, rows), groups, rows),
            notes=(*_split_notes(table, wanted), *notes),
        )  # fmt: skip

    def scan(self, project_id: str, *, version_id: str | None = None) -> tuple[ColumnScan, ...]:
        """Every usable column: do its groups differ in accuracy, given the labels?

        On held-out cases; the column with the clearest difference first. Raises InsightError.
        """
        from core.significance import benjamini_hochberg

        with self._uow(read_only=True) as uow:
            table = _load(uow, project_id, version_id)
        wanted = _wanted(table, None)
        rows = [r for r in table.rows if table.split_of[r.image_id] in wanted]
        usable = [row for row in self.columns(project_id) if row.usable]
        scans = [found for row in usable if (found := _scan(table, rows, row)) is not None]
        tested = [k for k, scan in enumerate(scans) if scan.p is not None]
        adjusted = benjamini_hochberg([scans[k].p or 0.0 for k in tested])
        for k, p in zip(tested, adjusted, strict=True):
            scans[k] = replace(scans[k], p_adjusted=p, differs=p < group_words.ALPHA)
        return tuple(sorted(scans, key=lambda s: (2.0 if s.p is None else s.p, s.column.label)))

    def _decided(
        self, table: _Table, rows: Sequence[PredictionRow]
    ) -> tuple[Decided, tuple[str, ...]]:
        """The stored decisions, with contributions where concepts were rejected."""
        from core.decided import decide

        stored = stored_decisions(rows, table.classes)
        if not table.rejected:
            return stored, (group_words.NOTHING_REJECTED,)
        version = table.version
        try:
            bundle = self._engines.bundle(version.folder)
            tokens = self._engines.tokens(version.project_id, version.encoder_hash)
            tokens.refresh()
            codes_IN: Any = self._engines.pooled(
                version.project_id, bundle, tokens, [row.sha256 for row in rows]
            )
        except (InsightError, KeyError):
            return stored, (group_words.NO_CODES,)
        found = decide(bundle.head, codes_IN, table.rejected)
        return replace(stored, mass_I=found.mass_I, rejected_I=found.rejected_I), ()


def settings_seed(table: _Table) -> int:
    """The seed of the draws: the version's own, so that figures stay as they are."""
    return table.version.seed


def _load(uow: UnitOfWork, project_id: str, version_id: str | None) -> _Table:
    version = uow.versions.get(version_id) if version_id else uow.versions.active(project_id)
    if version is None or version.project_id != project_id:
        raise InsightError("this project has no such model version: discover its concepts first")
    rows = {row.image_id: row for row in uow.cases.predictions(version.id)}
    split_of = splits_of(uow, version, rows)
    labelled = [r for r in rows.values() if r.label in version.classes and split_of[r.image_id]]
    if not labelled:
        raise InsightError("no image has a label of the model's classes: add labels first")
    held = held_out([split_of[row.image_id] for row in labelled])
    taught = taught_by(uow, version)
    kept = [r for r in labelled if split_of[r.image_id] not in held or r.sha256 not in taught]
    return _Table(
        version=version,
        rows=tuple(kept),
        split_of=split_of,
        cells=uow.images.column_values(project_id),
        classes=version.classes,
        held=held,
        left_out=len(labelled) - len(kept),
        cluster_column=settings_in(uow, project_id).cluster_column,
        rejected=rejected_concepts(uow, version),
    )


def _refuse(about: ColumnRow, column: str) -> None:
    if not about.cases:
        raise ConfigError(f"there is no column {column!r} with values")
    if not about.usable:
        raise ConfigError(f"the column {column!r} makes no groups: {about.why_not}")


def _wanted(table: _Table, splits: Sequence[str] | None) -> tuple[str, ...]:
    if splits is None:
        return table.held
    known = sorted({table.split_of[row.image_id] for row in table.rows})
    unknown = sorted(set(splits) - set(known))
    if unknown or not splits:
        raise ConfigError(
            f"choose splits of {', '.join(known)}, not {', '.join(unknown) or 'none'}"
        )
    return tuple(splits)


def _labels(table: _Table, rows: Sequence[PredictionRow]) -> Any:
    number = {name: k for k, name in enumerate(table.classes)}
    return np.array([number[row.label or ""] for row in rows], dtype=np.int64)


def _clusters(table: _Table, rows: Sequence[PredictionRow]) -> Any:
    if not table.cluster_column:
        return None
    found = clusters_of(
        [row.image_id for row in rows], [table.value(row, table.cluster_column) for row in rows]
    )
    return None if found is None else np.array(found)


def _scan(table: _Table, rows: Sequence[PredictionRow], about: ColumnRow) -> ColumnScan | None:
    """One column of the overview; None where the chosen cases have fewer than two groups."""
    from core.group_scores import accuracies

    rows = [row for row in rows if table.value(row, about.column)]
    if len(rows) < 2:
        return None
    groups, _ = grouped(about.kind, [table.value(row, about.column) or "" for row in rows])
    decided = stored_decisions(rows, table.classes)
    labels_I = _labels(table, rows)
    shares, p = accuracies(
        decided, labels_I, groups, cluster_I=_clusters(table, rows),
        within_labels=about.column != LABEL, seed=settings_seed(table),
    )  # fmt: skip
    if len(shares) < 2:
        return None
    lowest, highest = min(shares, key=shares.__getitem__), max(shares, key=shares.__getitem__)
    return ColumnScan(
        about, len(shares), lowest, shares[lowest], highest, shares[highest], p, None, False
    )


def _split_notes(table: _Table, wanted: Sequence[str]) -> tuple[str, ...]:
    notes = []
    if TRAIN in wanted:
        notes.append(group_words.LEARNT_FROM)
    if table.left_out and set(wanted) & set(table.held):
        notes.append(group_words.LEFT_OUT.format(n=table.left_out))
    return tuple(notes)
