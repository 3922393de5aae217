"""One version against another: every figure by hand or against the plain evaluation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from core.decided import Decided, decide, sides
from core.errors import ConfigError
from core.evaluation import evaluate
from core.guard_rails import ALL, Rail, rails
from core.heads import LinearHead
from core.intervals import Estimate, paired_difference, wilson
from core.judgement import HIGHER_IS_BETTER, Judgement, flips, judge, said
from core.significance import mcnemar

CLASSES = ("naevus", "melanoma")


def deciding(right: list[int], labels: list[int], confidence: float = 0.8) -> Decided:
    """Two classes; right where 1."""
    chosen = [y if r else 1 - y for r, y in zip(right, labels, strict=True)]
    probs = np.full((len(labels), 2), 1 - confidence)
    probs[np.arange(len(labels)), chosen] = confidence
    return Decided(probs)


def value(judgement: Judgement, key: str) -> tuple[float | None, float | None]:
    figure = judgement.figure(key)
    assert figure is not None
    return figure.before.value, figure.after.value


def test_figures_by_hand() -> None:
    labels = [0] * 10 + [1] * 10
    groups = ["a"] * 10 + ["b"] * 10
    before = deciding([1] * 10 + [1] * 4 + [0] * 6, labels)
    after = deciding([1] * 9 + [0] + [1] * 9 + [0], labels)
    found = judge(before, after, np.array(labels), CLASSES, groups=groups, resamples=200)
    assert value(found, "accuracy") == (0.7, 0.9)
    assert value(found, "worst_group") == (pytest.approx(0.4), pytest.approx(0.9))
    assert value(found, "average_group") == (pytest.approx(0.7), pytest.approx(0.9))
    # right: (1 - .8)^2 + .2^2 = .08; wrong: .8^2 + .8^2 = 1.28
    assert value(found, "brier") == (
        pytest.approx(0.7 * 0.08 + 0.3 * 1.28), pytest.approx(0.9 * 0.08 + 0.1 * 1.28),
    )  # fmt: skip
    assert value(found, "ece") == (pytest.approx(0.1), pytest.approx(0.1))
    assert (found.broken, found.mended, found.moved) == (1, 5, 0)
    assert found.p == pytest.approx(mcnemar(1, 5)) == pytest.approx(14 / 64)
    assert found.figure("shortcut_gap") is None
    assert found.figure("spurious_share") is None


def test_the_shortcut_gap_by_hand() -> None:
    """Each label: 5 cases where the shortcut helps (all right), 5 where it misleads (2, then 4)."""
    labels = [0] * 10 + [1] * 10
    side = np.array(([1] * 5 + [-1] * 5) * 2, dtype=np.int8)
    before = deciding(([1] * 5 + [1, 1, 0, 0, 0]) * 2, labels)
    after = deciding(([1] * 5 + [1, 1, 1, 1, 0]) * 2, labels)
    found = judge(before, after, np.array(labels), CLASSES, side_I=side, resamples=300)
    assert value(found, "shortcut_gap") == (pytest.approx(0.6), pytest.approx(0.2))
    figure = found.figure("shortcut_gap")
    assert figure is not None
    assert not HIGHER_IS_BETTER["shortcut_gap"]
    assert figure.difference.value == pytest.approx(-0.4)
    # A label without five cases on both sides does not count.
    side[:6] = 0
    fewer = judge(before, after, np.array(labels), CLASSES, side_I=side, resamples=0)
    assert value(fewer, "shortcut_gap") == (pytest.approx(0.6), pytest.approx(0.2))


def test_sides_follow_the_training_cases() -> None:
    """Ruler goes with melanoma in 9 of 10 training cases; a label is never told by hair."""
    labels = [1] * 10 + [0] * 10
    values = ["ruler"] * 9 + [""] + ["ruler"] + [""] * 9
    asked = [(1, "ruler"), (0, "ruler"), (1, ""), (0, ""), (0, "sticker")]
    found = sides(labels, values, [k for k, _ in asked], [v for _, v in asked])
    assert found.tolist() == [1, -1, -1, 1, 0]
    even = sides([0, 0, 1, 1], ["x", "y", "x", "y"], [0, 1], ["x", "y"])
    assert even.tolist() == [0, 0]


def _heads() -> tuple[LinearHead, LinearHead, csr_array, np.ndarray, list[str]]:
    rng = np.random.default_rng(0)
    codes = rng.random((80, 6)) * (rng.random((80, 6)) < 0.6)
    before, after = (
        LinearHead(
            rng.normal(size=(3, 6)).astype(np.float32), np.zeros(3, np.float32), ("a", "b", "c"), t
        )
        for t in (1.0, 2.0)
    )
    groups = [("x", "y", "z", "w")[k] for k in rng.choice(4, 80, p=[0.5, 0.3, 0.17, 0.03])]
    return before, after, csr_array(codes), rng.integers(0, 3, 80), groups


def test_figures_are_those_of_the_plain_evaluation() -> None:
    before, after, codes, labels, groups = _heads()
    rejected = (1, 4)
    found = judge(
        decide(before, codes, rejected), decide(after, codes, rejected), labels, before.classes,
        groups=groups, resamples=0,
    )  # fmt: skip
    for number, head in enumerate((before, after)):
        report = evaluate(head, codes, labels, groups, rejected)
        for key in ("accuracy", "worst_group", "average_group", "ece", "spurious_share"):
            assert value(found, key)[number] == pytest.approx(getattr(report, key)), key
        sizes = {group.name: group for group in (*report.groups, *report.left_out)}
        for part in found.groups:
            assert (part.before, part.after)[number].value == sizes[part.name].accuracy
            assert part.n == sizes[part.name].n
            assert part.counted == (sizes[part.name] in report.groups)


def test_contributions_of_a_case_by_hand() -> None:
    head = LinearHead(
        np.array([[1, -2, 0], [0, 1, 3]], np.float32), np.zeros(2, np.float32), ("a", "b")
    )
    found = decide(head, np.array([[2.0, 1.0, 0.0], [0.0, 1.0, 1.0]]), (1,))
    assert found.chosen_I.tolist() == [1, 1]  # logits 0 and 1; -2 and 4
    assert found.mass_I is not None
    assert found.rejected_I is not None
    assert found.mass_I.tolist() == [1.0, 4.0]
    assert found.rejected_I.tolist() == [1.0, 1.0]
    assert decide(head, np.zeros((1, 3))).mass_I is None


def test_flips_come_broken_first_and_surest_first() -> None:
    labels = np.array([0, 0, 0, 0, 1])
    before = Decided(
        np.array([[0.9, 0.1, 0], [0.8, 0.2, 0], [0, 1, 0], [0, 1, 0], [0.5, 0.4, 0.1]])
    )
    after = Decided(np.array([[0.4, 0.6, 0], [0.1, 0.9, 0], [1, 0, 0], [0, 0, 1], [0.6, 0.3, 0.1]]))
    found = flips(before, after, labels)
    assert [(f.row, f.kind) for f in found] == [
        (1, "broken"), (0, "broken"), (2, "mended"), (3, "moved"),
    ]  # fmt: skip
    assert (found[0].before, found[0].after) == (0, 1)
    assert (found[0].before_confidence, found[0].after_confidence) == (0.8, 0.9)


def test_the_same_version_twice_changes_nothing() -> None:
    before, _, codes, labels, groups = _heads()
    once = decide(before, codes, (1,))
    found = judge(once, once, labels, before.classes, groups=groups, resamples=300)
    assert (found.broken, found.mended, found.moved, found.p) == (0, 0, 0, 1.0)
    assert found.flips == ()
    for figure in found.figures:
        assert figure.difference.value == 0.0
        assert figure.said in ("no clear change", "")
    accuracy = found.figure("accuracy")
    assert accuracy is not None
    assert (accuracy.difference.low or 0) < 0 < (accuracy.difference.high or 0)


def test_no_error_in_any_group_is_no_proof_of_none() -> None:
    labels = [0] * 20 + [1] * 5
    sure = deciding([1] * 25, labels)
    found = judge(sure, sure, np.array(labels), CLASSES, resamples=100)
    worst, average = found.figure("worst_group"), found.figure("average_group")
    assert worst is not None
    assert average is not None
    assert worst.after == wilson(5, 5)  # the smallest group could have hidden the most
    assert worst.difference == paired_difference(0, 0, 5)
    assert worst.said == "no clear change"
    assert average.after == Estimate(1.0)
    assert average.said == ""


def test_swapping_the_versions_turns_everything_round() -> None:
    before, after, codes, labels, groups = _heads()
    one, two = decide(before, codes, (1,)), decide(after, codes, (1,))
    there = judge(one, two, labels, before.classes, groups=groups, resamples=200, seed=4)
    back = judge(two, one, labels, before.classes, groups=groups, resamples=200, seed=4)
    assert (there.broken, there.mended) == (back.mended, back.broken)
    assert there.p == back.p
    for here, turned in zip(there.figures, back.figures, strict=True):
        assert here.before == turned.after
        assert here.difference.value == pytest.approx(-(turned.difference.value or 0))
        assert here.difference.low == pytest.approx(-(turned.difference.high or 0), abs=1e-9)


def test_a_real_gain_is_found_and_a_coin_is_not() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 400)
    was = (rng.random(400) < 0.7).astype(int)
    better = np.where(rng.random(400) < 0.5, 1, was)
    other = np.where(rng.random(400) < 0.1, 1 - was, was)
    first, second, third = (
        deciding(each.tolist(), labels.tolist()) for each in (was, better, other)
    )
    good = judge(first, second, labels, CLASSES, resamples=500)
    coin = judge(first, first, labels, CLASSES, resamples=500)
    accuracy = good.figure("accuracy")
    assert accuracy is not None
    assert accuracy.said == "better"
    assert accuracy.p is not None
    assert accuracy.p < 1e-6
    assert {part.said for part in good.classes} == {"better"}
    assert all(part.said == "no clear change" for part in coin.classes)
    worse = judge(first, third, labels, CLASSES, resamples=0)
    assert worse.broken > worse.mended


def test_copies_of_a_case_are_no_evidence() -> None:
    """Six patients, twenty images each: all images of one patient are mended."""
    labels = np.array([0, 1] * 60)
    patient = np.repeat(np.arange(6), 20)
    was = np.where(patient == 0, 0, 1)
    before, after = deciding(was.tolist(), labels.tolist()), deciding([1] * 120, labels.tolist())
    alone = judge(before, after, labels, CLASSES, resamples=400)
    together = judge(before, after, labels, CLASSES, cluster_I=patient, resamples=400)
    assert alone.p is not None
    assert together.p is not None
    assert alone.p < 1e-4
    assert together.p > 0.5
    accuracy = [each.figure("accuracy") for each in (alone, together)]
    widths = [f.difference.high - f.difference.low for f in accuracy]  # type: ignore[union-attr,operator]
    assert widths[1] > 2 * widths[0]
    assert accuracy[1] is not None
    assert accuracy[1].said == "no clear change"


def test_small_groups_are_listed_but_do_not_count() -> None:
    labels = np.zeros(12, np.int64)
    groups = ["many"] * 10 + ["few"] * 2
    before = deciding([1] * 12, [0] * 12)
    after = deciding([1] * 10 + [0] * 2, [0] * 12)
    found = judge(before, after, labels, CLASSES, groups=groups, resamples=0)
    assert value(found, "worst_group") == (1.0, 1.0)
    assert [(part.name, part.counted) for part in found.groups] == [("few", False), ("many", True)]
    none = judge(before, after, labels, CLASSES, groups=groups, resamples=0, min_n=50)
    assert none.figure("worst_group") is None


def test_what_does_not_fit_is_refused() -> None:
    one = deciding([1, 1], [0, 1])
    for labels, classes, groups in (
        ([0, 1, 1], CLASSES, None), ([0, 2], CLASSES, None), ([0, 1], ("a", "b", "c"), None),
        ([0, 1], CLASSES, ["x"]),
    ):  # fmt: skip
        with pytest.raises(ConfigError):
            judge(one, one, np.array(labels), classes, groups=groups)
    empty = Decided(np.zeros((0, 2)))
    with pytest.raises(ConfigError, match="no case"):
        judge(empty, empty, np.zeros(0), CLASSES)
    with pytest.raises(ConfigError):
        Decided(np.zeros((2, 2)), np.zeros(3))


def test_what_an_interval_says() -> None:
    assert said(Estimate(0.1, 0.05, 0.2), True) == "better"
    assert said(Estimate(0.1, 0.05, 0.2), False) == "worse"
    assert said(Estimate(-0.1, -0.2, 0.0), True) == "no clear change"
    assert said(Estimate(-0.1, -0.2, -0.01), True) == "worse"
    assert said(Estimate(0.1), True) == ""


class TestGuardRails:
    def judged(self, lost: int, n: int = 100) -> Judgement:
        labels = [0] * n
        after = [0] * lost + [1] * (n - lost)
        return judge(
            deciding([1] * n, labels), deciding(after, labels), np.zeros(n), CLASSES, resamples=50
        )

    def accuracies(self, lost: int, tolerance: float) -> list[Rail]:
        found = rails({"test": self.judged(lost)}, tolerance)
        return [rail for rail in found if rail.key != "ece"]

    def test_a_loss_up_to_the_tolerance_passes(self) -> None:
        kept = self.accuracies(3, 0.03)
        assert {rail.key for rail in kept} == {"accuracy", "worst_group", "average_group"}
        assert not any(rail.broken for rail in kept)
        assert all(rail.broken for rail in self.accuracies(4, 0.03))
        assert not any(rail.broken for rail in self.accuracies(100, 1.0))

    def test_a_loss_that_may_be_chance_is_still_a_loss(self) -> None:
        first = self.accuracies(4, 0.03)[0]
        assert first.broken
        assert not first.clear
        assert first.low is not None
        assert first.low < 0.03 < (first.high or 0)
        assert self.accuracies(40, 0.03)[0].clear

    def test_every_split_is_watched_the_largest_loss_first(self) -> None:
        found = rails({"test": self.judged(1), "reversed": self.judged(9)}, 0.03)
        kept = [rail for rail in found if rail.key != "ece"]
        assert [rail.split for rail in kept] == ["reversed"] * 3 + ["test"] * 3
        assert kept[0].lost == pytest.approx(0.09)
        assert rails({}, 0.03) == ()
        with pytest.raises(ConfigError):
            rails({}, 1.5)

    def test_a_gain_breaks_nothing(self) -> None:
        labels = np.zeros(20)
        found = judge(deciding([0] * 20, [0] * 20), deciding([1] * 20, [0] * 20), labels, CLASSES,
                      resamples=0)  # fmt: skip
        kept = [rail for rail in rails({"test": found}, 0.0) if rail.key != "ece"]
        assert [rail.lost for rail in kept] == [-1.0] * 3
        assert not any(rail.broken for rail in rails({"test": found}, 0.0))

    def test_a_shortcut_gap_that_grows_is_a_loss(self) -> None:
        """Ten cases where the shortcut helps, ten where it misleads: as many are right before and
        after, but afterwards those that it helps."""
        sides = np.repeat(np.array([1, -1], np.int8), 10)
        before, after = [1, 0] * 10, [1] * 10 + [0] * 10
        labels = [0] * 20
        found = judge(
            deciding(before, labels), deciding(after, labels), np.zeros(20), CLASSES, side_I=sides,
            resamples=50,
        )  # fmt: skip
        (gap,) = (r for r in rails({"test": found}, 0.03) if r.key == "shortcut_gap")
        assert gap.lost == pytest.approx(1.0)
        assert gap.broken
        assert not gap.higher_is_better
        back = judge(
            deciding(after, labels), deciding(before, labels), np.zeros(20), CLASSES, side_I=sides,
            resamples=50,
        )  # fmt: skip
        (gap,) = (r for r in rails({"test": back}, 0.03) if r.key == "shortcut_gap")
        assert gap.lost == pytest.approx(-1.0)
        assert not gap.broken

    def test_a_gap_that_no_split_shows_alone_is_watched_over_all(self) -> None:
        def one(rows: slice) -> Judgement:
            sides = np.repeat(np.array([1, -1], np.int8), 10)[rows]
            before, after = ([1, 0] * 10)[rows], ([1] * 10 + [0] * 10)[rows]
            labels = [0] * len(before)
            return judge(
                deciding(before, labels), deciding(after, labels), np.zeros(len(before)), CLASSES,
                side_I=sides, resamples=50,
            )  # fmt: skip

        split = {"same": one(slice(0, 10)), "reversed": one(slice(10, 20))}
        assert not [rail for rail in rails(split, 0.03) if rail.key == "shortcut_gap"]
        found = rails(split, 0.03, pooled=one(slice(0, 20)))
        (gap,) = (rail for rail in found if rail.key == "shortcut_gap")
        assert (gap.split, gap.broken) == (ALL, True)
        # A split that shows the gap by itself needs no other.
        alone = rails({"test": one(slice(0, 20))}, 0.03, pooled=one(slice(0, 20)))
        assert [rail.split for rail in alone if rail.key == "shortcut_gap"] == ["test"]

    def test_more_on_rejected_concepts_is_a_loss(self) -> None:
        probs = np.tile([0.2, 0.8], (20, 1))
        little = Decided(probs, np.ones(20), np.full(20, 0.1))
        much = Decided(probs, np.ones(20), np.full(20, 0.2))
        found = judge(little, much, np.ones(20), CLASSES, resamples=50)
        (share,) = (r for r in rails({"test": found}, 0.03) if r.key == "spurious_share")
        assert share.lost == pytest.approx(0.1)
        assert share.broken
        back = rails({"test": judge(much, little, np.ones(20), CLASSES, resamples=50)}, 0.03)
        assert not any(rail.broken for rail in back)

    @pytest.mark.parametrize(("n", "clear"), [(8, False), (4000, True)])
    def test_calibration_counts_only_where_it_is_clearly_worse(self, n: int, clear: bool) -> None:
        """75 % are right; the former version says so, the later one claims 85 %."""
        right = np.tile([True, True, True, False], n // 4)
        labels = np.where(right, 1, 0)
        before, after = (Decided(np.tile([1 - p, p], (n, 1))) for p in (0.75, 0.85))
        found = judge(before, after, labels, CLASSES, groups=["all"] * n, resamples=200)
        (ece,) = (rail for rail in rails({"test": found}, 0.03) if rail.key == "ece")
        assert ece.lost == pytest.approx(0.1)
        assert ece.beyond
        assert ece.broken is clear


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_counts_agree_with_the_difference(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 25))
    labels = data.draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    before, after = (Decided(rng.dirichlet(np.ones(3), n)) for _ in range(2))
    found = judge(before, after, np.array(labels), ("a", "b", "c"), resamples=20, min_n=1)
    accuracy = found.figure("accuracy")
    assert accuracy is not None
    assert accuracy.difference.value == pytest.approx((found.mended - found.broken) / n)
    assert len(found.flips) == found.mended + found.broken + found.moved
    assert sum(part.n for part in found.classes) == n
    for figure in found.figures:
        for each in (figure.before, figure.after, figure.difference):
            if each.low is not None and each.high is not None and each.value is not None:
                assert each.low <= each.value <= each.high
