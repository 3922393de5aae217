"""Any two versions of a project on the same held-out cases, by the decisions that the store keeps.

Decisions, labels and groups come from the database; codes are read for the share on rejected
concepts and for the weights alone; where they are not at hand that part is left out with a note.
What was compared is kept until cases, labels, settings or words on columns change.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from core.errors import InsightError
from dashboard.services import feedback, tuned_matches
from dashboard.services.compared import Pair, load_pair, rejected_regions
from dashboard.services.engines import Engines
from dashboard.services.folded import Folded
from dashboard.services.judged import Judged
from dashboard.services.judging import concept_changes, judge_pooled, judge_splits
from dashboard.services.judging_regions import Patches, patches_of, region_figure
from dashboard.services.judging_views import Known, guard_of, judgement_view
from dashboard.services.settings_of import settings_in
from dashboard.viewmodels.judgement import GuardView, JudgementView
from db.errors import NotFound
from db.records import VersionRecord
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory

if TYPE_CHECKING:
    from core.decided import Decided
    from core.heads import LinearHead

KEPT: Final = 8  # comparisons that stay in memory
NO_CODES = (
    "The codes of one version are not at hand, so the share on rejected concepts and the weights "
    "are left out: {why}."
)
OTHER_CONCEPTS = (
    "The two versions have different concepts, so their weights are not set beside each other."
)


@dataclass(frozen=True)
class _Kept:
    """A comparison and what it was made from."""

    stamp: object
    judged: Judged
    pair: Pair


class JudgingService:
    """Compares versions; safe to share between threads."""

    def __init__(
        self, uow_factory: UnitOfWorkFactory, engines: Engines, folded: Folded | None = None
    ) -> None:
        self._uow = uow_factory
        self._engines = engines
        self._folded = folded or Folded()
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()

    def of_run(self, run_id: str) -> JudgementView | None:
        """What a run found when it measured; None for a run that kept no judgement.

        Raises NotFound for an unknown run.
        """
        with self._uow(read_only=True) as uow:
            run = uow.runs.get(run_id)
            found = Judged.from_json(run.metrics.get("judgement") or {})
            if found is None:
                return None
            ids = [v for v in (run.base_version_id, run.result_version_id) if v is not None]
            versions = uow.versions.by_ids(ids)
            base = versions.get(run.base_version_id or "")
            result = versions.get(run.result_version_id or "")
            known = self._known(uow, found, base, result)
            tolerance = settings_in(uow, run.project_id).tolerance
        return judgement_view(found, known, tolerance)

    def compare(self, project_id: str, before: str, after: str) -> JudgementView:
        """Any two versions of a project, each by its id or hash.

        Raises NotFound for an unknown version, InsightError where both are the same.
        """
        with self._uow(read_only=True) as uow:
            first, second = (find_version(uow, project_id, each) for each in (before, after))
            tolerance = settings_in(uow, project_id).tolerance
        if first.id == second.id:
            raise InsightError("choose two different versions to compare")
        kept = self._compared(first, second)
        with self._uow(read_only=True) as uow:
            numbers = {mark.concept for mark in kept.judged.concepts}
            concepts = self._folded.concepts(uow, project_id, second.dictionary_hash, numbers)
        known = Known(first.hash, second.hash, kept.pair.before, kept.pair.after, concepts)
        return judgement_view(kept.judged, known, tolerance)

    def guard(self, version_id: str) -> GuardView:
        """What would be lost if that version took the place of the active one.

        The figures of the version's own run count where it started from the active version; else
        the two are compared as the store has them. Raises NotFound.
        """
        with self._uow(read_only=True) as uow:
            version = uow.versions.get(version_id)
            active = uow.versions.active(version.project_id)
            tolerance = settings_in(uow, version.project_id).tolerance
            measured = _measured_by_run(uow, version, active)
        if active is None or active.id == version.id:
            what = "No version is active yet" if active is None else "This version is active"
            return GuardView(True, False, tolerance, f"{what}: there is nothing to lose.")
        found = measured or self._compared(active, version).judged
        return guard_of(found, tolerance)

    def _compared(self, before: VersionRecord, after: VersionRecord) -> _Kept:
        key = (before.id, after.id)
        with self._uow(read_only=True) as uow:
            stamp = _stamp(uow, before, after)
            with self._lock:
                kept = self._kept.get(key)
            if kept is not None and kept.stamp == stamp:
                return kept
            settings = settings_in(uow, after.project_id)
            pair = load_pair(uow, before, after, settings.cluster_column)
            sides, notes = self._opened(uow, pair, (before, after))
        judged = Judged(
            pair.compared.classes, {}, pair.groups_from, settings.tolerance,
            notes=(*pair.notes, *notes),
        )  # fmt: skip
        if len(pair.compared.image_ids):
            judged = _judged(judged, pair, sides)
        kept = _Kept(stamp, judged, pair)
        with self._lock:
            self._kept[key] = kept
            self._kept.move_to_end(key)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return kept

    def _opened(
        self, uow: UnitOfWork, pair: Pair, versions: tuple[VersionRecord, VersionRecord]
    ) -> tuple[tuple[Opened, ...], tuple[str, ...]]:
        """Heads and codes of both versions; none, and why, where they are not at hand."""
        try:
            sides = tuple(
                self._open(uow, pair, version, other)
                for version, other in zip(versions, reversed(versions), strict=True)
            )
        except (InsightError, KeyError) as error:
            return (), (NO_CODES.format(why=_reason(error)),)
        alike = versions[0].dictionary_hash == versions[1].dictionary_hash
        told = alike or any(side.from_other for side in sides)
        return sides, () if told else (OTHER_CONCEPTS,)

    def _open(
        self, uow: UnitOfWork, pair: Pair, version: VersionRecord, other: VersionRecord
    ) -> Opened:
        """One version on the compared cases. Raises KeyError, BundleError."""
        bundle = self._engines.bundle(version.folder)
        onward = tuned_matches.carried(uow, version.project_id, version.dictionary_hash)
        tokens = self._engines.tokens(version.project_id, version.encoder_hash)
        tokens.refresh()
        return Opened(
            head=bundle.head,
            codes_IN=self._engines.pooled(version.project_id, bundle, tokens, pair.shas),
            rejected=feedback.rejected_concepts(pair.payloads[version.dictionary_hash]),
            dictionary=version.dictionary_hash,
            from_other=onward.get(other.dictionary_hash, {}),
            patches=patches_of(bundle.sae, lambda sha: tokens.get(sha).numpy()),
            known=frozenset(tokens.shas()),
        )

    def _known(
        self, uow: UnitOfWork, found: Judged, base: VersionRecord | None,
        result: VersionRecord | None,
    ) -> Known:  # fmt: skip
        rows = [
            {row.image_id: row for row in uow.cases.predictions(version.id)} if version else {}
            for version in (base, result)
        ]
        shown = result or base
        numbers = {mark.concept for mark in found.concepts}
        concepts = (
            self._folded.concepts(uow, shown.project_id, shown.dictionary_hash, numbers)
            if shown
            else {}
        )
        return Known(
            base.hash if base else "", result.hash if result else None, rows[0], rows[1], concepts
        )


@dataclass(frozen=True)
class Opened:
    """One version on the compared cases; fits services.judging.Scored."""

    head: LinearHead
    codes_IN: Any
    rejected: Sequence[int]
    dictionary: str  # hash
    from_other: Mapping[int, int]  # concept of the other version -> its own, where it was tuned
    patches: Patches[str]  # image hash -> activations [P, N]
    known: frozenset[str]  # images whose tokens are there

    def codes(self, rows: Any) -> Any:
        """Pooled codes of some rows."""
        return self.codes_IN[rows]


def _judged(judged: Judged, pair: Pair, sides: tuple[Opened, ...]) -> Judged:
    """All figures; those of codes and weights where both sides are open."""
    before, after = pair.before_decided, pair.after_decided
    if len(sides) == 2:
        first, second = sides
        before, after = _with_masses(before, first), _with_masses(after, second)
        judged = _with_weights(judged, first, second)
        regions = {
            sha: region_P
            for sha, region_P in rejected_regions(pair.payloads).items()
            if sha in first.known and sha in second.known
        }
        mass = region_figure((first.head, first.patches), (second.head, second.patches), regions)
        if mass is not None:
            judged = replace(judged, regions=mass[0], regions_n=mass[1])
    return replace(
        judged,
        splits=judge_splits(pair.compared, before, after, pair.dropped),
        pooled=judge_pooled(pair.compared, before, after, pair.dropped),
    )


def _with_weights(judged: Judged, first: Opened, second: Opened) -> Judged:
    """The weights that changed most, where concepts and classes can be matched."""
    former: dict[int, int] | None = None
    if first.dictionary != second.dictionary:
        former = {new: old for old, new in second.from_other.items()} or dict(first.from_other)
        if not former:
            return judged
    if set(first.head.classes) != set(second.head.classes):
        return judged
    changes = concept_changes(first, second, np.arange(first.codes_IN.shape[0]), former)
    places = [judged.classes.index(name) for name in second.head.classes]
    marks = tuple(replace(each, class_index=places[each.class_index]) for each in changes)
    return replace(judged, concepts=marks)


def find_version(uow: UnitOfWork, project_id: str, key: str) -> VersionRecord:
    """A version of a project by its id, its hash or the beginning of its hash.

    Raises NotFound, also where a beginning fits several.
    """
    rows = uow.versions.list(project_id)
    exact = [row for row in rows if key in (row.id, row.hash)]
    near = [row for row in rows if len(key) >= 6 and row.hash.startswith(key)]
    for found in (exact, near):
        if len(found) == 1:
            return found[0]
    raise NotFound("model version of this project", key)


def _measured_by_run(
    uow: UnitOfWork, version: VersionRecord, active: VersionRecord | None
) -> Judged | None:
    """What the run that made a version found, where it started from the active one."""
    if version.run_id is None or active is None:
        return None
    run = uow.runs.get(version.run_id)
    if run.base_version_id != active.id or run.result_version_id != version.id:
        return None
    return Judged.from_json(run.metrics.get("judgement") or {})


def _with_masses(decided: Decided, codes: Opened) -> Decided:
    """The stored decisions with the contributions behind them."""
    from core.decided import decide

    if not codes.rejected:
        return decided
    found = decide(codes.head, codes.codes_IN, codes.rejected)
    return replace(decided, mass_I=found.mass_I, rejected_I=found.rejected_I)


def _stamp(uow: UnitOfWork, before: VersionRecord, after: VersionRecord) -> object:
    """Changes whenever cases, labels, groups or rules do, or anything is said."""
    project = after.project_id
    head = uow.chain.head(project)
    return (
        uow.cases.total(before.id),
        uow.cases.total(after.id),
        tuple(sorted(uow.images.counts(project).by_label.items(), key=str)),
        head.hash if head else "",
    )


def _reason(error: Exception) -> str:
    return "tokens of some images are missing" if isinstance(error, KeyError) else str(error)
