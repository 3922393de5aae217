import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from core.errors import ConfigError
from core.rules import Condition, Rule, RuleConfig, RuleHead, fit_rules, measured
from tests.unit.core.tiny import head_of

SMALL = RuleConfig(min_cases=2)


def world(seed: int = 0, count: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """Codes [I, 4]: "b" where concept 2 shows, "c" where 0 is strong, else "a"; rest is noise."""
    rng = np.random.default_rng(seed)
    codes = np.abs(rng.normal(size=(count, 4))) * (rng.random((count, 4)) < 0.5)
    codes[:, 0] = rng.choice([0.2, 0.4, 1.5, 2.0], count)
    codes[:, 2] = np.where(rng.random(count) < 0.4, rng.uniform(0.5, 2, count), 0)
    labels = np.where(codes[:, 2] > 0, 1, np.where(codes[:, 0] > 1, 2, 0))
    return codes.astype(np.float32), labels


NAMES = ("ruler", "hair", "veil", None)


def test_the_rules_of_the_world_are_found_and_read_aloud() -> None:
    codes, labels = world()
    rules = fit_rules(codes, labels, "abc", NAMES, config=SMALL)
    assert (rules.predict(codes) == labels).all()
    assert {rule.label for rule in rules.rules} == set("abc")
    assert len(rules.rules) == 3
    spoken = " ".join(rules.read_aloud())
    count = int((labels == 1).sum())
    assert f"If veil shows, say b (right in {count} of {count} training cases)." in spoken
    assert "ruler is stronger than 0.95" in spoken
    assert "veil does not show" in spoken


def test_the_trace_names_the_rule_and_the_values() -> None:
    codes, labels = world()
    rules = fit_rules(codes, labels, "abc", NAMES, config=SMALL)
    trace = rules.trace(np.float32([1.5, 0, 0, 0]))
    assert trace.label == "c"
    assert f"Rule {trace.rule + 1} fired" in trace.read()
    assert "ruler is stronger than 0.95 (here 1.50)" in trace.read()
    assert trace.read().endswith("; so c.")


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 9999))
def test_exactly_one_rule_fires_for_any_case(seed: int) -> None:
    codes, _ = world(seed, count=60)
    labels = np.random.default_rng(seed).integers(0, 3, 60)
    rules = fit_rules(codes, labels, "abc", NAMES, config=SMALL, seed=seed)
    fresh, _ = world(seed + 1)
    held_RI = np.array(
        [[all(c.holds(row[c.concept]) for c in rule.conditions) for row in fresh]
         for rule in rules.rules]
    )  # fmt: skip
    assert (held_RI.sum(0) == 1).all()
    assert np.array_equal(held_RI.argmax(0), rules.fired(fresh))
    assert np.array_equal(rules.fired(csr_array(fresh)), rules.fired(fresh))
    assert sum(rule.cases for rule in rules.rules) == 60
    assert len(rules.rules) <= SMALL.max_rules
    assert all(len(rule.conditions) <= SMALL.max_depth for rule in rules.rules)


def test_rules_keep_the_predictions_of_the_tree_and_are_deterministic() -> None:
    codes, labels = world(5)
    noisy = np.where(np.random.default_rng(0).random(120) < 0.2, (labels + 1) % 3, labels)
    one, again = (fit_rules(codes, noisy, "abc", NAMES, config=SMALL, seed=2) for _ in range(2))
    assert one == again
    right = sum(rule.right for rule in one.rules)
    assert right == (one.predict(codes) == noisy).sum()


def test_noise_is_pruned_to_one_rule() -> None:
    rng = np.random.default_rng(1)
    codes = np.abs(rng.normal(size=(200, 4))).astype(np.float32)
    labels = (rng.random(200) < 0.3).astype(int)
    rules = fit_rules(codes, labels, "ab", NAMES)
    assert len(rules.rules) == 1
    assert rules.read_aloud()[0].startswith("Always say a")
    assert rules.trace(codes[0]).read() == "The only rule says a."


def test_record_on_held_out_cases() -> None:
    codes = np.float32([[0.0], [1.0], [1.0], [2.0]])
    shows = Condition(0, "veil", "above", 0.5, True)
    hides = Condition(0, "veil", "at most", 0.5, True)
    rules = RuleHead((Rule((shows,), 1, "b", 3, 3), Rule((hides,), 0, "a", 1, 1)), ("a", "b"))
    head = head_of([[0.0], [1.0]], [1.5, 0.0])  # says b from 1.5 on
    found = measured(rules, codes, np.array([0, 1, 0, 1]), head)
    assert (found.accuracy, found.fidelity, found.held_out) == (0.75, 0.5, 4)
    assert found.read_aloud()[-1] == (
        "On 4 other cases the rules agree with the labels in 75 % and agree with the model in 50 %."
    )
    with pytest.raises(ConfigError, match="labels or a head"):
        measured(rules, codes)


def test_concepts_of_one_name_are_told_apart() -> None:
    codes, labels = world()
    rules = fit_rules(codes, labels, "abc", ("veil", "hair", "veil", None), config=SMALL)
    spoken = " ".join(rules.read_aloud())
    assert "veil (concept 0)" in spoken
    assert "veil (concept 2)" in spoken


def test_what_does_not_fit_is_refused() -> None:
    codes, labels = world()
    with pytest.raises(ConfigError, match="none has a name"):
        fit_rules(codes, labels, "abc", (None,) * 4)
    with pytest.raises(ConfigError, match="names do not fit"):
        fit_rules(codes, labels, "abc", ("a",))
    with pytest.raises(ConfigError, match="targets do not fit"):
        fit_rules(codes, labels[:5], "abc", NAMES)
    with pytest.raises(ConfigError, match="outside the list"):
        fit_rules(codes, labels, "ab", NAMES)
    with pytest.raises(ConfigError, match="depth"):
        RuleConfig(max_depth=0)
