"""The cases on which two versions are compared, read from the store.

A case counts where both versions decided it, it has a label, and it is held out for both: splits
that a project does not give were drawn at the discovery, so two discoveries may have drawn others.
Cases on which anybody gave a word that taught one of the versions, or an ancestor, are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dashboard.services import feedback
from dashboard.services.judging import Compared, clusters_of, named_groups, without_label
from dashboard.services.run_data import TRAIN, VAL, discover_seed
from db.records import VersionRecord
from db.unit_of_work import UnitOfWork

if TYPE_CHECKING:
    from core.decided import Decided
    from db.run_records import PredictionRow

GIVEN = "Groups are label and the group column that came with the images."
COLUMN = "Groups are label and the value of the rejected columns."
LABEL = "Groups are the labels: the images came without a group column."
NO_HELD_OUT = "There is no held-out split: these are training cases, so trust the figures little."


@dataclass(frozen=True)
class Pair:
    """Both versions on the cases that count."""

    compared: Compared
    before_decided: Decided
    after_decided: Decided
    before: Mapping[str, PredictionRow]  # every case, by image id
    after: Mapping[str, PredictionRow]
    shas: list[str]  # of the compared cases
    dropped: Mapping[str, int]  # split -> cases left out
    payloads: Mapping[str, Mapping[str, Any]]  # dictionary hash -> what people say of it now
    groups_from: str
    notes: tuple[str, ...]


def load_pair(
    uow: UnitOfWork, before: VersionRecord, after: VersionRecord, cluster_column: str = ""
) -> Pair:
    """Read both versions' decisions and choose the cases that count."""
    first, second = ({r.image_id: r for r in uow.cases.predictions(v.id)} for v in (before, after))
    classes = tuple(dict.fromkeys([*after.classes, *before.classes]))
    splits = _both_splits(uow, before, after, first, second)
    labelled = [r for r in second.values() if r.image_id in splits and r.label in classes]
    wanted = held_out([splits[row.image_id] for row in labelled])
    taught = taught_by(uow, before) | taught_by(uow, after)
    held = [row for row in labelled if splits[row.image_id] in wanted]
    kept = [row for row in held if row.sha256 not in taught]
    dropped = dict.fromkeys(wanted, 0)
    for row in held:
        dropped[splits[row.image_id]] += row.sha256 in taught
    train = [row for row in labelled if splits[row.image_id] == TRAIN]
    payloads = {
        each: feedback.current_payload(uow, after.project_id, each)
        for each in dict.fromkeys((before.dictionary_hash, after.dictionary_hash))
    }
    values, groups_from = _values(uow, payloads[after.dictionary_hash], after, kept, train)
    compared = _compared(
        uow, after.project_id, kept, train, splits, classes, values, cluster_column
    )
    return Pair(
        compared=compared,
        before_decided=stored_decisions([first[row.image_id] for row in kept], classes),
        after_decided=stored_decisions(kept, classes),
        before=first,
        after=second,
        shas=[row.sha256 for row in kept],
        dropped=dropped,
        payloads=payloads,
        groups_from=groups_from,
        notes=(NO_HELD_OUT,) if wanted == (TRAIN,) else (),
    )


def rejected_concepts(uow: UnitOfWork, version: VersionRecord) -> tuple[int, ...]:
    """Concepts of a version that people reject, by the words that stand now, ascending."""
    payload = feedback.current_payload(uow, version.project_id, version.dictionary_hash)
    return feedback.rejected_concepts(payload)


def rejected_regions(payloads: Mapping[str, Mapping[str, Any]]) -> dict[str, NDArray[np.bool_]]:
    """Image hash -> patches that people rejected in it."""
    found: dict[str, NDArray[np.bool_]] = {}
    for payload in payloads.values():
        for mark in feedback.marks_of(payload):
            if mark.value == "spurious":
                before = found.get(mark.image_sha256)
                region_P = mark.region_P
                if before is not None and before.shape == region_P.shape:
                    region_P = region_P | before
                found[mark.image_sha256] = region_P
    return found


def ancestors(uow: UnitOfWork, version: VersionRecord) -> tuple[VersionRecord, ...]:
    """The versions that a version comes from, nearest first."""
    found: list[VersionRecord] = []
    seen = {version.hash}
    while version.parent_hash is not None and version.parent_hash not in seen:
        parent = uow.versions.by_hash(version.project_id, version.parent_hash)
        if parent is None:
            break
        seen.add(parent.hash)
        found.append(parent)
        version = parent
    return tuple(found)


