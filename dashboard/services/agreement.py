"""How far people agree, where they differ, and deciding there.

Figures are folds over everybody's standing words, kept per project until a word is added. A
decision is a row of its own: no verdict is changed by it. It holds the item fixed in the
consensus, and it is the reference when the case is pinned for teaching.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol, get_args

from core.errors import ConfigError
from dashboard.services.agreement_figures import (
    CUE_WORDS,
    UNSURE,
    Said,
    Table,
    disputes,
    figures,
    table,
)
from dashboard.services.concept_rows import shown_names
from dashboard.services.project_settings import ProjectSettings
from dashboard.services.prose import clean_prose
from dashboard.viewmodels.agreement import (
    AgreementView,
    DisputeRow,
    DisputeView,
    RulingView,
    Subject,
    WordView,
)
from dashboard.viewmodels.desk import RegionView
from db.desk_records import AdjudicationRecord
from db.errors import NotFound
from db.records import CaseRecord
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory

WITHDRAWN = "withdrawn"
PATIENCE = 10.0  # how many times the time of a fold its result may be behind
QUICK = 0.5  # seconds; a fold that takes less is always fresh
KEPT = 8  # folds


class Rules(Protocol):
    """What is needed of the project settings' service."""

    def of(self, project_id: str) -> ProjectSettings:
        """The rules that stand."""

    def role(self, project_id: str, reviewer_id: str) -> str:
        """expert, annotator or lead."""

    def require(self, project_id: str, reviewer_id: str, role: str) -> None:
        """Raises Forbidden where the reviewer has no such role."""


@dataclass
class _Fold:
    """What was worked out from the words as of a stamp."""

    stamp: int
    at: float
    took: float
    table: Table
    names: Mapping[str, str]
    views: dict[tuple[int, ...], AgreementView] = field(default_factory=dict)
    rows: list[DisputeRow] | None = None  # without what was decided; made when first asked for


