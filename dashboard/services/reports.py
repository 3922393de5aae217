"""The report: what was reviewed, what was found, what was done about it, and from where.

`content` is everything but the cases; `cases` yields these one after another, so that a report of
any length is made in bounded memory. Rendering is elsewhere (report_html.py, report_pdf.py,
data_*.py): all forms say the same because they are made of these two.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from dashboard.services import (
    case_content,
    report_agreement,
    report_history,
    report_limits,
    report_model,
    report_provenance,
    report_review,
)
from dashboard.services.folded import Folded
from dashboard.services.project_settings import ProjectSettings
from dashboard.services.report_coverage import coverage
from dashboard.services.report_scope import ReportScope, Resolved, only_for, resolve
from dashboard.services.report_words import count
from dashboard.services.settings_of import settings_in
from dashboard.viewmodels.drift import DriftView
from dashboard.viewmodels.groups import GroupsView
from dashboard.viewmodels.modes import ExamplePicture
from dashboard.viewmodels.report_content import (
    CaseContent,
    Cover,
    CoveragePart,
    CriterionLine,
    Figure,
    PersonPart,
    ReportContent,
    SpuriousConcept,
)
from dashboard.viewmodels.success import CriterionOutcome
from db.records import ReviewerRecord, utc_now
from db.report_records import AssessmentRow
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory

BY_PROGRAM = "the program itself, by a schedule"
KEPT = 4  # contents
NO_VERSION = "There is no model version yet: discover concepts first."
ONE_CASE = "One case makes no groups."


class Criteria(Protocol):
    """What is needed of SuccessService."""

    def outcomes(
        self, project_id: str, version_hash: str | None = None
    ) -> tuple[CriterionOutcome, ...]:
        """The criteria that stand and whether they hold."""


@dataclass(frozen=True)
class _Beside:
    """What other services say; read before the report's own transaction."""

    figures: tuple[Figure, ...]
    groups: tuple[GroupsView, ...]
    groups_note: str
    drift: DriftView | None
    drift_note: str
    criteria: tuple[CriterionLine, ...]


class ReportService:
    """What a report says, for the screen and for every form of it."""

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        groups: report_model.Groups,
        drift: report_history.Drifts,
        success: Criteria | None = None,
        *,
        folded: Folded | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._uow = uow
        self._groups, self._drift, self._success = groups, drift, success
        self._folded = folded or Folded()
        self._now = now
        self._lock = threading.Lock()
        self._kept: OrderedDict[object, ReportContent] = OrderedDict()

    def person(self, reviewer_id: str) -> ReviewerRecord:
        """Who asks. Raises NotFound."""
        with self._uow(read_only=True) as uow:
            return uow.reviewers.get(reviewer_id)

    def pictures(self, row: SpuriousConcept) -> tuple[ExamplePicture, ...]:
        """The examples of a concept with their maps."""
        wanted = [each.case_id for each in row.examples]
        with self._uow(read_only=True) as uow:
            cues = {cue.id: cue for own in uow.cues.list_for(wanted).values() for cue in own}
        return tuple(
            ExamplePicture(
                each.case_id, each.image_id, each.image_name, each.label, each.prediction,
                cues[each.cue_id].activation,
                (cues[each.cue_id].grid_rows, cues[each.cue_id].grid_cols),
                cues[each.cue_id].map_u8,
            )
            for each in row.examples
            if each.cue_id in cues
        )  # fmt: skip

    def resolve(
        self, project_id: str, scope: ReportScope, person: ReviewerRecord | None = None
    ) -> Resolved:
        """The scope looked up, as far as this person may see it.

        Raises NotFound, ConfigError, InsightError (others' words while the review is blind).
        """
        with self._uow(read_only=True) as uow:
            return _resolved(uow, project_id, scope, person)

    def size(
        self, project_id: str, scope: ReportScope, person: ReviewerRecord | None = None
    ) -> int:
        """How many cases the report would tell of."""
        with self._uow(read_only=True) as uow:
            return uow.report.case_total(_resolved(uow, project_id, scope, person).selection)

    def content(
        self, project_id: str, scope: ReportScope, person: ReviewerRecord | None = None
    ) -> ReportContent:
        """Everything but the cases. An empty project gives a report that says so.

        Args:
            project_id: id or name.
            person: who asks; None: the program, by a schedule. While a review is blind, somebody
                who is no lead gets a report on their own words alone.

        Raises as `resolve`.
        """
        with self._uow(read_only=True) as uow:
            found = _resolved(uow, project_id, scope, person)
            key = (found.selection, scope, person and person.id, _stamp(uow))
        with self._lock:
            known = self._kept.get(key)
        if known is not None:
            return known
        beside = self._beside(found)
        with self._uow(read_only=True) as uow:
            made = _content(uow, found, beside, person, self._now())
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return made

    def cases(
        self, project_id: str, scope: ReportScope, person: ReviewerRecord | None = None
    ) -> Iterator[CaseContent]:
        """The cases, a page of them in memory at a time; each page is a transaction of its own.

        Raises as `resolve`, at the first case.
        """
        with self._uow(read_only=True) as uow:
            found = _resolved(uow, project_id, scope, person)
            pages = tuple(found.pages(uow))
        for ids in pages:
            with self._uow(read_only=True) as uow:
                told = tuple(case_content.page(uow, found, ids, self._folded))
            yield from told

    def _beside(self, found: Resolved) -> _Beside:
        """Figures of the whole version and project, from the services that own them."""
        project, version = found.project.id, found.version
        view, note = report_history.drift(self._drift, found.selection)
        figures: tuple[Figure, ...] = ()
        groups: tuple[GroupsView, ...] = ()
        why = NO_VERSION if version is None else ONE_CASE
        if version is not None and found.scope.case_id is None:
            figures, groups, why = report_model.group_figures(self._groups, project, version.id)
        return _Beside(figures, groups, why, view, note, self._criteria(found))

    def _criteria(self, found: Resolved) -> tuple[CriterionLine, ...]:
        if self._success is None:
            return ()
        named = found.version.hash if found.version and found.scope.version else None
        return tuple(
            CriterionLine(
                each.measure, each.label, each.comparator, each.threshold, each.value, each.low,
                each.high, each.passed, each.why or each.reason, each.sentence,
            )
            for each in self._success.outcomes(found.project.id, named)
        )  # fmt: skip


