"""What each measure of a success criterion says now, read from where its screen reads it too."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from core.errors import InsightError
from core.intervals import NORMAL
from dashboard.services.success_measures import Reading
from dashboard.services.version_figures import VersionFigures
from dashboard.viewmodels.agreement import AgreementView, CoefficientView, Subject
from dashboard.viewmodels.drift import DriftRow, DriftView
from dashboard.viewmodels.groups import GroupsView
from dashboard.viewmodels.judgement import Estimate
from db.home_records import QueueCount, ShareSums
from db.records import VersionRecord, utc_now
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory

NO_VERSION: Final = "there is no model version yet"
NOBODY: Final = "nobody has reviewed a case yet"
ONE_PERSON: Final = "no cue was judged by two people yet"
NOT_HELD_OUT: Final = (
    "there is no held-out split: figures on training cases say nothing of new ones"
)
NO_GROUPS: Final = (
    "the images came without a group column and no column was called spurious, so there are only "
    "the labels"
)
NO_SIDES: Final = "the groups do not tell where a shortcut would help and where it would mislead"
ALPHA: Final = "Krippendorff's alpha"


class Agreement(Protocol):
    """What is needed of AgreementService."""

    def view(self, project_id: str, subject: Subject = ...) -> AgreementView: ...


class Groups(Protocol):
    """What is needed of GroupService."""

    def of(self, project_id: str, column: str, *, version_id: str | None = ...) -> GroupsView: ...


class Drift(Protocol):
    """What is needed of DriftService."""

    def list(self, project_id: str) -> tuple[DriftRow, ...]: ...
    def view(self, run_id: str, *, pictures: bool = ...) -> DriftView: ...


@dataclass
class Readings:
    """The measures of one project and version; each source is read once, when first asked for."""

    uow: UnitOfWorkFactory
    project_id: str
    version: VersionRecord | None
    agreement: Agreement
    groups: Groups
    drift: Drift
    figures: Callable[[VersionRecord], VersionFigures]
    _seen: dict[str, AgreementView] = field(default_factory=dict, repr=False)

    def of(self, measure: str) -> Reading:
        """What that measure says now."""
        return _READERS[measure](self)

    # -- agreement --------------------------------------------------------------------------

    def kappa(self) -> Reading:
        """Cohen's of two people, Fleiss' of more."""
        found = self._agreement("cue")
        if found.reviewers == 2 and found.pairs:
            return _coefficient(found.pairs[0].cohen, "agreement", ONE_PERSON)
        return _coefficient(_named(found, "Fleiss' kappa"), "agreement", ONE_PERSON)

    def alpha(self) -> Reading:
        """Of the cues."""
        return _coefficient(_named(self._agreement("cue"), ALPHA), "agreement", ONE_PERSON)

    def case_alpha(self) -> Reading:
        """Of the classes that people give."""
        why = "no case was given a class by two people yet"
        found = _coefficient(_named(self._agreement("case"), ALPHA), "agreement", why)
        return Reading(
            found.value, found.low, found.high, found.n, "cases that two or more people assessed",
            found.why, found.note, "agreement", (("on", "case"),),
        )  # fmt: skip

    def disagreements(self) -> Reading:
        """Open ones on cues."""
        found = self._agreement("cue")
        if not found.items:
            return Reading(None, why=ONE_PERSON, screen="agreement")
        return Reading(
            float(found.open), n=found.items, of="cues that two or more people judged",
            screen="agreement",
        )  # fmt: skip

    def _agreement(self, subject: Subject) -> AgreementView:
        if subject not in self._seen:
            self._seen[subject] = self.agreement.view(self.project_id, subject)
        return self._seen[subject]

    # -- the work ---------------------------------------------------------------------------

    def coverage(self) -> Reading:
        """Of the version's cases."""
        if self.version is None:
            return Reading(None, why=NO_VERSION)
        health = self._health(self.version)
        if not health.total:
            return Reading(None, why="the version has no cases")
        return Reading(
            health.done / health.total, n=health.total, screen="queue", query=(("status", "open"),)
        )

    def least_coverage(self) -> Reading:
        """By label."""
        if self.version is None:
            return Reading(None, why=NO_VERSION)
        with self.uow(read_only=True) as uow:
            parts = [p for p in uow.home.coverage(self.version.id, "label") if p.name]
        if not parts:
            return Reading(None, why="no image has a label", screen="queue")
        least = min(parts, key=lambda part: (part.done / part.cases, part.name or ""))
        return Reading(
            least.done / least.cases, n=least.cases, of=f"cases labelled {least.name}",
            screen="queue", query=(("label", least.name or ""), ("status", "open")),
        )  # fmt: skip

    def people_per_case(self) -> Reading:
        """Mean over the cases with a word."""
        counts = self._people()
        cases = sum(counts.values())
        if not cases:
            return Reading(None, why=NO_VERSION if self.version is None else NOBODY)
        mean = sum(people * n for people, n in counts.items()) / cases
        return Reading(mean, n=cases, of="reviewed cases", screen="queue")

    def overlap(self) -> Reading:
        """Share of the reviewed cases."""
        counts = self._people()
        cases = sum(counts.values())
        if not cases:
            return Reading(None, why=NO_VERSION if self.version is None else NOBODY)
        several = sum(n for people, n in counts.items() if people >= 2)
        return Reading(several / cases, n=cases, of="reviewed cases", screen="queue")

    def escalations(self) -> Reading:
        """Open ones."""
        return self._marked("escalated")

    def flags(self) -> Reading:
        """Open ones."""
        return self._marked("flagged")

    def _marked(self, status: str) -> Reading:
        if self.version is None:
            return Reading(None, why=NO_VERSION)
        health = self._health(self.version)
        return Reading(
            float(getattr(health, status)), n=health.total, screen="queue",
            query=(("status", status),),
        )  # fmt: skip

    def _people(self) -> Mapping[int, int]:
        if self.version is None:
            return {}
        with self.uow(read_only=True) as uow:
            return uow.home.people_per_case(self.version.id)

    def _health(self, version: VersionRecord) -> QueueCount:
        with self.uow(read_only=True) as uow:
            return uow.home_queue.health(version.id, utc_now())

    # -- what people say --------------------------------------------------------------------

    def spurious(self) -> Reading:
        """Share of the verdicts, with an interval drawn over cases."""
        with self.uow(read_only=True) as uow:
            return spurious_share(uow, self.project_id)

    def names(self) -> Reading:
        """Of the judged concepts."""
        if self.version is None:
            return Reading(None, why=NO_VERSION)
        with self.uow(read_only=True) as uow:
            judged, named = uow.home.named(self.project_id, self.version.dictionary_hash)
        if not judged:
            return Reading(None, why="no concept was judged yet", screen="concepts")
        return Reading(named / judged, n=judged, of="judged concepts", screen="concepts")

    # -- the model --------------------------------------------------------------------------

    def figure(self, key: str) -> Reading:
        """One figure of the version on its held-out cases."""
        if self.version is None:
            return Reading(None, why=NO_VERSION)
        where = (("of", self.version.id),)
        found = self.figures(self.version)
        grouped = key in ("worst_group", "average_group", "shortcut_gap")
        why = found.why
        if not why and not found.held_out:
            why = NOT_HELD_OUT
        if not why and grouped and not found.grouped:
            why = NO_GROUPS
        figure = found.figures.get(key)
        if not why and (figure is None or figure.estimate.value is None):
            why = NO_SIDES if key == "shortcut_gap" else "there are too few cases for it"
        if why or figure is None:
            return Reading(None, why=why, screen="groups", query=where)
        return _estimate(figure.estimate, figure.n, where)

    def reliance(self) -> Reading:
        """On rejected concepts, as the Groups screen tells it."""
        if self.version is None:
            return Reading(None, why=NO_VERSION)
        where = (("of", self.version.id),)
        if not self.figures(self.version).held_out:
            return Reading(None, why=NOT_HELD_OUT, screen="groups", query=where)
        try:
            found = self.groups.of(self.project_id, "label", version_id=self.version.id)
        except InsightError as error:
            return Reading(None, why=str(error), screen="groups", query=where)
        if found.overall.reliance.value is None:
            why = next((_lower(each) for each in found.notes if "reliance" in each), "")
            why = why or "no concept was called spurious, or the version's codes are not at hand"
            return Reading(None, why=why, screen="groups", query=where)
        return _estimate(found.overall.reliance, found.overall.n, where)

    def drifted(self) -> Reading:
        """Alerts of the latest check of this version."""
        if self.version is None:
            return Reading(None, why=NO_VERSION)
        for row in self.drift.list(self.project_id):
            if row.alert is None:
                continue
            view = self.drift.view(row.run_id, pictures=False)
            if view.version == self.version.hash:
                return Reading(
                    float(view.alerts), n=view.tested, of="concepts that were tested",
                    screen="drift", query=(("check", row.run_id),),
                )  # fmt: skip
        why = "no drift check of this version has been made"
        return Reading(None, why=why, screen="drift", query=(("check", "new"),))


