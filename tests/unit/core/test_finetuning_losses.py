"""Every term of the objective, worked out by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.errors import ConfigError
from core.finetuning import Batch, Examples, Losses, TuneConfig, losses
from core.finetuning.losses import Read, read
from core.finetuning.objective import LOOK, STEP, Objective

CPU = torch.device("cpu")


def value(scalar: Tensor) -> float:
    return scalar.detach().item()


def batch_of(inputs: Tensor, labels: list[int], **more: Tensor) -> Batch:
    return Batch(inputs, torch.tensor(labels), torch.ones(len(labels)), **more)


def linear(weight: list[list[float]], bias: list[float]) -> nn.Linear:
    layer = nn.Linear(len(weight[0]), len(weight))
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weight))
        layer.bias.copy_(torch.tensor(bias))
    return layer


def test_answers_are_weighted_cross_entropy() -> None:
    logits = torch.tensor([[0.0, 0.0], [math.log(3.0), 0.0]])
    batch = replace(batch_of(torch.zeros(2, 1), [1, 0]), weight_B=torch.tensor([2.0, 0.5]))
    expected = (2.0 * math.log(2.0) + 0.5 * math.log(4.0 / 3.0)) / 2
    assert value(losses.answers(logits, batch)) == pytest.approx(expected, rel=1e-6)


def test_input_gradient_of_a_linear_model() -> None:
    """d/dx sum_c log p_c = sum_c w_c - C sum_c p_c w_c; only the rejected part counts."""
    model = linear([[1.0, 2.0], [3.0, -1.0]], [0.0, 0.0])
    x = torch.zeros(1, 2, requires_grad=True)  # p = (1/2, 1/2)
    slope = np.array([4.0, 1.0]) - 2 * 0.5 * np.array([4.0, 1.0])
    assert slope.tolist() == [0.0, 0.0]
    x = torch.tensor([[math.log(3.0) / 2, 0.0]], requires_grad=True)  # logits differ by ln 3
    p = np.array([1 / 4, 3 / 4])
    slope = np.array([4.0, 1.0]) - 2 * (p[0] * np.array([1.0, 2.0]) + p[1] * np.array([3.0, -1.0]))
    assert slope.tolist() == pytest.approx([-1.0, 1.5])
    for rejected, expected in (([True, False], 1.0), ([False, True], 2.25), ([True, True], 3.25)):
        batch = batch_of(x, [0], rejected=torch.tensor([rejected]))
        assert value(losses.input_gradient(read(model, x), batch)) == pytest.approx(
            expected, rel=1e-5
        )


def test_the_gradient_of_the_input_gradient_reaches_the_weights() -> None:
    model = linear([[1.0, 2.0], [3.0, -1.0]], [0.0, 0.0])
    x = torch.tensor([[0.4, -0.2]], requires_grad=True)
    batch = batch_of(x, [0], rejected=torch.tensor([[True, False]]))
    losses.input_gradient(read(model, x), batch).backward()  # type: ignore[no-untyped-call]
    assert model.weight.grad is not None
    step = 1e-3
    for c in range(2):
        values = []
        for sign in (1, -1):
            moved = linear(model.weight.tolist(), [0.0, 0.0])
            with torch.no_grad():
                moved.weight[c, 0] += sign * step
            values.append(value(losses.input_gradient(read(moved, x), batch)))
        slope = (values[0] - values[1]) / (2 * step)
        assert value(model.weight.grad[c, 0]) == pytest.approx(slope, rel=1e-2)


def read_of(pooling: str = "max") -> tuple[Read, Tensor]:
    """Two patches, two concepts, two classes."""
    acts = torch.tensor([[[1.0, 0.0], [3.0, 2.0]]], requires_grad=True)
    weight = torch.tensor([[1.0, 0.0], [-1.0, 4.0]])
    pooled = acts.amax(1) if pooling == "max" else acts.mean(1)
    return Read(pooled @ weight.T, acts, None, weight, pooling), acts  # type: ignore[arg-type]


def test_contribution_is_what_the_region_can_move() -> None:
    found, _ = read_of()
    # weights relative to the mean over classes: concept 0: +-1, concept 1: +-2
    first = batch_of(torch.zeros(1, 1), [0], region_BP=torch.tensor([[True, False]]))
    assert value(losses.contribution(found, first)) == pytest.approx(2 * 1.0)
    both = batch_of(torch.zeros(1, 1), [0], region_BP=torch.tensor([[True, True]]))
    assert value(losses.contribution(found, both)) == pytest.approx(2 * 3.0 + 4 * 2.0)
    one = replace(both, concepts_BN=torch.tensor([[False, True]]))
    assert value(losses.contribution(found, one)) == pytest.approx(4 * 2.0)
    mean, _ = read_of("mean")
    assert value(losses.contribution(mean, first)) == pytest.approx(2 * 0.5)


def test_concept_gradient_counts_only_the_patch_that_speaks() -> None:
    found, _ = read_of()
    p = F.softmax(torch.tensor([3.0, -3.0 + 8.0]), 0)
    slope_0 = (1.0 - 1.0) - 2 * (float(p[0]) * 1.0 - float(p[1]) * 1.0)
    slope_1 = 4.0 - 2 * float(p[1]) * 4.0
    both = batch_of(torch.zeros(1, 1), [0], region_BP=torch.tensor([[False, True]]))
    expected = slope_0**2 + slope_1**2
    assert value(losses.concept_gradient(found, both)) == pytest.approx(expected, rel=1e-5)
    found, _ = read_of()
    first = batch_of(torch.zeros(1, 1), [0], region_BP=torch.tensor([[True, False]]))
    assert value(losses.concept_gradient(found, first)) == 0.0  # the other patch is the maximum


def test_agreement_is_the_symmetric_divergence() -> None:
    one, other = torch.tensor([[0.0, 0.0]]), torch.tensor([[math.log(3.0), 0.0]])
    p, q = np.array([0.5, 0.5]), np.array([0.75, 0.25])
    expected = float((p * np.log(p / q)).sum() + (q * np.log(q / p)).sum())
    assert value(losses.agreement(one, other)) == pytest.approx(expected, rel=1e-5)
    assert value(losses.agreement(one, one)) == 0.0


def test_anchor_holds_what_nobody_rejected() -> None:
    before = torch.tensor([[[3.0, 4.0], [1.0, 0.0]]])
    now = torch.tensor([[[3.0, 5.0], [9.0, 9.0]]])
    batch = batch_of(
        torch.zeros(1, 1), [0], anchor_BPD=before, region_BP=torch.tensor([[False, True]])
    )
    found = Read(torch.zeros(1, 2), tokens_BPD=now)
    assert value(losses.anchor(found, batch)) == pytest.approx(1 / 25)
    everywhere = replace(batch, region_BP=None)
    assert value(losses.anchor(found, everywhere)) == pytest.approx((1 / 25 + 145) / 2)


@pytest.mark.parametrize("name", ["input_gradient", "concept_gradient", "contribution", "anchor"])
def test_a_loss_says_what_it_misses(name: str) -> None:
    x = torch.zeros(1, 2, requires_grad=True)
    found, batch = Read(x * 2.0), batch_of(x, [0])
    said = Losses(**{name: 1.0})
    with pytest.raises(ConfigError, match="needs"):
        losses.anchor(found, batch) if name == "anchor" else losses.reasons(found, batch, said)


def objective(terms: Losses, marked: list[bool], size: int = 4) -> Objective:
    rejected = torch.zeros(len(marked), 2, dtype=torch.bool)
    rejected[:, 1] = torch.tensor(marked)
    x = torch.arange(2.0 * len(marked)).view(-1, 2) / len(marked)
    source = Examples(x, torch.arange(len(marked)) % 2, rejected)
    return Objective(source, terms, None, size, 5, CPU)


def test_strengths_mean_the_same_for_few_and_many_marks() -> None:
    """With copies of the same case, marking one, half or all of them gives the same penalty."""
    model = linear([[1.0, 2.0], [3.0, -1.0]], [0.1, 0.0])
    x = torch.tensor([[0.3, 0.7]]).expand(8, 2).contiguous()
    values = []
    for count in (1, 4, 8):
        rejected = torch.zeros(8, 2, dtype=torch.bool)
        rejected[:count, 1] = True
        source = Examples(x, torch.zeros(8, dtype=torch.int64), rejected)
        whole = Objective(source, Losses(input_gradient=3.0), None, 4, 5, CPU)
        terms = whole.terms(model, np.arange(8), (STEP, 0))
        values.append(value(terms.named["input_gradient"]))
    assert values == pytest.approx([values[0]] * 3, rel=1e-6)
    assert values[0] > 0


def test_total_is_the_weighted_sum_and_draws_repeat() -> None:
    terms = Losses(2.0, input_gradient=0.5, counterfactual=0.25, agreement=3.0, paste=0.1)
    whole = objective(terms, [True, False, True, False, False, False])
    model = linear([[1.0, 2.0], [3.0, -1.0]], [0.1, 0.0])
    first = whole.terms(model, np.arange(6), (STEP, 3))
    assert set(first.named) == {
        "answers", "input_gradient", "counterfactual", "agreement", "paste"
    }  # fmt: skip
    expected = sum(getattr(terms, name) * value(term) for name, term in first.named.items())
    assert value(first.total) == pytest.approx(expected, rel=1e-6)
    assert first.reasons == pytest.approx(expected - 2.0 * value(first.named["answers"]), rel=1e-5)
    assert value(whole.terms(model, np.arange(6), (STEP, 3)).total) == value(first.total)
    assert value(whole.terms(model, np.arange(6), (LOOK, 3)).total) != value(first.total)


def test_weights_count_relative_to_their_mean() -> None:
    x, labels = torch.randn(4, 2), torch.tensor([0, 1, 0, 1])
    model = linear([[1.0, 2.0], [3.0, -1.0]], [0.1, 0.0])
    values = [
        value(
            Objective(Examples(x, labels, weight_I=w), Losses(), None, 4, 0, CPU)
            .terms(model, np.arange(4), (STEP, 0))
            .total
        )
        for w in (None, torch.full((4,), 7.0))
    ]
    assert values[0] == pytest.approx(values[1], rel=1e-6)


def test_without_marks_there_is_nothing_to_learn_from_them() -> None:
    whole = objective(Losses(answers=0.0, counterfactual=1.0), [False] * 4)
    with pytest.raises(ConfigError, match="no case is marked"):
        whole.terms(linear([[1.0, 0.0]], [0.0]), np.arange(4), (STEP, 0))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"answers": -1.0}, "answers"),
        ({"paste": float("nan")}, "paste"),
        ({"answers": 0.0, "input_gradient": 1.0}, "nothing teaches"),
        ({"fill": "blur"}, "unknown"),
    ],
)
def test_losses_refuse(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Losses(**wrong)  # type: ignore[arg-type]


def test_settings_round_trip() -> None:
    config = TuneConfig(
        Losses(paste=0.5, fill="mean"), epochs=3, lr_of=(("head", 10.0),), patience=2
    )
    assert TuneConfig.from_json(config.to_json()) == config
    assert TuneConfig.from_json({"epochs": 2}) == TuneConfig(epochs=2)
    with pytest.raises(ConfigError, match="fine-tuning"):
        TuneConfig.from_json({"epoch": 2})


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0}, {"lr": 0.0}, {"warmup": 1.0}, {"clip": 0.0}, {"schedule": "step"},
        {"draw": "odd"}, {"precision": "fp8"}, {"patience": 0}, {"weight_decay": -1.0},
    ],
)  # fmt: skip
def test_settings_refuse(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        TuneConfig(**wrong)  # type: ignore[arg-type]
