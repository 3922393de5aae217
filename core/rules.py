"""A short list of rules over named concepts: a model that can be read aloud.

A shallow decision tree (scikit-learn CART, Breiman et al. 1984) on pooled activations, grown to a
limited depth and cut back by cost-complexity pruning, the strength of pruning chosen by the
one-standard-error rule over stratified folds. Its leaves become rules that exclude each other and
cover everything, so exactly one rule fires per case. Branches that lead to one answer are joined.

The tree learns either the labels or the answers of a head; how often it agrees with both on cases
held out is stated (accuracy and fidelity), since a readable model that is not the model explains
nothing.

Shape legend: I cases; N concepts; U concepts that rules may use; R rules; C classes.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, assert_never

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, issparse
from sklearn.model_selection import StratifiedKFold
from sklearn.tree import DecisionTreeClassifier

from core.errors import ConfigError
from core.heads import FOLDS, Float64Array, IntArray, LinearHead, Pooled, Pooling

Side = Literal["above", "at most"]


@dataclass(frozen=True)
class RuleConfig:
    """Limits of a rule list.

    max_depth   conditions on the way to an answer, 1..6
    max_rules   2 or more
    min_cases   training cases that every rule holds for, >= 1
    """

    max_depth: int = 3
    max_rules: int = 8
    min_cases: int = 10

    def __post_init__(self) -> None:
        if not 1 <= self.max_depth <= 6 or self.max_rules < 2 or self.min_cases < 1:
            raise ConfigError("rules need a depth of 1 to 6, 2 rules or more and 1 case or more")


@dataclass(frozen=True)
class Condition:
    """One concept against one threshold, in units of the pooled activation."""

    concept: int
    name: str
    side: Side
    threshold: float  # >= 0
    presence: bool = False  # nothing lies between 0 and the threshold: "shows" or "does not show"

    def holds(self, value: float) -> bool:
        """Whether a pooled activation meets it."""
        return value > self.threshold if self.side == "above" else value <= self.threshold

    def read(self) -> str:
        """The condition in words."""
        match self.side:
            case "above":
                tail = "shows" if self.presence else f"is stronger than {self.threshold:.2f}"
            case "at most":
                tail = "does not show" if self.presence else f"is at most {self.threshold:.2f}"
            case _:
                assert_never(self.side)
        return f"{self.name} {tail}"


@dataclass(frozen=True)
class Rule:
    """If all conditions hold, then the class."""

    conditions: tuple[Condition, ...]
    class_index: int
    label: str
    cases: int  # training cases that it holds for
    right: int  # of these, the ones whose target is the class

    def read(self) -> str:
        """The rule as a sentence with its record."""
        record = f"right in {self.right} of {self.cases} training cases"
        if not self.conditions:
            return f"Always say {self.label} ({record})."
        parts = [condition.read() for condition in self.conditions]
        return f"If {_listed(parts)}, say {self.label} ({record})."


@dataclass(frozen=True)
class Trace:
    """Which rule fired for one case, and on what values."""

    rule: int
    label: str
    values: tuple[tuple[Condition, float], ...]  # conditions with the case's pooled activations

    def read(self) -> str:
        """The trace as a sentence."""
        if not self.values:
            return f"The only rule says {self.label}."
        parts = [f"{condition.read()} (here {value:.2f})" for condition, value in self.values]
        return f"Rule {self.rule + 1} fired: {_listed(parts)}; so {self.label}."


@dataclass(frozen=True)
class RuleHead:
    """A rule list; exactly one rule fires for any case.

    accuracy and fidelity are shares of held-out cases, [0, 1]: agreement with the labels and with
    the head; None where none were given.
    """

    rules: tuple[Rule, ...]
    classes: tuple[str, ...]
    pooling: Pooling = "max"
    accuracy: float | None = None
    fidelity: float | None = None
    held_out: int = 0

    def fired(self, pooled_IN: Pooled) -> IntArray:
        """Index of the rule that fires for each case, int64 [I]; codes dense or scipy sparse."""
        columns = _Columns(pooled_IN)
        out_I = np.full(columns.cases, -1, np.int64)
        for number, rule in enumerate(self.rules):
            hit_I = np.ones(columns.cases, np.bool_)
            for condition in rule.conditions:
                above_I = columns.of(condition.concept) > condition.threshold
                hit_I &= above_I if condition.side == "above" else ~above_I
            out_I[hit_I] = number
        return out_I

    def predict(self, pooled_IN: Pooled) -> IntArray:
        """Class index of each case, int64 [I]."""
        answer_R = np.array([rule.class_index for rule in self.rules], np.int64)
        return np.asarray(answer_R[self.fired(pooled_IN)])

    def trace(self, pooled_N: NDArray[Any]) -> Trace:
        """The rule that fires for one case and the values it looked at."""
        number = int(self.fired(np.asarray(pooled_N)[None])[0])
        rule = self.rules[number]
        values = tuple((c, float(pooled_N[c.concept])) for c in rule.conditions)
        return Trace(number, rule.label, values)

    def read_aloud(self) -> tuple[str, ...]:
        """All rules as sentences, then how far to trust them."""
        return (*(rule.read() for rule in self.rules), *self._record())

    def _record(self) -> tuple[str, ...]:
        if not self.held_out:
            return ()
        parts = []
        if self.accuracy is not None:
            parts.append(f"agree with the labels in {100 * self.accuracy:.0f} %")
        if self.fidelity is not None:
            parts.append(f"agree with the model in {100 * self.fidelity:.0f} %")
        return (f"On {self.held_out} other cases the rules {_listed(parts)}.",)


def fit_rules(
    pooled_IN: Pooled,
    target_I: NDArray[Any],
    classes: Sequence[str],
    names: Sequence[str | None],
    *,
    config: RuleConfig | None = None,
    pooling: Pooling = "max",
    seed: int = 0,
) -> RuleHead:
    """Learn a rule list. Deterministic.

    Args:
        pooled_IN: pooled codes, dense or scipy sparse, >= 0.
        target_I: class index of each case: its label, or the answer of a head to be put into rules.
        classes: names by class index.
        names: for each concept its name, or None: a concept without a name is not used.
        config: limits.
        pooling: how the codes were pooled; kept with the rules.
        seed: of folds and of ties between concepts.

    Raises:
        ConfigError: no named concept, or targets that do not fit.
    """
    config = config or RuleConfig()
    target = np.asarray(target_I, np.int64)
    if target.ndim != 1 or not target.size or target.shape[0] != pooled_IN.shape[0]:
        raise ConfigError(f"{target.size} targets do not fit {pooled_IN.shape[0]} cases")
    if target.min() < 0 or target.max() >= len(classes):
        raise ConfigError("a target lies outside the list of classes")
    if len(names) != pooled_IN.shape[1]:
        raise ConfigError(f"{len(names)} names do not fit {pooled_IN.shape[1]} concepts")
    columns = _Columns(pooled_IN)
    usable_U = [k for k, name in enumerate(names) if name]
    if not usable_U:
        raise ConfigError("rules need named concepts, and none has a name")
    values_IU = np.stack([columns.of(k) for k in usable_U], axis=1).astype(np.float32)
    tree = _pruned(values_IU, target, config, seed)
    told = [(k, str(names[k])) for k in usable_U]
    return RuleHead(_rules(tree, told, values_IU, target, classes), tuple(classes), pooling)


def measured(
    rules: RuleHead,
    pooled_IN: Pooled,
    labels_I: NDArray[Any] | None = None,
    head: LinearHead | None = None,
) -> RuleHead:
    """The rules with their record on held-out cases: accuracy (labels), fidelity (head) or both.

    Raises ConfigError where neither is given or there is no case.
    """
    if (labels_I is None and head is None) or not pooled_IN.shape[0]:
        raise ConfigError("give held-out cases with labels or a head to compare the rules with")
    said_I = rules.predict(pooled_IN)
    accuracy = None if labels_I is None else float((said_I == np.asarray(labels_I)).mean())
    fidelity = None
    if head is not None:
        fidelity = float((said_I == head.logits(pooled_IN).argmax(1)).mean())
    return replace(rules, accuracy=accuracy, fidelity=fidelity, held_out=int(pooled_IN.shape[0]))


def _tree(config: RuleConfig, alpha: float, seed: int) -> DecisionTreeClassifier:
    return DecisionTreeClassifier(
        max_depth=config.max_depth, max_leaf_nodes=config.max_rules, ccp_alpha=alpha,
        min_samples_leaf=config.min_cases, random_state=seed,
    )  # fmt: skip


def _pruned(
    values_IU: NDArray[np.float32], target_I: IntArray, config: RuleConfig, seed: int
) -> DecisionTreeClassifier:
    """The smallest tree whose error over folds is within one standard error of the least."""
    path = _tree(config, 0.0, seed).cost_complexity_pruning_path(values_IU, target_I)
    alphas = np.unique(np.clip(path.ccp_alphas, 0.0, None))
    # One alpha for every tree of the pruning path, the single leaf (beyond the last) included.
    middles = np.append(np.sqrt(alphas[:-1] * alphas[1:]), 1.001 * alphas[-1])
    folds = min(FOLDS, int(np.bincount(target_I)[np.unique(target_I)].min()))
    if folds < 2 or len(middles) < 2:
        return _tree(config, 0.0, seed).fit(values_IU, target_I)
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    splits = list(splitter.split(values_IU, target_I))
    wrong_AF = np.array(
        [
            [
                1.0 - _tree(config, a, seed).fit(values_IU[fit], target_I[fit])
                .score(values_IU[held], target_I[held])
                for fit, held in splits
            ]
            for a in middles
        ]
    )  # fmt: skip
    mean_A = wrong_AF.mean(1)
    error = wrong_AF[int(mean_A.argmin())].std(ddof=1) / np.sqrt(folds)
    alpha = max(a for a, mean in zip(middles, mean_A, strict=True) if mean <= mean_A.min() + error)
    return _tree(config, float(alpha), seed).fit(values_IU, target_I)


def _rules(
    model: DecisionTreeClassifier, told: Sequence[tuple[int, str]],
    values_IU: NDArray[np.float32], target_I: IntArray, classes: Sequence[str],
) -> tuple[Rule, ...]:  # fmt: skip
    """The leaves as rules, after joining branches that lead to one answer; surest first."""
    tree = model.tree_
    told = _told_apart(told, {int(column) for column in tree.feature if column >= 0})
    count_SC = tree.value[:, 0, :] * tree.n_node_samples[:, None]  # scikit-learn keeps shares
    answer_S = model.classes_[count_SC.argmax(1)]

    def only(node: int) -> int | None:
        """The one answer below a node, None where there are several."""
        if tree.children_left[node] < 0:
            return int(answer_S[node])
        left, right = only(tree.children_left[node]), only(tree.children_right[node])
        return left if left == right else None

    def walk(node: int, path: tuple[Condition, ...]) -> list[Rule]:
        answer = only(node)
        if answer is not None:
            cases = int(tree.n_node_samples[node])
            right = round(count_SC[node][list(model.classes_).index(answer)])
            return [Rule(_tightest(path), answer, classes[answer], cases, right)]
        column, cut = int(tree.feature[node]), float(tree.threshold[node])
        concept, name = told[column]
        positive = values_IU[:, column][values_IU[:, column] > 0]
        presence = not (positive <= cut).any()
        sides: tuple[Side, Side] = ("at most", "above")
        return [
            rule
            for child, side in zip(
                (tree.children_left[node], tree.children_right[node]), sides, strict=True
            )
            for rule in walk(child, (*path, Condition(concept, name, side, cut, presence)))
        ]

    found = walk(0, ())
    return tuple(sorted(found, key=lambda r: (-r.right / max(r.cases, 1), -r.cases)))


def _told_apart(told: Sequence[tuple[int, str]], used: set[int]) -> list[tuple[int, str]]:
    """Numbers and names; where two concepts in use bear one name, the number is added to it."""
    times = Counter(told[column][1] for column in used)
    return [(k, f"{name} (concept {k})" if times[name] > 1 else name) for k, name in told]


def _tightest(path: tuple[Condition, ...]) -> tuple[Condition, ...]:
    """Of several conditions on one side of one concept, the one that implies the others."""
    kept: dict[tuple[int, Side], Condition] = {}
    for condition in path:
        key = (condition.concept, condition.side)
        known = kept.get(key)
        if known is None or (condition.threshold > known.threshold) == (condition.side == "above"):
            kept[key] = condition
    return tuple(kept.values())


class _Columns:
    """Columns of a code matrix as float32 vectors, which is what the tree saw."""

    def __init__(self, pooled_IN: Pooled) -> None:
        self._matrix = csc_array(pooled_IN) if issparse(pooled_IN) else np.asarray(pooled_IN)
        self.cases = int(pooled_IN.shape[0])

    def of(self, concept: int) -> Float64Array:
        """Pooled activations of one concept, float64 [I] holding float32 values."""
        if isinstance(self._matrix, np.ndarray):
            column = self._matrix[:, concept]
        else:
            column = self._matrix[:, [concept]].toarray()[:, 0]
        return np.asarray(column, np.float32).astype(np.float64)


def _listed(parts: Sequence[str]) -> str:
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"
