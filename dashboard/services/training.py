"""Training: a newcomer judges pinned cases without their references, and is scored.

Answers are kept apart from verdicts: nothing said here reaches a model, a tally or the agreement
of reviewers. An attempt shows each case of the collection once, in an order of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b

from core.errors import ConfigError
from dashboard.services.agreement_figures import kappa_with
from dashboard.services.studies import Rules, collection_of, collection_view, hidden_of
from dashboard.services.study_freeze import thaw, veiled
from dashboard.viewmodels.agreement import CoefficientView
from dashboard.viewmodels.studies import (
    AnsweredPinView,
    AnswerView,
    AttemptView,
    CollectionView,
    PinView,
    TrainingView,
)
from db.desk_records import TrainingRecord
from db.errors import NotFound
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory

WORDS = ("correct", "spurious", "unsure")


class TrainingService:
    """Attempts at a collection."""

    def __init__(self, uow: UnitOfWorkFactory, rules: Rules) -> None:
        self._uow, self._rules = uow, rules

    def view(
        self, project_id: str, collection_id: str, reviewer_id: str, attempt: int | None = None
    ) -> TrainingView:
        """Where the reviewer is in an attempt: the next case, or the result.

        Args:
            attempt: None takes up the latest one, or shows its result. One more than the latest
                begins anew, once the latest is finished.

        Raises NotFound, ConfigError for an attempt that cannot be begun.
        """
        with self._uow(read_only=True) as uow:
            collection = collection_of(uow, project_id, collection_id)
            pins = [thaw(row) for row in uow.studies.pins(collection_id)]
            rows = uow.studies.answers(collection_id, reviewer_id)
            classes = _classes(uow, project_id)
            view = training_view(
                collection_view(collection), pins, rows, classes, reviewer_id, attempt
            )
            if view.question is None:
                return view
            # What a blind project hides of a case stays hidden while it is a question.
            blind = self._rules.of(project_id).blind
            hidden = hidden_of(uow, view.question, reviewer_id, blind)
        return replace(view, question=veiled(view.question, hidden))

    def answer(
        self,
        *,
        id: str,
        project_id: str,
        collection_id: str,
        pin_id: str,
        attempt: int,
        reviewer_id: str,
        answers: Mapping[str, str],
        label: str | None = None,
    ) -> AnsweredPinView:
        """Keeps the answers to one case and says how they compare; a repeat is harmless.

        Args:
            answers: cue id -> correct, spurious or unsure; a cue may be left out.
            label: the class that the newcomer gives the case.

        Raises ConfigError for words or cues that do not belong there, Conflict for a case that
        was answered in this attempt.
        """
        with self._uow() as uow:
            collection_of(uow, project_id, collection_id)
            row = uow.studies.pin_of(pin_id)
            if row.collection_id != collection_id:
                raise NotFound("pin of this collection", pin_id)
            pin = thaw(row)
            _check(pin, answers, label, row.frozen["classes"])
            found = compare(pin, answers, label)
            before = uow.studies.answers(collection_id, reviewer_id)
            pins = [thaw(each) for each in uow.studies.pins(collection_id)]
            _number(attempt, attempts(before, pins))
            stored = uow.studies.answer(
                id=id, collection_id=collection_id, pin_id=pin_id, reviewer_id=reviewer_id,
                attempt=attempt, answers={"cues": dict(answers), "label": label},
                score=found.right / found.asked if found.asked else 0.0,
            )  # fmt: skip
            if stored.id not in {each.id for each in before}:
                uow.audit.append(
                    actor=stored.reviewer, action="training.answered", entity="collection",
                    entity_id=collection_id,
                    detail={"pin": pin_id, "attempt": attempt, "score": stored.score},
                    project_id=project_id,
                )  # fmt: skip
            uow.commit()
        return found

    def everybody(self, project_id: str, collection_id: str) -> tuple[AttemptView, ...]:
        """Every reviewer's attempts at a collection, newest first."""
        with self._uow(read_only=True) as uow:
            collection_of(uow, project_id, collection_id)
            pins = [thaw(row) for row in uow.studies.pins(collection_id)]
            rows = uow.studies.answers(collection_id, None)
        people = dict.fromkeys(row.reviewer for row in rows)
        found = [
            each
            for name in people
            for each in attempts([row for row in rows if row.reviewer == name], pins)
        ]
        return tuple(sorted(found, key=lambda each: each.at, reverse=True))


