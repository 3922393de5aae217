import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import ConfigError
from core.rater_checks import (
    BINS,
    COIN,
    CORRECT,
    LIKE,
    NEEDED,
    POINTS,
    PRIOR,
    SPURIOUS,
    SURE,
    SUSPECT,
    USEFUL,
    check,
    compare,
    inconsistency,
    power,
    words_needed,
)

ALONE = np.array([], dtype=float)


def slow(words: list[int], references: list[float]) -> tuple[float, float, float, float]:
    """P(useless), P(inverted), mean s and mean t in plain loops."""
    grid = [(k + 0.5) / POINTS for k in range(POINTS)]
    total = useless = inverted = mean_s = mean_t = 0.0
    for s, t in itertools.product(grid, grid):
        weight = (s * t) ** (PRIOR - 1)
        for word, q in zip(words, references, strict=True):
            says = q * s + (1 - q) * (1 - t)
            weight *= says if word == SPURIOUS else 1 - says
        total += weight
        useless += weight * (s + t - 1 < USEFUL - 1e-9)
        inverted += weight * (s + t - 1 < -1e-9)
        mean_s += weight * s
        mean_t += weight * t
    return useless / total, inverted / total, mean_s / total, mean_t / total


def judged(words: list[int], references: list[float], groups: list[int] | None = None):
    return check(np.array(words), np.array(references), np.array(groups or [-1] * len(words)))


