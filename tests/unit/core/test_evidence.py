import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from core.consensus import dawid_skene, majority, posterior
from core.errors import ConfigError
from core.evidence import CORRECT, MISSING, SPURIOUS, Fold, Statements, fold, pooled, together
from core.raters import counts

_ = MISSING
GOOD, CONCEPTS, EACH = 0.8, 12, 5


def folded(word_IR: object, group_I: object = None, known_I: object = None) -> Fold:
    words = np.asarray(word_IR)
    group = np.zeros(len(words), int) if group_I is None else np.asarray(group_I)
    return fold(Statements(words, group, None if known_I is None else np.asarray(known_I)))


def crowd(seed: int, people: list[float | str], share: float = 1.0):
    """Truth, concepts and words of a crowd; a person is a rate of right words or "one"."""
    rng = np.random.default_rng(seed)
    group_I = np.repeat(np.arange(CONCEPTS), EACH)
    truth_I = (rng.random(CONCEPTS) < 0.5).astype(int)[group_I]
    columns = []
    for person in people:
        right_I = rng.random(len(truth_I)) < (0.0 if person == "one" else person)
        said_I = np.full(len(truth_I), SPURIOUS) if person == "one" else np.where(
            right_I, truth_I, 1 - truth_I
        )  # fmt: skip
        columns.append(np.where(rng.random(len(truth_I)) < share, said_I, MISSING))
    return truth_I, group_I, np.stack(columns, axis=1)


def score(people: list[float | str], seeds: range, share: float = 1.0) -> dict[str, float]:
    """Shares right of used cues (fold) and of clear ones (majority); who is set aside."""
    right, plain, used, aside = [], [], [], np.zeros(len(people))
    for seed in seeds:
        truth_I, group_I, word_IR = crowd(seed, people, share)
        found = folded(word_IR, group_I)
        take = (found.weight_I >= 0.2) & ~found.against_I
        right.append(((found.probability_I > 0.5) == truth_I)[take].mean())
        used.append(take[(word_IR != MISSING).any(axis=1)].mean())
        leading = majority(counts(word_IR, 2))[0]
        plain.append((leading == truth_I)[leading != MISSING].mean())
        aside += ~found.counted_R
    return {
        "right": float(np.mean(right)), "used": float(np.mean(used)),
        "majority": float(np.mean(plain)), "aside": aside / len(seeds),
    }  # fmt: skip


class TestGroupsInConsensus:
    """What core.consensus gained for the fold: base rates per group."""

    def test_one_group_is_the_former_estimate(self) -> None:
        rng = np.random.default_rng(3)
        word_IR = rng.integers(-1, 2, (20, 3))
        one = dawid_skene(word_IR, 2)
        same = dawid_skene(word_IR, 2, group_I=np.zeros(20, int))
        assert (one.posterior_IK == same.posterior_IK).all()
        assert (one.share_GK[0] == one.share_K).all()

    def test_an_item_of_no_group_has_even_shares(self) -> None:
        # One person, one word: x = P(right) solves x = r / (r + w) with r = (4 + x) / (5 + x),
        # w = (1 + 1 - x) / (5 + 1 - x) and even shares.
        found = dawid_skene(np.array([[SPURIOUS]]), 2, group_I=np.array([MISSING]))
        x = found.posterior_IK[0, SPURIOUS]
        right, wrong = (4 + x) / (5 + x), (2 - x) / (6 - x)
        assert x == pytest.approx(right / (right + wrong), abs=1e-6)

    def test_words_on_a_group_speak_for_its_other_items(self) -> None:
        words = [[SPURIOUS]] * 8 + [[CORRECT]] + [[CORRECT]]
        found = dawid_skene(np.array(words), 2, group_I=np.array([0] * 9 + [1]))
        odd, alone = found.posterior_IK[8, SPURIOUS], found.posterior_IK[9, SPURIOUS]
        assert odd > alone
        assert found.share_GK[0, SPURIOUS] > 0.7 > found.share_GK[1, SPURIOUS]

    def test_the_posterior_never_falls_with_groups(self) -> None:
        rng = np.random.default_rng(5)
        found = dawid_skene(
            rng.integers(-1, 2, (40, 4)), 2, group_I=rng.integers(-1, 6, 40),
            known_I=np.where(rng.random(40) < 0.1, rng.integers(0, 2, 40), MISSING),
        )  # fmt: skip
        assert (np.diff(found.trace) >= -1e-9).all()
        assert found.converged

    def test_posterior_by_hand(self) -> None:
        confusion = np.array([[[0.9, 0.1], [0.4, 0.6]], [[0.8, 0.2], [0.2, 0.8]]])
        words = [[SPURIOUS, MISSING], [SPURIOUS, CORRECT], [MISSING, MISSING], [CORRECT, CORRECT]]
        found = posterior(np.array(words), confusion, known_I=np.array([_, _, _, SPURIOUS]))
        assert found[:, SPURIOUS] == pytest.approx(
            [0.6 / 0.7, 0.6 * 0.2 / (0.6 * 0.2 + 0.1 * 0.8), 0.5, 1.0]
        )

    def test_lengths_must_fit(self) -> None:
        with pytest.raises(ConfigError, match="groups"):
            dawid_skene(np.array([[0]]), 2, group_I=np.array([0, 1]))
        with pytest.raises(ConfigError, match="group"):
            Statements(np.array([[0]]), np.array([0, 1]))
        with pytest.raises(ConfigError, match="group"):
            Statements(np.array([[0]]), np.array([0]), np.array([0, 1]))