def training_view(
    collection: CollectionView,
    pins: Sequence[PinView],
    rows: Sequence[TrainingRecord],
    classes: tuple[str, ...],
    reviewer_id: str,
    attempt: int | None,
) -> TrainingView:
    """Where a reviewer is, from their own answers (`rows`, oldest first)."""
    history = attempts(rows, pins)
    number = _number(attempt, history)
    answered = _answered([row for row in rows if row.attempt == number], pins)
    done = {each.pin_id for each in answered}
    left = [pin for pin in ordered(pins, reviewer_id, number) if pin.id not in done]
    return TrainingView(
        collection=collection,
        attempt=number,
        position=len(answered) + 1,
        total=len(answered) + len(left),
        question=bare(left[0]) if left else None,
        classes=classes,
        last=answered[-1] if answered else None,
        answered=tuple(answered),
        kappa=None if left or not answered else kappa(answered),
        history=history,
    )


def ordered(pins: Sequence[PinView], reviewer_id: str, attempt: int) -> list[PinView]:
    """An order of its own for each person and attempt; the same whenever it is asked for."""

    def key(pin: PinView) -> bytes:
        return blake2b(f"{reviewer_id}/{attempt}/{pin.id}".encode(), digest_size=8).digest()

    return sorted(pins, key=key)


def bare(pin: PinView) -> PinView:
    """The pin as a question: without references, others' words, label, note and narrative."""
    cues = tuple(replace(cue, words=(), reference=None, source=None) for cue in pin.cues)
    return replace(
        pin, cues=cues, label=None, reference_label=None, note="", narrative="",
        image_name=f"case {pin.frozen_hash[:8]}", frozen_hash="",
    )  # fmt: skip


def compare(pin: PinView, answers: Mapping[str, str], label: str | None) -> AnsweredPinView:
    """What was said beside the reference; a cue left out, or called unsure, is not right."""
    found = tuple(
        AnswerView(
            cue.id, cue.letter, cue.name, answers.get(cue.id), cue.reference,
            None if cue.reference is None else answers.get(cue.id) == cue.reference,
        )
        for cue in pin.cues
    )  # fmt: skip
    asked = sum(each.right is not None for each in found) + (pin.reference_label is not None)
    right = sum(each.right is True for each in found)
    right += pin.reference_label is not None and label == pin.reference_label
    return AnsweredPinView(
        pin.id, pin.image_name, pin.note, found, label, pin.reference_label, right, asked
    )


def kappa(answered: Sequence[AnsweredPinView]) -> CoefficientView:
    """Agreement with the reference on the cues of an attempt, beyond chance."""
    asked = [
        (each, one.pin_id) for one in answered for each in one.answers if each.reference is not None
    ]
    said = [each.said if each.said != "unsure" else None for each, _ in asked]
    reference = [each.reference or "" for each, _ in asked]
    return kappa_with(said, reference, [pin for _, pin in asked])


def attempts(rows: Sequence[TrainingRecord], pins: Sequence[PinView]) -> tuple[AttemptView, ...]:
    """One person's attempts, newest first."""
    found = []
    for number in sorted({row.attempt for row in rows}, reverse=True):
        mine = [row for row in rows if row.attempt == number]
        answered = _answered(mine, pins)
        left = len({pin.id for pin in pins} - {row.pin_id for row in mine})
        found.append(
            AttemptView(
                number=number,
                reviewer=mine[0].reviewer,
                answered=len(answered),
                cases=len(answered) + left,
                right=sum(each.right for each in answered),
                asked=sum(each.asked for each in answered),
                at=max(row.created_at for row in mine),
                finished=left == 0,
            )
        )
    return tuple(found)


def _answered(rows: Sequence[TrainingRecord], pins: Sequence[PinView]) -> list[AnsweredPinView]:
    """Answers to the pins that still stand, in the order of being given."""
    by_id = {pin.id: pin for pin in pins}
    return [
        compare(by_id[row.pin_id], row.answers["cues"], row.answers["label"])
        for row in sorted(rows, key=lambda row: row.seq)
        if row.pin_id in by_id
    ]


def _number(asked: int | None, history: Sequence[AttemptView]) -> int:
    latest = history[0] if history else None
    if asked is None:
        return latest.number if latest else 1
    allowed = 1 if latest is None else latest.number + latest.finished
    if not 1 <= asked <= allowed:
        raise ConfigError(f"attempt {asked} cannot be begun before the one before it is done")
    return asked


def _check(
    pin: PinView, answers: Mapping[str, str], label: str | None, classes: Sequence[str]
) -> None:
    strangers = answers.keys() - {cue.id for cue in pin.cues}
    if strangers:
        raise ConfigError(f"{min(strangers)} is no cue of this case")
    for word in answers.values():
        if word not in WORDS:
            raise ConfigError(f"an answer must be one of {', '.join(WORDS)}, not {word!r}")
    if label is not None and label not in classes:
        raise ConfigError(f"{label!r} is not a class; choose one of {', '.join(classes)}")


def _classes(uow: UnitOfWork, project_id: str) -> tuple[str, ...]:
    return uow.projects.get(project_id).classes
