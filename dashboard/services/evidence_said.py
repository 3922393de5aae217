"""What people said, gathered from the store and put into tables that core.evidence can fold.

An item is what a word is about: a cue (image, concept), a claim (a concept in a class, or whatever
the class), a metadata column. A verdict with a wider scope says two things: one of its cue, one of
the claim. On one item a person has one voice: the latest word.

Legend: I items; R people.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from core.evidence import CORRECT, MISSING, SPURIOUS, Statements
from dashboard.services.tuned_matches import carried
from db.feedback_records import DrawingMark, MarkRecord
from db.run_records import ColumnVerdictRecord
from db.unit_of_work import UnitOfWork

SET_ASIDE_REASONS = frozenset({"wrong region", "wrong name"})
"""They say that the explanation is at fault, not the cue: such a word teaches nothing."""
WORDS = {"correct": CORRECT, "spurious": SPURIOUS}
MIN_WEIGHT = 0.2
"""Weight under which people are even: a probability between .4 and .6."""
PLACES = 6
"""Digits after the point of what a snapshot keeps."""
CueKey = tuple[str, int]  # image hash, concept
ClaimKey = tuple[int, str | None]  # concept, class; None: whatever the class


@dataclass(frozen=True)
class Word:
    """One standing word, with where it came from."""

    id: str
    reviewer_id: str
    reviewer: str
    value: str
    reason: str | None = None
    scope: str = "here"

    @property
    def number(self) -> int:
        """CORRECT, SPURIOUS, or MISSING for *unsure* and for what is set aside by its reason."""
        return MISSING if self.reason in SET_ASIDE_REASONS else WORDS.get(self.value, MISSING)


@dataclass(frozen=True)
class ClassWord:
    """A word from Validate: on a concept in a class."""

    concept: int
    class_name: str
    word: Word


@dataclass
class Said:
    """Everything that stands in a project, of one dictionary."""

    marks: dict[CueKey, dict[str, MarkRecord]]  # by person; the latest word of each
    decided: dict[CueKey, MarkRecord]
    classes: tuple[ClassWord, ...] = ()
    columns: tuple[ColumnVerdictRecord, ...] = ()
    drawings: tuple[DrawingMark, ...] = ()
    grid: tuple[int, int] | None = None
    repeats: dict[str, tuple[int, int]] = field(default_factory=dict)  # person -> alike, all
    order: Mapping[str, int] = field(default_factory=dict)  # verdict id -> when, larger is later

    @cached_property
    def votes(self) -> dict[CueKey, dict[str, Word]]:
        """Cue -> person -> word."""
        return {
            key: {who: word_of(mark) for who, mark in own.items()}
            for key, own in self.marks.items()
        }

    def cues(self) -> list[CueKey]:
        """Every judged or decided cue, in one order."""
        return sorted({*self.marks, *self.decided})

    def claims(self) -> dict[ClaimKey, dict[str, Word]]:
        """Claim -> person -> word; a class verdict stands before verdicts of wider scope."""
        found: dict[ClaimKey, dict[str, Word]] = {}
        every = (mark for votes in self.marks.values() for mark in votes.values())
        for mark in sorted(every, key=lambda m: (self.order.get(m.verdict_id, 0), m.verdict_id)):
            word = self.votes[mark.image_sha256, mark.concept][mark.reviewer_id]
            if mark.scope != "here" and word.number != MISSING:
                key = (mark.concept, mark.prediction if mark.scope == "class" else None)
                found.setdefault(key, {})[mark.reviewer_id] = word
        for each in self.classes:
            found.setdefault((each.concept, each.class_name), {})[each.word.reviewer_id] = each.word
        return dict(sorted(found.items(), key=lambda item: (item[0][0], item[0][1] or "")))

    @cached_property
    def people(self) -> dict[str, str]:
        """Id -> name of everybody who said anything, by id."""
        found = {m.reviewer_id: m.reviewer for votes in self.marks.values() for m in votes.values()}
        found |= {each.word.reviewer_id: each.word.reviewer for each in self.classes}
        found |= {each.reviewer_id: each.reviewer for each in self.columns}
        found |= {each.reviewer_id: each.reviewer for each in self.drawings}
        return dict(sorted(found.items()))


def gather(uow: UnitOfWork, project_id: str, dictionary_hash: str) -> Said:
    """Everything that stands now. Names of concepts are not read: they change no weight.

    Words on the dictionary from which this one was tuned speak of the concepts that they became.
    """
    places = [*carried(uow, project_id, dictionary_hash).items(), (dictionary_hash, None)]
    parts = [_of_dictionary(uow, project_id, place, onward) for place, onward in places]
    drawings = uow.drawings.marks(project_id)
    known = dict(places)
    grids = [uow.cues.grid(project_id, place) for place, _ in places] if drawings else []
    return said_of(
        [mark for part in parts for mark in part.marks],
        {verdict: seq for part in parts for verdict, seq in part.order.items()},
        decided=[mark for part in parts for mark in part.decided],
        classes=[word for part in parts for word in part.classes],
        columns=uow.column_verdicts.standing(project_id),
        drawings=[
            moved
            for drawing in drawings
            if drawing.dictionary_hash is None or drawing.dictionary_hash in known
            for moved in _moved([drawing], known.get(drawing.dictionary_hash or ""))
        ],
        grid=next((grid for grid in reversed(grids) if grid is not None), None),
    )


@dataclass(frozen=True)
class _Part:
    """What was said of one dictionary, in the numbers of the one that is asked for."""

    marks: Sequence[MarkRecord]
    order: Mapping[str, int]
    decided: Sequence[MarkRecord]
    classes: Sequence[ClassWord]


def _of_dictionary(
    uow: UnitOfWork, project_id: str, dictionary_hash: str, onward: Mapping[int, int] | None
) -> _Part:
    marks = uow.verdicts.marks(
        project_id, dictionary_hash, values=("correct", "spurious", "unsure")
    )
    numbers = {key: n for n, key in uow.concepts.ids(project_id, dictionary_hash).items()}
    classes = [
        ClassWord(
            numbers[row.concept_id],
            row.class_name,
            Word(row.id, row.reviewer_id, row.reviewer, row.value, row.reason, "class"),
        )
        for row in uow.class_verdicts.standing(project_id)
        if row.concept_id in numbers
    ]
    return _Part(
        marks=_moved(marks, onward),
        order=uow.verdicts.order(project_id, dictionary_hash),
        decided=_moved(uow.adjudications.marks(project_id, dictionary_hash), onward),
        classes=_moved(classes, onward),
    )


Spoken = TypeVar("Spoken", MarkRecord, ClassWord, DrawingMark)


def _moved(said: Iterable[Spoken], onward: Mapping[int, int] | None) -> list[Spoken]:
    """The same of the concepts that they became; without those that became none.

    `onward` None: nothing has to move. What speaks of no concept stays as it is.
    """
    if onward is None:
        return list(said)
    return [
        each if each.concept is None else replace(each, concept=onward[each.concept])
        for each in said
        if each.concept is None or each.concept in onward
    ]


def said_of(
    marks: Iterable[MarkRecord],
    order: Mapping[str, int],
    *,
    decided: Iterable[MarkRecord] = (),
    classes: Iterable[ClassWord] = (),
    columns: Iterable[ColumnVerdictRecord] = (),
    drawings: Iterable[DrawingMark] = (),
    grid: tuple[int, int] | None = None,
) -> Said:
    """The same from plain records, in whatever order they come.

    A person who judged one cue under several versions counts once, with the latest word; how
    often the words were alike is kept, as a sign of how far that person can be relied on.
    """
    by_cue: dict[CueKey, dict[str, MarkRecord]] = {}
    repeats: dict[str, tuple[int, int]] = {}
    for mark in sorted(marks, key=lambda m: (order.get(m.verdict_id, 0), m.verdict_id)):
        own = by_cue.setdefault((mark.image_sha256, mark.concept), {})
        former = own.pop(mark.reviewer_id, None)
        if former is not None and MISSING not in (word_of(former).number, word_of(mark).number):
            alike, total = repeats.get(mark.reviewer_id, (0, 0))
            repeats[mark.reviewer_id] = (alike + (former.value == mark.value), total + 1)
        own[mark.reviewer_id] = mark
    return Said(
        marks=by_cue,
        decided={(m.image_sha256, m.concept): m for m in decided},
        classes=tuple(sorted(classes, key=lambda each: each.word.id)),
        columns=tuple(sorted(columns, key=lambda each: each.id)),
        drawings=tuple(sorted(drawings, key=lambda each: each.drawing_id)),
        grid=grid,
        repeats=repeats,
        order=order,
    )


def word_of(mark: MarkRecord) -> Word:
    """The word that a verdict says."""
    return Word(
        mark.verdict_id, mark.reviewer_id, mark.reviewer, mark.value, mark.reason, mark.scope
    )


@dataclass(frozen=True, eq=False)
class Tables:
    """The items in the order of the rows, and the statements over them."""

    cues: tuple[CueKey, ...]
    claims: Mapping[ClaimKey, Mapping[str, Word]]  # person -> word
    columns: tuple[str, ...]
    people: tuple[str, ...]  # reviewer ids, in the order of the table's columns
    statements: Statements

    @property
    def claims_at(self) -> int:
        """Row of the first claim."""
        return len(self.cues)

    @property
    def columns_at(self) -> int:
        """Row of the first column."""
        return len(self.cues) + len(self.claims)


def tables(said: Said) -> Tables:
    """Everything as numbers. A cue that was decided to be *unsure* has no words."""
    cues, claims = said.cues(), said.claims()
    columns = sorted({each.column_name for each in said.columns})
    people = tuple(said.people)
    votes: list[dict[str, Word]] = [said.votes.get(key, {}) for key in cues]
    votes += list(claims.values())
    for column in columns:
        votes.append(
            {each.reviewer_id: _column_word(each) for each in said.columns
             if each.column_name == column}
        )  # fmt: skip
    known_I = np.full(len(votes), MISSING)
    for row, key in enumerate(cues):
        if key in said.decided:
            known_I[row] = WORDS.get(said.decided[key].value, MISSING)
            votes[row] = votes[row] if known_I[row] != MISSING else {}
    concepts = {number: place for place, number in enumerate(sorted({key[1] for key in cues}))}
    group_I = np.full(len(votes), MISSING)
    group_I[: len(cues)] = [concepts[concept] for _, concept in cues]
    statements = Statements(numbers(votes, people), group_I, known_I)
    return Tables(tuple(cues), claims, tuple(columns), people, statements)


def _column_word(row: ColumnVerdictRecord) -> Word:
    return Word(row.id, row.reviewer_id, row.reviewer, row.value, row.reason, "everywhere")


def numbers(votes: Sequence[Mapping[str, Word]], people: Sequence[str]) -> NDArray[np.int64]:
    """The table of words [I, R] from each item's words by person."""
    place = {who: r for r, who in enumerate(people)}
    word_IR = np.full((len(votes), len(people)), MISSING)
    for row, own in enumerate(votes):
        for who, word in own.items():
            word_IR[row, place[who]] = word.number
    return word_IR