class TestFold:
    def test_two_people_against_each_other_are_even(self) -> None:
        found = folded([[SPURIOUS, CORRECT]])
        assert found.probability_I[0] == pytest.approx(0.5)
        assert found.weight_I[0] == pytest.approx(0.0)

    def test_nothing_said_says_nothing(self) -> None:
        found = folded([[_, _], [SPURIOUS, SPURIOUS]])
        assert found.probability_I[0] == 0.5
        assert found.weight_I[0] == 0.0
        assert found.weight_I[1] > 0.8
        for empty in (np.zeros((0, 2), int), np.zeros((3, 0), int)):
            assert folded(empty).weight_I.tolist() == [0.0] * len(empty)

    def test_a_decision_is_final(self) -> None:
        found = folded([[SPURIOUS, SPURIOUS], [_, _]], known_I=[CORRECT, SPURIOUS])
        assert found.probability_I.tolist() == [0.0, 1.0]
        assert found.weight_I.tolist() == [1.0, 1.0]
        assert not found.against_I.any()

    def test_a_lone_odd_word_is_doubted_and_never_turned_round(self) -> None:
        words = [[SPURIOUS]] * 12 + [[CORRECT]]
        found = folded(words)
        assert found.weight_I[12] < 0.6 * found.weight_I[0]
        leans = found.probability_I[12] > 0.5
        assert found.against_I[12] == leans
        assert not found.against_I[:12].any()

    @settings(max_examples=30, deadline=None)
    @given(
        arrays(np.int64, (8, 3), elements=st.integers(MISSING, 1)),
        st.lists(st.integers(MISSING, 2), min_size=8, max_size=8),
    )
    def test_words_turned_round_turn_the_probabilities_round(
        self, word_IR: np.ndarray, group: list[int]
    ) -> None:
        turned_IR = np.where(word_IR == MISSING, MISSING, 1 - word_IR)
        one, other = folded(word_IR, group), folded(turned_IR, group)
        assert one.probability_I == pytest.approx(1 - other.probability_I, abs=1e-5)
        assert (one.counted_R == other.counted_R).all()

    @settings(max_examples=30, deadline=None)
    @given(arrays(np.int64, (6, 3), elements=st.integers(MISSING, 1)), st.permutations(range(3)))
    def test_the_order_of_people_does_not_matter(
        self, word_IR: np.ndarray, order: list[int]
    ) -> None:
        one, other = folded(word_IR), folded(word_IR[:, order])
        assert one.probability_I == pytest.approx(other.probability_I, abs=1e-5)

    @settings(max_examples=30, deadline=None)
    @given(st.integers(1, 5), st.integers(0, 4))
    def test_disagreement_lowers_the_weight(self, agree: int, differ: int) -> None:
        """On a cue of its own, each word against the others takes weight away."""
        people = agree + differ + 1
        first = [SPURIOUS] * agree + [CORRECT] * min(differ, agree - 1)
        row = first + [_] * (people - len(first))
        torn = first + [CORRECT] + [_] * (people - len(first) - 1)
        calm_w, torn_w = (folded([each]).weight_I[0] for each in (row, torn))
        assert torn_w < calm_w

    def test_further_items_with_the_reliabilities_learnt(self) -> None:
        _truth, group_I, word_IR = crowd(0, [0.95, 0.95, 0.95, 0.05])
        found = folded(word_IR, group_I)
        probability, weight = found.probability_of(
            [[SPURIOUS, *[MISSING] * 3], [*[MISSING] * 3, SPURIOUS]]
        )
        assert probability[0] > 0.8
        assert weight[1] == pytest.approx(0.0), "the words of those set aside count nowhere"


