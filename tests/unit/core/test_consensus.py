import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from core.consensus import RIGHT, SHARE, WRONG, dawid_skene, majority
from core.errors import ConfigError
from core.raters import MISSING, counts

_ = MISSING


def tables(people: int = 3, words: int = 2) -> st.SearchStrategy[np.ndarray]:
    """Words of some items, with holes."""
    return st.integers(1, 8).flatmap(
        lambda items: arrays(np.int64, (items, people), elements=st.integers(MISSING, words - 1))
    )


def slow(words_IR: np.ndarray, words: int, rounds: int) -> list[list[float]]:
    """Dawid and Skene's rounds in plain loops."""
    items, people = words_IR.shape
    posterior = []
    for row in words_IR:
        said = [int(word) for word in row if word != MISSING]
        even = [1 / words] * words
        posterior.append([said.count(k) / len(said) for k in range(words)] if said else even)
    for _round in range(rounds):
        share = [SHARE + sum(posterior[i][k] for i in range(items)) for k in range(words)]
        share = [each / sum(share) for each in share]
        confusion = [
            [[RIGHT if k == l else WRONG for l in range(words)] for k in range(words)]  # noqa: E741
            for _ in range(people)
        ]
        for i in range(items):
            for r in range(people):
                if words_IR[i, r] != MISSING:
                    for k in range(words):
                        confusion[r][k][words_IR[i, r]] += posterior[i][k]
        posterior = []
        for i in range(items):
            weight = []
            for k in range(words):
                product = share[k]
                for r in range(people):
                    if words_IR[i, r] != MISSING:
                        row_k = confusion[r][k]
                        product *= row_k[words_IR[i, r]] / sum(row_k)
                weight.append(product)
            posterior.append([each / sum(weight) for each in weight])
    return posterior


class TestMajority:
    def test_by_hand(self) -> None:
        table = np.array([[2, 1], [1, 1], [0, 3], [0, 0]])
        words, shares = majority(table)
        assert words.tolist() == [0, MISSING, 1, MISSING]
        assert shares.tolist() == pytest.approx([2 / 3, 1 / 2, 1.0, 0.0])

    def test_one_word(self) -> None:
        words, _shares = majority(np.array([[2], [0]]))
        assert words.tolist() == [0, MISSING]

    def test_no_items(self) -> None:
        assert majority(np.empty((0, 2)))[0].shape == (0,)


class TestDawidSkene:
    def test_one_word_by_hand(self) -> None:
        # One person said word 0 of one item. First round: shares (2, 1)/3, confusion of true 0:
        # (5, 1)/6, of true 1: (1, 4)/5. Posterior of 0: 2*5/6 : 1*1/5 = 10/6 : 1/5 = 25/28.
        # The fixed point x solves x = a/(a+b), a = (1+x)(4+x)/(5+x), b = (2-x)(2-x)/(6-x).
        found = dawid_skene(np.array([[0]]), 2)
        x = found.posterior_IK[0, 0]
        a = (1 + x) * (4 + x) / (5 + x)
        b = (2 - x) * (2 - x) / (6 - x)
        assert x == pytest.approx(a / (a + b), abs=1e-4)
        assert found.converged

    @settings(max_examples=25, deadline=None)
    @given(tables())
    def test_the_slow_reference(self, words_IR: np.ndarray) -> None:
        found = dawid_skene(words_IR, 2)
        expected = slow(words_IR, 2, len(found.trace))
        assert found.posterior_IK == pytest.approx(np.array(expected), abs=1e-8)

    @settings(max_examples=40, deadline=None)
    @given(tables(words=3))
    def test_probabilities_and_a_trace_that_never_falls(self, words_IR: np.ndarray) -> None:
        found = dawid_skene(words_IR, 3)
        assert found.posterior_IK.sum(axis=1) == pytest.approx(1.0)
        assert found.confusion_RKK.sum(axis=2) == pytest.approx(1.0)
        assert found.share_K.sum() == pytest.approx(1.0)
        steps = np.diff(found.trace)
        assert (steps >= -1e-9 * (1 + np.abs(found.trace[1:]))).all()

    @settings(max_examples=25, deadline=None)
    @given(tables(), st.permutations(range(3)))
    def test_the_order_of_people_does_not_matter(self, words_IR, order) -> None:  # type: ignore[no-untyped-def]
        one, other = dawid_skene(words_IR, 2), dawid_skene(words_IR[:, order], 2)
        assert other.posterior_IK == pytest.approx(one.posterior_IK, abs=1e-6)
        assert other.confusion_RKK == pytest.approx(one.confusion_RKK[order], abs=1e-6)

    def test_a_careless_crowd_does_not_outvote_two_experts(self) -> None:
        """Three who guess and two who are nearly always right: the majority errs more."""
        rng = np.random.default_rng(1)
        truth = rng.integers(0, 2, 400)
        skill = np.array([0.95, 0.95, 0.52, 0.52, 0.52])
        right = rng.random((400, 5)) < skill
        words_IR = np.where(right, truth[:, None], 1 - truth[:, None])
        found = dawid_skene(words_IR, 2)
        by_majority = majority(counts(words_IR, 2))[0]
        assert (found.word_I == truth).mean() > (by_majority == truth).mean() + 0.1
        learnt = found.confusion_RKK[:, [0, 1], [0, 1]].mean(axis=1)
        assert learnt == pytest.approx(skill, abs=0.08)

    def test_a_tie_of_equals_stays_a_tie(self) -> None:
        found = dawid_skene(np.array([[0, 1], [1, 0], [0, 0], [1, 1]]), 2)
        assert found.word_I.tolist() == [MISSING, MISSING, 0, 1]

    def test_what_is_known_holds_and_teaches(self) -> None:
        # Two people who never agree: only adjudication tells who is right.
        words_IR = np.array([[0, 1], [1, 0]] * 10)
        known = np.full(20, MISSING)
        known[:6] = [0, 1] * 3  # as the first said
        found = dawid_skene(words_IR, 2, known_I=known)
        assert found.posterior_IK[:6].max(axis=1).tolist() == [1.0] * 6
        assert found.word_I.tolist() == [0, 1] * 10
        assert found.confusion_RKK[0, 0, 0] > 0.8 > 0.3 > found.confusion_RKK[1, 0, 0]

    def test_nothing_said_leaves_the_prior(self) -> None:
        found = dawid_skene(np.array([[_, _], [_, _]]), 2)
        assert found.posterior_IK == pytest.approx(np.full((2, 2), 0.5))
        assert dawid_skene(np.empty((0, 2), dtype=int), 2).posterior_IK.shape == (0, 2)
        assert all(map(math.isfinite, found.trace))

    @pytest.mark.parametrize("known", [[0], [0, 5]])
    def test_wrong_knowledge_is_refused(self, known: list[int]) -> None:
        with pytest.raises(ConfigError):
            dawid_skene(np.array([[0], [1]]), 2, known_I=np.array(known))

    def test_one_word_is_no_choice(self) -> None:
        with pytest.raises(ConfigError, match="two words"):
            dawid_skene(np.array([[0]]), 1)
