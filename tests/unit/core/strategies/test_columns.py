"""Rejected columns are taken out, measured on images whose labels play no part."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array

from core.errors import ConfigError, FeedbackError
from core.strategies import Around, FitData, fit_strategy, get_strategy
from core.strategies.column_values import UNKNOWN, Levels, levels_of
from core.strategies.columns import bond_of, column_groups, erase, orthonormal, spread_prior
from core.strategies.fitting import Plan, even_weights, fit_plan

SITES = ("north", "south", "west")
WIDTH = 20


def scanned(count: int, *, bond: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Codes, labels and site numbers: codes 0 and 1 tell the label weakly, the site shifts all
    others strongly; with probability `bond` label 0 comes from site 0 and label 1 from site 1."""
    rng = np.random.default_rng(seed)
    shift = np.random.default_rng(77).normal(1.0, 0.6, (3, WIDTH))
    shift[:, :2] = 0
    labels = np.arange(count) % 2
    site = np.where(rng.random(count) < bond, labels, rng.integers(0, 3, count))
    codes = np.abs(rng.normal(1.5, 0.4, (count, WIDTH))) + np.maximum(shift[site], 0)
    codes[np.arange(count), labels] += 0.9
    return codes, labels, site


def data_of(around: bool = True, count: int = 200) -> FitData:
    codes, labels, site = scanned(count, bond=0.9, seed=0)
    more, _, elsewhere = scanned(300, bond=0.0, seed=1)
    return FitData(
        codes, labels, ("a", "b"), tuple(range(count)),
        columns={"site": [SITES[k] for k in site]}, rejected_columns={"site": 0.9},
        around=Around(more, {"site": [SITES[k] for k in elsewhere]}) if around else None,
    )  # fmt: skip


def accuracy(head, bond: float) -> float:
    codes, labels, _ = scanned(600, bond=bond, seed=2)
    return float((head.logits(codes).argmax(1) == labels).mean())


def test_the_head_no_longer_sees_the_site() -> None:
    data = data_of()
    before = fit_plan(data, Plan(even_weights(data)))
    outcome = fit_strategy("columns", data)
    assert accuracy(before, 0.0) < 0.85
    assert accuracy(outcome.head, 0.0) > accuracy(before, 0.0) + 0.08
    assert outcome.details["columns"] == [
        {"column": "site", "levels": 3, "directions": 2, "cases": 300}
    ]
    assert {row.value for row in outcome.groups} <= {f"site {name}" for name in SITES}
    assert outcome.notes == ()


def test_auto_takes_the_column_out_and_says_what_it_compared() -> None:
    outcome = fit_strategy("auto", data_of())
    assert outcome.strategy == "columns"
    chosen, unfixed = outcome.scores
    assert (chosen.strategy, chosen.chosen) == ("columns", True)
    assert unfixed.strategy == "unfixed"
    assert chosen.score is not None
    assert unfixed.score is not None
    assert chosen.score > unfixed.score


def test_labelled_cases_alone_bring_a_warning() -> None:
    outcome = fit_strategy("columns", data_of(around=False))
    assert ["gives the label away" in note.text for note in outcome.notes] == [True]


def test_one_site_cannot_be_taken_out() -> None:
    data = data_of()
    alone = replace(data, columns={"site": ["north"] * 200}, around=None)
    with pytest.raises(FeedbackError, match="fewer than two values"):
        fit_strategy("columns", alone)
    assert get_strategy("columns").why_not(replace(data, rejected_columns={"site": 0.4}))


def test_a_column_that_is_the_label_is_refused() -> None:
    data = data_of()
    same = [SITES[int(k)] for k in data.labels_I]
    for name in ("columns", "auto"):
        with pytest.raises(FeedbackError, match="goes with the label"):
            fit_strategy(name, replace(data, columns={"site": same}))


def test_directions_and_spread_by_hand() -> None:
    """Level means (1, 0) and (3, 0); within them the second code spreads by 1, the first not."""
    codes = np.array(
        [[1, 1], [1, -1], [1, 1], [1, -1], [1, 0], [3, 1], [3, -1], [3, 1], [3, -1], [3, 0.0]]
    )
    levels = Levels(np.repeat((0, 1), 5), ("x", "y"))
    found = erase(csr_array(codes), levels)
    assert found is not None
    np.testing.assert_allclose(np.abs(found.direction_VN), [[1, 0]], atol=1e-9)
    np.testing.assert_allclose(found.spread_N, [0, np.sqrt(0.8)], atol=1e-9)
    assert (found.levels, found.cases) == (2, 10)
    assert erase(csr_array(codes[:8]), Levels(levels.level_I[:8], ("x", "y"))) is None


def test_steady_concepts_weigh_more() -> None:
    prior = spread_prior(np.array([1.0, 3.0]))
    # mean 2: 2 / (1 + .6) and 2 / (3 + .6)
    np.testing.assert_allclose(prior, [2 / 1.6, 2 / 3.6])
    np.testing.assert_allclose(spread_prior(np.zeros(2)), [1, 1])


def test_an_orthonormal_basis_leaves_out_what_is_nothing() -> None:
    basis = orthonormal(np.array([[2.0, 0, 0], [4.0, 0, 0], [0, 0, 1.0]]))
    assert basis.shape == (2, 3)
    np.testing.assert_allclose(basis @ basis.T, np.eye(2), atol=1e-12)
    assert orthonormal(np.zeros((2, 3))).shape == (0, 3)


def test_levels_are_texts_or_bins_of_numbers() -> None:
    found = levels_of(["b", "a", "", None, "b", "nan"])
    assert found.names == ("a", "b")
    assert found.level_I.tolist() == [1, 0, UNKNOWN, UNKNOWN, 1, UNKNOWN]
    assert found.shown_IL().tolist()[:3] == [[False, True], [True, False], [False, False]]
    assert levels_of(["10", "9", "10"]).names == ("9", "10")
    many = levels_of([*range(100), None])
    assert len(many.names) == 5
    assert np.bincount(many.level_I[:100]).tolist() == [20] * 5
    assert many.level_I[100] == UNKNOWN


def test_a_bond_is_cramers_v() -> None:
    labels = np.repeat((0, 1), 10)
    assert bond_of(labels, labels) == pytest.approx(1)
    assert bond_of(labels, np.tile((0, 1), 10)) == pytest.approx(0)
    assert bond_of(labels, np.zeros(20, int)) == 0
    # 8 of 10 and 2 of 10: phi = .6
    assert bond_of(labels, np.repeat((0, 1, 0, 1), (8, 2, 2, 8))) == pytest.approx(0.6)


def test_groups_list_every_label_and_level() -> None:
    data = data_of()
    rows = column_groups(data, even_weights(data))
    assert sum(row.n for row in rows) == 200
    assert sum(row.weight for row in rows) == pytest.approx(1)


def test_values_around_must_fit_the_cases_around() -> None:
    with pytest.raises(ConfigError, match="cases around"):
        Around(np.zeros((3, 2)), {"site": ["x"]})