def _resolved(
    uow: UnitOfWork, project_id: str, scope: ReportScope, person: ReviewerRecord | None
) -> Resolved:
    return resolve(uow, project_id, scope, only=only_for(uow, project_id, person))


def _stamp(uow: UnitOfWork) -> tuple[int, int]:
    """Changes with every word and every audit row, and nothing changes without one."""
    last = uow.audit.list(limit=1)
    return uow.agreement.stamp(), last[0].id if last else 0


@dataclass(frozen=True)
class _Words:
    """What people said within the scope."""

    figures: tuple[Figure, ...]
    assessed: tuple[AssessmentRow, ...]
    people: tuple[PersonPart, ...]
    ranking: tuple[SpuriousConcept, ...]
    coverage: CoveragePart


def _content(
    uow: UnitOfWork, found: Resolved, beside: _Beside, person: ReviewerRecord | None, now: datetime
) -> ReportContent:
    sel, rules = found.selection, settings_in(uow, found.project.id)
    ids = found.case_ids(uow)
    model, learnt = _model(uow, found)
    words = _words(uow, found)
    agreed, still_open = report_agreement.agreement(uow, sel)
    headline = (
        count("cases", "Cases", words.coverage.cases, "cases"),
        count("reviewed", "Reviewed", words.coverage.reviewed, "cases"),
        words.coverage.share,
        *model.headline,
        *words.figures,
        *report_agreement.agreement_figures(agreed),
        *beside.figures,
    )
    return ReportContent(
        cover=_cover(uow, found, person, now),
        method=report_limits.method(found.sentence, sel, rules.order, _hidden(rules)),
        headline=headline,
        splits=model.splits,
        calibration=model.calibration,
        agreement=agreed,
        spurious=words.ranking,
        ratings=report_review.ratings(words.assessed, rules.criteria),
        people=words.people,
        names=report_history.names(uow, sel),
        structure=report_history.structure(uow, sel),
        runs=report_history.runs(uow, sel, now),
        versions=report_history.versions(uow, sel),
        groups=beside.groups,
        groups_note=beside.groups_note,
        drift=beside.drift,
        drift_note=beside.drift_note,
        open=still_open,
        coverage=words.coverage,
        criteria=beside.criteria,
        decisions=report_history.decisions(uow, sel),
        limits=report_limits.limits(sel, words.coverage, agreed, headline, words.people, learnt),
        provenance=report_provenance.provenance(uow, found),
        sign_off=report_limits.sign_off(words.people, _by(person), beside.criteria),
        cases=len(ids),
        case_words=uow.report.spoken_total(sel),
    )


def _words(uow: UnitOfWork, found: Resolved) -> _Words:
    sel = found.selection
    ranking = report_review.spurious_ranking(uow, sel)
    assessed = uow.report.assessed(sel)
    verdicts = report_review.verdict_figures(uow.report.by_case(sel))
    return _Words(
        figures=(*verdicts, report_review.label_agreement(assessed)),
        assessed=assessed,
        people=report_review.people(uow, sel),
        ranking=ranking,
        coverage=coverage(uow, sel, frozenset(each.concept_id for each in ranking)),
    )


def _model(uow: UnitOfWork, found: Resolved) -> tuple[report_model.ModelPart, bool | None]:
    """Figures of the model, and whether they are of cases that it learnt from."""
    if found.version is None or found.scope.case_id is not None:
        return report_model.ModelPart(()), None
    decided = report_model.decisions(uow, found.version, found.selection)
    part = report_model.model_figures(decided, found.scope.class_name)
    return part, decided.learnt if decided.rows else None


def _cover(uow: UnitOfWork, found: Resolved, person: ReviewerRecord | None, now: datetime) -> Cover:
    first, last = uow.report.span(found.selection)
    named = found.scope.as_dict()
    if found.reviewer is not None:
        named["reviewer"] = found.reviewer.name
    return Cover(
        project=found.project.name,
        notice=found.project.notice,
        classes=found.project.classes,
        scope=tuple(named.items()),
        scope_sentence=found.sentence,
        version=found.version.hash if found.version else None,
        version_kind=found.version.kind if found.version else None,
        since=found.scope.since,
        until=found.scope.until,
        first_word=first,
        last_word=last,
        generated_at=now,
        generated_by=_by(person),
    )


def _by(person: ReviewerRecord | None) -> str:
    return BY_PROGRAM if person is None else person.name


def _hidden(rules: ProjectSettings) -> Sequence[str]:
    words = {
        "model": "the model version", "prediction": "the decision",
        "labels": "the label", "peers": "others' words",
    }  # fmt: skip
    return [words[each] for each in sorted(rules.blind)]
