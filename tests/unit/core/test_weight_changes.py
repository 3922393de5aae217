"""Which weights changed: by hand, whatever the order of classes and the numbers of concepts."""

import numpy as np
import pytest

from core.errors import ConfigError
from core.heads import LinearHead
from core.weight_changes import weight_changes


def head(weights: list[list[float]], classes: tuple[str, ...] = ("a", "b")) -> LinearHead:
    return LinearHead(np.array(weights, np.float32), np.zeros(len(weights), np.float32), classes)


def test_by_hand() -> None:
    before, after = head([[2, 0, 1], [0, 0, 1]]), head([[0, 4, 9], [0, 0, 9]])
    mean = np.array([1.0, 0.25, 1.0])
    found = weight_changes(before, after, mean, mean)
    # Relative to the mean over classes: concept 0 from (1, -1) to 0, concept 1 from 0 to (2, -2);
    # concept 2 was raised alike for both classes, which decides nothing.
    assert [(c.concept, c.class_index, c.before, c.after) for c in found] == [
        (0, 1, -1.0, 0.0), (1, 0, 0.0, 2.0),
    ]  # fmt: skip
    assert [c.effect for c in found] == [1.0, 0.5]
    assert [c.former for c in found] == [0, 1]


def test_adding_the_same_to_every_class_is_no_change() -> None:
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(3, 5))
    shifted = weights + rng.normal(size=5)
    names = ("a", "b", "c")
    changes = weight_changes(
        head(weights.tolist(), names), head(shifted.tolist(), names), np.ones(5), np.ones(5)
    )
    assert max((abs(c.effect) for c in changes), default=0.0) < 1e-6


def test_classes_in_another_order_are_matched_by_name() -> None:
    before = head([[1, 0], [0, 2]], ("a", "b"))
    after = head([[0, 2], [1, 0]], ("b", "a"))
    assert weight_changes(before, after, np.ones(2), np.ones(2)) == ()
    with pytest.raises(ConfigError, match="same classes"):
        weight_changes(before, head([[1, 0], [0, 2]], ("a", "c")), np.ones(2), np.ones(2))


def test_another_dictionary_is_matched_by_number() -> None:
    before = head([[4, 0], [0, 0]])
    after = head([[0, 4, 6], [0, 0, 0]])
    with pytest.raises(ConfigError, match="matched"):
        weight_changes(before, after, np.ones(2), np.ones(3))
    found = weight_changes(before, after, np.ones(2), np.ones(3), {1: 0})
    assert [(c.concept, c.former, c.before, c.after) for c in found] == [(2, None, 0.0, 3.0)]
    # The same weight on a concept that fires twice as strongly moves the logit twice as far.
    louder = weight_changes(before, after, np.ones(2), np.array([1.0, 2.0, 0.0]), {1: 0})
    assert [(c.concept, c.effect) for c in louder] == [(1, 2.0)]


def test_only_the_largest_are_told() -> None:
    before, after = head([[0] * 6, [0] * 6]), head([[1, 6, 3, 2, 5, 4], [0] * 6])
    found = weight_changes(before, after, np.ones(6), np.ones(6), most=3)
    assert [c.concept for c in found] == [1, 4, 5]
    with pytest.raises(ConfigError, match="mean"):
        weight_changes(before, after, np.ones(5), np.ones(6))