class AgreementService:
    """Agreement figures, disagreements and adjudication."""

    def __init__(
        self, uow: UnitOfWorkFactory, roles: Rules, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._uow, self._roles, self._clock = uow, roles, clock
        self._folds: dict[tuple[str, Subject, bool], _Fold] = {}
        self._lock = threading.Lock()

    def view(
        self, project_id: str, subject: Subject = "cue", *, unsure: bool = False
    ) -> AgreementView:
        """All figures of a project.

        Args:
            subject: "cue": verdicts; "case": the class that each person gives a case.
            unsure: count "unsure" as a word of its own (cues only).
        """
        fold = self._fold(project_id, subject, unsure)
        decided, revisions = self._decided(project_id, subject)
        with self._lock:
            known = fold.views.get(revisions)
        if known is None:
            known = figures(fold.table, decided, fold.names)
            with self._lock:
                fold.views = {revisions: known}
        return known

    def may_decide(self, project_id: str, reviewer_id: str) -> bool:
        """Whether this person adjudicates in the project."""
        return self._roles.role(project_id, reviewer_id) == "lead"

    def disputes(
        self,
        project_id: str,
        reviewer_id: str,
        subject: Subject = "cue",
        *,
        about: str | None = None,
        with_decided: bool = False,
    ) -> tuple[DisputeRow, ...]:
        """Items on which people differ, the most even first.

        Others' words stay hidden until one's own is in: whoever does not adjudicate sees the
        items that they judged themselves. In a blind project that word is the one on the case.

        Args:
            about: only those of this concept id (or predicted class).
            with_decided: also those that were decided.
        """
        fold = self._fold(project_id, subject, False)
        decided, _ = self._decided(project_id, subject)
        if fold.rows is None:
            fold.rows = disputes(fold.table, {}, fold.names)
        rows = [
            replace(row, decided=decided[row.id]) if row.id in decided else row for row in fold.rows
        ]
        if about is not None:
            rows = [row for row in rows if row.group == about]
        if not with_decided:
            rows = [row for row in rows if row.decided is None]
        if not self.may_decide(project_id, reviewer_id):
            mine = self._judged_by(project_id, reviewer_id, fold.table)
            rows = [row for row in rows if row.id in mine]
            if self._roles.of(project_id).blind:
                said = self._assessed_by(project_id, reviewer_id)
                rows = [row for row in rows if row.case_id in said]
        return tuple(rows)

    def dispute(
        self,
        project_id: str,
        reviewer_id: str,
        subject: Subject,
        item_id: str,
        *,
        about: str | None = None,
        with_decided: bool = False,
    ) -> DisputeView:
        """One disagreement with its picture, everyone's word and the decisions so far.

        Raises NotFound where people do not differ on it, or it is not this person's to see.
        """
        rows = self.disputes(project_id, reviewer_id, subject, about=about, with_decided=True)
        row = next((each for each in rows if each.id == item_id), None)
        if row is None:
            raise NotFound(f"disagreement on a {subject}", item_id)
        ids = [each.id for each in rows if with_decided or each.decided is None or each is row]
        with self._uow(read_only=True) as uow:
            return _dispute(uow, row, subject, ids)

    def adjudicate(
        self,
        *,
        id: str,
        project_id: str,
        subject: Subject,
        subject_id: str,
        reviewer_id: str,
        value: str,
        reason: str = "",
        based_on: int,
    ) -> RulingView:
        """Appends a decision on a disagreement; "withdrawn" takes the one before back.

        Raises Forbidden, ConfigError (a word that cannot be decided), StaleWrite, Conflict.
        """
        text = clean_prose(reason, "the reason")
        self._roles.require(project_id, reviewer_id, "lead")
        with self._uow() as uow:
            case = _case_of(uow, subject, subject_id)
            if case.project_id != project_id:
                raise NotFound(subject, subject_id)
            choices = (*_choices(uow, subject, case), WITHDRAWN)
            if value not in choices:
                raise ConfigError(f"the decision must be one of {', '.join(choices)}")
            before = uow.adjudications.history(subject, subject_id)
            row = uow.adjudications.append(
                id=id, project_id=project_id, subject=subject, subject_id=subject_id,
                reviewer_id=reviewer_id, value=value, reason=text, based_on=based_on,
            )  # fmt: skip
            if row.id not in {each.id for each in before}:
                uow.audit.append(
                    actor=row.reviewer, action="adjudication.given", entity=subject,
                    entity_id=subject_id, project_id=project_id,
                    detail={"value": value, "reason": text, "revision": row.revision},
                )  # fmt: skip
            uow.commit()
        return _ruling(row)

    def decided(self, project_id: str, subject: Subject = "cue") -> dict[str, str]:
        """What was decided, by cue id or case id; withdrawn decisions are left out."""
        return self._decided(project_id, subject)[0]

    def _decided(self, project_id: str, subject: Subject) -> tuple[dict[str, str], tuple[int, ...]]:
        with self._uow(read_only=True) as uow:
            rows = uow.adjudications.standing(project_id, subject)
        decided = {row.subject_id: row.value for row in rows if row.value != WITHDRAWN}
        return decided, (len(rows), max((row.seq for row in rows), default=0))

    def _fold(self, project_id: str, subject: Subject, unsure: bool) -> _Fold:
        """The words as they stand; a costly fold may be a little behind."""
        if subject not in get_args(Subject):
            raise ConfigError(f"agreement is on a cue or on a case, not on {subject!r}")
        key = (project_id, subject, unsure)
        with self._uow(read_only=True) as uow:
            stamp = uow.agreement.stamp()
            with self._lock:
                known = self._folds.get(key)
            if known is not None and (known.stamp == stamp or self._young(known)):
                return known
            start = self._clock()
            said = _said(uow, project_id, subject)
            words = _words(said, subject, unsure)
            found = table(said, subject, words)
            names = {} if found.subject == "case" else shown_names(uow, found.groups)
        now = self._clock()
        fold = _Fold(stamp, now, now - start, found, names)
        with self._lock:
            self._folds.pop(key, None)
            self._folds[key] = fold
            while len(self._folds) > KEPT:
                self._folds.pop(next(iter(self._folds)))
        return fold

    def _young(self, fold: _Fold) -> bool:
        return fold.took > QUICK and self._clock() - fold.at < PATIENCE * fold.took

    def _judged_by(self, project_id: str, reviewer_id: str, found: Table) -> set[str]:
        with self._uow(read_only=True) as uow:
            name = uow.reviewers.get(reviewer_id).name
        if name not in found.reviewers:
            return set()
        column = found.reviewers.index(name)
        spoke = (found.word_IR[:, column] >= 0) | found.abstained_IR[:, column]
        return {item for item, own in zip(found.items, spoke, strict=True) if own}

    def _assessed_by(self, project_id: str, reviewer_id: str) -> frozenset[str]:
        """Cases of the active version on which this person's word is in."""
        with self._uow(read_only=True) as uow:
            version = uow.versions.active(project_id)
            return frozenset() if version is None else uow.modes.said(version.id, reviewer_id)


def _said(uow: UnitOfWork, project_id: str, subject: Subject) -> list[Said]:
    if subject == "cue":
        return [
            Said(row.cue_id, row.case_id, row.concept_id, row.reviewer, row.value)
            for row in uow.agreement.words(project_id)
        ]
    return [
        Said(row.case_id, row.case_id, row.prediction, row.reviewer, word)
        for row in uow.agreement.labels(project_id)
        if (word := _label(row.agree, row.corrected_label, row.prediction)) is not None
    ]


def _label(agree: bool | None, corrected: str | None, prediction: str) -> str | None:
    """The class that an assessment gives a case; None where it names none."""
    if corrected is not None:
        return corrected
    return prediction if agree else None


def _words(said: list[Said], subject: Subject, unsure: bool) -> tuple[str, ...]:
    if subject == "cue":
        return (*CUE_WORDS, UNSURE) if unsure else CUE_WORDS
    return tuple(sorted({each.word for each in said if each.word is not None}))


def _case_of(uow: UnitOfWork, subject: Subject, subject_id: str) -> CaseRecord:
    case_id = uow.cues.get(subject_id).case_id if subject == "cue" else subject_id
    return uow.cases.get(case_id)


def _choices(uow: UnitOfWork, subject: Subject, case: CaseRecord) -> tuple[str, ...]:
    if subject == "cue":
        return (*CUE_WORDS, UNSURE)
    return uow.versions.get(case.version_id).classes


def _dispute(uow: UnitOfWork, row: DisputeRow, subject: Subject, ids: list[str]) -> DisputeView:
    case = uow.cases.get(row.case_id)
    cue = uow.cues.get(row.id) if subject == "cue" else None
    rulings = tuple(map(_ruling, uow.adjudications.history(subject, row.id)))
    at = ids.index(row.id)
    return DisputeView(
        row=row,
        subject=subject,
        position=at + 1,
        total=len(ids),
        previous_id=ids[at - 1] if at else None,
        next_id=ids[at + 1] if at + 1 < len(ids) else None,
        image_id=case.image.id,
        image_name=case.image.relpath,
        label=case.image.label,
        prediction=case.prediction,
        confidence=case.confidence,
        contribution=cue.contribution if cue else None,
        causal_effect=cue.causal_effect if cue else None,
        grid=(cue.grid_rows, cue.grid_cols) if cue else None,
        map_u8=cue.map_u8 if cue else b"",
        regions=tuple(RegionView(r.x0, r.y0, r.x1, r.y1, r.area) for r in cue.regions)
        if cue
        else (),
        words=_spoken(uow, row, subject),
        choices=_choices(uow, subject, case),
        rulings=rulings,
        revision=rulings[-1].revision if rulings else 0,
    )


def _spoken(uow: UnitOfWork, row: DisputeRow, subject: Subject) -> tuple[WordView, ...]:
    """Everyone's standing word on the item, in the order of being given."""
    if subject == "cue":
        return tuple(
            WordView(v.reviewer, v.value, v.scope, v.reason, v.comment, v.created_at)
            for v in uow.verdicts.standing_of_case(row.case_id)
            if v.cue_id == row.id and v.value != WITHDRAWN
        )
    latest = {each.reviewer: each for each in uow.assessments.history(row.case_id)}
    prediction = uow.cases.get(row.case_id).prediction
    found = []
    for each in sorted(latest.values(), key=lambda one: one.seq):
        word = _label(each.agree, each.corrected_label, prediction)
        if word is not None:
            found.append(WordView(each.reviewer, word, None, None, each.comment, each.created_at))
    return tuple(found)


def _ruling(row: AdjudicationRecord) -> RulingView:
    return RulingView(row.value, row.reason, row.reviewer, row.created_at, row.revision)
