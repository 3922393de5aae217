"""What several people say together: the majority, and the consensus of Dawid & Skene.

The majority gives everyone one voice. Dawid & Skene (1979, Applied Statistics 28:20) learn, from
nothing but the words themselves, how often each person says word l where k is true, and weigh
them by that. With t_i the true word of item i, p_k its share and c_rkl the confusion of person r:

    P(t_i = k | words) ~ p_k  prod_r c_r,k,word(i,r)
    p_k, c_rkl ~ expected counts under that, plus pseudo-counts

iterated until the posterior density stops to grow: EM for the maximum of the posterior. Items may
come in groups (the cues of one concept): each group then has shares of its own, so that words on
one item say something of the others. An item of no group has even shares.

Where we differ: pseudo-counts (Dirichlet priors) say that people are right more often than not.
Without them nothing tells truth from its mirror image, two people cannot be told apart at all,
and a person with one word gets a confusion of 0 and 1. Adjudicated items may be given as known:
they anchor the rest. What remains assumed: given the truth people err independently of each
other, and equally on easy and hard items. People who share a mistake look like experts here, so
the screen shows it beside the majority and not in its place.

Legend: I items; R people; K words; G groups; P distinct rows of words; N entries, one per word.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from core.errors import ConfigError
from core.raters import MISSING, Floats, Ints, checked, counts

RIGHT, WRONG, SHARE = 4.0, 1.0, 1.0
"""Pseudo-counts: of right words and of each wrong one per person and true word; per word."""
ROUNDS = 500
TOLERANCE = 1e-9
"""Growth of the log posterior, relative to its size, below which the rounds end."""
EVEN = 1e-9
"""Two words closer in probability than this are a tie."""


@dataclass(frozen=True)
class Consensus:
    """The outcome of Dawid & Skene's estimate."""

    posterior_IK: Floats  # probability of each word of each item; rows sum to 1
    share_K: Floats  # share of items for which each word is true; the mean over groups' items
    confusion_RKK: Floats  # [r, k, l]: how often person r says l where k is true; rows sum to 1
    trace: tuple[float, ...]  # log posterior after each round (up to a constant), never falling
    converged: bool
    share_GK: Floats  # the same for each group; one group where none were given

    @property
    def word_I(self) -> Ints:
        """The most probable word of each item; MISSING where two are even."""
        return _leading(self.posterior_IK, EVEN)


def majority(count_IK: NDArray[Any]) -> tuple[Ints, Floats]:
    """The word that most people chose, [I], MISSING at a tie or without words; and its share.

    The share is of the people who spoke, [0, 1]; 0 where nobody did.
    """
    table = np.asarray(count_IK, dtype=np.float64)
    said_I = table.sum(axis=1)
    share_I = table.max(axis=1, initial=0.0) / np.where(said_I > 0, said_I, 1.0)
    return _leading(table, 0.0), share_I


def dawid_skene(
    word_IR: NDArray[Any],
    words: int,
    *,
    known_I: NDArray[Any] | None = None,
    group_I: NDArray[Any] | None = None,
) -> Consensus:
    """The consensus of people who may say nothing of some items.

    Args:
        word_IR: word numbers 0 .. words - 1, MISSING where a person said nothing.
        words: K, at least 2.
        known_I: the true word where it is known (adjudicated), else MISSING.
        group_I: numbers 0 .. G - 1 of the items that share a base rate, MISSING for an item of no
            group (even shares); None: all items are one group.

    Raises ConfigError for fewer than two words, words out of range or lengths that differ.
    """
    if words < 2:
        raise ConfigError("a consensus needs two words or more to choose from")
    table_IR = checked(word_IR, words)
    known = np.full(len(table_IR), MISSING) if known_I is None else np.asarray(known_I)
    group = np.zeros(len(table_IR), np.int64) if group_I is None else np.asarray(group_I)
    for given, what in ((known, "known words"), (group, "groups")):
        if len(given) != len(table_IR):
            raise ConfigError(f"{len(given)} {what} do not fit {len(table_IR)} items")
    groups = max(1, int(group.max(initial=MISSING)) + 1)
    # Items with the same words have the same posterior: their number does not matter.
    rows = np.concatenate(
        [table_IR, checked(group[:, None], groups), checked(known[:, None], words)], axis=1
    )
    row_PR, place_I, many_P = np.unique(rows, axis=0, return_inverse=True, return_counts=True)
    said = _Said.of(row_PR, many_P, words, groups)
    posterior_PK, share_GK, confusion_RKK, trace, converged = _rounds(said, _start(row_PR, words))
    posterior_IK = posterior_PK[place_I.ravel()]
    share_K = share_GK[0] if groups == 1 else _overall(posterior_IK)
    return Consensus(posterior_IK, share_K, confusion_RKK, tuple(trace), converged, share_GK)


def posterior(
    word_IR: NDArray[Any], confusion_RKK: Floats, *, known_I: NDArray[Any] | None = None
) -> Floats:
    """Probability of each word of each item, [I, K], from confusions learnt before.

    Every word is as likely as any other before anybody spoke: even for items without words.
    """
    words = confusion_RKK.shape[1]
    table_IR = checked(word_IR, words)
    known = np.full(len(table_IR), MISSING) if known_I is None else np.asarray(known_I)
    alone = np.full(len(table_IR), MISSING)
    rows = np.concatenate([table_IR, alone[:, None], checked(known[:, None], words)], axis=1)
    said = _Said.of(rows, np.ones(len(rows)), words, 1)
    joint_IK = _joint(said, np.full((1, words), 1 / words), confusion_RKK)
    return np.asarray(np.exp(joint_IK - logsumexp(joint_IK, axis=1, keepdims=True)))


