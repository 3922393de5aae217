"""Which cases to show people next so that the next refit learns most from their words.

A word on a case is a word on the concepts that its decision rests on. For each of the concepts that
matter most we ask

    change_n  how far would all decisions move if n were learnt to be spurious, as a root mean
              square of probabilities? The refit balances (label x n fires strongly); the first-
              order change of its weights is the influence of the cases' new weights (Koh & Liang
              2017, "Understanding black-box predictions via influence functions", ICML; diagonal
              Hessian). Where n shows in nearly all cases of one label and in none of another there
              is nothing to balance with; what the decisions lose without n stands in, if larger
    doubt_n   how far one more word moves P(n spurious) = a / (a + b), on average:
              E|step| = 2 p (1 - p) / (a + b + 1)   for a Beta(a, b) belief; uncertain and little
              discussed concepts first
    need_n    p_n / (enough + spurious words): a detector of a cue that is spurious needs several
              marked regions, and each further one adds less

    gain_n = change_n (doubt_n + need_n)          expected change of the next refit (Settles, Craven
              & Ray 2008, "Multiple-instance active learning", NIPS: expected model change)

and a case is worth the gains of the concepts it shows, weighed by their shares in its decision.
Cases are taken greedily: each is expected to say on its concepts, and on those that fire in the
same images, what we believe, so their counts grow and their gains fall before the next is chosen.
That makes the order diverse without a term for it (gains fall as in a submodular function;
Nemhauser, Wolsey & Fisher 1978, Math. Program. 14:265). Cost: one pass over the codes, then one
sparse column per chosen case.

Legend: I cases; N concepts; M candidates among them; K shown per case; C classes.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from core.errors import ConfigError
from core.refit_change import UNKNOWN, refit_change, strong

Float64Array = NDArray[np.float64]


@dataclass(frozen=True)
class TeachConfig:
    """How the order is made.

    shown        concepts of a case that a person is expected to judge: the largest contributions
    candidates   concepts whose change is worked out: those that decisions rest on most
    spurious, correct  the belief about a concept before any word, as words: Beta(1, 3)
    enough       spurious words after which the need for further ones has halved
    sample       cases on which the change is measured
    chosen       cases taken one by one; the others follow by what they would be worth then
    alike        images shared (cosine of firing) from which a word on one concept tells of another
    """

    shown: int = 5
    candidates: int = 256
    spurious: float = 1.0
    correct: float = 3.0
    enough: float = 6.0
    sample: int = 2000
    chosen: int = 500
    alike: float = 0.5

    def __post_init__(self) -> None:
        whole = (self.shown, self.candidates, self.sample)
        if min(whole) < 1 or self.chosen < 0 or not 0 < self.alike <= 1:
            raise ConfigError("shown, candidates and sample are at least 1, alike in (0, 1]")
        if min(self.spurious, self.correct, self.enough) <= 0:
            raise ConfigError("the belief and the words that are enough must be above 0")


@dataclass(frozen=True, eq=False)
class Lessons:
    """Cases by what they would teach.

    order_I    case numbers, best first; a permutation
    score_I    per case, [0, 1]: 1 for the first, falling along the order; 0 teaches nothing
    concept_I  per case the concept that it would teach most about; -1 for none
    gain_N     per concept, >= 0: expected change of the decisions by one more word on it
    change_N   per concept, >= 0: root mean square change of probability if it is spurious
    """

    order_I: NDArray[np.int64]
    score_I: Float64Array
    concept_I: NDArray[np.int64]
    gain_N: Float64Array
    change_N: Float64Array


def teach(
    pooled_IN: Any,
    labels_I: NDArray[Any],
    probability_IC: NDArray[Any],
    weight_CN: NDArray[Any],
    *,
    spurious_N: NDArray[Any] | None = None,
    correct_N: NDArray[Any] | None = None,
    suspicion_N: NDArray[Any] | None = None,
    open_I: NDArray[Any] | None = None,
    config: TeachConfig | None = None,
    seed: int = 0,
) -> Lessons:
    """Order cases by what a person's words on them would change in the next refit.

    Args:
        pooled_IN: pooled codes, csr or dense, >= 0.
        labels_I: class index, or UNKNOWN; a change is worked out on labelled cases.
        probability_IC: the model's probabilities.
        weight_CN: weights of its head.
        spurious_N, correct_N: words so far per concept (may be fractions); None: none.
        suspicion_N: [0, 1], what else speaks for a concept being spurious; adds that many spurious
            words, up to as many as the prior's, before the first word.
        open_I: bool [I], cases that may be chosen; the others come last, with score 0.
        seed: of the sample and of ties.

    Raises ConfigError where shapes do not fit.
    """
    settings = config or TeachConfig()
    pooled = csr_array(pooled_IN)
    labels = np.asarray(labels_I, dtype=np.int64)
    probability = np.asarray(probability_IC, dtype=np.float64)
    weight = np.asarray(weight_CN, dtype=np.float64)
    _check(pooled, labels, probability, weight)
    rng = np.random.default_rng(seed)
    shown_IK, share_IK = shown_concepts(pooled, probability, weight, settings.shown)
    candidates_M = _candidates(shown_IK, share_IK, weight.shape[1], settings.candidates)
    change_M = refit_change(
        pooled, labels, probability, weight, candidates_M, sample=settings.sample, seed=seed
    )
    belief = _Belief.of(weight.shape[1], candidates_M, spurious_N, correct_N, suspicion_N, settings)
    alike_MM = _alike(pooled, candidates_M, settings.alike)
    attention_IM = _attention(shown_IK, share_IK, candidates_M, weight.shape[1])
    free_I = np.ones(len(labels), bool) if open_I is None else np.asarray(open_I, dtype=bool)
    gain_M = change_M * belief.worth()
    chosen, worth_I = _greedy(attention_IM, change_M, belief, alike_MM, free_I, settings, rng)
    order_I, score_I = _ordered(chosen, worth_I, free_I, rng)
    concept_I = _about(attention_IM, gain_M, candidates_M)
    return Lessons(
        order_I, score_I, concept_I,
        _spread(gain_M, candidates_M, weight.shape[1]),
        _spread(change_M, candidates_M, weight.shape[1]),
    )  # fmt: skip


def shown_concepts(
    pooled: csr_array, probability_IC: Float64Array, weight_CN: Float64Array, shown: int
) -> tuple[NDArray[np.int64], Float64Array]:
    """The concepts that carry each decision and their shares of it, largest first [I, K].

    A share is |contribution| to the lead over the runner-up, of all of them; -1 and 0 fill up.
    """
    count, classes = probability_IC.shape
    first_I = probability_IC.argmax(axis=1)
    second_I = np.full(count, UNKNOWN)
    if classes > 1:
        rest_IC = probability_IC.copy()
        rest_IC[np.arange(count), first_I] = -1.0
        second_I = rest_IC.argmax(axis=1)
    row_E = np.repeat(np.arange(count), np.diff(pooled.indptr))
    against_E = weight_CN[second_I[row_E], pooled.indices] if classes > 1 else 0.0
    size_E = np.abs(pooled.data * (weight_CN[first_I[row_E], pooled.indices] - against_E))
    concept_IK = np.full((count, shown), UNKNOWN, dtype=np.int64)
    share_IK = np.zeros((count, shown))
    total_I = np.maximum(np.bincount(row_E, weights=size_E, minlength=count), 1e-300)
    some = np.flatnonzero(np.diff(pooled.indptr))
    for place in range(shown if len(some) else 0):
        # One pass per place: sorting every entry would cost several times as much.
        most_I = np.zeros(count)
        most_I[some] = np.maximum.reduceat(size_E, pooled.indptr[some])
        at = np.flatnonzero((size_E == most_I[row_E]) & (size_E > 0))
        rows, first = np.unique(row_E[at], return_index=True)
        concept_IK[rows, place] = pooled.indices[at[first]]
        share_IK[rows, place] = size_E[at[first]] / total_I[rows]
        size_E[at[first]] = -1.0
    return concept_IK, share_IK


@dataclass
class _Belief:
    """Beta beliefs of the candidates, and spurious words each has had."""

    a_M: Float64Array
    b_M: Float64Array
    words_M: Float64Array
    enough: float

    @classmethod
    def of(
        cls, concepts: int, candidates_M: NDArray[np.int64], spurious_N: Any, correct_N: Any,
        suspicion_N: Any, settings: TeachConfig,
    ) -> "_Belief":  # fmt: skip
        def chosen(values: Any) -> Float64Array:
            if values is None:
                return np.zeros(len(candidates_M))
            given = np.asarray(values, dtype=np.float64)
            if given.shape != (concepts,) or (given < 0).any() or not np.isfinite(given).all():
                raise ConfigError(f"words and suspicion are {concepts} numbers, at least 0")
            return np.asarray(given[candidates_M])

        said_M, right_M = chosen(spurious_N), chosen(correct_N)
        prior = settings.spurious + settings.correct
        suspected_M = np.minimum(chosen(suspicion_N), 1.0) * prior
        return cls(
            settings.spurious + suspected_M + said_M, settings.correct + right_M, said_M,
            settings.enough,
        )  # fmt: skip

    def worth(self) -> Float64Array:
        """doubt + need."""
        total_M = self.a_M + self.b_M
        p_M = self.a_M / total_M
        doubt_M = 2.0 * p_M * (1.0 - p_M) / (total_M + 1.0)
        return np.asarray(doubt_M + p_M / (self.enough + self.words_M))

    def expect(self, seen_M: Float64Array) -> None:
        """As many more words, saying what is believed."""
        p_M = self.a_M / (self.a_M + self.b_M)
        self.a_M = self.a_M + seen_M * p_M
        self.b_M = self.b_M + seen_M * (1.0 - p_M)
        self.words_M = self.words_M + seen_M * p_M


def _candidates(
    shown_IK: NDArray[np.int64], share_IK: Float64Array, concepts: int, count: int
) -> NDArray[np.int64]:
    """The concepts that carry most of the decisions, ascending."""
    real = shown_IK >= 0
    total_N = np.bincount(shown_IK[real], weights=share_IK[real], minlength=concepts)
    best = np.argsort(-total_N, kind="stable")[:count]
    return np.sort(best[total_N[best] > 0]).astype(np.int64)


def _attention(
    shown_IK: NDArray[np.int64], share_IK: Float64Array, candidates_M: NDArray[np.int64],
    concepts: int,
) -> csr_array:  # fmt: skip
    """How much of each case's showing is each candidate [I, M]; rows sum to at most 1."""
    number_N = np.full(concepts, UNKNOWN)
    number_N[candidates_M] = np.arange(len(candidates_M))
    at_IK = np.where(shown_IK >= 0, number_N[np.maximum(shown_IK, 0)], UNKNOWN)
    row, column = np.nonzero(at_IK >= 0)
    total_I = np.maximum(share_IK.sum(axis=1), 1e-12)
    share = share_IK[row, column] / total_I[row]
    shape = (len(shown_IK), len(candidates_M))
    return csr_array((share, (row, at_IK[row, column])), shape=shape)


