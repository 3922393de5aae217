"""Marks on the input: spread to other cases, judged, and used to repair a small network."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from core.errors import ConfigError, DetectorFailed, FeedbackError, TooFewVerdicts
from core.finetuning import Examples, TuneConfig
from core.finetuning.choice import Judge, choose, ways
from core.finetuning.marks import check_marks, place_agreement
from core.finetuning.repair import repair
from core.finetuning.spread import SpreadConfig, spread_marks, unmarked


def table(count: int = 60, seed: int = 0) -> Examples:
    """Column 0 tells the label by itself, columns 1 and 2 together; column 0 is rejected."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    values = rng.normal(0, 1, (count, 4)).astype(np.float32)
    values[:, 0] = 3 * (2 * labels - 1)
    values[:, 1] += 2 * (2 * labels - 1)
    rejected = torch.zeros(count, 4, dtype=torch.bool)
    rejected[:, 0] = True
    return Examples(torch.from_numpy(values), torch.from_numpy(labels), rejected)


def pictures(count: int = 40, seed: int = 0) -> Examples:
    """A bright square of 3x3 at a random place of a dim noisy 12x12 picture is rejected."""
    rng = np.random.default_rng(seed)
    values = rng.uniform(0, 0.2, (count, 1, 12, 12)).astype(np.float32)
    rejected = torch.zeros(count, 1, 12, 12, dtype=torch.bool)
    for i in range(count):
        top, left = rng.integers(0, 10, 2)
        values[i, :, top : top + 3, left : left + 3] = 1
        rejected[i, :, top : top + 3, left : left + 3] = True
    return Examples(torch.from_numpy(values), torch.from_numpy(np.arange(count) % 2), rejected)


class Leaning(nn.Module):
    """Answers by one column alone."""

    def __init__(self, column: int, weight: float = 1.0) -> None:
        super().__init__()
        self.column, self.weight = column, nn.Parameter(torch.tensor(weight))

    def forward(self, inputs: Tensor) -> Tensor:
        score = self.weight * inputs[:, self.column]
        return torch.stack((-score, score), 1)


