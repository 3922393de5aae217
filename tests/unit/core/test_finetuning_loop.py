"""The generic loop: against a slow reference, and on a world with a planted shortcut."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.errors import ConfigError
from core.finetuning import Examples, Fill, Losses, TuneConfig, train
from core.finetuning.loop import rate

CASES = 240


def world(seed: int = 0, *, shortcut: str = "helps") -> Examples:
    """A weak true sign (noisy column 0) and a strong shortcut (column 1), which people rejected."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(CASES) % 2
    sign = (2.0 * labels - 1)[:, None]
    true = sign + 0.7 * torch.randn(CASES, 1, generator=generator)
    told = {"helps": 2 * sign, "misleads": -2 * sign}[shortcut]
    told = told + 0.5 * torch.randn(CASES, 1, generator=generator)
    rejected = torch.zeros(CASES, 2, dtype=torch.bool)
    rejected[:, 1] = True
    return Examples(torch.cat([true, told], 1), labels, rejected)


def mlp(seed: int = 0, classes: int = 2) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, classes))


def accuracy(model: nn.Module, examples: Examples) -> float:
    with torch.no_grad():
        found = model(examples.inputs).argmax(1)
    return float((found == examples.labels_I).float().mean())


def test_it_does_what_a_plain_loop_does() -> None:
    """A reference without any of the machinery: the same order, plain Adam, plain loss."""
    examples, config = world(), TuneConfig(epochs=2, batch=50, lr=1e-2, seed=7)
    made = train(mlp(), examples, config)
    model = mlp()
    adam = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for epoch in range(2):
        order = np.random.default_rng([7, 1, epoch]).permutation(CASES)
        for start in range(0, CASES, 50):
            rows = torch.from_numpy(order[start : start + 50])
            loss = F.cross_entropy(model(examples.inputs[rows]), examples.labels_I[rows])
            adam.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            adam.step()
            losses.append(loss.item())
    for one, other in zip(made.model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(one, other)
    steps, values = zip(*made.curves["train.loss"], strict=True)
    assert steps == tuple(range(1, 11))
    assert values == pytest.approx(losses, rel=1e-5)


def test_the_model_given_is_not_changed_and_frozen_parts_stay() -> None:
    model = mlp()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first = model[0]  # type: ignore[index]
    first.requires_grad_(False)
    made = train(model, world(), TuneConfig(epochs=1))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    after = made.model.state_dict()
    assert torch.equal(after["0.weight"], before["0.weight"])
    assert not torch.equal(after["2.weight"], before["2.weight"])
    assert not made.model.training
    with pytest.raises(ConfigError, match="no parameter"):
        train(model.requires_grad_(False), world())


def test_the_callers_random_numbers_are_left_alone() -> None:
    model = nn.Sequential(nn.Dropout(0.5), mlp())
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    made = train(model, world(), TuneConfig(epochs=1))
    assert torch.equal(torch.rand(3), expected)
    again = train(model, world(), TuneConfig(epochs=1))  # from another state of the caller's
    assert made.curves == again.curves


def test_unfixed_the_model_takes_the_shortcut() -> None:
    made = train(mlp(), world(), TuneConfig(epochs=20, lr=1e-2))
    assert accuracy(made.model, world(1)) > 0.99
    assert accuracy(made.model, world(1, shortcut="misleads")) < 0.1


FILLS: tuple[Fill, ...] = ("others", "marked", "noise")


@pytest.mark.parametrize(
    "losses",
    [
        Losses(input_gradient=10.0),
        *(Losses(answers=0.0, counterfactual=1.0, fill=fill) for fill in FILLS),
        Losses(answers=0.1, counterfactual=1.0, agreement=20.0, fill="mean"),
        Losses(answers=0.0, paste=1.0),
    ],
)
@pytest.mark.parametrize("marked", [CASES, CASES // 2, 24])
def test_each_way_of_asking_removes_it(losses: Losses, marked: int) -> None:
    """With all, half or a tenth of the cases marked, the answer rests on the true sign."""
    examples = world()
    assert examples.rejected is not None
    rejected = examples.rejected.clone()
    rejected[marked:] = False
    config = TuneConfig(losses, epochs=30, batch=60, lr=1e-2)
    made = train(mlp(), replace(examples, rejected=rejected), config)
    clean = train(mlp(), replace(examples, inputs=examples.inputs * torch.tensor([1.0, 0.0])),
                  TuneConfig(epochs=30, batch=60, lr=1e-2))  # fmt: skip
    blind = world(1)
    hidden = replace(blind, inputs=blind.inputs * torch.tensor([1.0, 0.0]))
    best = accuracy(clean.model, hidden)
    assert best > 0.85
    assert accuracy(made.model, world(1, shortcut="misleads")) >= best - 0.06
    assert accuracy(made.model, world(1)) >= best - 0.06


def test_reasons_without_marks_are_refused() -> None:
    bare = Examples(world().inputs, world().labels_I)
    with pytest.raises(ConfigError, match="no case is marked"):
        train(mlp(), bare, TuneConfig(Losses(paste=1.0)))


def test_early_stopping_keeps_the_best_weights() -> None:
    """Labels of the validation cases are turned around: learning only hurts."""
    held = world(1)
    config = TuneConfig(epochs=30, batch=60, lr=1e-2, patience=3)
    turned = Examples(held.inputs, 1 - held.labels_I)
    made = train(mlp(), world(), config, validation=turned)
    assert made.stopped_early
    assert made.best_step == 4  # the first look, after one pass
    assert made.steps == 4 * 4
    best = dict(made.curves["validation.loss"])
    assert made.metrics["validation.best"] == best[4] == min(best.values())
    assert accuracy(made.model, turned) == dict(made.curves["validation.accuracy"])[4]
    whole = train(mlp(), world(), replace(config, patience=None), validation=held)
    assert not whole.stopped_early
    assert whole.steps == 120


def test_weights_decide_by_loss_and_by_draw() -> None:
    """Two cases say opposite things; the heavier one is obeyed, either way."""
    x = torch.ones(2, 2)
    for draw in ("shuffle", "weighted"):
        for heavy in (0, 1):
            weight = torch.tensor([1.0, 9.0]) if heavy else torch.tensor([9.0, 1.0])
            examples = Examples(x, torch.tensor([0, 1]), weight_I=weight)
            config = TuneConfig(epochs=80, batch=2, lr=3e-2, draw=draw)  # type: ignore[arg-type]
            made = train(nn.Linear(2, 2), examples, config)
            assert int(made.model(x[:1]).argmax()) == heavy


def test_half_precision_forward_passes_keep_the_weights_in_full() -> None:
    losses = Losses(input_gradient=10.0, counterfactual=1.0)
    made = train(mlp(), world(), TuneConfig(losses, epochs=20, lr=1e-2, precision="bf16"))
    assert {value.dtype for value in made.model.state_dict().values()} == {torch.float32}
    full = train(mlp(), world(), TuneConfig(losses, epochs=20, lr=1e-2))
    assert accuracy(made.model, world(1, shortcut="misleads")) == pytest.approx(
        accuracy(full.model, world(1, shortcut="misleads")), abs=0.05
    )
    one, other = (next(iter(m.model.parameters())) for m in (made, full))
    assert not torch.equal(one, other)


def test_rates() -> None:
    config = TuneConfig(warmup=0.2, schedule="cosine")
    factors = [rate(step, 10, config) for step in range(10)]
    assert factors[:2] == [0.5, 1.0]
    assert factors[2] == 1.0
    assert factors[6] == pytest.approx(0.5)
    assert factors == sorted(factors[:2]) + sorted(factors[2:], reverse=True)
    assert [rate(s, 4, TuneConfig()) for s in range(4)] == [1.0] * 4


def test_rates_of_parts() -> None:
    made = train(mlp(), world(), TuneConfig(epochs=1, lr_of=(("0.", 0.0),)))
    start = mlp().state_dict()
    after = made.model.state_dict()
    assert torch.equal(after["0.weight"], start["0.weight"])
    assert not torch.equal(after["2.weight"], start["2.weight"])


def test_a_loss_that_is_not_finite_ends_it() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(float("inf")))

        def forward(self, x: Tensor) -> Tensor:
            return x * self.scale

    with pytest.raises(ConfigError, match="not finite after 0 steps"):
        train(Odd(), world())


def test_progress_and_curves() -> None:
    told: list[tuple[float, str]] = []
    points: list[str] = []
    config = TuneConfig(epochs=2, batch=60, report_every=2)
    made = train(
        mlp(), world(), config, validation=world(1), progress=lambda *p: told.append(p),
        on_point=lambda series, step, value: points.append(series),
    )  # fmt: skip
    assert told[-1] == (1.0, "step 8 of 8, pass 2 of 2")
    assert [step for step, _ in made.curves["train.reasons"]] == [2, 4, 6, 8]
    assert [step for step, _ in made.curves["validation.loss"]] == [4, 8]
    assert set(points) == set(made.curves)
    assert set(made.curves) == {
        "train.loss", "train.answers", "train.reasons", "train.accuracy", "validation.loss",
        "validation.accuracy",
    }  # fmt: skip
