"""Agreement over the book and three made-up colleagues, with the real figures."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from core.errors import ConfigError
from core.phantoms import ARTEFACTS, CLASSES
from dashboard.services.agreement_figures import CUE_WORDS, Said, Table, disputes, figures, table
from dashboard.viewmodels import CaseView, CueView, VerdictView
from dashboard.viewmodels.agreement import (
    AgreementView,
    DisputeRow,
    DisputeView,
    RulingView,
    Subject,
    WordView,
)
from db.errors import NotFound, StaleWrite
from tests.fakes.cases import START, Book, case_view, uid
from tests.fakes.settings import FakeSettings

COLLEAGUES = {"Dr Berg": 0.93, "Dr Cho": 0.88, "Dr Diaz": 0.68}
"""Who has judged before, and how often each says what most would say."""


@dataclass(frozen=True)
class _Item:
    """A cue or a case with everybody's word on it."""

    case: CaseView
    cue: CueView | None
    group: str
    words: tuple[WordView, ...]


class FakeAgreement:
    """What `dashboard.services.agreement.AgreementService` does, over a book."""

    def __init__(self, book: Book, rules: FakeSettings, *, colleagues: bool = True) -> None:
        self._book, self._rules, self._colleagues = book, rules, colleagues
        self.rulings: dict[str, list[tuple[str, RulingView]]] = {}  # subject id: event id, ruling

    def view(
        self, project_id: str, subject: Subject = "cue", *, unsure: bool = False
    ) -> AgreementView:
        found = self._table(subject, unsure)
        return figures(found, self._decided(), self._names())

    def may_decide(self, project_id: str, reviewer_id: str) -> bool:
        return self._rules.role(project_id, reviewer_id) == "lead"

    def disputes(
        self, project_id: str, reviewer_id: str, subject: Subject = "cue", *,
        about: str | None = None, with_decided: bool = False,
    ) -> tuple[DisputeRow, ...]:  # fmt: skip
        found = self._table(subject, False)
        rows = disputes(found, self._decided(), self._names())
        return tuple(
            row
            for row in rows
            if (with_decided or row.decided is None) and about in {None, row.group}
        )

    def dispute(
        self, project_id: str, reviewer_id: str, subject: Subject, item_id: str, *,
        about: str | None = None, with_decided: bool = False,
    ) -> DisputeView:  # fmt: skip
        rows = self.disputes(project_id, reviewer_id, subject, about=about, with_decided=True)
        row = next((each for each in rows if each.id == item_id), None)
        if row is None:
            raise NotFound(f"disagreement on a {subject}", item_id)
        ids = [each.id for each in rows if with_decided or each.decided is None or each is row]
        item, at = self._items(subject)[item_id], ids.index(item_id)
        given = [ruling for _, ruling in self.rulings.get(item_id, ())]
        cue = item.cue
        return DisputeView(
            row, subject, at + 1, len(ids), ids[at - 1] if at else None,
            ids[at + 1] if at + 1 < len(ids) else None, item.case.image_id, item.case.image_name,
            item.case.label, item.case.prediction, item.case.confidence,
            cue.contribution if cue else None, cue.causal_effect if cue else None,
            cue.grid if cue else None, cue.map_u8 if cue else b"", cue.regions if cue else (),
            item.words, (*CUE_WORDS, "unsure") if cue else CLASSES, tuple(given), len(given),
        )  # fmt: skip

    def adjudicate(
        self, *, id: str, project_id: str, subject: Subject, subject_id: str, reviewer_id: str,
        value: str, reason: str = "", based_on: int,
    ) -> RulingView:  # fmt: skip
        self._rules.require(project_id, reviewer_id, "lead")
        given = self.rulings.setdefault(subject_id, [])
        for known, ruling in given:
            if known == id:
                return ruling
        if value not in {*CUE_WORDS, "unsure", *CLASSES, "withdrawn"}:
            raise ConfigError("the decision is none that can be made")
        if based_on != len(given):
            raise StaleWrite("decision", based_on, len(given))
        by = next((n for n, key in self._book.reviewers.items() if key == reviewer_id), "me")
        view = RulingView(value, reason, by, START, len(given) + 1)
        given.append((id, view))
        return view

    def _decided(self) -> dict[str, str]:
        latest = {key: given[-1][1].value for key, given in self.rulings.items() if given}
        return {key: value for key, value in latest.items() if value != "withdrawn"}

    def _names(self) -> dict[str, str]:
        return {item.group: item.cue.name for item in self._items("cue").values() if item.cue}

    def _table(self, subject: Subject, unsure: bool) -> Table:
        words = CLASSES if subject == "case" else (*CUE_WORDS, *(("unsure",) if unsure else ()))
        said = (
            Said(key, item.case.id, item.group, each.reviewer, each.value)
            for key, item in self._items(subject).items()
            for each in item.words
        )
        return table(said, subject, words)

    def _items(self, subject: Subject) -> dict[str, _Item]:
        ids = [uid("case", at) for at in range(self._book.cases)]
        cases = [case_view(self._book, at, ids, "nobody") for at in range(len(ids))]
        if subject == "case":
            return {
                case.id: _Item(case, None, case.prediction, self._labels(at, case))
                for at, case in enumerate(cases)
            }
        return {
            cue.id: _Item(case, cue, cue.concept_id, self._verdicts(at, cue))
            for at, case in enumerate(cases)
            for cue in case.cues
        }

    def _labels(self, at: int, case: CaseView) -> tuple[WordView, ...]:
        if not self._colleagues:
            return ()
        rng = np.random.default_rng(900 + at)
        truth = case.label or CLASSES[0]
        return tuple(
            WordView(
                name, truth if rng.random() < skill else str(rng.choice(CLASSES)), None, None, "",
                START + timedelta(hours=at),
            )
            for name, skill in COLLEAGUES.items()
        )  # fmt: skip

    def _verdicts(self, at: int, cue: CueView) -> tuple[WordView, ...]:
        name_of = {key: name for name, key in self._book.reviewers.items()}
        latest: dict[str, VerdictView] = {
            who: verdict for on, who, verdict in self._book.verdicts if on == cue.id
        }
        own = [
            WordView(name_of.get(who, who), v.value, v.scope, v.reason, v.comment, v.at)
            for who, v in latest.items()
            if v.value != "withdrawn"
        ]
        return (*(self._colleagues_on(at, cue) if self._colleagues else ()), *own)

    def _colleagues_on(self, at: int, cue: CueView) -> tuple[WordView, ...]:
        rng = np.random.default_rng([at, cue.concept])
        usual = "spurious" if cue.name in ARTEFACTS else "correct"
        other = "correct" if usual == "spurious" else "spurious"
        found = []
        for name, skill in COLLEAGUES.items():
            draw = rng.random()
            value = (
                usual if draw < skill else other if draw < skill + 0.8 * (1 - skill) else "unsure"
            )
            reason = "artefact" if value == "spurious" else None
            comment = "It lies beside the lesion, not in it." if value == other else ""
            when = START + timedelta(hours=at)
            found.append(WordView(name, value, "here", reason, comment, when))
        return tuple(found)