def _alike(pooled: csr_array, candidates_M: NDArray[np.int64], least: float) -> csr_array:
    """Cosine of where two candidates fire strongly, as far as it reaches `least`; 1 for itself."""
    own = csc_array(pooled[:, candidates_M])
    for at in range(own.shape[1]):
        span = slice(own.indptr[at], own.indptr[at + 1])
        own.data[span] = strong(own.data[span])
    fires_IM = csr_array(own.astype(np.float64))
    length_M = np.sqrt(np.maximum(np.asarray(fires_IM.sum(axis=0)).ravel(), 1.0))
    cosine_MM = (fires_IM.T @ fires_IM).toarray() / np.outer(length_M, length_M)
    np.fill_diagonal(cosine_MM, 1.0)
    return csr_array(np.where(cosine_MM >= least, cosine_MM, 0.0))


def _greedy(
    attention_IM: csr_array, change_M: Float64Array, belief: _Belief, alike_MM: csr_array,
    free_I: NDArray[np.bool_], settings: TeachConfig, rng: np.random.Generator,
) -> tuple[list[int], Float64Array]:  # fmt: skip
    """Cases one by one, and what the others are worth after them [I]."""
    columns = csc_array(attention_IM)
    gain_M = change_M * belief.worth()
    worth_I = np.asarray(attention_IM @ gain_M)
    tie_I = rng.random(len(worth_I)) * 1e-12
    blocked_I = np.where(free_I, 0.0, np.inf)
    chosen: list[int] = []
    for _ in range(min(settings.chosen, int(free_I.sum()))):
        pick = int(np.argmax(worth_I + tie_I - blocked_I))
        if worth_I[pick] <= 0:
            break
        chosen.append(pick)
        blocked_I[pick] = np.inf
        seen_M = attention_IM[[pick]].toarray().ravel() * settings.shown
        belief.expect(np.asarray(alike_MM.T @ seen_M))
        fresh_M = change_M * belief.worth()
        for at in np.flatnonzero(fresh_M != gain_M):
            span = slice(columns.indptr[at], columns.indptr[at + 1])
            worth_I[columns.indices[span]] += columns.data[span] * (fresh_M[at] - gain_M[at])
        gain_M = fresh_M
    return chosen, np.maximum(worth_I, 0.0)


