import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from core.errors import ConfigError
from core.sae import SAEConfig, SparseAutoencoder, TrainConfig
from core.sae.checkpoint import tensors_hash
from core.sae.config import Backend
from core.sae.tie import (
    Attributes,
    Tie,
    TieConfig,
    attribute_auc,
    default_latents,
    soft_maximum,
    tie_cost,
    tie_loss,
)
from core.sae.train import TrainedSAE, train_sae

IMAGES, P, D = 200, 6, 24
CONFIG = SAEConfig(d=D, n=48, k=2, group_fractions=(0.5, 0.5))


def world(seed: int) -> tuple[Tensor, np.ndarray]:
    """Images of patches with 2 of 16 directions each; attribute a is direction a, [I, P, 2]."""
    directions_KD = F.normalize(
        torch.randn(16, D, generator=torch.Generator().manual_seed(77)), dim=1
    )
    generator = torch.Generator().manual_seed(seed)
    score = torch.rand(IMAGES * P, 16, generator=generator)
    score[:, :2] -= 0.08  # the attributes are rarer than the rest
    chosen = torch.topk(score, 2, dim=1).indices
    acts = torch.zeros(IMAGES * P, 16).scatter(1, chosen, 1.0)
    tokens_IPD = (acts @ directions_KD).reshape(IMAGES, P, D)
    return tokens_IPD, (acts[:, :2] > 0).numpy().reshape(IMAGES, P, 2).astype(np.int8)


def attributes(seed: int, *, masks: bool) -> Attributes:
    tokens_IPD, truth_IPA = world(seed)

    def read(rows: Sequence[int]) -> Tensor:
        return tokens_IPD[list(rows)]

    return Attributes(("red", "round"), truth_IPA if masks else truth_IPA.max(axis=1), read)


def stream(epoch: int) -> Iterator[Tensor]:
    yield world(1)[0].flatten(0, 1)[
        torch.randperm(IMAGES * P, generator=torch.Generator().manual_seed(epoch))
    ]


def trained(tie: Tie | None, backend: Backend = "auto") -> TrainedSAE:
    settings = TrainConfig(steps=150, batch=400, lr=1e-2, backend=backend)
    return train_sae(stream, CONFIG, settings, held_out=world(9)[0].flatten(0, 1), tie=tie)


def test_loss_of_masks_by_hand() -> None:
    """One positive at z - t = 1; two negatives at 0 and 2; one unknown."""
    logits = torch.tensor([1.0, 0.0, 2.0, 50.0]).reshape(2, 2, 1)
    truth = torch.tensor([1, 0, 0, -1]).reshape(2, 2, 1)
    positive = math.log1p(math.exp(-1.0))
    negative = (math.log(2.0) + math.log1p(math.exp(2.0))) / 2
    assert float(tie_loss(logits, truth)) == pytest.approx((positive + negative) / 2)
    only = torch.tensor([1, -1, -1, -1]).reshape(2, 2, 1)
    assert float(tie_loss(logits, only)) == pytest.approx(positive)
    assert float(tie_loss(logits, torch.full((2, 2, 1), -1))) == 0.0
    both = torch.cat((truth, only), dim=2)
    twice = tie_loss(logits.expand(2, 2, 2), both)
    assert float(twice) == pytest.approx((positive + negative) / 2 + positive)


def test_loss_of_columns_by_hand() -> None:
    """A positive image by its soft maximum; every patch of a negative one."""
    logits = torch.tensor([[0.0, math.log(3.0)], [0.0, 2.0], [9.0, 9.0]]).unsqueeze(2)
    truth = torch.tensor([[1], [0], [-1]])
    positive = math.log1p(math.exp(-0.75 * math.log(3.0)))
    negative = (math.log(2.0) + math.log1p(math.exp(2.0))) / 2
    assert float(tie_loss(logits, truth)) == pytest.approx((positive + negative) / 2)


def test_soft_maximum_by_hand() -> None:
    """Two patches at 0 and log 3: weights 1/4 and 3/4."""
    values = torch.tensor([[[0.0], [math.log(3.0)]]])
    assert float(soft_maximum(values)) == pytest.approx(0.75 * math.log(3.0))
    assert float(soft_maximum(40 * values)) == pytest.approx(40 * math.log(3.0))


