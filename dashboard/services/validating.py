"""Whether the decisions for a class are right for the right reason.

share of concept n in the decisions for class c = sum |pooled_n w_cn| over the cases decided for c,
divided by the same sum over all concepts: what part of the arithmetic is done by n. A word on
(concept, class) is an expert's claim about all those cases at once; it is an event of its own,
append-only. What stands is, in this order: my own word, the majority of the others', the majority
of the verdicts given on its cues in those cases. Others' words and verdicts on a row stay hidden
until mine is in, so that nobody is led.

Legend: I cases with codes, R of them decided for the class, N concepts, C classes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, get_args

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError
from dashboard.services.engines import Engines
from dashboard.services.prose import clean_prose
from dashboard.services.similar import Decisions, DecisionTables, pictures
from dashboard.viewmodels import VerdictValue
from dashboard.viewmodels.concept_names import told_apart
from dashboard.viewmodels.modes import (
    ClassView,
    ClassWordView,
    ExamplePicture,
    FragileView,
    ReasonRow,
    Word,
)
from db.desk_records import ClassVerdictRecord
from db.records import ConceptRecord
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory

ROWS: Final = 12
FRAGILE: Final = 12  # shown
MAX_COMMENT: Final = 2000
Counts = tuple[int, int, int]  # correct, spurious, unsure


@dataclass(frozen=True, eq=False)
class ClassStats:
    """What the decisions for one class rest on."""

    share_N: NDArray[np.float64]
    direction_N: NDArray[np.float64]  # mean contribution where it fires, logit units
    fires_N: NDArray[np.float64]  # share of the class's cases
    elsewhere_N: NDArray[np.float64]  # share of the other cases


class ValidateService:
    """Per class: reasons, words on them, and decisions that would not hold without bad ones."""

    def __init__(
        self, uow_factory: UnitOfWorkFactory, tables: DecisionTables, engines: Engines
    ) -> None:
        self._uow = uow_factory
        self._tables = tables
        self._engines = engines

    def view(self, project_id: str, class_name: str, reviewer_id: str) -> ClassView:
        """One class. Raises ConfigError for an unknown one, InsightError without a version."""
        table = self._tables.of_project(project_id)
        if class_name not in table.classes:
            raise ConfigError(f"{class_name!r} is not a class of this model")
        number = table.classes.index(class_name)
        stats = class_stats(table, number)
        dictionary = table.version.dictionary_hash
        with self._uow(read_only=True) as uow:
            concepts = uow.concepts.by_number(project_id, dictionary)
            said = _said(uow, project_id, class_name, reviewer_id, concepts)
            shown = _shown(stats, said, concepts)
            names = told_apart({n: c.shown_name for n, c in concepts.items()})
            ids = [concepts[n].id for n in shown]
            counts = uow.modes.tally(ids, class_name)
            reviewed = uow.modes.reviewed(table.version.id).get(class_name, 0)
            artefacts = uow.concept_marks.numbers(project_id, dictionary)["artefact"]
        rows = tuple(
            _row(
                concepts[n], names[n], stats, said.get(n, {}),
                counts.get(concepts[n].id, (0, 0, 0)), reviewer_id, artefact=n in artefacts,
            )
            for n in shown
        )  # fmt: skip
        words = {r.concept: r.word for r in rows}
        fragile = fragile_cases(table, number, [n for n, w in words.items() if w == "spurious"])
        of_class = [d for d in table.all if d.prediction == class_name]
        labelled = [d for d in of_class if d.label in table.classes]
        return ClassView(
            name=class_name, cases=len(of_class), reviewed=reviewed, labelled=len(labelled),
            right=sum(d.label == class_name for d in labelled), rows=rows,
            rest=max(0.0, 1.0 - sum(r.share for r in rows)) if len(of_class) else 0.0,
            judged=tuple((w, sum(r.share for r in rows if r.word == w)) for w in get_args(Word)),
            fragile=fragile[:FRAGILE], fragile_count=len(fragile),
        )  # fmt: skip

    def examples(
        self,
        project_id: str,
        class_name: str,
        concept: int,
        *,
        said: Collection[str] | None = None,
    ) -> tuple[ExamplePicture, ...]:
        """Cases decided for a class in which a concept fires most.

        Args:
            said: cases on which the reviewer's word is in, for a blind project; None shows all.
        """
        table = self._tables.of_project(project_id)
        decided = [d.prediction == class_name for d in table.coded]
        return pictures(self._engines, table, concept, decided, said)

    def judge(
        self,
        *,
        id: str,
        concept_id: str,
        class_name: str,
        reviewer_id: str,
        value: VerdictValue,
        reason: str | None = None,
        comment: str = "",
        based_on: int,
    ) -> ClassWordView:
        """Keeps a word on a concept as a reason for a class; "withdrawn" takes it back.

        Raises StaleWrite where another word of mine came in between, ConfigError for a class the
        active version does not have or a comment that is too long, NotFound for the concept.
        """
        text = clean_prose(comment, "the comment", limit=MAX_COMMENT)
        with self._uow() as uow:
            known = {event.id for event in uow.class_verdicts.history(concept_id, class_name)}
            row = uow.class_verdicts.append(
                id=id, concept_id=concept_id, class_name=class_name, reviewer_id=reviewer_id,
                value=value, reason=reason, comment=text, based_on=based_on,
            )  # fmt: skip
            if row.id not in known:
                _audit(uow, row)
            uow.commit()
        return word_view(row)


def class_stats(table: Decisions, number: int) -> ClassStats:
    """Shares, directions and frequencies of every concept for one class."""
    inside_I = table.predicted_I() == number
    weight_N = table.bundle.head.weight_CN[number].astype(np.float64)
    own_RN, other_RN = table.codes_IN[inside_I], table.codes_IN[~inside_I]
    sum_N = np.asarray(own_RN.sum(axis=0), dtype=np.float64).ravel()
    fired_N = own_RN.getnnz(axis=0).astype(np.float64)
    size_N = sum_N * np.abs(weight_N)
    whole = float(size_N.sum())
    return ClassStats(
        share_N=size_N / whole if whole > 0 else size_N,
        direction_N=weight_N * np.divide(sum_N, fired_N, out=sum_N * 0, where=fired_N > 0),
        fires_N=fired_N / max(own_RN.shape[0], 1),
        elsewhere_N=other_RN.getnnz(axis=0) / max(other_RN.shape[0], 1),
    )


def fragile_cases(
    table: Decisions, number: int, spurious: Sequence[int]
) -> tuple[FragileView, ...]:
    """Right decisions for a class that change when these concepts count for nothing; surest first.

    "Right for the wrong reason", as far as the experts' words go. Exact for the linear head.
    """
    right = np.flatnonzero((table.predicted_I() == number) & (table.labels_I() == number))
    if not len(right) or not spurious:
        return ()
    head, codes_RN = table.bundle.head, table.codes_IN[right]
    chosen = np.asarray(spurious)
    weight_CS = head.weight_CN[:, chosen].astype(np.float64)
    taken_RC = np.asarray(codes_RN[:, chosen].astype(np.float64) @ weight_CS.T)
    after_R = (head.logits(codes_RN) - taken_RC).argmax(axis=1)
    found = []
    for row, after in zip(right, after_R, strict=True):
        if int(after) != number:
            d = table.coded[int(row)]
            without = head.classes[int(after)]
            found.append(FragileView(d.case_id, d.image_id, d.name, d.confidence, without))
    return tuple(sorted(found, key=lambda view: -view.confidence))


def standing_word(
    mine: VerdictValue | None, others: Iterable[VerdictValue], counts: Counts
) -> Word | None:
    """What stands of a concept as a reason: mine, the others' majority, the verdicts' majority.

    >>> standing_word(None, ["spurious", "correct", "spurious"], (5, 0, 0))
    'spurious'
    >>> standing_word(None, [], (2, 2, 0)) is None
    True
    """
    if mine is not None and mine != "withdrawn":
        return mine
    votes: Mapping[Word, int] = Counter(v for v in others if v != "withdrawn")
    return _most(votes) or _most(dict(zip(get_args(Word), counts, strict=True)))


def _most(votes: Mapping[Word, int]) -> Word | None:
    """The value with strictly the most votes."""
    ranked = sorted(((n, word) for word, n in votes.items() if n > 0), reverse=True)
    if not ranked or (len(ranked) > 1 and ranked[0][0] == ranked[1][0]):
        return None
    return ranked[0][1]


def word_view(row: ClassVerdictRecord) -> ClassWordView:
    """A word as shown."""
    return ClassWordView(
        row.value, row.reason, row.comment, row.revision, row.reviewer, row.created_at
    )


def _said(
    uow: UnitOfWork, project_id: str, class_name: str, reviewer_id: str,
    concepts: Mapping[int, ConceptRecord],
) -> dict[int, dict[str, ClassVerdictRecord]]:  # fmt: skip
    """Concept number -> reviewer -> their word on it in the class; my withdrawn ones too."""
    numbers = {record.id: n for n, record in concepts.items()}
    standing = uow.class_verdicts.standing(project_id, class_name=class_name)
    mine = uow.class_verdicts.mine(project_id, reviewer_id, class_name=class_name)
    said: dict[int, dict[str, ClassVerdictRecord]] = {}
    for row in (*standing, *mine.values()):
        if row.concept_id in numbers:
            said.setdefault(numbers[row.concept_id], {})[row.reviewer_id] = row
    return said


def _shown(
    stats: ClassStats, said: Collection[int], concepts: Mapping[int, ConceptRecord]
) -> list[int]:
    """The concepts with the largest shares, and those with a word; by share."""
    order = np.argsort(-stats.share_N, kind="stable")
    largest = [int(n) for n in order[:ROWS] if stats.share_N[n] > 0 and int(n) in concepts]
    more = [n for n in said if n in concepts and n not in largest]
    return sorted([*largest, *more], key=lambda n: (-float(stats.share_N[n]), n))


def _row(
    concept: ConceptRecord, name: str, stats: ClassStats, said: Mapping[str, ClassVerdictRecord],
    counts: Counts, reviewer_id: str, *, artefact: bool,
) -> ReasonRow:  # fmt: skip
    n = concept.number
    mine = said.get(reviewer_id)
    spoken = mine is not None and mine.value != "withdrawn"
    others = [row for who, row in said.items() if who != reviewer_id and row.value != "withdrawn"]
    seen: tuple[int | None, int | None, int | None] = counts if spoken else (None, None, None)
    return ReasonRow(
        concept_id=concept.id, concept=n, name=name,
        named=concept.name is not None, share=float(stats.share_N[n]),
        direction=float(stats.direction_N[n]), fires=float(stats.fires_N[n]),
        elsewhere=float(stats.elsewhere_N[n]), correct=seen[0], spurious=seen[1], unsure=seen[2],
        mine=word_view(mine) if mine else None,
        others=tuple(word_view(row) for row in others) if spoken else (),
        word=standing_word(mine.value if mine else None, [row.value for row in others], counts),
        artefact=artefact,
    )  # fmt: skip


def _audit(uow: UnitOfWork, row: ClassVerdictRecord) -> None:
    detail = {
        "concept": row.concept_id, "class": row.class_name, "value": row.value,
        "reason": row.reason, "revision": row.revision,
    }  # fmt: skip
    uow.audit.append(
        actor=row.reviewer, action="class verdict.given", entity="class verdict", entity_id=row.id,
        detail=detail, project_id=row.project_id,
    )  # fmt: skip