def _ordered(
    chosen: list[int], worth_I: Float64Array, free_I: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[NDArray[np.int64], Float64Array]:
    """Chosen ones, then the free ones by worth, then the others; and scores that fall."""
    count = len(worth_I)
    first = np.zeros(count, bool)
    first[chosen] = True
    rest = rng.permutation(np.flatnonzero(~first & free_I))
    rest = rest[np.argsort(-worth_I[rest], kind="stable")]
    last = rng.permutation(np.flatnonzero(~free_I))
    order_I = np.concatenate([np.array(chosen, dtype=np.int64), rest, last]).astype(np.int64)
    score_I = np.zeros(count)
    useful = np.concatenate([np.array(chosen, dtype=np.int64), rest[worth_I[rest] > 1e-15]])
    if len(useful):
        score_I[useful] = 1.0 - np.arange(len(useful)) / len(useful)
    return order_I, score_I


def _about(
    attention_IM: csr_array, gain_M: Float64Array, candidates_M: NDArray[np.int64]
) -> NDArray[np.int64]:
    weighed = csr_array(attention_IM.multiply(gain_M[None, :]))
    concept_I = np.full(attention_IM.shape[0], UNKNOWN, dtype=np.int64)
    row_E = np.repeat(np.arange(weighed.shape[0]), np.diff(weighed.indptr))
    order = np.lexsort((-weighed.data, row_E))
    rows, first = np.unique(row_E[order], return_index=True)
    best = order[first]
    some = weighed.data[best] > 0
    concept_I[rows[some]] = candidates_M[weighed.indices[best[some]]]
    return concept_I


def _spread(value_M: Float64Array, candidates_M: NDArray[np.int64], concepts: int) -> Float64Array:
    found = np.zeros(concepts)
    found[candidates_M] = value_M
    return found


def _check(
    pooled: csr_array, labels: NDArray[np.int64], probability: Float64Array, weight: Float64Array
) -> None:
    count, concepts = pooled.shape
    if probability.shape != (count, weight.shape[0]) or weight.shape[1] != concepts:
        raise ConfigError(
            f"probabilities {probability.shape} and weights {weight.shape} do not fit "
            f"{count} cases of {concepts} concepts"
        )
    if labels.shape != (count,) or labels.max(initial=UNKNOWN) >= weight.shape[0]:
        raise ConfigError("labels do not fit the cases or the classes")
