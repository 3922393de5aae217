"""Which side are the words on? A right reason that shows clearly is not contradicted.

What causes a label and what only comes with it look alike on average: either may predict it in
95 % of the cases. They differ where they are clearest. A sign may be hard to see, but the clearer
it shows, the surer the label: among the clearest cases hardly any contradicts it. A shortcut that
was planted, or crept in, in 95 % of a label is as clear in the other cases: however clear it shows,
one in twenty contradicts it.

    what was called correct    detectors of these regions alone predict the labels (logistic fit on
                               their case scores, cross-fitted); e = share of errors among the
                               clearest quarter (and half) of the cases, those with the largest
                               predicted probabilities
    what was called spurious   likewise

The words look swapped where both sides claim to be sure of half of the cases (CLAIMED), and what
was called correct is wrong all the same (FLOOR), significantly more often than what was called
spurious, and in CLEARER times as many cases; from DOUBTED times on a notice is given. Little is
claimed on purpose:

- evidence that is never sure is weak, not swapped: nothing is said of it;
- spurious cues that give away nearly every label (FLAWLESS) may be a shortcut without exceptions:
  nothing in the data tells it from a sign, so it is left to people;
- few cases cannot tell one in twenty from none, so nothing is said of them.

Labels that are wrong themselves contradict both sides alike.

Shape legend: I cases; R cues; C classes; F features.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import fisher_exact
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from core.cue_detector import RejectedCue
from core.errors import ConfigError, FeedbackError
from core.heads import Float64Array, IntArray
from core.strategies.data import UNCHANGED, FitData, Notice

MOST = 3000
"""Cases looked at, drawn at random where there are more."""
LEAST = 120
"""Cases below which nothing is said."""
FOLDS = 5
CLEAREST = (0.25, 0.5)
"""Shares of the cases that are called clearest; each is tried, and p is doubled for it."""
CLAIMED = 0.85
"""Mean probability that the clearest cases, of every share of CLEAREST, must be predicted with."""
FLOOR, CLEARER = 0.03, 2.0
"""Share of contradicted claims that is too much for a reason; times that of the other side. On
phantoms honest words came to .5 times at most, swapped ones to 1.9 to 40 times (decision 0037)."""
FLAWLESS = 0.99
"""Share of right predictions from which spurious cues may be a shortcut without exceptions."""
DOUBTED, DOUBTFUL = 1.25, 0.2
"""Instead of CLEARER and LEVEL: from which a notice is given."""
LEVEL = 0.05
"""Chance of refusing words whose two sides are contradicted alike; honest words are far from it."""


@dataclass(frozen=True)
class Claim:
    """What one side says of the clearest cases."""

    cases: int
    wrong: int
    claimed: float  # mean probability of the predicted label

    @property
    def share(self) -> float:
        """wrong / cases."""
        return self.wrong / self.cases if self.cases else 0.0


@dataclass(frozen=True, eq=False)
class Side:
    """How the cues of one word predict the labels of cases that were not learnt from."""

    right: float  # share of all cases
    claims: tuple[Claim, ...]  # one per share of CLEAREST


def check_sides(
    data: FitData, spurious: Sequence[RejectedCue], correct: Sequence[RejectedCue]
) -> tuple[Notice, ...]:
    """Refuse words that look swapped; a notice where they may be.

    Args:
        spurious, correct: detectors of what was marked with each word.

    Raises:
        FeedbackError: they look swapped.
        ConfigError: there are no tokens to look at.
    """
    if not spurious or not correct:
        return ()
    sides = side_of(data, spurious), side_of(data, correct)
    told = swapped(*sides)
    if told is not None:
        raise FeedbackError(
            f"{_contradicted(*told)} A reason does not do that, a shortcut does: the words look "
            f"swapped. {UNCHANGED} Look at these verdicts, or let a second person judge some of "
            "them"
        )
    doubtful = swapped(*sides, times=DOUBTED, level=DOUBTFUL)
    if doubtful is None:
        return ()
    advice = "The words may be swapped: look at these verdicts before you use the result."
    return (Notice("warning", _contradicted(*doubtful), advice),)


def _contradicted(wrong: Claim, kept: Claim) -> str:
    return (
        f"What was called correct is contradicted where it shows most clearly: by it alone "
        f"{wrong.wrong} of the {wrong.cases} clearest cases would have another label; by what was "
        f"called spurious {kept.wrong} of {kept.cases}."
    )


def swapped(
    spurious: Side | None, correct: Side | None, *, times: float = CLEARER, level: float = LEVEL
) -> tuple[Claim, Claim] | None:
    """The claims (correct, spurious) that give swapped words away, or None; see the module.

    Args:
        times: how much oftener the correct side must be contradicted than the spurious one.
        level: of the test that this is no chance.
    """
    if spurious is None or correct is None or spurious.right >= FLAWLESS:
        return None
    if min(claim.claimed for claim in (*spurious.claims, *correct.claims)) < CLAIMED:
        return None
    for own, other in zip(correct.claims, spurious.claims, strict=True):
        if own.share < FLOOR or own.share < times * other.share:
            continue
        table = [[own.wrong, own.cases - own.wrong], [other.wrong, other.cases - other.wrong]]
        if fisher_exact(table, alternative="greater")[1] < level / len(CLEAREST):
            return own, other
    return None


def side_of(data: FitData, cues: Sequence[RejectedCue]) -> Side | None:
    """How well these cues alone predict the labels; None with too few cases to say."""
    if data.tokens_of is None:
        raise ConfigError("the check of the words needs the dense tokens of the cases")
    fit = np.flatnonzero(~data.held_I)
    fit = np.sort(np.random.default_rng(data.seed).permutation(fit)[:MOST])
    labels = np.asarray(data.labels_I, dtype=np.int64)[fit]
    names, sizes = np.unique(labels, return_counts=True)
    if len(fit) < LEAST or len(names) < 2 or sizes.min() < FOLDS:
        return None
    score_IR = np.array([_scores(data, cues, int(i)) for i in fit])
    threshold_R = np.array([cue.threshold for cue in cues])
    return judged_side(cross_fitted(score_IR, threshold_R, labels, data.seed), labels, names)


def judged_side(prob_IC: Float64Array, labels_I: IntArray, names_C: IntArray) -> Side:
    """Claims of predicted probabilities, columns in the order of `names_C`."""
    wrong_I = names_C[prob_IC.argmax(axis=1)] != labels_I
    sure_I = prob_IC.max(axis=1)
    order = np.argsort(-sure_I, kind="stable")
    claims = []
    for share in CLEAREST:
        top = order[: max(1, round(share * len(order)))]
        claims.append(Claim(len(top), int(wrong_I[top].sum()), float(sure_I[top].mean())))
    return Side(float(1 - wrong_I.mean()), tuple(claims))


def cross_fitted(
    score_IR: Float64Array, threshold_R: Float64Array, labels_I: IntArray, seed: int
) -> Float64Array:
    """Probabilities [I, C] by logistic fits on the cues' scores, in folds not learnt from."""
    spread_R = score_IR.std(axis=0)
    plain_IR = (score_IR - score_IR.mean(axis=0)) / np.where(spread_R > 0, spread_R, 1.0)
    shown_IR: NDArray[np.bool_] = score_IR > threshold_R
    features_IF = np.concatenate((plain_IR, plain_IR**2, shown_IR), axis=1)
    prob_IC = np.zeros((len(labels_I), len(np.unique(labels_I))))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    for train, test in folds.split(features_IF, labels_I):
        model = LogisticRegression(C=1.0, max_iter=5000).fit(features_IF[train], labels_I[train])
        prob_IC[test] = model.predict_proba(features_IF[test])
    return prob_IC


def _scores(data: FitData, cues: Sequence[RejectedCue], case: int) -> list[float]:
    if data.tokens_of is None:
        raise ConfigError("the check of the words needs the dense tokens of the cases")
    tokens_PD = np.asarray(data.tokens_of(data.rows[case]))
    return [cue.case_score(tokens_PD) for cue in cues]