@pytest.mark.parametrize("masks", [True, False])
def test_gradients_are_those_of_the_loss(masks: bool) -> None:
    """Against autograd through the whole dense model."""
    given = attributes(1, masks=masks)
    tie = Tie(given, (30, 4), TieConfig(weight=0.7))
    generator = torch.Generator().manual_seed(5)
    model = SparseAutoencoder(CONFIG)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
        model.threshold.fill_(0.4)
    rows = tie.rows_of(seed=0, step=3)
    named = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    loss = tie.add_gradients(model, named, 2.0, rows)
    pre = model.pre_activations(given.read(rows).flatten(0, 1) * 2.0).reshape(len(rows), P, -1)
    expected = 0.7 * tie_loss(pre[..., [30, 4]] - 0.4, torch.from_numpy(given.truth[rows]))
    expected.backward()
    assert loss == pytest.approx(float(expected.detach()), rel=1e-5)
    torch.testing.assert_close(named["W_enc"], model.W_enc.grad)
    torch.testing.assert_close(named["b_enc"], model.b_enc.grad)
    assert not named["W_dec"].any()
    assert not named["b_dec"].any()


@pytest.mark.parametrize(("masks", "backend"), [(True, "numba"), (True, "torch"), (False, "auto")])
def test_tied_latents_take_up_their_attributes(masks: bool, backend: Backend) -> None:
    latents = default_latents(CONFIG, 2)
    tied = trained(Tie(attributes(1, masks=masks), latents), backend)
    cost = tie_cost(
        trained(None, backend).model, tied.model, latents,
        world(9)[0].flatten(0, 1), attributes(9, masks=masks),
    )  # fmt: skip
    assert min(cost.auc_with) > 0.95
    assert max(cost.auc_same_without) < 0.9
    assert cost.fvu_with < cost.fvu_without + 0.1
    assert cost.to_json()["auc_with"] == list(cost.auc_with)


def test_deterministic_per_seed_and_step() -> None:
    tie = Tie(attributes(1, masks=True), (0, 1))
    assert tie.rows_of(1, 2) == tie.rows_of(1, 2)
    assert tie.rows_of(1, 2) != tie.rows_of(1, 3)
    assert tie.rows_of(1, 2) != tie.rows_of(1, 2, rank=1)
    hashes = {tensors_hash(trained(tie).model.state_dict()) for _ in range(2)}
    assert len(hashes) == 1


def test_attribute_auc_by_hand() -> None:
    """One latent that fires with the first token dimension; unknown places are left out."""
    model = SparseAutoencoder(SAEConfig(d=2, n=2, k=1, group_fractions=(0.5, 0.5)))
    with torch.no_grad():
        model.W_enc[0, 0] = 1.0
    tokens = torch.tensor([[[1.0, 0]], [[2.0, 0]], [[3.0, 0]], [[4.0, 0]]])
    truth = np.array([[0], [1], [-1], [0]], np.int8)
    given = Attributes(("a",), truth, lambda rows: tokens[list(rows)])
    assert attribute_auc(model, given)[:, 0].tolist() == [0.5, 0.5]
    better = replace(given, truth=np.array([[0], [1], [-1], [1]], np.int8))
    assert attribute_auc(model, better)[:, 0].tolist() == [1.0, 0.5]


def test_default_latents() -> None:
    config = SAEConfig(d=4, n=100)  # groups of 1, 3, 6, 12, 24, 54
    assert default_latents(config, 3) == (4, 5, 6)
    assert default_latents(config, 30) == tuple(range(46, 76))
    assert default_latents(config, 50) == tuple(range(46, 96))
    with pytest.raises(ConfigError, match="at most half"):
        default_latents(config, 51)


def test_what_cannot_work_is_refused() -> None:
    given = attributes(1, masks=True)
    for latents in ((0,), (1, 1)):
        with pytest.raises(ConfigError, match="one latent per attribute"):
            Tie(given, latents)
    with pytest.raises(ConfigError, match="counted from 0"):
        Tie(given, (-1, 2))
    with pytest.raises(ConfigError, match="latent 99 is tied, there are 48"):
        trained(Tie(given, (0, 99)))
    with pytest.raises(ConfigError, match="everywhere or nowhere"):
        replace(given, truth=np.zeros((IMAGES, P, 2), np.int8))
    with pytest.raises(ConfigError, match="1, 0 or -1"):
        replace(given, truth=np.full((IMAGES, P, 2), 3, np.int8))
    with pytest.raises(ConfigError, match="2 attributes for truth"):
        replace(given, truth=np.zeros((IMAGES, P, 3), np.int8))
    with pytest.raises(ConfigError, match="weight above 0"):
        TieConfig(weight=0.0)