def spurious_share(uow: UnitOfWork, project_id: str) -> Reading:
    """Share of the standing verdicts (correct or spurious) that say spurious.

    The interval is that of a ratio of sums over cases: cues of one case share a picture.
    """
    sums = uow.home.spurious_share(project_id)
    if not sums.total:
        return Reading(None, why="nobody has called a cue correct or spurious yet")
    low, high = ratio_interval(sums)
    return Reading(
        sums.hits / sums.total, low, high, sums.total, "verdicts",
        note="" if low is not None else "All verdicts lie in one case: no interval.",
        screen="concepts",
    )  # fmt: skip


def ratio_interval(sums: ShareSums) -> tuple[float, float] | tuple[None, None]:
    """95 % interval of hits / total, the cases drawn: p +- z sqrt(m / (m - 1) sum (h - p t)^2) / T.

    Linearised ratio estimator (Cochran 1977, Sampling Techniques, 6.4), within [0, 1].
    """
    if sums.cases < 2 or not sums.total:
        return None, None
    p = sums.hits / sums.total
    squares = sums.hits_hits - 2 * p * sums.hits_total + p * p * sums.total_total
    reach = NORMAL * math.sqrt(max(squares, 0.0) * sums.cases / (sums.cases - 1)) / sums.total
    return max(0.0, p - reach), min(1.0, p + reach)