class TestSources:
    @given(st.lists(st.floats(0, 1), max_size=6), st.floats(0, 0.9), st.floats(0.01, 0.1))
    def test_a_likelier_source_never_makes_it_less_likely(
        self, others: list[float], chance: float, more: float
    ) -> None:
        assert together(*others, chance + more) >= together(*others, chance) - 1e-12
        assert pooled([*others, chance + more]) > pooled([*others, chance])

    def test_certainty_of_one_source_does_not_silence_the_others(self) -> None:
        assert together(1.0, 0.5) < 1
        assert together(1.0, 0.0) == pytest.approx(0.5)
        assert together() == 0.5


class TestBadPeople:
    """Three people who are right in 4 of 5 and a fourth; 60 cues of 12 concepts, all judged."""

    @pytest.mark.parametrize(("bad", "found"), [(0.5, 0.8), (0.1, 1.0), (0.0, 1.0), ("one", 1.0)])
    def test_the_bad_one_is_set_aside_and_the_rest_recovers(
        self, bad: float | str, found: float
    ) -> None:
        got = score([GOOD, GOOD, GOOD, bad], range(20))
        assert got["aside"][3] >= found
        assert got["aside"][:3].max() <= 0.05
        assert got["right"] >= 0.9
        assert got["used"] >= 0.9
        if bad in (0.1, 0.0):
            assert got["right"] >= got["majority"] + 0.05

    def test_nobody_good_is_set_aside_when_a_fifth_of_all_words_is_wrong(self) -> None:
        got = score([GOOD] * 4, range(20))
        assert got["aside"].max() <= 0.05
        assert got["right"] >= 0.95

    def test_two_who_contradict_each_other_are_both_set_aside(self) -> None:
        for seed in range(5):
            _truth, group_I, word_IR = crowd(seed, [GOOD, 0.1])
            found = folded(word_IR, group_I)
            assert [c.status for c in found.checks] == ["contradicted"] * 2
            assert (found.weight_I == 0).all()

    def test_decisions_tell_which_of_the_two_is_right(self) -> None:
        truth_I, group_I, word_IR = crowd(1, [GOOD, 0.1])
        known_I = np.where(np.arange(len(truth_I)) % 5 == 0, truth_I, MISSING)
        found = folded(word_IR, group_I, known_I)
        assert found.counted_R.tolist() == [True, False]
        take = found.weight_I >= 0.2
        assert ((found.probability_I > 0.5) == truth_I)[take].mean() > 0.75

    def test_a_lone_coin_teaches_nothing(self) -> None:
        aside = [
            not folded(words, group).counted_R[0]
            for _, group, words in (crowd(seed, [0.5]) for seed in range(20))
        ]
        assert np.mean(aside) >= 0.5

    def test_a_lone_expert_is_taken_at_their_word(self) -> None:
        truth_I, group_I, word_IR = crowd(2, [1.0])
        found = folded(word_IR, group_I)
        assert found.counted_R.all()
        assert ((found.probability_I > 0.5) == truth_I).all()
        assert found.weight_I.min() > 0.8
