"""Whether a person's words can be relied on, with the probability of being wrong about that.

With s = P(says spurious | spurious), t = P(says correct | correct) and q the probability that a
cue is spurious, told by others or by an adjudication:

    P(word spurious) = q s + (1 - q) (1 - t),   P(word correct) = q (1 - s) + (1 - q) t

s and t are Beta(PRIOR, 1) beforehand, right in 2 of 3, and integrated on a grid. Informedness is
s + t - 1: 1 perfect, 0 a coin of any bias (also always the same word), -1 turned round (Youden
1950, Cancer 3:32; the score by which Raykar & Yu 2012, JMLR 13:491, tell spammers). Someone is
suspect whose informedness lies below USEFUL, right in under 70 % of a balanced set, with a
probability of SURE; reliable where it lies above 0 with that probability after words enough to
tell an inverted person; else unproven.

Someone whom nobody can be compared with is held against themselves: what a concept is, is mostly
the same from case to case, so words on one concept should be alike. With a the share of like
words, p the share of spurious concepts, s_g and c_g the words on concept g, two hypotheses:

    consistent:  prod_g [p a^s_g (1-a)^c_g + (1-p) (1-a)^s_g a^c_g],  a ~ uniform on [LIKE, 1]
    a coin:      p^S (1-p)^C with all S and C words                   p ~ uniform in both

with COIN beforehand. Suspect is who is a coin with a probability of SURE. That finds neither
inverted people nor those who always say the same word, so nobody is blamed for one word alone.

Legend: N words; B bins of the reference; K words one can say; G groups (concepts); S, T grid of s
and t; A grid of a; P grid of p.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from core.errors import ConfigError

Status = Literal["reliable", "unproven", "random", "inverted", "one word", "contradicted"]
SUSPECT: tuple[Status, ...] = ("random", "inverted", "one word", "contradicted")
CORRECT, SPURIOUS = 0, 1
PRIOR = 2.0
"""Density 2 s: right in 2 of 3 words beforehand, so that two wrong words are no proof."""
USEFUL = 0.4
"""Informedness under which words are of no use: right in 70 % of a balanced set."""
SURE = 0.95
"""Probability that a suspicion needs, and that being better than a coin needs."""
LIKE = 0.8
"""Fewest like words on a concept of somebody consistent; at 70 % neither hypothesis gains."""
COIN = 0.2
"""Probability that somebody's words are a coin's, before anything was said."""
ONE_WORD = 0.95
"""Share of one word from which a suspect is said to have one word alone."""
CLEAR = 0.75
"""Probability of its likelier word from which the truth of a cue serves as a reference."""
NEEDED = {"random": 44, "inverted": 6}
"""Words on cues of known truth after which such a person is found in 8 of 10; see words_needed."""
POINTS, BINS = 40, 50


@dataclass(frozen=True)
class RaterCheck:
    """What a person's words show.

    words            counted words (correct or spurious)
    compared         of them, on cues whose truth others or an adjudication tell
    right_spurious   P(says spurious | spurious), posterior mean, [0, 1]; None without comparison
    right_correct    P(says correct | correct), the same
    informedness     their sum less 1, [-1, 1]
    status           see the module; "unproven": shown to be neither good nor bad; "contradicted":
                     suspect, but only by one other person's words, who may be the one to blame
    certainty        probability that a suspect is one, else of being better than a coin, [0, 1];
                     0 where nothing can be said
    """

    words: int
    compared: int
    right_spurious: float | None
    right_correct: float | None
    informedness: float | None
    status: Status
    certainty: float


@dataclass(frozen=True)
class Comparison:
    """What words on cues of known truth show: probabilities and posterior means."""

    words: int
    useless: float  # P(informedness < USEFUL)
    inverted: float  # P(informedness < 0)
    right_spurious: float
    right_correct: float


def check(word_N: NDArray[Any], reference_N: NDArray[Any], group_N: NDArray[Any]) -> RaterCheck:
    """Judge one person.

    Args:
        word_N: CORRECT or SPURIOUS, every word of the person.
        reference_N: probability that the cue is spurious without the person's own words, [0, 1];
            NaN where nobody else tells.
        group_N: the concept of each word; negative: of none.

    Raises ConfigError where lengths differ.
    """
    if not len(word_N) == len(reference_N) == len(group_N):
        raise ConfigError("every word needs a reference and a group")
    words = np.asarray(word_N, dtype=np.int64)
    known_N = np.nan_to_num(np.asarray(reference_N, dtype=np.float64), nan=0.5)
    clear_N = np.maximum(known_N, 1 - known_N) >= CLEAR
    share = float((words == SPURIOUS).mean()) if len(words) else 0.0
    one_word = max(share, 1 - share) >= ONE_WORD
    if not clear_N.any():
        status, certainty = _alone(words, np.asarray(group_N), one_word)
        return RaterCheck(len(words), 0, None, None, None, status, certainty)
    found = compare(words[clear_N], known_N[clear_N])
    status, certainty = _status(found, one_word)
    if status == "unproven":
        by_self = _alone(words, np.asarray(group_N), one_word)
        status, certainty = by_self if by_self[0] in SUSPECT else (status, certainty)
    return RaterCheck(
        words=len(words),
        compared=int(clear_N.sum()),
        right_spurious=found.right_spurious,
        right_correct=found.right_correct,
        informedness=found.right_spurious + found.right_correct - 1,
        status=status,
        certainty=certainty,
    )


def _status(found: Comparison, one_word: bool) -> tuple[Status, float]:
    if found.useless < SURE:
        shown = 1 - found.inverted >= SURE and found.words >= NEEDED["inverted"]
        return ("reliable" if shown else "unproven"), 1 - found.inverted
    if one_word:
        return "one word", found.useless
    return ("inverted" if found.inverted >= SURE else "random"), found.useless


def _alone(word_N: NDArray[Any], group_N: NDArray[Any], one_word: bool) -> tuple[Status, float]:
    if one_word:
        return "unproven", 0.0
    chance = inconsistency(word_N, group_N)
    return ("random", chance) if chance >= SURE else ("unproven", 0.0)


def compare(word_N: NDArray[Any], reference_N: NDArray[Any]) -> Comparison:
    """What a person's words show on cues whose truth is known with some probability.

    Args:
        word_N: CORRECT or SPURIOUS.
        reference_N: probability that the cue is spurious, [0, 1] (kept in steps of 1 / BINS).
    """
    bin_N = np.clip((np.asarray(reference_N) * BINS).round().astype(np.int64), 0, BINS)
    count_BK = np.zeros((BINS + 1, 2))
    np.add.at(count_BK, (bin_N, np.asarray(word_N, dtype=np.int64)), 1.0)
    used_B = count_BK.any(axis=1)
    q_B = (np.arange(BINS + 1) / BINS)[used_B, None, None]
    a_S = (np.arange(POINTS) + 0.5) / POINTS
    says_BST = q_B * a_S[:, None] + (1 - q_B) * (1 - a_S)
    said_BK = count_BK[used_B, :, None, None]
    seen_ST = (said_BK[:, SPURIOUS] * np.log(says_BST)).sum(axis=0)
    seen_ST += (said_BK[:, CORRECT] * np.log1p(-says_BST)).sum(axis=0)
    seen_ST += (PRIOR - 1) * (np.log(a_S)[:, None] + np.log(a_S))
    chance_ST = np.exp(seen_ST - logsumexp(seen_ST))
    informed_ST = a_S[:, None] + a_S - 1
    return Comparison(
        int(count_BK.sum()),
        float(chance_ST[informed_ST < USEFUL - 1e-9].sum()),
        float(chance_ST[informed_ST < -1e-9].sum()),
        float(chance_ST.sum(axis=1) @ a_S),
        float(chance_ST.sum(axis=0) @ a_S),
    )


def inconsistency(word_N: NDArray[Any], group_N: NDArray[Any]) -> float:
    """Probability that the words are a coin's, which knows of no concept, [0, 1].

    Words of no group, and groups with one word, say nothing; COIN where nothing is left.
    """
    words, groups = np.asarray(word_N, dtype=np.int64), np.asarray(group_N, dtype=np.int64)
    kept = groups >= 0
    _, place_N, size_G = np.unique(groups[kept], return_inverse=True, return_counts=True)
    s_G = np.bincount(place_N, words[kept] == SPURIOUS, minlength=len(size_G))[size_G > 1]
    c_G = size_G[size_G > 1] - s_G
    if not len(s_G):
        return COIN
    a_A = LIKE + (1 - LIKE) * (np.arange(POINTS) + 0.5) / POINTS
    p_P = (np.arange(POINTS) + 0.5) / POINTS
    like_AG = np.outer(np.log(a_A), s_G) + np.outer(np.log1p(-a_A), c_G)
    unlike_AG = np.outer(np.log1p(-a_A), s_G) + np.outer(np.log(a_A), c_G)
    seen_PA = np.stack(
        [np.logaddexp(np.log(p) + like_AG, np.log1p(-p) + unlike_AG).sum(axis=1) for p in p_P]
    )
    coin_P = s_G.sum() * np.log(p_P) + c_G.sum() * np.log1p(-p_P)
    consistent, coin = logsumexp(seen_PA) - np.log(POINTS), logsumexp(coin_P)
    coin, consistent = coin + np.log(COIN), consistent + np.log(1 - COIN)
    return float(np.exp(coin - np.logaddexp(consistent, coin)))


@lru_cache(maxsize=256)
def power(words: int, *, right: float, status: Status) -> float:
    """Probability that a person is given `status` after so many words on cues of known truth.

    Half of the cues are spurious. Exact: the outcomes of two binomials are summed.

    Args:
        words: how many, >= 2.
        right: P(right word) of the person, whatever is true; .5 is a coin, 0 is always wrong.
    """
    from scipy.stats import binom

    half = (words // 2, words - words // 2)
    chance_S, chance_C = (binom.pmf(np.arange(n + 1), n, right) for n in half)
    total = 0.0
    for s, of_s in enumerate(chance_S):
        for c, of_c in enumerate(chance_C):
            if of_s * of_c < 1e-6:  # at most .001 in all
                continue
            said = [SPURIOUS] * s + [CORRECT] * (half[0] - s + c) + [SPURIOUS] * (half[1] - c)
            found = compare(np.array(said), np.repeat([1.0, 0.0], half))
            total += float(of_s * of_c) * (_status(found, False)[0] == status)
    return total


def words_needed(status: Literal["random", "inverted"], *, chance: float = 0.8) -> int:
    """Fewest words on cues of known truth after which such a person is found with that chance.

    A random person is a coin; an inverted one is wrong in 90 %, and may be called random too:
    what counts is that their words are set aside.

    Raises ConfigError where 100 words are not enough, or for a chance outside (0, 1).
    """
    if not 0 < chance < 1:
        raise ConfigError(f"a chance lies between 0 and 1, got {chance}")
    right = {"random": 0.5, "inverted": 0.1}[status]
    for words in range(4, 101, 2):
        found = power(words, right=right, status="random")
        if found + power(words, right=right, status="inverted") >= chance:
            return words
    raise ConfigError(
        f"no number of words up to 100 finds {status} words with a chance of {chance}"
    )
