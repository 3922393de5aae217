"""Figures of one version on its held-out cases, by the very code that compares two versions.

A version is compared with itself: the cases that count, the groups and the intervals are then those
of every other table that speaks of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from core.errors import ConfigError
from dashboard.services.compared import LABEL, NO_HELD_OUT, load_pair
from dashboard.services.judging_words import SPECS, estimate
from dashboard.services.settings_of import settings_in
from dashboard.viewmodels.judgement import Estimate
from db.records import VersionRecord
from db.unit_of_work import UnitOfWork

if TYPE_CHECKING:
    from core.judgement import Judgement

MEASURED: Final = ("accuracy", "worst_group", "average_group", "shortcut_gap", "ece", "brier")
NO_CASES: Final = "no held-out case has a label of the model's classes"


@dataclass(frozen=True)
class VersionFigure:
    """One figure with its 95 % interval."""

    key: str
    label: str
    unit: str  # "share" or "score"
    help: str
    estimate: Estimate
    n: int  # held-out cases


@dataclass(frozen=True)
class VersionFigures:
    """What was measured, on what, and why something is missing."""

    figures: Mapping[str, VersionFigure]
    n: int
    splits: tuple[str, ...]
    left_out: int  # held-out cases whose verdicts taught the version
    groups_from: str
    grouped: bool  # there is more than the labels to make groups of
    held_out: bool  # False: these are training cases
    why: str = ""  # why there is nothing


def figures_of(uow: UnitOfWork, version: VersionRecord, *, seed: int = 0) -> VersionFigures:
    """Measure a version on all its held-out cases together.

    The first figures of a large version take a second or two: keep them (services/kept.py).
    """
    column = settings_in(uow, version.project_id).cluster_column
    try:
        pair = load_pair(uow, version, version, column)
    except ConfigError as error:  # a split column that cannot be read as splits
        return VersionFigures({}, 0, (), 0, "", grouped=False, held_out=False, why=str(error))
    compared, dropped = pair.compared, sum(pair.dropped.values())
    splits = tuple(sorted(set(compared.splits_I)))
    held = NO_HELD_OUT not in pair.notes
    grouped = pair.groups_from != LABEL
    if not len(compared.labels_I):
        return VersionFigures({}, 0, splits, dropped, pair.groups_from, grouped, held, NO_CASES)
    from core.judgement import judge
    from core.resampling import draws_for

    found = judge(
        pair.after_decided, pair.after_decided, compared.labels_I, compared.classes,
        groups=list(compared.groups), side_I=compared.side_I,
        cluster_I=None if compared.clusters is None else np.array(compared.clusters),
        resamples=draws_for(len(compared.labels_I)), seed=seed,
    )  # fmt: skip
    return VersionFigures(
        _figures(found), found.n, splits, dropped, pair.groups_from, grouped, held
    )


def _figures(found: Judgement) -> dict[str, VersionFigure]:
    figures = {}
    for key in MEASURED:
        figure = found.figure(key)
        if figure is not None:
            spec = SPECS[key]
            figures[key] = VersionFigure(
                key, spec.label, spec.unit, spec.help, estimate(figure.after), found.n
            )
    return figures
