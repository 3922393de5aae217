"""The pure parts of diagnose, validate and discover, on tiny hand-made tables."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.metrics import roc_auc_score

from core.heads import LinearHead
from dashboard.services.diagnosing import outcome, steps_to, trouble
from dashboard.services.discovering import auc_interval, auc_of, decision_shares
from dashboard.services.similar import Decision, Decisions, alike
from dashboard.services.validating import class_stats, fragile_cases, standing_word

CLASSES = ("naevus", "melanoma")


def head(*rows: list[float], upper: list[float] | None = None) -> LinearHead:
    weight = np.array(rows, dtype=np.float32)
    names = ("naevus", "melanoma", "keratosis")[: len(rows)]
    top = None if upper is None else np.array(upper, dtype=np.float32)
    return LinearHead(weight, np.zeros(len(rows), np.float32), names, upper_N=top)


def decision(
    number: int, label: str | None, prediction: str, p: float, classes: tuple[str, ...] = CLASSES
) -> Decision:
    rest = [name for name in classes if name != prediction]
    probabilities = ((prediction, p), *((name, (1 - p) / len(rest)) for name in rest))
    return Decision(
        f"case {number}", f"image {number}", f"{number}.png", f"sha {number}", label, "test",
        prediction, p, probabilities,
    )  # fmt: skip


def table(of: LinearHead, codes: list[list[float]], labels: list[str | None]) -> Decisions:
    """Cases decided by the head itself."""
    logits = of.logits(np.array(codes))
    rows = tuple(
        decision(n, label, of.classes[int(logit.argmax())], 0.6 + n / 100, of.classes)
        for n, (label, logit) in enumerate(zip(labels, logits, strict=True))
    )
    bundle: Any = SimpleNamespace(head=of)
    version: Any = SimpleNamespace(id="v")
    place = {row.case_id: n for n, row in enumerate(rows)}
    return Decisions(version, bundle, rows, rows, csr_matrix(np.array(codes, np.float32)), place)


class TestTrouble:
    def test_errors_come_surest_first_then_near_misses_closest_first(self) -> None:
        rows = [
            decision(0, "naevus", "naevus", 0.99),
            decision(1, "naevus", "melanoma", 0.7),
            decision(2, "melanoma", "melanoma", 0.58),
            decision(3, "naevus", "melanoma", 0.9),
            decision(4, "melanoma", "melanoma", 0.51),
            decision(5, None, "melanoma", 0.9),
            decision(6, "a class of old", "melanoma", 0.9),
        ]
        view = trouble(rows, 0.2, None)
        assert [row.case_id[-1] for row in view.rows] == ["3", "1", "4", "2"]
        assert (view.errors, view.near_misses, view.labelled) == (2, 2, 5)
        assert view.confusions == (("naevus", "melanoma", 2),)
        assert view.rows[0].lead == pytest.approx(0.8)

    def test_a_blind_project_tells_only_of_cases_with_my_word(self) -> None:
        rows = [decision(n, "naevus", "melanoma", 0.7) for n in range(3)]
        view = trouble(rows, 0.2, {"case 1"})
        assert [row.case_id for row in view.rows] == ["case 1"]
        assert (view.labelled, view.withheld) == (1, 2)

    def test_outcomes(self) -> None:
        assert outcome(decision(0, "naevus", "naevus", 0.59), CLASSES, 0.2) == "near miss"
        assert outcome(decision(0, "naevus", "naevus", 0.61), CLASSES, 0.2) == "right"
        assert outcome(decision(0, None, "naevus", 0.59), CLASSES, 0.2) == "no label"


class TestSteps:
    def test_removals_by_gain_until_it_flips(self) -> None:
        of = head([1, 2, 0, 0], [0, 0, 1, 0.1])
        steps = steps_to(of, np.array([1.0, 1, 2.5, 0]), 1, "removed")
        assert steps is not None
        assert [(s.concept, s.after, s.gain) for s in steps] == [(1, 0, 2)]

    def test_additions_rise_to_the_highest_of_training(self) -> None:
        of = head([1, 0], [0, 1], upper=[9, 3])
        steps = steps_to(of, np.array([2.0, 0.5]), 1, "added")
        assert steps is not None
        assert [(s.concept, s.before, s.after, s.gain) for s in steps] == [(1, 0.5, 3, 2.5)]
        assert steps_to(head([1, 0], [0, 1]), np.array([2.0, 0.5]), 1, "added") is None

    def test_none_where_nothing_helps(self) -> None:
        of = head([0.0, 0], [0, 0], upper=[1, 1])
        biased = LinearHead(of.weight_CN, np.array([1, 0], np.float32), of.classes)
        assert steps_to(biased, np.ones(2), 1, "removed") is None

    def test_the_verified_decision_is_the_rival(self) -> None:
        """Against the slow truth: every smaller set of removals fails (two classes)."""
        from itertools import combinations

        rng = np.random.default_rng(5)
        for _ in range(30):
            of = head(rng.normal(size=6).tolist(), rng.normal(size=6).tolist())
            pooled = rng.gamma(1, 1, 6)
            decided = int(of.logits(pooled[None])[0].argmax())
            steps = steps_to(of, pooled, 1 - decided, "removed")
            sizes = [
                k for k in range(7) for some in combinations(range(6), k)
                if int(of.logits(np.where(np.isin(range(6), some), 0, pooled)[None])[0].argmax())
                != decided
            ]  # fmt: skip
            assert (len(steps) if steps else None) == (min(sizes) if sizes else None)


def test_alike_is_the_cosine() -> None:
    of = head([1, 0, 0], [0, 1, 0])
    found = table(of, [[1, 0, 0], [2, 2, 0], [0, 0, 0], [0, 3, 0]], ["naevus"] * 4)
    near = alike(found, np.array([1.0, 1, 0]), [0, 1, 2, 3], 3)
    assert [row for row, _ in near] == [1, 0, 3]
    assert [cosine for _, cosine in near] == pytest.approx([1, np.sqrt(0.5), np.sqrt(0.5)])
    assert alike(found, np.ones(3), [], 3) == []


class TestReasons:
    of = head([1, 0, -0.5], [0, 2, 0])
    cases = table(of, [[2, 0, 1], [4, 1, 0], [1, 3, 0]], ["naevus", "naevus", "melanoma"])

    def test_shares_of_a_class_add_up_to_one(self) -> None:
        stats = class_stats(self.cases, 0)  # decided for naevus: the first two
        assert stats.share_N == pytest.approx([6 / 6.5, 0, 0.5 / 6.5])
        assert stats.direction_N == pytest.approx([3, 0, -0.5])
        assert stats.fires_N == pytest.approx([1, 0.5, 0.5])
        assert stats.elsewhere_N == pytest.approx([1, 1, 0])

    def test_a_class_without_cases(self) -> None:
        empty = table(self.of, [[2, 0, 1]], ["naevus"])
        assert class_stats(empty, 1).share_N.tolist() == [0, 0, 0]

    def test_shares_of_all_decisions(self) -> None:
        assert decision_shares(self.cases) == pytest.approx(np.array([6, 6, 0.5]) / 12.5)

    def test_right_for_the_wrong_reason(self) -> None:
        assert fragile_cases(self.cases, 0, []) == ()
        (first, *rest) = fragile_cases(self.cases, 0, [0])
        assert (first.case_id, first.without) == ("case 1", "melanoma")
        assert [one.case_id for one in rest] == ["case 0"]
        assert fragile_cases(self.cases, 1, [2]) == ()

    def test_what_stands(self) -> None:
        assert standing_word("unsure", ["spurious"] * 3, (0, 9, 0)) == "unsure"
        assert standing_word("withdrawn", ["spurious"], (0, 0, 0)) == "spurious"
        assert standing_word(None, ["spurious", "correct"], (0, 0, 2)) == "unsure"
        assert standing_word(None, ["withdrawn"], (0, 0, 0)) is None


class TestTelling:
    def test_auc_of_a_sparse_column_is_scikit_learns(self) -> None:
        rng = np.random.default_rng(2)
        for share in (0.0, 0.3, 1.0):
            values = np.round(rng.gamma(1, 1, 60), 1) * (rng.random(60) < share)
            labels = rng.integers(0, 3, 60)
            rows = np.flatnonzero(values)
            found = auc_of(rows, values[rows], labels, 4)
            for number in range(3):
                assert found[number] == pytest.approx(roc_auc_score(labels == number, values))
            assert np.isnan(found[3])

    def test_interval_narrows_with_more_cases_and_stays_within_bounds(self) -> None:
        low, high = auc_interval(0.8, 20, 20)
        near, far = auc_interval(0.8, 200, 200)
        assert low < near < 0.8 < far < high
        # By hand: Q1 = 2/3, Q2 = 32/45, variance (.16 + 19 (Q1 - .64) + 19 (Q2 - .64)) / 400
        variance = (0.16 + 19 * (2 / 3 - 0.64) + 19 * (32 / 45 - 0.64)) / 400
        assert (high - low) / (2 * 1.96) == pytest.approx(variance**0.5)
        assert auc_interval(1.0, 5, 5) == (1.0, 1.0)
