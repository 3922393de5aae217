from dataclasses import replace

import numpy as np
import pytest

from core.cue_detector import RejectedCue, learn_rejected_cues, outside, presence
from core.cue_marks import (
    DetectorConfig,
    MarkedRegion,
    build_scene,
    group_marks,
    split_marks,
    top_mean,
)
from core.errors import ConfigError, DetectorFailed, FeedbackError, TooFewVerdicts
from core.heads import fit_head
from core.reweighting import balanced_weights, group_names, reweight
from tests.unit.core.tiny import PATCHES, SIDE, TokenWorld, token_world

CLASSES = ("a", "b")
CONFIG = DetectorConfig(background=80)


def marks_on(world: TokenWorld, cue: int, count: int, share: float = 1.0) -> list[MarkedRegion]:
    """Honest marks on the first cases with a cue, on two concepts in turn."""
    rows = world.rows_with(cue, count)
    return [world.mark(row, cue, 10 * cue + k % 2, share) for k, row in enumerate(rows)]


def learn(world: TokenWorld, marks: list[MarkedRegion]) -> tuple[RejectedCue, ...]:
    return learn_rejected_cues(
        world.tokens_of, marks, background_rows=range(len(world.labels_I)), config=CONFIG
    )


@pytest.fixture(scope="module")
def world() -> TokenWorld:
    return token_world(160, seed=1)


@pytest.fixture(scope="module")
def pair() -> TokenWorld:
    return token_world(160, cues=2, seed=2)


def test_four_marks_find_the_cue_in_all_cases(world: TokenWorld) -> None:
    (cue,) = learn(world, marks_on(world, 0, 4))
    assert cue.heldback_auc > 0.97
    assert (cue.regions, len(cue.rows), cue.concepts) == (4, 4, (0, 1))
    found = presence([cue], world.tokens_of, range(160))
    assert found.shape == (160, 1)
    assert (found[:, 0] == world.present_IR[:, 0]).mean() > 0.97


def test_marks_that_cover_a_third_of_the_thing_are_enough(world: TokenWorld) -> None:
    (cue,) = learn(world, marks_on(world, 0, 5, share=0.34))
    found = presence([cue], world.tokens_of, range(160))
    assert (found[:, 0] == world.present_IR[:, 0]).mean() > 0.93


def test_marks_with_as_much_skin_as_thing_still_work(world: TokenWorld) -> None:
    noisy = []
    for mark in marks_on(world, 0, 6):
        wide = mark.region_P | np.roll(mark.region_P, SIDE * 3)
        noisy.append(replace(mark, region_P=wide))
    (cue,) = learn_rejected_cues(
        world.tokens_of, noisy, background_rows=range(160), config=replace(CONFIG, min_auc=0.7)
    )
    found = presence([cue], world.tokens_of, range(160))
    assert (found[:, 0] == world.present_IR[:, 0]).mean() > 0.9


def test_marks_are_grouped_by_what_they_point_at(pair: TokenWorld) -> None:
    marks = [*marks_on(pair, 0, 4), *marks_on(pair, 1, 3)]
    shared = [replace(mark, concept=5) for mark in marks]  # one concept fires on both things
    scene = build_scene(pair.tokens_of, shared, range(160), None, CONFIG)
    groups = group_marks(scene, shared, CONFIG)
    assert [{m.row for m in group} for group in groups] == [
        {m.row for m in marks[:4]},
        {m.row for m in marks[4:]},
    ]


def test_one_concept_on_two_things_in_the_same_case_gives_two_cues() -> None:
    world = token_world(200, strength=0.6, cues=2, seed=5)
    both = np.flatnonzero(world.present_IR.all(1))[:5]
    marks = [MarkedRegion(int(row), 7, world.block_IRP[row].any(0), "spurious") for row in both]
    cues = learn(world, marks)
    assert [cue.concepts for cue in cues] == [(7,), (7,)]
    found = presence(cues, world.tokens_of, range(200))
    agree = np.array([[(found[:, k] == world.present_IR[:, r]).mean() for r in range(2)]
                      for k in range(2)])  # fmt: skip
    assert sorted(agree.argmax(1)) == [0, 1]
    assert agree.max(1).min() > 0.95


def test_regions_of_even_tokens_are_not_split(world: TokenWorld) -> None:
    flat = replace(world, tokens_IPD=np.ones_like(world.tokens_IPD))
    marks = marks_on(world, 0, 3)
    scene = build_scene(flat.tokens_of, marks, (), None, CONFIG)
    assert split_marks(scene, marks, CONFIG) == marks


