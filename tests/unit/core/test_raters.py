import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import beta
from sklearn.metrics import cohen_kappa_score

from core.errors import ConfigError
from core.raters import MISSING, Coefficient, cohen, counts, fleiss, krippendorff

FLEISS_1971 = np.array(
    [
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ]
)  # fmt: skip
"""Ten subjects, fourteen raters, five words: a published table with kappa 0.210."""

_ = MISSING
KRIPPENDORFF_2011 = np.array(
    [
        [0, 1, 2, 2, 1, 0, 3, 0, 1, _, _, _],
        [0, 1, 2, 2, 1, 1, 3, 0, 1, 4, _, 2],
        [_, 2, 2, 2, 1, 2, 3, 1, 1, 4, 0, _],
        [0, 1, 2, 2, 1, 3, 3, 0, 1, 4, 0, _],
    ]
).T
"""Twelve units, four observers, missing words: his example, nominal alpha 0.743."""


def pairs(table: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Two people's words from a table of counts."""
    cells = np.asarray(table)
    rows, columns = np.indices(cells.shape)
    return np.repeat(rows, cells.ravel()), np.repeat(columns, cells.ravel())


def tables(people: int = 4, words: int = 3) -> st.SearchStrategy[np.ndarray]:
    """Words of some items, with holes."""
    return st.integers(2, 12).flatmap(
        lambda items: arrays(np.int64, (items, people), elements=st.integers(MISSING, words - 1))
    )


def close(found: Coefficient, other: Coefficient) -> bool:
    """Whether two coefficients say the same."""
    if found.value is None or other.value is None:
        return found.value is other.value
    return found.value == pytest.approx(other.value, abs=1e-9) and (
        (found.error or 0) == pytest.approx(other.error or 0, abs=1e-9)
    )


class TestCohen:
    def test_by_hand(self) -> None:
        # po = 35/50; pe = (25*30 + 25*20) / 50^2 = .5; kappa = .2/.5
        found = cohen(*pairs([[20, 5], [10, 15]]), 2)
        assert (found.value, found.observed, found.expected) == pytest.approx((0.4, 0.7, 0.5))
        assert (found.items, found.clusters) == (50, 50)

    def test_the_error_of_fleiss_cohen_everitt(self) -> None:
        # Their formula for the same table, term by term:
        # A = .4 (1 - 1.1*.6)^2 + .3 (1 - .9*.6)^2, B = .6^2 (.1*1.1^2 + .2*.9^2)
        # with p(first) = (.5, .5), p(second) = (.6, .4); C = (.4 - .5*.6)^2; var = (A+B-C)/(n*.5^2)
        a = 0.4 * (1 - 1.1 * 0.6) ** 2 + 0.3 * (1 - 0.9 * 0.6) ** 2
        b = 0.36 * (0.1 * (0.6 + 0.5) ** 2 + 0.2 * (0.4 + 0.5) ** 2)
        variance = (a + b - (0.4 - 0.5 * 0.6) ** 2) / (50 * 0.25)
        found = cohen(*pairs([[20, 5], [10, 15]]), 2)
        assert found.error == pytest.approx(np.sqrt(variance * 50 / 49), abs=1e-9)

    @settings(max_examples=50, deadline=None)
    @given(tables(people=2))
    def test_against_scikit_learn(self, words_IR: np.ndarray) -> None:
        both = (words_IR != MISSING).all(axis=1)
        found = cohen(words_IR[:, 0], words_IR[:, 1], 3, resamples=0)
        used = np.unique(words_IR[both])
        if found.value is None:
            assert len(used) < 2
        else:
            assert found.value == pytest.approx(
                cohen_kappa_score(words_IR[both, 0], words_IR[both, 1], labels=[0, 1, 2])
            )

    @settings(max_examples=30, deadline=None)
    @given(tables(people=2))
    def test_the_two_may_change_places(self, words_IR: np.ndarray) -> None:
        one, two = words_IR.T
        assert close(cohen(one, two, 3, resamples=0), cohen(two, one, 3, resamples=0))

    def test_lengths_that_differ_are_refused(self) -> None:
        with pytest.raises(ConfigError, match="do not pair"):
            cohen(np.array([0, 1]), np.array([0]), 2)


class TestFleiss:
    def test_the_published_table(self) -> None:
        found = fleiss(FLEISS_1971)
        assert found.value == pytest.approx(0.210, abs=5e-4)
        assert (found.observed, found.expected) == pytest.approx((0.378, 0.213), abs=5e-4)

    def test_by_hand_with_unequal_numbers(self) -> None:
        # Items: AAB (1/3 of its pairs agree), AA (1), B (one word: left out).
        # po = 2/3; shares of A: (2/3 + 1)/2 = 5/6; pe = 26/36; kappa = -1/5
        found = fleiss(np.array([[2, 1], [2, 0], [0, 1]]))
        assert found.value == pytest.approx(-0.2)
        assert found.items == 2

    @settings(max_examples=40, deadline=None)
    @given(tables())
    def test_twice_the_items_say_the_same_with_less_error(self, words_IR: np.ndarray) -> None:
        once = fleiss(counts(words_IR, 3), resamples=0)
        twice = fleiss(counts(np.concatenate([words_IR, words_IR]), 3), resamples=0)
        if once.value is None or once.error is None:
            assert twice.value == once.value
        else:
            assert twice.value == pytest.approx(once.value)
            assert (twice.error or 0) <= once.error + 1e-12


class TestKrippendorff:
    def test_his_example(self) -> None:
        found = krippendorff(counts(KRIPPENDORFF_2011, 5))
        assert found.value == pytest.approx(0.743, abs=5e-4)
        assert found.items == 11  # the twelfth has one word

    def test_by_hand(self) -> None:
        # AA, AB: n = 4, words A 3, B 1. 1-po = (0 + (4-2)/1)/4 = .5; 1-pe = (16-10)/12 = .5
        assert krippendorff(np.array([[2, 0], [1, 1]])).value == pytest.approx(0.0)

    @settings(max_examples=40, deadline=None)
    @given(tables())
    def test_the_textbook_way_by_coincidences(self, words_IR: np.ndarray) -> None:
        found = krippendorff(counts(words_IR, 3), resamples=0)
        assert found.value == pytest.approx(slow_alpha(words_IR, 3))

    @settings(max_examples=40, deadline=None)
    @given(tables())
    def test_more_items_bring_it_to_fleiss(self, words_IR: np.ndarray) -> None:
        """With as many words on each item the two differ by the small-sample term only."""
        full = words_IR[(words_IR != MISSING).all(axis=1)]
        many = np.tile(full, (2000, 1))
        alpha, kappa = (rule(counts(many, 3), resamples=0) for rule in (krippendorff, fleiss))
        if kappa.value is None:
            assert alpha.value is None
        else:
            assert alpha.value == pytest.approx(kappa.value, abs=2e-2)


def slow_alpha(words_IR: np.ndarray, words: int) -> float | None:
    """Alpha from the matrix of coincidences, loop by loop."""
    coincidences = np.zeros((words, words))
    for row in words_IR:
        said = [int(word) for word in row if word != MISSING]
        for at, one in enumerate(said):
            for beside, other in enumerate(said):
                if at != beside:
                    coincidences[one, other] += 1 / (len(said) - 1)
    total, margin = coincidences.sum(), coincidences.sum(axis=1)
    expected = (total**2 - (margin**2).sum()) / (total - 1) if total > 1 else 0.0
    if expected < 1e-9:
        return None
    return float(1 - (total - np.trace(coincidences)) / expected)


RULES = (
    lambda table, **more: cohen(table[:, 0], table[:, 1], 3, **more),
    lambda table, **more: fleiss(counts(table, 3), **more),
    lambda table, **more: krippendorff(counts(table, 3), **more),
)
each_rule = pytest.mark.parametrize("rule", RULES, ids=["cohen", "fleiss", "krippendorff"])


def sample(items: int, people: int = 2, seed: int = 3) -> np.ndarray:
    """People who say the truth four times in five."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, items)
    guess = rng.integers(0, 3, (items, people))
    return np.where(rng.random((items, people)) < 0.8, truth[:, None], guess)


@each_rule
class TestEach:
    @settings(max_examples=30, deadline=None)
    @given(tables(people=3), st.permutations(range(3)), st.randoms(use_true_random=False))
    def test_names_and_order_do_not_matter(self, rule, words_IR, renamed, random) -> None:  # type: ignore[no-untyped-def]
        order = list(range(len(words_IR)))
        random.shuffle(order)
        other = np.array([*renamed, MISSING])[words_IR[order]]
        assert close(rule(words_IR, resamples=0), rule(other, resamples=0))

    @settings(max_examples=30, deadline=None)
    @given(tables(people=3))
    def test_within_bounds(self, rule, words_IR) -> None:  # type: ignore[no-untyped-def]
        found = rule(words_IR, resamples=50)
        if found.value is None:
            assert found.analytic is None
            assert found.bootstrap is None
            return
        assert found.value <= 1 + 1e-12
        for interval in filter(None, (found.analytic, found.bootstrap)):
            assert -1 <= interval[0] <= interval[1] + 1e-12 <= 1 + 2e-12

    @settings(max_examples=30, deadline=None)
    @given(tables(people=3))
    def test_an_item_with_one_word_changes_nothing(self, rule, words_IR) -> None:  # type: ignore[no-untyped-def]
        more = np.concatenate([words_IR, [[2, MISSING, MISSING]]])
        assert rule(words_IR, resamples=20) == rule(more, resamples=20)

    def test_all_alike_is_one_with_a_lower_end(self, rule) -> None:  # type: ignore[no-untyped-def]
        table = np.array([[0, 0], [1, 1]] * 10)
        found = rule(table)
        assert found.value == pytest.approx(1.0)
        assert found.error == pytest.approx(0.0)
        lowest = beta.ppf(0.025, 20, 1)  # Clopper & Pearson, 20 of 20
        floor = (lowest - found.expected) / (1 - found.expected)
        assert found.bootstrap == pytest.approx((floor, 1.0))
        assert found.analytic == pytest.approx((floor, 1.0))

    def test_one_word_only_has_no_value(self, rule) -> None:  # type: ignore[no-untyped-def]
        found = rule(np.zeros((8, 2), dtype=int))
        assert (found.value, found.observed, found.expected) == (None, 1.0, 1.0)

    def test_nothing_said_has_no_value(self, rule) -> None:  # type: ignore[no-untyped-def]
        assert rule(np.full((3, 2), MISSING)).items == 0
        assert rule(np.empty((0, 2), dtype=int)).value is None

    def test_one_cluster_has_no_interval(self, rule) -> None:  # type: ignore[no-untyped-def]
        found = rule(sample(30), cluster_I=np.zeros(30, int))
        assert found.value is not None
        assert (found.error, found.analytic, found.bootstrap) == (None, None, None)

    def test_the_error_is_that_of_leaving_items_out(self, rule) -> None:  # type: ignore[no-untyped-def]
        """The infinitesimal jackknife and the plain one agree on many items."""
        table = sample(300)
        left = [rule(np.delete(table, i, 0), resamples=0).value for i in range(300)]
        jackknife = np.sqrt(299 / 300 * ((left - np.mean(left)) ** 2).sum())
        assert rule(table, resamples=0).error == pytest.approx(jackknife, rel=0.02)

    def test_the_bootstrap_is_that_of_drawing_items(self, rule) -> None:  # type: ignore[no-untyped-def]
        """Drawing kinds of items as one multinomial equals drawing items one by one."""
        table = sample(60)
        rng = np.random.default_rng(0)
        plain = [
            rule(table[rng.integers(0, 60, 60)], resamples=0).value or 0.0 for _ in range(1000)
        ]
        found = rule(table, resamples=4000).bootstrap
        assert found == pytest.approx(tuple(np.quantile(plain, [0.025, 0.975])), abs=0.03)

    def test_the_same_seed_gives_the_same(self, rule) -> None:  # type: ignore[no-untyped-def]
        assert rule(sample(40), seed=7) == rule(sample(40), seed=7)

    def test_repeats_within_a_case_add_no_certainty(self, rule) -> None:  # type: ignore[no-untyped-def]
        table = sample(40)
        once = rule(table)
        again = rule(np.repeat(table, 5, axis=0), cluster_I=np.repeat(np.arange(40), 5))
        if rule is not RULES[2]:  # alpha's small-sample term sees the number of words
            assert again.value == pytest.approx(once.value)
            assert again.error == pytest.approx(once.error)
            assert again.bootstrap == pytest.approx(once.bootstrap, abs=1e-9)
        assert again.clusters == 40
        assert (again.error or 0) > 2 * (rule(np.repeat(table, 5, axis=0)).error or 1)

    def test_clusters_must_fit(self, rule) -> None:  # type: ignore[no-untyped-def]
        with pytest.raises(ConfigError, match="clusters do not fit"):
            rule(sample(4), cluster_I=np.zeros(3))


class TestCounts:
    def test_by_hand(self) -> None:
        table = np.array([[0, 1, 1], [MISSING, 2, MISSING]])
        assert counts(table, 3).tolist() == [[1, 2, 0], [0, 0, 1]]

    @pytest.mark.parametrize("table", [[[0, 3]], [[-2, 0]], [[0.5, 1.0]], [0, 1]])
    def test_what_is_no_word_is_refused(self, table: list[list[float]]) -> None:
        with pytest.raises(ConfigError):
            counts(np.array(table), 3)

    def test_negative_counts_are_refused(self) -> None:
        with pytest.raises(ConfigError, match="no negative counts"):
            fleiss(np.array([[2, -1]]))