def _estimate(found: Estimate, n: int, query: tuple[tuple[str, str], ...]) -> Reading:
    return Reading(
        found.value, found.low, found.high, n, "held-out cases", screen="groups", query=query
    )


def _named(found: AgreementView, name: str) -> CoefficientView | None:
    return next((each for each in found.overall if each.name == name), None)


def _coefficient(found: CoefficientView | None, screen: str, none: str) -> Reading:
    if found is None or not found.items:
        return Reading(None, why=none, screen=screen)
    if found.value is None:
        return Reading(None, why=found.note or "it is not defined here", screen=screen)
    low, high = found.bootstrap or found.analytic or (None, None)
    note = f"{found.note[0].upper()}{found.note[1:]}." if found.note else ""
    return Reading(
        found.value, low, high, found.items, "cues that two or more people judged", note=note,
        screen=screen,
    )  # fmt: skip


def _lower(sentence: str) -> str:
    return f"{sentence[0].lower()}{sentence[1:]}".rstrip(".")


def _figure(key: str) -> Callable[[Readings], Reading]:
    return lambda readings: readings.figure(key)


_READERS: Final[Mapping[str, Callable[[Readings], Reading]]] = {
    "kappa": Readings.kappa,
    "krippendorff_alpha": Readings.alpha,
    "case_alpha": Readings.case_alpha,
    "coverage": Readings.coverage,
    "least_coverage": Readings.least_coverage,
    "reviewers_per_case": Readings.people_per_case,
    "overlap": Readings.overlap,
    "accuracy": _figure("accuracy"),
    "worst_group": _figure("worst_group"),
    "average_group": _figure("average_group"),
    "shortcut_gap": _figure("shortcut_gap"),
    "ece": _figure("ece"),
    "spurious_share": Readings.spurious,
    "reliance_on_rejected": Readings.reliance,
    "disagreements_open": Readings.disagreements,
    "escalations_open": Readings.escalations,
    "flags_open": Readings.flags,
    "names_confirmed": Readings.names,
    "drift_alerts": Readings.drifted,
}
