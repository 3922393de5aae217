import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from sklearn.linear_model import LogisticRegression

from core.errors import ConfigError
from core.head_path import _refit, choose, entry_order, fit_path, sparsest
from core.heads import fit_head


def cases(seed: int = 0, count: int = 240) -> tuple[np.ndarray, np.ndarray]:
    """Codes [I, 12]: concept k tells class k well, concept 3 + k tells it poorly, six are noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    codes = np.abs(rng.normal(size=(count, 12))) * (rng.random((count, 12)) < 0.5)
    codes[np.arange(count), labels] += 2.0
    codes[np.arange(count), 3 + labels] += 0.6
    return codes.astype(np.float32), labels


def test_the_best_concept_of_a_class_enters_first() -> None:
    codes, labels = cases()
    assert [int(entry_order(codes, labels == k)[0]) for k in range(3)] == [0, 1, 2]
    assert len(entry_order(codes, labels == 0, most=2)) == 2


def test_silent_codes_give_an_empty_order() -> None:
    assert entry_order(np.zeros((6, 4)), np.arange(6) < 3).tolist() == []


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 1000))
def test_every_class_keeps_to_its_count_and_heads_nest(seed: int) -> None:
    codes, labels = cases(seed, count=90)
    path = fit_path(codes, labels, "abc", counts=(3, 1, 2), c=1.0)
    assert [p.concepts_per_class for p in path.points] == [1, 2, 3]
    before: np.ndarray | None = None
    for point in path.points:
        used_CN = point.head.weight_CN != 0
        assert used_CN.sum(1).max() <= point.concepts_per_class
        assert before is None or (used_CN | ~before).all()
        before = used_CN


def test_few_concepts_suffice_and_the_path_is_deterministic() -> None:
    codes, labels = cases()
    held = np.arange(240) >= 180
    one, again = (fit_path(codes, labels, "abc", held_out_I=held, seed=4) for _ in range(2))
    assert one.held_out == 60
    assert one.points[0].accuracy > 0.8
    assert one.points[0].concepts == (0, 1, 2)
    for a, b in zip(one.points, again.points, strict=True):
        assert np.array_equal(a.head.weight_CN, b.head.weight_CN)
        assert (a.accuracy, a.head.temperature) == (b.accuracy, b.head.temperature)
        logits = a.head.logits(codes[held])
        assert a.accuracy == (logits.argmax(1) == labels[held]).mean()


def test_with_all_concepts_it_is_the_head_of_scikit_learn() -> None:
    codes, labels = cases()
    everything = [np.arange(12)] * 3
    weight, bias = _refit(csr_array(codes.astype(np.float64)), labels, everything, 1.0)
    model = LogisticRegression(C=1.0, tol=1e-8, max_iter=5000).fit(codes, labels)
    np.testing.assert_allclose(weight, model.coef_, atol=2e-3)
    np.testing.assert_allclose(bias, model.intercept_ - model.intercept_.mean(), atol=2e-3)


def test_two_classes_and_sparse_codes_work() -> None:
    codes, labels = cases()
    two = labels < 2
    path = fit_path(csr_array(codes[two]), labels[two], "ab", counts=(1, 40), pooling="mean")
    full = fit_head(codes[two], labels[two], "ab")
    assert path.points[-1].accuracy > 0.85
    assert path.points[-1].head.pooling == "mean"
    assert (full.logits(codes[two]).argmax(1) == labels[two]).mean() > 0.85


def test_choosing() -> None:
    codes, labels = cases()
    path = fit_path(codes, labels, "abc", counts=(2, 5))
    assert choose(path, 4).concepts_per_class == 2
    assert choose(path, 99).concepts_per_class == 5
    assert sparsest(path, slack=1.0).concepts_per_class == 2
    with pytest.raises(ConfigError, match="begins at 2"):
        choose(path, 1)


def test_wrong_settings_are_refused() -> None:
    codes, labels = cases(count=30)
    with pytest.raises(ConfigError, match="at least one count"):
        fit_path(codes, labels, "abc", counts=())
    with pytest.raises(ConfigError, match="each at least 1"):
        fit_path(codes, labels, "abc", counts=(0, 2))
    with pytest.raises(ConfigError, match="held-out"):
        fit_path(codes, labels, "abc", held_out_I=np.zeros(30, bool))
    with pytest.raises(ConfigError, match="no training case is labelled 'c'"):
        fit_path(codes, labels, "abc", held_out_I=labels == 2)