class TestCompare:
    @settings(max_examples=25, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, BINS)), max_size=6))
    def test_like_plain_loops(self, said: list[tuple[int, int]]) -> None:
        words, references = [w for w, _ in said], [b / BINS for _, b in said]
        found = compare(np.array(words), np.array(references))
        expected = slow(words, references)
        assert (
            found.useless, found.inverted, found.right_spurious, found.right_correct
        ) == pytest.approx(expected)  # fmt: skip

    def test_by_hand(self) -> None:
        # Density 2 s beforehand; one right word on a spurious cue makes it 3 s^2, mean 3 / 4; t
        # keeps its mean of 2 / 3.
        found = compare(np.array([SPURIOUS]), np.array([1.0]))
        assert found.right_spurious == pytest.approx(3 / 4, abs=1e-3)
        assert found.right_correct == pytest.approx(2 / 3, abs=1e-3)
        # P(s + t < 1) = integral over s of 3 s^2 (1 - s)^2 = 1 / 10.
        assert found.inverted == pytest.approx(1 / 10, abs=0.02)

    def test_a_reference_of_even_odds_says_nothing_of_either_word_alone(self) -> None:
        found = compare(np.array([SPURIOUS, CORRECT]), np.array([0.5, 0.5]))
        # Seen is s (1 - t) + t (1 - s) in symmetric form: s and t cannot be told apart.
        assert found.right_spurious == pytest.approx(found.right_correct)

    @settings(max_examples=25, deadline=None)
    @given(
        st.lists(st.tuples(st.integers(0, 1), st.integers(0, BINS)), max_size=20),
        st.integers(BINS // 2 + 1, BINS),
    )
    def test_a_right_word_never_speaks_against_somebody(
        self, said: list[tuple[int, int]], sure: int
    ) -> None:
        words, references = [w for w, _ in said], [b / BINS for _, b in said]
        before = compare(np.array(words), np.array(references))
        after = compare(np.array([*words, SPURIOUS]), np.array([*references, sure / BINS]))
        wrong = compare(np.array([*words, CORRECT]), np.array([*references, sure / BINS]))
        assert after.right_spurious >= before.right_spurious - 1e-9 >= wrong.right_spurious - 2e-9


class TestCheck:
    def test_words_without_any_comparison_prove_nothing(self) -> None:
        found = judged([SPURIOUS] * 3, [math.nan, 0.5, 0.74])
        assert (found.status, found.compared, found.informedness) == ("unproven", 0, None)
        assert judged([], []).status == "unproven"

    def test_right_wrong_one_word_and_a_coin(self) -> None:
        truth = [1.0, 0.0] * 15
        right = [SPURIOUS, CORRECT] * 15
        assert judged(right, truth).status == "reliable"
        assert judged([1 - w for w in right], truth).status == "inverted"
        assert judged([SPURIOUS] * 30, truth).status == "one word"
        coin = [SPURIOUS, SPURIOUS, CORRECT, CORRECT] * 7 + [SPURIOUS, SPURIOUS]
        assert judged(coin, truth).status == "random"
        assert judged([1 - w for w in right[:2]], truth[:2]).status == "unproven"
        assert judged(right[:4], truth[:4]).status == "unproven"

    def test_somebody_who_only_ever_rejects_rightly_is_not_suspect(self) -> None:
        assert judged([SPURIOUS] * 40, [1.0] * 40).status not in SUSPECT

    def test_a_lone_coin_is_noticed_by_its_own_inconsistency(self) -> None:
        groups = [g for g in range(10) for _ in range(6)]
        steady = [SPURIOUS if g % 2 else CORRECT for g in groups]
        mixed = [SPURIOUS, CORRECT, SPURIOUS, CORRECT, CORRECT, SPURIOUS] * 10
        nobody = [math.nan] * 60
        assert judged(mixed, nobody, groups).status == "random"
        assert judged(steady, nobody, groups).status == "unproven"
        assert judged([SPURIOUS] * 60, nobody, groups).status == "unproven"

    def test_lengths_must_fit(self) -> None:
        with pytest.raises(ConfigError, match="reference"):
            check(np.array([0]), ALONE, np.array([0]))


class TestInconsistency:
    def test_by_hand(self) -> None:
        # Two words on one concept, one of each: whatever p, like * unlike words are a (1 - a).
        # The coin's p (1 - p) has mean 1 / 6.
        grid = [LIKE + (1 - LIKE) * (k + 0.5) / POINTS for k in range(POINTS)]
        points = [(k + 0.5) / POINTS for k in range(POINTS)]
        consistent = sum(a * (1 - a) for a in grid) / POINTS * (1 - COIN)
        coin = sum(p * (1 - p) for p in points) / POINTS * COIN
        found = inconsistency(np.array([0, 1]), np.array([3, 3]))
        assert found == pytest.approx(coin / (coin + consistent))

    def test_nothing_to_compare_leaves_the_prior(self) -> None:
        assert inconsistency(np.array([0, 1]), np.array([1, 2])) == COIN
        assert inconsistency(np.array([0, 1]), np.array([-1, -1])) == COIN

    def test_an_expert_with_a_fifth_wrong_is_rarely_called_a_coin(self) -> None:
        rng, found = np.random.default_rng(0), []
        groups = np.repeat(np.arange(10), 6)
        for right in (0.8, 0.5):
            called = 0
            for _ in range(100):
                truth = (rng.random(10) < 0.5)[groups]
                said = np.where(rng.random(60) < right, truth, ~truth).astype(int)
                called += inconsistency(said, groups) >= SURE
            found.append(called / 100)
        assert found[0] <= 0.03
        assert found[1] >= 0.7


class TestPower:
    def test_the_stated_numbers(self) -> None:
        assert words_needed("inverted") == NEEDED["inverted"]
        chance = {
            words: power(words, right=0.5, status="random")
            + power(words, right=0.5, status="inverted")
            for words in (NEEDED["random"] - 2, NEEDED["random"])
        }
        assert chance[NEEDED["random"]] >= 0.8 > chance[NEEDED["random"] - 2]

    @pytest.mark.parametrize("words", [8, 12, 20, 30])
    def test_a_fifth_wrong_is_rarely_suspect(self, words: int) -> None:
        suspect = sum(power(words, right=0.8, status=s) for s in ("random", "inverted"))
        assert suspect < 0.02

    def test_exact_for_two_words(self) -> None:
        # One cue of each kind: too few words to call anybody anything, whatever they say.
        assert power(2, right=0.5, status="unproven") == pytest.approx(1.0)
        # Six words, all right with a chance of .9^6: that much at least is enough.
        assert power(6, right=0.9, status="reliable") >= 0.9**6

    @pytest.mark.parametrize("chance", [0.0, 1.0, 1.1])
    def test_an_impossible_chance_is_refused(self, chance: float) -> None:
        with pytest.raises(ConfigError, match="between 0 and 1"):
            words_needed("inverted", chance=chance)