def small(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


def test_what_most_people_reject_in_a_table_is_rejected_everywhere() -> None:
    examples = table()
    few = unmarked(examples, [3, 10, 20, 30])
    assert few.marked_I.sum() == 4
    found = spread_marks(few)
    assert found.examples.rejected is not None
    assert found.examples.rejected.tolist() == [[True, False, False, False]] * 60
    assert (found.auc, found.iou, found.odd, found.kept) == (1.0, 1.0, (), (3, 10, 20, 30))


def test_a_bright_square_marked_in_six_pictures_is_found_in_all() -> None:
    examples = pictures()
    assert examples.rejected is not None
    found = spread_marks(unmarked(examples, range(6)))
    assert found.examples.rejected is not None
    both = found.examples.rejected & examples.rejected
    either = found.examples.rejected | examples.rejected
    assert float(both.sum() / either.sum()) > 0.9
    assert found.auc > 0.95
    # marked cases keep exactly what was marked in them
    assert torch.equal(found.examples.rejected[:6], examples.rejected[:6])


def test_one_odd_mark_is_set_aside_and_said() -> None:
    examples = pictures()
    assert examples.rejected is not None
    marks = examples.rejected.clone()
    marks[4] = ~marks[4]
    from dataclasses import replace

    found = spread_marks(unmarked(replace(examples, rejected=marks), range(10)))
    assert found.odd == (4,)
    assert "1 of 10 marks" in found.notices[0]


def test_random_marks_are_refused() -> None:
    examples = pictures()
    rng = np.random.default_rng(5)
    marks = torch.zeros_like(examples.inputs, dtype=torch.bool)
    for i in range(20):
        top, left = rng.integers(0, 10, 2)
        marks[i, :, top : top + 3, left : left + 3] = True
    with pytest.raises(DetectorFailed, match="too little in common"):
        spread_marks(Examples(examples.inputs, examples.labels_I, marks))


def test_two_marks_are_too_few_and_shapes_are_checked() -> None:
    with pytest.raises(TooFewVerdicts, match="2 cases are marked"):
        spread_marks(unmarked(table(), [0, 1]))
    flat = Examples(
        torch.zeros(4, 3, 3), torch.zeros(4, dtype=torch.int64),
        torch.ones(4, 3, 3, dtype=torch.bool),
    )  # fmt: skip
    with pytest.raises(ConfigError, match="1 or 3 axes"):
        spread_marks(flat)
    with pytest.raises(ConfigError, match="least"):
        SpreadConfig(least=0.4)


def test_a_large_picture_is_looked_at_coarsely_and_answered_in_full() -> None:
    rng = np.random.default_rng(1)
    values = rng.uniform(0, 0.2, (8, 1, 70, 50)).astype(np.float32)
    rejected = torch.zeros(8, 1, 70, 50, dtype=torch.bool)
    for i in range(8):
        top, left = rng.integers(0, 30, 2)
        values[i, :, top : top + 16, left : left + 16] = 1
        rejected[i, :, top : top + 16, left : left + 16] = True
    examples = Examples(torch.from_numpy(values), torch.zeros(8, dtype=torch.int64), rejected)
    found = spread_marks(unmarked(examples, range(5))).examples.rejected
    assert found is not None
    assert found.shape == (8, 1, 70, 50)
    overlap = (found & rejected).flatten(1).sum(1) / (found | rejected).flatten(1).sum(1)
    assert float(overlap.min()) > 0.7


def test_reliance_by_hand_on_a_model_of_one_column() -> None:
    examples = table()
    right, wrong = Leaning(0, 9.0), Leaning(3, 9.0)
    found = check_marks(right, examples)
    # A donor is of the other class about every second time; then the answer turns over wholly.
    assert found.reliance == pytest.approx(0.5, abs=0.1)
    assert found.control == 0.0
    assert (found.refused, found.notices) == (False, ())
    missed = check_marks(wrong, examples)
    assert missed.reliance == 0.0
    assert missed.refused
    with pytest.raises(FeedbackError, match="does not lean"):
        missed.require()


def test_control_cases_decide_where_there_are_some() -> None:
    examples = table()
    assert examples.rejected is not None
    agreed = examples.rejected[:5]
    trusted = check_marks(Leaning(3, 9.0), examples, agreed=agreed, given=agreed)
    assert trusted.kappa == 1.0
    assert not trusted.refused
    assert trusted.notices  # but the person is told that the model does not lean on it
    opposite = check_marks(Leaning(0, 9.0), examples, agreed=agreed, given=~agreed)
    assert opposite.kappa is not None
    assert opposite.kappa < 0
    assert opposite.refused
    assert "the opposite was marked" in opposite.notices[0]
    with pytest.raises(ConfigError, match="both"):
        check_marks(Leaning(0), examples, agreed=agreed)


def test_kappa_of_places_by_hand() -> None:
    agreed = torch.tensor([[True, True, False, False]])
    given = torch.tensor([[True, False, False, False]])
    # observed 3/4; expected 1/2 * 1/4 + 1/2 * 3/4 = 1/2
    assert place_agreement(agreed, given) == pytest.approx(0.5)
    with pytest.raises(ConfigError, match="different shapes"):
        place_agreement(agreed, given[:, :2])


def test_the_judge_fills_only_what_is_rejected_and_counts_by_hand() -> None:
    examples = table()
    held = np.arange(10, dtype=np.int64)
    judge = Judge.of(examples, held, 0)
    for copies in judge.copies.values():
        assert torch.equal(copies[:10, 1:], examples.inputs[:10, 1:])
    assert (judge.copies["nothing"][:, 0] == 0).all()
    score = judge.score("first", Leaning(0))
    assert score.plain == 1.0
    # With the column at 0 both logits are 0 and class 0 is said.
    assert score.by_fill["nothing"] == float((examples.labels_I[:10] == 0).float().mean())
    assert score.worst == min(score.by_fill.values())


def test_the_way_that_ignores_the_rejected_column_is_chosen() -> None:
    examples = table(200)
    base = TuneConfig(epochs=15, batch=50, lr=2e-2, seed=0)
    plain = TuneConfig(epochs=15, batch=50, lr=2e-2, seed=0)
    found = choose(small(), examples, {"plain": plain, "both": ways(base)["both"]}, trial=1.0)
    assert found.name == "both"
    assert found.better
    assert [s.name for s in found.scores] == ["plain", "both"]
    assert found.scores[1].worst > found.scores[0].worst + 0.1
    with pytest.raises(ConfigError, match="candidates"):
        choose(small(), examples, {})
    with pytest.raises(TooFewVerdicts):
        choose(small(), unmarked(examples, [0]), {"plain": plain})


def test_where_nothing_is_left_to_decide_by_the_model_stays() -> None:
    examples = table(200)
    everything = Examples(examples.inputs, examples.labels_I, torch.ones(200, 4, dtype=torch.bool))
    base = TuneConfig(epochs=5, batch=50, lr=2e-2, seed=0)
    with pytest.raises(FeedbackError, match="nothing is left to decide by"):
        choose(small(), everything, {"filled_only": ways(base)["filled_only"]}, trial=1.0)


def test_a_repair_from_five_marks_and_its_refusal() -> None:
    examples = table(200)
    assert examples.rejected is not None
    base = TuneConfig(epochs=15, batch=50, lr=2e-2, seed=0)
    before = Leaning(0)
    agreed = examples.rejected[:5]
    few = unmarked(examples, range(5, 10))
    done = repair(before, few, base, start=small(), agreed=agreed, given=agreed, trial=1.0)
    assert done.changed
    reversed_inputs = examples.inputs.clone()
    reversed_inputs[:, 0] *= -1
    with torch.no_grad():
        right = (done.model(reversed_inputs).argmax(1) == examples.labels_I).float().mean()
        lost = (before(reversed_inputs).argmax(1) == examples.labels_I).float().mean()
    assert float(lost) == 0.0
    assert float(right) > 0.9
    refused = repair(before, few, base, agreed=agreed, given=~agreed)
    assert not refused.changed
    assert refused.model is before
    assert refused.notices
