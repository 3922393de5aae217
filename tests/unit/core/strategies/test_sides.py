"""Words on the wrong side are found by what contradicts them where it is clearest."""

from dataclasses import replace

import numpy as np
import pytest

from core.cue_detector import RejectedCue
from core.errors import ConfigError, FeedbackError
from core.strategies.data import FitData
from core.strategies.sanity import check_words
from core.strategies.sides import (
    DOUBTED,
    DOUBTFUL,
    Claim,
    Side,
    check_sides,
    judged_side,
    side_of,
    swapped,
)
from tests.unit.core.strategies.worlds import clear_marks, fit_data, graded_world, turned
from tests.unit.core.tiny import PATCHES, TokenWorld

SHORTCUT = Side(0.93, (Claim(300, 14, 0.96), Claim(600, 30, 0.95)))
SIGN = Side(0.92, (Claim(300, 1, 0.99), Claim(600, 7, 0.98)))


def cue(axis: int) -> RejectedCue:
    """A detector that sees one dimension."""
    weight = np.zeros(4, np.float32)
    weight[axis] = 1.0
    return RejectedCue((axis,), weight, 0.0, 0.5, 2, 1.0, 2, (0, 1))


def scored(strength: float, count: int = 600, seed: int = 0) -> FitData:
    """Dimension 0: an artefact, always clear, with its label in `strength` of the cases. Dimension
    1: a sign that is clear in some cases and hardly to be seen in others."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    side = np.where(rng.random(count) < strength, labels, 1 - labels)
    tokens = rng.normal(size=(count, PATCHES, 4)) * 0.1
    tokens[:, :4, 0] += 2.0 * side[:, None]
    tokens[:, 4:8, 1] += ((2 * labels - 1) * rng.uniform(0, 1, count))[:, None] + 1.0
    return FitData(
        np.ones((count, 2)), labels, ("a", "b"), tuple(range(count)),
        tokens_of=lambda row: tokens[row].astype(np.float32),
    )  # fmt: skip


def test_claims_by_hand() -> None:
    prob = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.45, 0.55]])
    side = judged_side(prob, np.array([0, 0, 0, 1]), np.array([0, 1]))
    assert side.right == pytest.approx(0.75)
    assert side.claims == (Claim(1, 0, 0.9), Claim(2, 1, pytest.approx(0.85)))
    assert side.claims[1].share == 0.5
    assert Claim(0, 0, 0.0).share == 0.0


def test_a_clear_reason_is_not_contradicted() -> None:
    assert swapped(spurious=SHORTCUT, correct=SIGN) is None
    found = swapped(spurious=SIGN, correct=SHORTCUT)
    assert found == (SHORTCUT.claims[0], SIGN.claims[0])


@pytest.mark.parametrize(
    ("spurious", "correct"),
    [
        (None, SHORTCUT),
        (SIGN, None),
        # Nearly every label is given away: perhaps a shortcut without exceptions.
        (replace(SIGN, right=0.995), SHORTCUT),
        # Neither side is surer of anything than it should be.
        (SIGN, Side(0.6, (Claim(300, 60, 0.8), Claim(600, 180, 0.7)))),
        (Side(0.6, (Claim(300, 1, 0.8), Claim(600, 7, 0.7))), SHORTCUT),
        # Wrong labels contradict both.
        (Side(0.92, (Claim(300, 12, 0.96), Claim(600, 25, 0.95))), SHORTCUT),
        (Side(0.92, (Claim(300, 8, 0.96), Claim(600, 21, 0.95))), SHORTCUT),
        # Too few cases to tell one in twenty from none.
        (Side(0.92, (Claim(30, 0, 0.99), Claim(60, 1, 0.98))),
         Side(0.93, (Claim(30, 1, 0.96), Claim(60, 3, 0.95)))),
    ],
)  # fmt: skip
def test_little_is_claimed(spurious: Side | None, correct: Side | None) -> None:
    assert swapped(spurious, correct) is None


def test_between_the_two_a_notice_is_given() -> None:
    """Contradicted in 27 of 600 against 14: too little to refuse, too much to say nothing."""
    some = Side(0.95, (Claim(300, 4, 0.99), Claim(600, 14, 0.99)))
    more = Side(0.91, (Claim(300, 9, 0.97), Claim(600, 27, 0.96)))
    assert swapped(some, more) is None
    assert swapped(some, more, times=DOUBTED, level=DOUBTFUL) == (more.claims[1], some.claims[1])
    assert swapped(more, some, times=DOUBTED, level=DOUBTFUL) is None


def test_a_notice_names_the_counts() -> None:
    data = scored(0.955, count=200, seed=2)
    (note,) = check_sides(data, spurious=[cue(1)], correct=[cue(0)])
    assert note.level == "warning"
    assert "clearest cases would have another label" in note.text
    assert "may be swapped" in note.advice
    assert check_sides(data, spurious=[cue(0)], correct=[cue(1)]) == ()


def test_honest_words_pass_and_swapped_ones_do_not() -> None:
    data = scored(0.94)
    assert check_sides(data, spurious=[cue(0)], correct=[cue(1)]) == ()
    with pytest.raises(FeedbackError, match=r"words look swapped.*second person"):
        check_sides(data, spurious=[cue(1)], correct=[cue(0)])
    shortcut, sign = side_of(data, [cue(0)]), side_of(data, [cue(1)])
    assert shortcut is not None
    assert sign is not None
    assert shortcut.claims[0].share > 0.03 > 2 * sign.claims[0].share


@pytest.mark.parametrize("seed", range(3))
def test_a_shortcut_stronger_than_the_signs_is_no_reason_to_refuse(seed: int) -> None:
    """Honest words on a shortcut with hardly an exception, or none."""
    for strength in (1.0, 0.985):
        data = scored(strength, seed=seed)
        assert check_sides(data, spurious=[cue(0)], correct=[cue(1)]) == ()
    assert swapped(*(side_of(scored(1.0, seed=seed), [cue(k)]) for k in (0, 1))) is None


def test_nothing_is_said_without_both_sides_or_with_few_cases() -> None:
    few = scored(0.9, count=60)
    assert side_of(few, [cue(0)]) is None
    assert check_sides(few, spurious=[cue(1)], correct=[cue(0)]) == ()
    assert check_sides(scored(0.94), spurious=[], correct=[cue(0)]) == ()
    one_label = replace(scored(0.94), labels_I=np.zeros(600, np.int64))
    assert side_of(one_label, [cue(0)]) is None
    with pytest.raises(ConfigError, match="tokens"):
        side_of(replace(few, tokens_of=None), [cue(0)])


@pytest.fixture(scope="module")
def world() -> TokenWorld:
    return graded_world(400, strength=0.92, seed=1)


def test_marks_turned_round_are_refused_and_honest_ones_are_not(world: TokenWorld) -> None:
    marks = clear_marks(world, 6)
    assert check_words(fit_data(world, marks, 400)) == ()
    with pytest.raises(FeedbackError, match="contradicted where it shows most clearly"):
        check_words(fit_data(world, turned(marks), 400))