def test_a_mark_of_its_own_is_set_aside(pair: TokenWorld) -> None:
    result = reweight(
        tokens_of=pair.tokens_of,
        marks=[*marks_on(pair, 0, 4), *marks_on(pair, 1, 1)],
        rows_I=range(160),
        pooled_IN=pair.pooled(),
        labels_I=pair.labels_I,
        classes=CLASSES,
        config=CONFIG,
        c=1.0,
    )
    assert (len(result.cues), result.unused, result.rejected) == (1, 1, (0, 1))


def test_too_few_cases_are_refused_with_the_count(world: TokenWorld) -> None:
    with pytest.raises(TooFewVerdicts, match=r"at least 3 cases.*found in 2"):
        learn(world, marks_on(world, 0, 2))
    twice = [m for m in marks_on(world, 0, 2) for _ in range(3)]  # many marks, two cases
    with pytest.raises(TooFewVerdicts):
        learn(world, twice)


def test_no_rejected_cue_is_refused(world: TokenWorld) -> None:
    correct = [replace(m, verdict="correct") for m in marks_on(world, 0, 4)]
    empty = [replace(m, region_P=np.zeros(PATCHES, bool)) for m in marks_on(world, 0, 4)]
    for marks in ([], correct, empty):
        with pytest.raises(TooFewVerdicts, match="no cue"):
            learn(world, marks)


@pytest.mark.parametrize("seed", range(4))
def test_misplaced_marks_are_noticed(world: TokenWorld, seed: int) -> None:
    rng = np.random.default_rng(seed)
    marks = []
    for mark in marks_on(world, 0, 8):
        free = np.flatnonzero(~world.block_IRP[mark.row, 0])
        region = np.zeros(PATCHES, dtype=bool)
        region[rng.choice(free, 6, replace=False)] = True
        marks.append(replace(mark, region_P=region))
    with pytest.raises(FeedbackError):
        learn(world, marks)


def test_a_failed_detector_names_the_cue_and_the_figure(world: TokenWorld) -> None:
    together = replace(CONFIG, link=-1.0)  # force everything into one group
    rng = np.random.default_rng(0)
    marks = [
        MarkedRegion(int(row), 3, rng.permutation(PATCHES) < 5, "spurious") for row in range(6)
    ]
    with pytest.raises(DetectorFailed, match=r"pen mark.*6 cases.*AUC 0\.\d\d, needed 0\.90"):
        learn_rejected_cues(
            world.tokens_of, marks, background_rows=range(160), config=together,
            names={3: "pen mark"},
        )  # fmt: skip


def test_balanced_weights_by_hand() -> None:
    # Label 0 shows the cue in 3 of 4 cases, label 1 in 1 of 4. With share p of either label's
    # mass the squared weights add up to p^2 / 3 + (1-p)^2 + p^2 + (1-p)^2 / 3, least at p = 1/2.
    labels = np.repeat((0, 1), 4)
    present = np.array([1, 1, 1, 0, 1, 0, 0, 0], dtype=bool)[:, None]
    weight = balanced_weights(labels, present)
    assert weight.tolist() == pytest.approx([2 / 3] * 3 + [2] * 2 + [2 / 3] * 3, rel=1e-5)


def test_balanced_weights_make_label_and_cues_independent(pair: TokenWorld) -> None:
    weight = balanced_weights(pair.labels_I, pair.present_IR)
    assert weight.mean() == pytest.approx(1)
    assert (weight >= 0).all()
    for r in range(2):
        shares = [
            np.average(pair.present_IR[pair.labels_I == k, r], weights=weight[pair.labels_I == k])
            for k in range(2)
        ]
        assert shares[0] == pytest.approx(shares[1], abs=1e-5)
        assert 0.1 < shares[0] < 0.9


def test_a_rare_combination_does_not_take_over() -> None:
    # The second cue is the first one, but for one error of its detector among 100 cases.
    labels = np.repeat((0, 1), 50)
    first = np.concatenate((np.arange(50) < 45, np.arange(50) < 5))
    second = first.copy()
    second[0] = False
    weight = balanced_weights(labels, np.column_stack((first, second)))
    alone = balanced_weights(labels, first[:, None])
    assert weight[0] / weight.sum() < 0.01
    np.testing.assert_allclose(weight[1:], alone[1:], rtol=0.1)


def test_a_label_that_never_lacks_the_cue_is_left_alone() -> None:
    labels, present = np.array([0, 0, 1, 1, 1]), np.array([[1], [1], [1], [0], [0]], dtype=bool)
    weight = balanced_weights(labels, present)
    assert weight.tolist() == pytest.approx([1.25, 1.25, 5 / 6, 5 / 6, 5 / 6])


def test_presence_must_fit_the_cases() -> None:
    with pytest.raises(ConfigError, match="3 cases"):
        balanced_weights(np.zeros(3), np.zeros((2, 1), dtype=bool))


