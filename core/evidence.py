"""Several people's words as probabilities: is this cue, claim or column spurious, and how surely.

Dawid & Skene's estimate (core.consensus) over the two words *correct* and *spurious*, with one
reliability per person over everything they said. Stated beforehand: people are right in 4 of 5
(4 right words and 1 wrong one as pseudo-counts per person and truth); an item is as likely spurious
as correct; the cues of one concept share a base rate, with one pseudo-count for each word. So words
on one cue of a concept say something of the others, and a lone odd word is doubted.

    P(item spurious)        p, from the fit
    weight                  w = |2 p - 1|: 0 where people are even, 1 where nothing is left to doubt
    of m cues of a concept  (1 + sum p) / (2 + m)      Laplace's rule of succession
    of several sources      log odds add

Afterwards each person is held against the others (core.rater_checks). Whoever is found suspect is
set aside, the worst first, and the rest is fitted again: words that are worse than a coin are never
turned round, since nobody knows why they are. Comparison takes two others on a concept, or an
adjudication. Of two people who contradict each other either may be right: where nobody else tells,
the words of both are set aside until somebody decides.

Legend: I items; R raters; G groups; W statements; K words (correct, spurious).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from core.consensus import RIGHT, WRONG, dawid_skene, posterior
from core.errors import ConfigError
from core.rater_checks import CORRECT, SPURIOUS, SUSPECT, RaterCheck, check
from core.raters import MISSING, Floats, Ints

OTHERS = 2
"""People besides the one judged who must have spoken on a concept (or item) to be a reference."""
ROUNDS = 25
EDGE = 1e-3
"""Probabilities are kept this far from 0 and 1 before log odds are added: no source is final."""

__all__ = ["CORRECT", "MISSING", "SPURIOUS", "Fold", "Statements", "fold", "pooled", "together"]


@dataclass(frozen=True, eq=False)
class Statements:
    """Everything that was said, as numbers.

    word_IR   CORRECT, SPURIOUS, or MISSING where a person said nothing (or was unsure)
    group_I   the concept of a cue, 0 .. G - 1; MISSING for an item that stands alone (a claim, a
              column)
    known_I   CORRECT or SPURIOUS where it was adjudicated, else MISSING; None: nothing was

    Raises ConfigError where lengths differ.
    """

    word_IR: Ints
    group_I: Ints
    known_I: Ints | None = None

    def __post_init__(self) -> None:
        sizes = {len(self.word_IR), len(self.group_I)}
        if self.known_I is not None:
            sizes.add(len(self.known_I))
        if len(sizes) > 1:
            raise ConfigError("every item needs a group (and a place among the known ones)")

    @property
    def given_I(self) -> Ints:
        """`known_I`, all MISSING where there is none."""
        if self.known_I is None:
            return np.full(len(self.word_IR), MISSING)
        return np.asarray(self.known_I)


@dataclass(frozen=True, eq=False)
class Fold:
    """What the statements say together.

    probability_I  P(spurious), float64, [0, 1]; .5 where no counted word was said
    weight_I       |2 p - 1|; 0 also where no counted word was said
    against_I      the probability contradicts every counted word on the item: use it for nothing
    confusion_RKK  [r, k, l]: how often r says l where k is true; the prior of those set aside
    checks         one per person
    """

    probability_I: Floats
    weight_I: Floats
    against_I: NDArray[np.bool_]
    confusion_RKK: Floats
    checks: tuple[RaterCheck, ...]

    @property
    def counted_R(self) -> NDArray[np.bool_]:
        """Whose words count."""
        return np.array([each.status not in SUSPECT for each in self.checks], dtype=np.bool_)

    def probability_of(self, word_IR: NDArray[Any]) -> tuple[Floats, Floats]:
        """P(spurious) and weight of further items, from the reliabilities learnt: [I], [I].

        Args:
            word_IR: as in Statements; words of those set aside are left out here too.
        """
        kept_IR = np.where(self.counted_R, np.asarray(word_IR), MISSING)
        spurious_I = posterior(kept_IR, self.confusion_RKK)[:, SPURIOUS]
        return spurious_I, np.abs(2 * spurious_I - 1)


def fold(said: Statements) -> Fold:
    """Fit, check everybody, set the worst suspect aside, fit again, until nobody is suspect."""
    people = said.word_IR.shape[1]
    out: dict[int, RaterCheck] = {}
    while True:
        kept = replace(said, word_IR=_without(said.word_IR, out))
        found = dawid_skene(kept.word_IR, 2, known_I=said.known_I, group_I=said.group_I)
        checks = [out.get(r) or _check(kept, found.confusion_RKK, r) for r in range(people)]
        suspects = [r for r in range(people) if r not in out and checks[r].status in SUSPECT]
        if not suspects:
            torn = _contradicted(kept, checks)
            if not torn:
                break
            out |= torn
            continue
        worst = min(suspects, key=lambda r: (_informed(checks[r]), -checks[r].words, r))
        out[worst] = checks[worst]
    spoke_I = (kept.word_IR != MISSING).any(axis=1) | (said.given_I != MISSING)
    probability_I = np.where(spoke_I, found.posterior_IK[:, SPURIOUS], 0.5)
    return Fold(
        probability_I=probability_I,
        weight_I=np.where(spoke_I, np.abs(2 * probability_I - 1), 0.0),
        against_I=_against(kept, probability_I),
        confusion_RKK=found.confusion_RKK,
        checks=tuple(checks),
    )


def pooled(probability_M: Sequence[float] | Floats) -> float:
    """P(spurious) of a concept from its cues: their mean, drawn towards .5 where they are few.

    >>> round(pooled([0.9]), 3), pooled([]), round(pooled([0.95] * 8), 3)
    (0.633, 0.5, 0.86)
    """
    return float((1 + np.sum(probability_M)) / (2 + len(probability_M)))


def together(*probabilities: float) -> float:
    """P(spurious) from several sources, even beforehand: log odds add, none is ever final.

    >>> round(together(0.8, 0.8), 3), together(0.8, 0.5), round(together(0.8, 0.2), 3)
    (0.941, 0.8, 0.5)
    """
    kept = np.clip(np.asarray(probabilities, dtype=np.float64), EDGE, 1 - EDGE)
    return float(expit(logit(kept).sum()))


def _without(word_IR: Ints, raters: Iterable[int]) -> Ints:
    kept_IR = np.asarray(word_IR).copy()
    kept_IR[:, list(raters)] = MISSING
    return kept_IR


def _informed(found: RaterCheck) -> float:
    """Informedness; those who are only held against themselves come after the others."""
    return 1.0 if found.informedness is None else found.informedness


def _against(kept: Statements, probability_I: Floats) -> NDArray[np.bool_]:
    """Where the probability leans to a word that no counted person said (and none decided)."""
    leaning_I = np.where(probability_I > 0.5, SPURIOUS, CORRECT)
    held_I = (kept.word_IR == leaning_I[:, None]).any(axis=1)
    spoke_I = (kept.word_IR != MISSING).any(axis=1)
    return np.asarray(spoke_I & ~held_I & (kept.given_I == MISSING))


def _contradicted(kept: Statements, checks: Sequence[RaterCheck]) -> dict[int, RaterCheck]:
    """Unproven people who would be suspect if the one other person on their cues were right."""
    usual = np.array([[RIGHT, WRONG], [WRONG, RIGHT]]) / (RIGHT + WRONG)
    confusion_RKK = np.tile(usual, (kept.word_IR.shape[1], 1, 1))
    found = {}
    for r, former in enumerate(checks):
        if former.status == "unproven":
            against = _check(kept, confusion_RKK, r, others=1)
            if against.status in SUSPECT:
                found[r] = replace(against, status="contradicted")
    return found


def _check(kept: Statements, confusion_RKK: Floats, rater: int, others: int = OTHERS) -> RaterCheck:
    own = np.flatnonzero(kept.word_IR[:, rater] != MISSING)
    reference_I = _reference(kept, confusion_RKK, rater, others)
    return check(kept.word_IR[own, rater], reference_I[own], kept.group_I[own])


def _reference(kept: Statements, confusion_RKK: Floats, rater: int, others: int) -> Floats:
    """P(spurious) of each item without one person's words, NaN where too few others tell."""
    others_IR = _without(kept.word_IR, [rater])
    odds_RK = np.log(confusion_RKK[:, SPURIOUS] / confusion_RKK[:, CORRECT])
    said_IR = others_IR != MISSING
    person = np.arange(others_IR.shape[1])
    evidence_I = np.where(said_IR, odds_RK[person, np.where(said_IR, others_IR, 0)], 0.0).sum(1)
    rate_I = _rates(kept, said_IR, evidence_I)
    probability_I = expit(evidence_I + logit(rate_I))
    given_I = kept.given_I
    probability_I = np.where(given_I == MISSING, probability_I, given_I == SPURIOUS)
    told_I = (_people(kept.group_I, said_IR) >= others) | (given_I != MISSING)
    return np.where(told_I, probability_I, np.nan)


