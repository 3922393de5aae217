from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.counterfactual import counterfactual
from core.errors import ConfigError
from core.heads import LinearHead
from tests.unit.core.tiny import head_of


def fewest_by_trying(
    head: LinearHead, pooled_N: np.ndarray, upper_N: np.ndarray | None
) -> int | None:
    """Try all sets of concepts, and every mixture of falling to 0 and rising to the bound."""
    before = int(head.logits(pooled_N[None])[0].argmax())
    for size in range(1, len(pooled_N) + 1):
        for chosen in combinations(range(len(pooled_N)), size):
            for ups in product((False, True), repeat=size if upper_N is not None else 0):
                changed = pooled_N.copy()
                changed[list(chosen)] = 0
                for k, up in zip(chosen, ups, strict=False):
                    if up:
                        changed[k] = max(pooled_N[k], upper_N[k])
                if int(head.logits(changed[None])[0].argmax()) != before:
                    return size
    return None


def random_case(seed: int, classes: int) -> tuple[LinearHead, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    head = LinearHead(
        rng.normal(size=(classes, 6)).astype(np.float32),
        rng.normal(size=classes).astype(np.float32),
        tuple("abcd"[:classes]),
    )
    pooled = np.round(rng.exponential(1, 6) * (rng.random(6) < 0.7), 3)
    return head, pooled, np.round(rng.exponential(1.5, 6), 3)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 4), st.booleans())
def test_no_smaller_set_flips_the_decision(seed: int, classes: int, bounded: bool) -> None:
    head, pooled, upper = random_case(seed, classes)
    bounds = upper if bounded else None
    found = counterfactual(head, pooled, upper_N=bounds)
    expected = fewest_by_trying(head, pooled, bounds)
    assert (None if found is None else len(found.changes)) == expected
    if found is None:
        return
    changed = pooled.copy()
    for change in found.changes:
        assert change.before == pooled[change.concept]
        assert change.after in (0.0, max(pooled[change.concept], upper[change.concept]))
        changed[change.concept] = change.after
    logits = head.logits(changed[None])[0]
    assert head.classes[int(logits.argmax())] == found.prediction
    assert found.lead == pytest.approx(logits.max() - logits[head.logits(pooled[None]).argmax()])


def test_by_hand() -> None:
    # a leads by 5 = 4 + 2 - 1: without concept 0 it still leads by 1, without 0 and 1 it loses.
    head = head_of([[2, 1, 0], [0, 0, 1]], [0, 0])
    found = counterfactual(head, np.array([2.0, 2.0, 1.0]), names=lambda k: f"thing {k}")
    assert found is not None
    assert [(c.name, c.before, c.after) for c in found.changes] == [
        ("thing 0", 2.0, 0.0),
        ("thing 1", 2.0, 0.0),
    ]
    assert (found.prediction, found.lead) == ("b", pytest.approx(1.0))


def test_where_no_removal_can_flip_a_rise_may() -> None:
    head = head_of([[1, 0], [0, 2]], [1, 0])
    pooled = np.array([0.0, 0.0])
    assert counterfactual(head, pooled) is None
    assert counterfactual(head, pooled, upper_N=np.array([9.0, 0.4])) is None
    found = counterfactual(head, pooled, upper_N=np.array([9.0, 0.8]))
    assert found is not None
    assert [(c.concept, c.after) for c in found.changes] == [(1, 0.8)]
    assert found.prediction == "b"


def test_an_activation_beyond_its_bound_is_not_lowered_to_it() -> None:
    head = head_of([[1, 0], [0, 1]], [0.5, 0])
    assert counterfactual(head, np.array([0.0, 0.4]), upper_N=np.array([0.0, 0.2])) is None


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match="do not fit"):
        counterfactual(head_of([[1, 0], [0, 1]], [0, 0]), np.zeros(3))