def test_without_any_cue_the_labels_are_balanced() -> None:
    weight = balanced_weights(np.array([0, 0, 0, 1]), np.zeros((4, 0), dtype=bool))
    assert weight.tolist() == pytest.approx([2 / 3, 2 / 3, 2 / 3, 2])


def test_reweighting_closes_the_gap() -> None:
    train, turned = token_world(320, seed=1), token_world(200, strength=0.1, seed=3)
    clean = token_world(320, strength=0.5, seed=4)
    before = fit_head(train.pooled(), train.labels_I, CLASSES, c=1.0)
    oracle = fit_head(clean.pooled(), clean.labels_I, CLASSES, c=1.0)
    validation = np.arange(320) >= 260
    result = reweight(
        tokens_of=train.tokens_of,
        marks=marks_on(train, 0, 5),
        rows_I=range(320),
        pooled_IN=train.pooled(),
        labels_I=train.labels_I,
        classes=CLASSES,
        validation_I=validation,
        config=CONFIG,
        c=1.0,
    )

    def accuracy(head: object) -> float:
        return float((head.logits(turned.pooled()).argmax(1) == turned.labels_I).mean())  # type: ignore[attr-defined]

    assert accuracy(before) < 0.7
    assert accuracy(result.head) > accuracy(oracle) - 0.1
    assert accuracy(result.head) > accuracy(before) + 0.2
    assert result.weight_I[validation].sum() == 0
    assert sum(group.n for group in result.groups) == 260
    shares = [group.weight for group in result.groups]  # a without, a with, b without, b with
    assert shares[0] == pytest.approx(shares[2], abs=1e-5)
    assert sum(shares) == pytest.approx(1)
    assert result.head.temperature != 1.0
    assert result.head.conformal is not None
    assert (result.head.conformal.cases, result.head.conformal.stand_in) == (60, False)


def test_the_same_seed_gives_the_same_head_and_reports_progress(world: TokenWorld) -> None:
    heard: list[float] = []
    heads = [
        reweight(
            tokens_of=world.tokens_of,
            marks=marks_on(world, 0, 4),
            rows_I=range(160),
            pooled_IN=world.pooled(),
            labels_I=world.labels_I,
            classes=CLASSES,
            config=CONFIG,
            c=1.0,
            progress=lambda share, text: heard.append(share),
        ).head
        for _ in range(2)
    ]
    assert np.array_equal(heads[0].weight_CN, heads[1].weight_CN)
    assert heard[: len(heard) // 2] == sorted(heard[: len(heard) // 2])


def test_detectors_learnt_before_can_be_given(world: TokenWorld) -> None:
    learnt = learn(world, marks_on(world, 0, 4))
    restored = [RejectedCue.from_json(cue.as_json()) for cue in learnt]
    result = reweight(
        tokens_of=world.tokens_of, marks=(), cues=restored, rows_I=range(160),
        pooled_IN=world.pooled(), labels_I=world.labels_I, classes=CLASSES, c=1.0,
    )  # fmt: skip
    assert np.array_equal(result.presence_IR, presence(learnt, world.tokens_of, range(160)))


def test_a_cue_in_every_case_cannot_be_balanced(world: TokenWorld) -> None:
    (cue,) = learn(world, marks_on(world, 0, 4))
    with pytest.raises(FeedbackError, match="every training case"):
        reweight(
            tokens_of=world.tokens_of, marks=(), cues=[replace(cue, threshold=-1e9)],
            rows_I=range(160), pooled_IN=world.pooled(), labels_I=world.labels_I,
            classes=CLASSES,
        )  # fmt: skip


def test_group_names_read_well() -> None:
    present = np.array([[True, False], [False, True]])
    assert group_names(np.array([1, 0]), present, CLASSES, ("ruler", "ink")) == [
        "b with ruler without ink",
        "a without ruler with ink",
    ]


def test_the_ring_around_a_region_is_neither_inside_nor_outside() -> None:
    region = np.zeros((4, 4), dtype=bool)
    region[0, 0] = True
    free = outside(region.ravel(), (4, 4)).reshape(4, 4)
    assert free[:2, :2].sum() == 0
    assert free.sum() == 12
    assert outside(region.ravel(), None).sum() == 15


def test_top_mean_takes_the_highest() -> None:
    assert top_mean(np.array([1.0, 5.0, 3.0]), 2) == 4
    assert top_mean(np.array([1.0, 5.0]), 9) == 3


@pytest.mark.parametrize(
    "wrong", [{"min_regions": 1}, {"min_auc": 0.5}, {"trim": 0.5}, {"folds": 1}]
)
def test_settings_outside_their_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        DetectorConfig(**wrong)  # type: ignore[arg-type]
