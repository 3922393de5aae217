"""Two versions on the same held-out cases: within a run, and for any two versions of a project.

A run measures with heads and codes at hand, before its version exists; two versions of the store
are compared by the decisions that the store keeps. Both end in the same Judged.

Held-out cases are those of every split but train and val (val, or train, where there is no other,
and then it says so). Cases on which anybody gave a word that taught one of the two versions are
left out. Where the project names a column of what belongs together (patient, plate), intervals are
drawn over those.

Legend: I held-out cases, N concepts, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dashboard.services import judging_words as words
from dashboard.services.judged import ConceptMark, Judged, SplitJudged, split_judged
from dashboard.services.judging_regions import Patches, region_figure
from dashboard.services.progress import Progress, silent
from dashboard.services.project_settings import ProjectSettings
from dashboard.services.run_data import TRAIN, RunData
from db.image_columns import columns_of

if TYPE_CHECKING:
    from core.decided import Decided
    from core.heads import LinearHead
    from core.judgement import Figure, Judgement

Rows = NDArray[np.int64]
NO_HELD_OUT = " There is no held-out split: these are training cases, so trust them little."
MOST_CONCEPTS = 30


class Scored(Protocol):
    """A head, the codes it decides on, and what people rejected among its concepts."""

    @property
    def head(self) -> LinearHead: ...
    @property
    def codes(self) -> Callable[[Rows], Any]:
        """Rows -> pooled codes csr [I, N] of its own dictionary."""

    @property
    def rejected(self) -> Sequence[int]: ...


@dataclass(frozen=True)
class Marked:
    """Regions that people rejected, and what lies under them before and after."""

    regions: Mapping[int, NDArray[np.bool_]]  # row -> patches
    before: Patches[int]  # row -> activations [P, N] under the former dictionary
    after: Patches[int]


@dataclass(frozen=True)
class Compared:
    """Held-out cases that two versions are compared on."""

    image_ids: list[str]
    labels_I: NDArray[np.int64]
    splits_I: list[str]
    classes: tuple[str, ...]
    groups: list[str]
    side_I: NDArray[np.int8] | None = None
    clusters: list[str] | None = None


def judge_run(
    data: RunData,
    before: Scored,
    after: Scored,
    *,
    attribute_of: Callable[[Rows], Sequence[str]] | None,
    groups_from: str,
    left_out: Collection[int],
    settings: ProjectSettings,
    seed: int,
    former: Mapping[int, int] | None = None,
    marked: Marked | None = None,
    progress: Progress = silent,
) -> Judged:
    """Judge a run's result before it is published.

    Args:
        data: the run's cases.
        before, after: classes of both as in `data.bundle.head`.
        attribute_of: rows -> value of the shortcut ("with ruler"), without the label; a label that
            a value begins with is taken off. Asked for the training cases too: they say where the
            shortcut helps and where it misleads. None: groups are the labels.
        groups_from: one sentence that says what the groups are.
        left_out: rows whose verdicts taught one of the two.
        settings: the project's, for its tolerance and for what belongs together.
        seed: of the bootstrap.
        former: concept of `after` -> concept of `before` where their dictionaries differ; None
            where they are one and the same.
        marked: the regions that people rejected, for the spurious mass.
    """
    held_out = data.held_out()
    held = data.rows(*held_out)
    rows = np.array([r for r in held.tolist() if r not in left_out], dtype=np.int64)
    classes = data.bundle.head.classes
    progress(0.0, "measuring before and after")
    values = _values(data, rows, attribute_of)
    compared = Compared(
        image_ids=[data.images[int(row)].id for row in rows],
        labels_I=data.labels_I[rows],
        splits_I=[data.splits_I[int(row)] for row in rows],
        classes=classes,
        groups=named_groups([classes[k] for k in data.labels_I[rows]], values),
        side_I=_sides(data, rows, values, attribute_of),
        clusters=_clusters(data, rows, settings.cluster_column),
    )
    progress(0.3, "measuring before and after")
    pair = tuple(_decided(each, rows) for each in (before, after))
    dropped = {split: sum(data.splits_I[r] == split for r in left_out) for split in held_out}
    progress(0.5, "drawing intervals")
    splits = judge_splits(compared, pair[0], pair[1], dropped, seed=seed)
    pooled = judge_pooled(compared, pair[0], pair[1], dropped, seed=seed)
    progress(0.9, "comparing weights")
    mass, mass_n = _mass(before, after, marked, seed)
    said = groups_from + (NO_HELD_OUT if tuple(held_out) == (TRAIN,) else "")
    return Judged(
        classes, splits, said, settings.tolerance,
        concepts=concept_changes(before, after, rows, former),
        pooled=pooled,
        regions=mass,
        regions_n=mass_n,
        reports=_reports(compared, before, after, rows),
    )  # fmt: skip


def judge_splits(
    compared: Compared, before: Decided, after: Decided, dropped: Mapping[str, int], *,
    seed: int = 0, resamples: int | None = None,
) -> dict[str, SplitJudged]:  # fmt: skip
    """Both versions on every split that has a case, by name."""
    found = {}
    for split in sorted(set(compared.splits_I)):
        at = np.flatnonzero(np.array(compared.splits_I) == split)
        judgement = _judge(compared, before, after, at, seed, resamples)
        found[split] = split_judged(
            judgement,
            [compared.image_ids[i] for i in at],
            [int(compared.labels_I[i]) for i in at],
            [compared.groups[i] for i in at],
            left_out=dropped.get(split, 0),
            notes=words.split_notes(judgement),
        )
    return found


def judge_pooled(
    compared: Compared, before: Decided, after: Decided, dropped: Mapping[str, int], *,
    seed: int = 0, resamples: int | None = None,
) -> SplitJudged | None:  # fmt: skip
    """Both versions on all splits together, without flips; None where there is one split.

    A shortcut often helps in one split and misleads in another: only together do they show the gap.
    """
    if len(set(compared.splits_I)) < 2:
        return None
    at = np.arange(len(compared.image_ids))
    judgement = replace(_judge(compared, before, after, at, seed, resamples), flips=())
    return split_judged(
        judgement, [], [], [], left_out=sum(dropped.values()), notes=words.split_notes(judgement)
    )


def _judge(
    compared: Compared, before: Decided, after: Decided, at: Rows, seed: int, resamples: int | None
) -> Judgement:
    from core.judgement import judge
    from core.resampling import draws_for

    clusters = compared.clusters
    return judge(
        _part(before, at),
        _part(after, at),
        compared.labels_I[at],
        compared.classes,
        groups=[compared.groups[i] for i in at],
        side_I=None if compared.side_I is None else compared.side_I[at],
        cluster_I=None if clusters is None else np.array([clusters[i] for i in at]),
        resamples=draws_for(len(at)) if resamples is None else resamples,
        seed=seed,
    )


def named_groups(labels: Sequence[str], values: Sequence[str] | None) -> list[str]:
    """Label and value in one name; the label alone where there is no value."""
    if values is None:
        return list(labels)
    return [", ".join(filter(None, pair)) for pair in zip(labels, values, strict=True)]


def without_label(label: str, value: str) -> str:
    """A value without the label that it begins with.

    >>> without_label("naevus", "naevus | ruler"), without_label("naevus", "ruler")
    ('ruler', 'ruler')
    """
    if not value.startswith(label):
        return value
    return value[len(label) :].lstrip(" |,:;/_-")


def concept_changes(
    before: Scored, after: Scored, rows: Rows, former: Mapping[int, int] | None
) -> tuple[ConceptMark, ...]:
    """The concepts whose weights changed most, by their mean effect in the cases given."""
    from core.weight_changes import weight_changes

    if not len(rows):
        return ()
    means = [np.asarray(each.codes(rows).mean(axis=0)).ravel() for each in (before, after)]
    changes = weight_changes(
        before.head, after.head, means[0], means[1], former, most=MOST_CONCEPTS
    )
    rejected = set(after.rejected)
    return tuple(
        ConceptMark(c.concept, c.class_index, c.before, c.after, c.effect, c.concept in rejected)
        for c in changes
    )


def _mass(
    before: Scored, after: Scored, marked: Marked | None, seed: int
) -> tuple[Figure | None, int]:
    if marked is None:
        return None, 0
    sides = (before.head, marked.before), (after.head, marked.after)
    return region_figure(*sides, marked.regions, seed=seed) or (None, 0)


def _values(
    data: RunData, rows: Rows, attribute_of: Callable[[Rows], Sequence[str]] | None
) -> list[str] | None:
    """The shortcut's value of each row, without the label."""
    if attribute_of is None or not len(rows):
        return None
    classes = data.bundle.head.classes
    pairs = zip(data.labels_I[rows].tolist(), attribute_of(rows), strict=True)
    return [without_label(classes[label], value) for label, value in pairs]