def _rates(kept: Statements, said_IR: NDArray[np.bool_], evidence_I: Floats) -> Floats:
    """Base rate of each item's group, as the words of the others alone tell it; .5 for none."""
    given_I, groups = kept.given_I, max(1, int(kept.group_I.max(initial=MISSING)) + 1)
    used = (said_IR.any(axis=1) | (given_I != MISSING)) & (kept.group_I != MISSING)
    group_N, count_G = kept.group_I[used], np.bincount(kept.group_I[used], minlength=groups)
    rate_G = np.full(groups, 0.5)
    for _ in range(ROUNDS):
        q_N = expit(evidence_I[used] + logit(rate_G)[group_N])
        q_N = np.where(given_I[used] == MISSING, q_N, given_I[used] == SPURIOUS)
        rate_G = (1 + np.bincount(group_N, q_N, minlength=groups)) / (2 + count_G)
    return np.where(kept.group_I == MISSING, 0.5, rate_G[kept.group_I])


def _people(group_I: Ints, said_IR: NDArray[np.bool_]) -> Ints:
    """How many people spoke on the item's group (on the item itself, where it has none)."""
    count_I = said_IR.sum(axis=1)
    grouped = group_I != MISSING
    if grouped.any():
        spoke_GR = np.zeros((int(group_I.max()) + 1, said_IR.shape[1]), dtype=np.bool_)
        np.logical_or.at(spoke_GR, group_I[grouped], said_IR[grouped])
        count_I = np.where(grouped, spoke_GR.sum(axis=1)[group_I], count_I)
    return np.asarray(count_I)