def _overall(posterior_IK: Floats) -> Floats:
    share_K = posterior_IK.sum(axis=0) + SHARE
    return np.asarray(share_K / share_K.sum())


def _start(row_PR: Ints, words: int) -> Floats:
    """The shares of the words said, as the first posterior; even where nothing was said."""
    count_PK = counts(row_PR[:, :-2], words).astype(np.float64)
    said_P = count_PK.sum(axis=1, keepdims=True)
    start_PK = np.where(said_P > 0, count_PK / np.where(said_P > 0, said_P, 1.0), 1 / words)
    return _anchored(start_PK, row_PR[:, -1])


def _anchored(posterior_PK: Floats, known_P: Ints) -> Floats:
    """Certainty where the word is known."""
    found = posterior_PK.copy()
    given = np.flatnonzero(known_P != MISSING)
    found[given] = 0.0
    found[given, known_P[given]] = 1.0
    return found


@dataclass(frozen=True)
class _Said:
    """The words of distinct rows as a list of entries, since most people see few items."""

    row_N: Ints
    person_N: Ints
    word_N: Ints
    many_P: Floats  # how often each row occurs
    group_P: Ints  # MISSING: of no group
    known_P: Ints
    people: int
    words: int
    groups: int

    @classmethod
    def of(cls, row_PR: Ints, many_P: NDArray[Any], words: int, groups: int) -> "_Said":
        """From rows of words with two more columns: group and known word."""
        row_N, person_N = np.nonzero(row_PR[:, :-2] != MISSING)
        word_N = row_PR[row_N, person_N]
        people = row_PR.shape[1] - 2
        return cls(
            row_N, person_N, word_N, many_P.astype(np.float64), row_PR[:, -2], row_PR[:, -1],
            people, words, groups,
        )  # fmt: skip


def _rounds(said: _Said, posterior_PK: Floats) -> tuple[Floats, Floats, Floats, list[float], bool]:
    """EM over distinct rows, each counted as often as it occurs."""
    trace: list[float] = []
    for _ in range(ROUNDS):
        share_GK, confusion_RKK = _learnt(said, posterior_PK)
        joint_PK = _joint(said, share_GK, confusion_RKK)
        posterior_PK = np.exp(joint_PK - logsumexp(joint_PK, axis=1, keepdims=True))
        trace.append(_log_posterior(joint_PK, said.many_P, share_GK, confusion_RKK))
        if len(trace) > 1 and trace[-1] - trace[-2] <= TOLERANCE * (1 + abs(trace[-1])):
            return posterior_PK, share_GK, confusion_RKK, trace, True
    return posterior_PK, share_GK, confusion_RKK, trace, False


def _learnt(said: _Said, posterior_PK: Floats) -> tuple[Floats, Floats]:
    """Shares and confusions from expected counts and pseudo-counts."""
    weight_PK = posterior_PK * said.many_P[:, None]
    grouped = said.group_P != MISSING
    share_GK = np.full((said.groups, said.words), SHARE)
    np.add.at(share_GK, said.group_P[grouped], weight_PK[grouped])
    confusion_RKK = np.tile(_prior(said.words), (said.people, 1, 1))
    cell_N = said.person_N * said.words + said.word_N
    for true in range(said.words):
        found = np.bincount(cell_N, weight_PK[said.row_N, true], said.people * said.words)
        confusion_RKK[:, true, :] += found.reshape(said.people, said.words)
    share_GK /= share_GK.sum(axis=1, keepdims=True)
    return share_GK, confusion_RKK / confusion_RKK.sum(axis=2, keepdims=True)


def _joint(said: _Said, share_GK: Floats, confusion_RKK: Floats) -> Floats:
    """log P(true word k, words said), [P, K]; minus infinity where another word is known."""
    grouped_P = said.group_P != MISSING
    joint_PK = np.where(grouped_P[:, None], np.log(share_GK)[said.group_P], -np.log(said.words))
    for true, log_RK in enumerate(np.log(confusion_RKK).transpose(1, 0, 2)):
        joint_PK[:, true] += np.bincount(
            said.row_N, log_RK[said.person_N, said.word_N], len(said.many_P)
        )
    known_P = said.known_P[:, None]
    joint_PK[(known_P != MISSING) & (known_P != np.arange(said.words))] = -np.inf
    return joint_PK


def _log_posterior(
    joint_PK: Floats, many_P: Floats, share_GK: Floats, confusion_RKK: Floats
) -> float:
    seen = float((many_P * logsumexp(joint_PK, axis=1)).sum())
    held = float((_prior(share_GK.shape[1]) * np.log(confusion_RKK)).sum())
    return seen + held + float(SHARE * np.log(share_GK).sum())


def _prior(words: int) -> Floats:
    return np.full((words, words), WRONG) + np.eye(words) * (RIGHT - WRONG)


def _leading(value_IK: Floats, even: float) -> Ints:
    """The largest of each row, MISSING where the next is as large or all are zero."""
    if value_IK.shape[1] < 2:
        return np.where(value_IK.sum(axis=1) > 0, 0, MISSING).astype(np.int64)
    ordered = np.sort(value_IK, axis=1)
    clear = ordered[:, -1] - ordered[:, -2] > even
    return np.where(clear, value_IK.argmax(axis=1), MISSING).astype(np.int64)