def _sides(
    data: RunData, rows: Rows, values: list[str] | None,
    attribute_of: Callable[[Rows], Sequence[str]] | None,
) -> NDArray[np.int8] | None:  # fmt: skip
    """Where the shortcut helps and misleads, by the training cases."""
    from core.decided import sides

    train = data.rows(TRAIN)
    learnt = _values(data, train, attribute_of)
    if values is None or learnt is None:
        return None
    return sides(data.labels_I[train].tolist(), learnt, data.labels_I[rows].tolist(), values)


def _clusters(data: RunData, rows: Rows, column: str) -> list[str] | None:
    if not column:
        return None
    return clusters_of(
        [data.images[int(row)].id for row in rows],
        [
            columns_of(image.meta, image.group_name, image.mask_path).get(column)
            for image in (data.images[int(row)] for row in rows)
        ],
    )


def clusters_of(image_ids: Sequence[str], values: Sequence[str | None]) -> list[str] | None:
    """What each case belongs to: the column's value, or the image alone where it has none."""
    if not any(values):
        return None
    pairs = zip(image_ids, values, strict=True)
    return [f"value {value}" if value else f"image {image_id}" for image_id, value in pairs]


def _decided(each: Scored, rows: Rows) -> Decided:
    from core.decided import decide

    return decide(each.head, each.codes(rows), each.rejected or None)


def _part(each: Decided, at: NDArray[np.int64]) -> Decided:
    from core.decided import Decided

    return Decided(
        each.probs_IC[at],
        None if each.mass_I is None else each.mass_I[at],
        None if each.rejected_I is None else each.rejected_I[at],
    )


def _reports(compared: Compared, before: Scored, after: Scored, rows: Rows) -> dict[str, Any]:
    """The figures that runs have always kept, coverage of the answer sets among them."""
    from core.evaluation import evaluate

    found = {}
    for split in sorted(set(compared.splits_I)):
        at = np.flatnonzero(np.array(compared.splits_I) == split)
        groups = [compared.groups[i] for i in at]
        found[split] = tuple(
            evaluate(each.head, each.codes(rows[at]), compared.labels_I[at], groups, each.rejected)
            for each in (before, after)
        )
    return found