def taught_by(uow: UnitOfWork, version: VersionRecord) -> set[str]:
    """Hashes of the images on which a word was given that taught a version or an ancestor."""
    ids = [v.snapshot_id for v in (version, *ancestors(uow, version)) if v.snapshot_id]
    return {sha for record in uow.snapshots.by_ids(ids).values() for sha in spoken(record.payload)}


def spoken(payload: Mapping[str, Any]) -> set[str]:
    """Hashes of the images of which a snapshot says anything."""
    found = {str(cue["image_sha256"]) for cue in payload.get("cues", ())}
    return found | {region.image_sha256 for region in feedback.evidence_of(payload).regions}


def _both_splits(
    uow: UnitOfWork, before: VersionRecord, after: VersionRecord,
    first: Mapping[str, PredictionRow], second: Mapping[str, PredictionRow],
) -> dict[str, str]:  # fmt: skip
    """Image id -> split, of images that both decided and that have the same split for both."""
    found = [splits_of(uow, *each) for each in ((before, first), (after, second))]
    return {
        image_id: split
        for image_id, split in found[1].items()
        if split and found[0].get(image_id) == split
    }


def splits_of(
    uow: UnitOfWork, version: VersionRecord, rows: Mapping[str, PredictionRow]
) -> dict[str, str]:
    """Image id -> split of a version's cases, as runs resolve them: over all images, by path."""
    from core.splits import resolve_splits

    number = {name: k for k, name in enumerate(version.classes)}
    ordered = sorted(rows.values(), key=lambda row: row.relpath)
    labels = [number.get(row.label or "") for row in ordered]
    drawn = resolve_splits(labels, [row.split for row in ordered], discover_seed(uow, version))
    return {row.image_id: split for row, split in zip(ordered, drawn, strict=True)}


def held_out(splits: Sequence[str]) -> tuple[str, ...]:
    """As RunData.held_out: all but train and val, else val, else train."""
    others = sorted(set(splits) - {TRAIN, VAL, ""})
    if others:
        return tuple(others)
    return (VAL,) if VAL in splits else (TRAIN,)


def _values(
    uow: UnitOfWork, payload: Mapping[str, Any], after: VersionRecord,
    kept: Sequence[PredictionRow], train: Sequence[PredictionRow],
) -> tuple[dict[str, str] | None, str]:  # fmt: skip
    """Image id -> value of the shortcut without the label, and what the groups are."""
    if kept and all(row.group for row in kept):
        rows = (*kept, *train)
        return {r.image_id: without_label(r.label or "", r.group or "") for r in rows}, GIVEN
    columns = sorted(feedback.evidence_of(payload).rejected_columns())
    if not columns:
        return None, LABEL
    cells = uow.images.column_values(after.project_id)
    found = {
        row.image_id: ", ".join(
            f"{name} {cells.get(row.image_id, {}).get(name, 'unknown')}" for name in columns
        )
        for row in (*kept, *train)
    }
    return found, COLUMN


def _compared(
    uow: UnitOfWork, project_id: str, kept: Sequence[PredictionRow],
    train: Sequence[PredictionRow], splits: Mapping[str, str], classes: tuple[str, ...],
    values: Mapping[str, str] | None, cluster_column: str,
) -> Compared:  # fmt: skip
    from core.decided import sides

    number = {name: k for k, name in enumerate(classes)}
    labels = [number[row.label or ""] for row in kept]
    mine = None if values is None else [values[row.image_id] for row in kept]
    side_I = None
    if values is not None and mine is not None:
        side_I = sides(
            [number[row.label or ""] for row in train], [values[row.image_id] for row in train],
            labels, mine,
        )  # fmt: skip
    image_ids = [row.image_id for row in kept]
    return Compared(
        image_ids=image_ids,
        labels_I=np.array(labels, dtype=np.int64),
        splits_I=[splits[row.image_id] for row in kept],
        classes=classes,
        groups=named_groups([row.label or "" for row in kept], mine),
        side_I=side_I,
        clusters=_clusters(uow, project_id, image_ids, cluster_column),
    )


def _clusters(
    uow: UnitOfWork, project_id: str, image_ids: Sequence[str], column: str
) -> list[str] | None:
    if not column:
        return None
    cells = uow.images.column_values(project_id)
    return clusters_of(image_ids, [cells.get(each, {}).get(column) for each in image_ids])


def stored_decisions(rows: Sequence[PredictionRow], classes: tuple[str, ...]) -> Decided:
    """Decisions as kept; a class that a version does not know has probability 0."""
    from core.decided import Decided

    number = {name: k for k, name in enumerate(classes)}
    probs_IC = np.zeros((len(rows), len(classes)))
    for i, row in enumerate(rows):
        for name, probability in row.probabilities:
            if name in number:
                probs_IC[i, number[name]] = probability
    return Decided(probs_IC)
