"""The order of cases by what a word on them would change in the next refit."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from core.case_weights import balanced_weights
from core.errors import ConfigError
from core.heads import fit_head
from core.refit_change import balance, refit_change, strong
from core.teaching import Lessons, TeachConfig, shown_concepts, teach

SIGN, SHORTCUT, IDLE = 0, 1, 2


class World:
    """600 cases of two classes: a sign, a shortcut of class 1 in nine of ten, and chance."""

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.labels = rng.integers(0, 2, 600)
        shortcut = rng.random(600) < np.where(self.labels == 1, 0.9, 0.1)
        self.codes = np.zeros((600, 12))
        # The sign is noisy, so the head leans on the shortcut as well.
        self.codes[:, SIGN] = np.maximum(rng.normal(self.labels * 1.5, 0.8), 0)
        self.codes[:, SHORTCUT] = np.where(shortcut, rng.uniform(0.8, 1.2, 600), 0)
        self.codes[:, IDLE:] = np.maximum(rng.normal(-0.5, 1, (600, 10)), 0)
        self.head = fit_head(csr_array(self.codes), self.labels, ("a", "b"), c=1.0)
        self.probability = self.head.probabilities(csr_array(self.codes))

    def teach(self, **more: Any) -> Lessons:
        return teach(
            csr_array(self.codes), self.labels, self.probability, self.head.weight_CN, **more
        )


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 4))
def test_balance_is_that_of_case_weights(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), rng.integers(0, classes, 60)])
    present = rng.random(len(labels)) < rng.random(classes)[labels]
    known = balanced_weights(labels, present[:, None])
    assert balance(labels, present, classes) == pytest.approx(known, abs=1e-4)


def test_shares_of_a_decision_by_hand() -> None:
    # Lead of class 0 over 1: (2 - 1) * 3 = 3 and (0 - 2) * 1 = -2: shares 3 / 5 and 2 / 5.
    codes = csr_array(np.array([[3.0, 1.0, 0.0], [0.0, 0.0, 0.0]]))
    probability = np.array([[0.9, 0.1], [0.9, 0.1]])
    weight = np.array([[2.0, 0.0, 1.0], [1.0, 2.0, 1.0]])
    concept, share = shown_concepts(codes, probability, weight, 2)
    assert concept.tolist() == [[0, 1], [-1, -1]]
    assert share.tolist() == [[0.6, 0.4], [0.0, 0.0]]
    first, one = shown_concepts(codes, probability, weight, 1)
    assert (first.tolist(), one.tolist()) == ([[0], [-1]], [[0.6], [0.0]])


def test_the_shortcut_would_change_more_than_chance() -> None:
    world = World()
    change = refit_change(
        csr_array(world.codes), world.labels, world.probability, world.head.weight_CN, np.arange(12)
    )
    assert change.argmax() == SHORTCUT
    assert change[SHORTCUT] > 3 * change[IDLE:].max()


def test_what_fires_always_or_never_changes_nothing() -> None:
    world = World()
    world.codes[:, 5], world.codes[:, 6] = 1.0, 0.0
    change = refit_change(
        csr_array(world.codes), world.labels, world.probability, world.head.weight_CN,
        np.array([5, 6]),
    )  # fmt: skip
    assert change.tolist() == [0.0, 0.0]


def test_a_concept_that_is_the_label_counts_by_what_rests_on_it() -> None:
    # Nothing to balance with: half the cases fire at 1, all of one label. Without it the logits
    # of the two classes move by 0.5 * 2 each way; p (1 - p) = 1/4 turns that into 1/4 each.
    labels = np.arange(8) % 2
    codes = csr_array(labels[:, None].astype(float))
    weight = np.array([[-1.0], [1.0]])
    change = refit_change(codes, labels, np.full((8, 2), 0.5), weight, np.array([0]))
    assert change[0] == pytest.approx(np.sqrt(2) * 0.25)


def test_strong_is_half_of_what_a_concept_reaches() -> None:
    assert strong(np.array([0.0, 0.2, 0.9, 1.0, 2.0, 2.0])).tolist() == [0, 0, 0, 1, 1, 1]
    assert not strong(np.zeros(3)).any()


def test_first_come_cases_that_show_the_shortcut() -> None:
    world = World()
    found = world.teach()
    first = found.order_I[:20]
    assert (world.codes[first, SHORTCUT] > 0).mean() > 0.7
    assert found.gain_N.argmax() == SHORTCUT
    assert (found.concept_I[first] == SHORTCUT).mean() > 0.6


def test_words_make_a_concept_less_worth_a_word() -> None:
    world = World()
    none = np.zeros(12)
    settled = none.copy()
    settled[SHORTCUT] = 60
    before = world.teach().gain_N[SHORTCUT]
    called_bad = world.teach(spurious_N=settled, correct_N=none).gain_N[SHORTCUT]
    called_good = world.teach(spurious_N=none, correct_N=settled).gain_N[SHORTCUT]
    assert called_good < 0.2 * before
    # What is spurious is still worth some regions for its detector.
    assert called_good < called_bad < before
    few = none.copy()
    few[SHORTCUT] = 2
    assert world.teach(spurious_N=few, correct_N=none).gain_N[SHORTCUT] > before


def test_suspicion_brings_a_concept_forward() -> None:
    world = World()
    suspicion = np.zeros(12)
    suspicion[IDLE] = 1.0
    assert world.teach(suspicion_N=suspicion).gain_N[IDLE] > world.teach().gain_N[IDLE]


def test_greedy_order_is_diverse() -> None:
    """Two like shortcuts: the first cases show both, where worth alone would take one only."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 400)
    codes = np.zeros((400, 3))
    codes[:, 0] = rng.random(400) * 0.2
    codes[:, 1] = np.where(rng.random(400) < np.where(labels, 0.55, 0.05), 1.0, 0)
    codes[:, 2] = np.where(
        (codes[:, 1] == 0) & (rng.random(400) < np.where(labels, 0.9, 0.08)), 1, 0
    )
    head = fit_head(csr_array(codes), labels, ("a", "b"), c=1.0)
    found = teach(
        csr_array(codes), labels, head.probabilities(csr_array(codes)), head.weight_CN,
        config=TeachConfig(chosen=30),
    )  # fmt: skip
    first = codes[found.order_I[:30]] > 0
    assert 8 <= first[:, 1].sum() <= 22
    assert 8 <= first[:, 2].sum() <= 22


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 60))
def test_an_order_is_a_permutation_with_falling_scores(seed: int, chosen: int) -> None:
    rng = np.random.default_rng(seed)
    count, classes = int(rng.integers(1, 50)), int(rng.integers(1, 4))
    codes = csr_array(np.maximum(rng.normal(-0.5, 1, (count, 9)), 0))
    probability = rng.dirichlet(np.ones(classes), count)
    free = rng.random(count) < 0.7
    found = teach(
        codes, rng.integers(-1, classes, count), probability, rng.normal(size=(classes, 9)),
        open_I=free, config=TeachConfig(chosen=chosen, candidates=5), seed=seed,
    )  # fmt: skip
    assert sorted(found.order_I) == list(range(count))
    along = found.score_I[found.order_I]
    assert (np.diff(along) <= 0).all()
    assert ((along >= 0) & (along <= 1)).all()
    assert not found.score_I[~free].any()
    closed = np.flatnonzero(~free)
    assert set(found.order_I[count - len(closed) :]) == set(closed)
    assert ((found.concept_I >= -1) & (found.concept_I < 9)).all()


def test_the_same_seed_gives_the_same_order() -> None:
    world = World()
    assert np.array_equal(world.teach(seed=3).order_I, world.teach(seed=3).order_I)


def test_without_labels_nothing_is_worth_a_word() -> None:
    world = World()
    world.labels[:] = -1
    found = world.teach()
    assert not found.score_I.any()
    assert (found.concept_I == -1).all()


@pytest.mark.parametrize("more", [{"spurious_N": np.zeros(3)}, {"correct_N": -np.ones(12)}])
def test_words_that_do_not_fit_are_refused(more: dict[str, np.ndarray]) -> None:
    with pytest.raises(ConfigError, match="words and suspicion"):
        World().teach(**more)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="do not fit"):
        teach(np.ones((3, 2)), np.zeros(3), np.ones((3, 2)), np.ones((2, 4)))
    with pytest.raises(ConfigError, match="labels"):
        teach(np.ones((3, 2)), np.full(3, 5), np.ones((3, 2)), np.ones((2, 2)))
    with pytest.raises(ConfigError):
        TeachConfig(shown=0)
    with pytest.raises(ConfigError):
        TeachConfig(enough=0)
