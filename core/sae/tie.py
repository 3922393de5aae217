"""Tying latents to known attributes during training, by an auxiliary loss, and what that costs.

For each attribute one latent is asked to fire where the attribute is and nowhere else. With z the
latent's pre-activation and t the present inference threshold (so z > t is "fires"):

loss = weight * sum over attributes of
       (mean over positives of log(1 + e^(t - z)) + mean over negatives of log(1 + e^(z - t))) / 2

Where masks are known, positives and negatives are patches. Where only a column per image is known
(multiple-instance learning), every patch of an image without the attribute is a negative, and a
positive is an image with it, z a soft maximum over its patches: one patch is enough to show it
(softmax pooling, McFee et al. 2018, arXiv 1804.10070). The tied latents start in the direction of
their attribute; the loss moves their encoder alone, their decoder rows learn from the
reconstruction what the patches look like on which they now fire. The combination is ours: a
balanced logistic loss with the JumpReLU's threshold as the boundary.

The loss is added to the step's gradients, so it works with every backend and with several
processes. Its batch is a function of seed, step and process alone: nothing to save in a checkpoint.

Legend: B images of a batch, P patches, D dimension, A attributes, M places (patches or images).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from core.concept_scores import auc
from core.errors import ConfigError
from core.sae.config import SAEConfig
from core.sae.model import SparseAutoencoder

ReadTokens = Callable[[Sequence[int]], Tensor]
"""Tokens of labelled images by row, float32 [B, P, D], raw."""
UNKNOWN: Final = -1
START_IMAGES: Final = 256
_STREAM: Final = 715  # separates the draws of this module from others with the same seed


@dataclass(frozen=True)
class TieConfig:
    """How strongly to tie, and with how many images per step."""

    weight: float = 0.1  # of one attribute, beside the reconstruction's fraction of variance
    images: int = 32  # labelled images per step and process

    def __post_init__(self) -> None:
        if self.weight <= 0 or self.images < 2:
            raise ConfigError("a tie needs a weight above 0 and at least 2 images per step")


@dataclass(frozen=True, eq=False)
class Attributes:
    """Labelled images: what is known of them, and their tokens.

    truth holds 1 where an attribute is, 0 where it is not and -1 where nobody knows: int8 [I, A]
    per image, or [I, P, A] per patch.
    """

    names: tuple[str, ...]  # A
    truth: NDArray[np.int8]
    read: ReadTokens

    def __post_init__(self) -> None:
        if self.truth.ndim not in (2, 3) or self.truth.shape[-1] != len(self.names):
            raise ConfigError(f"{len(self.names)} attributes for truth of {self.truth.shape}")
        if not np.isin(self.truth, (0, 1, UNKNOWN)).all():
            raise ConfigError("the truth of an attribute is 1, 0 or -1 (unknown)")
        for column, name in enumerate(self.names):
            values = self.truth[..., column]
            if not ((values == 1).any() and (values == 0).any()):
                raise ConfigError(f"the attribute {name!r} is everywhere or nowhere")

    @property
    def per_patch(self) -> bool:
        """Whether masks are known, not only columns."""
        return self.truth.ndim == 3


class Tie:
    """Attributes and the latents that are to stand for them.

    Args:
        attributes: labelled images to learn from.
        latents: one per attribute, all different.
        config: strength.

    Raises:
        ConfigError: the counts differ, or a latent is named twice.
    """

    def __init__(
        self, attributes: Attributes, latents: Sequence[int], config: TieConfig | None = None
    ) -> None:
        if len(latents) != len(attributes.names) or len(set(latents)) < len(latents):
            raise ConfigError("a tie needs one latent per attribute, all different")
        if min(latents) < 0:
            raise ConfigError("a latent is counted from 0")
        self.attributes = attributes
        self.latents = tuple(latents)
        self.config = config or TieConfig()
        truth = attributes.truth if not attributes.per_patch else attributes.truth.max(axis=1)
        self._rows = [
            (np.flatnonzero(truth[:, a] == 1), np.flatnonzero(truth[:, a] == 0))
            for a in range(len(self.latents))
        ]

    def describe(self) -> dict[str, Any]:
        """What decides the loss, JSON-ready; tokens are taken to be those of the same encoder."""
        return {
            "names": list(self.attributes.names),
            "latents": list(self.latents),
            "weight": self.config.weight,
            "images": self.config.images,
            "positive": int((self.attributes.truth == 1).sum()),
            "known": int((self.attributes.truth != UNKNOWN).sum()),
        }

    def rows_of(self, seed: int, step: int, rank: int = 0) -> list[int]:
        """Images of a step: an attribute at random, then one that shows it or one that does not."""
        rng = np.random.default_rng([_STREAM, seed, step, rank])
        rows = []
        for _ in range(self.config.images):
            with_it, without = self._rows[rng.integers(len(self._rows))]
            wanted = with_it if (rng.random() < 0.5 or not len(without)) else without
            rows.append(int(rng.choice(wanted)))
        return rows

    def start(self, model: SparseAutoencoder, seed: int) -> None:
        """Point the tied latents at their attributes before the first step, in place.

        Direction: mean token where the attribute is, less the mean where it is not (of at most
        START_IMAGES images each). From a random direction that leads away from the attribute,
        columns alone never brought some latents back.
        """
        rng = np.random.default_rng([_STREAM, seed])
        for a, (latent, sides) in enumerate(zip(self.latents, self._rows, strict=True)):
            means = []
            for value, rows in zip((1, 0), sides, strict=True):
                drawn = rng.permutation(rows)[:START_IMAGES].tolist()
                if not drawn:  # masks: it is in every image, so take patches of the others' rows
                    drawn = rng.permutation(sides[0])[:START_IMAGES].tolist()
                tokens_BPD = self.attributes.read(drawn).float()
                chosen = torch.from_numpy(self.attributes.truth[drawn][..., a] == value)
                means.append(tokens_BPD[chosen].reshape(-1, model.d).mean(0))
            direction_D = F.normalize(means[0] - means[1], dim=0).to(model.W_dec.device)
            with torch.no_grad():
                model.W_dec[latent] = direction_D
                model.W_enc[:, latent] = direction_D

    def add_gradients(
        self, model: SparseAutoencoder, named: Mapping[str, Tensor], scale: float, rows: list[int]
    ) -> float:
        """Add the gradients of the loss on some images to those of a step; return the loss.

        Args:
            model: in scaled units.
            named: gradients by parameter name, changed in place (W_enc and b_enc).
            scale: of the tokens.
            rows: images, of `rows_of`.
        """
        device = model.W_dec.device
        tokens_BPD = self.attributes.read(rows).to(device).float() * scale
        truth = torch.from_numpy(self.attributes.truth[rows]).to(device)
        at = torch.tensor(self.latents, device=device)
        weight_DA = model.W_enc.detach()[:, at].clone().requires_grad_(True)
        bias_A = model.b_enc.detach()[at].clone().requires_grad_(True)
        pre_BPA = (tokens_BPD - model.b_dec.detach()) @ weight_DA + bias_A
        loss = self.config.weight * tie_loss(pre_BPA - model.threshold, truth)
        loss.backward()  # type: ignore[no-untyped-call]
        assert weight_DA.grad is not None
        assert bias_A.grad is not None
        named["W_enc"].index_add_(1, at, weight_DA.grad)
        named["b_enc"].index_add_(0, at, bias_A.grad)
        return float(loss.detach())


def tie_loss(logits_BPA: Tensor, truth: Tensor) -> Tensor:
    """Logistic loss, positives and negatives of each attribute with the same total weight.

    Args:
        logits_BPA: float, pre-activation less threshold.
        truth: int [B, P, A] (masks) or [B, A] (columns); 1, 0 or -1 (left out).

    Returns:
        Scalar: sum over the attributes; of one without positives (or negatives) the other side.
    """
    if truth.ndim == 3:
        positive = _side(F.softplus(-logits_BPA), truth == 1)
        negative = _side(F.softplus(logits_BPA), truth == 0)
    else:  # an image without the attribute has no patch with it
        positive = _side(F.softplus(-soft_maximum(logits_BPA)), truth == 1)
        without = (truth == 0).unsqueeze(1).expand_as(logits_BPA)
        negative = _side(F.softplus(logits_BPA), without)
    sides_A = positive[1] + negative[1]
    return ((positive[0] + negative[0]) / sides_A.clamp_min(1)).sum()


def soft_maximum(values_BPA: Tensor) -> Tensor:
    """Mean over P weighted by softmax over P, [B, A]: between the mean and the maximum."""
    return (values_BPA * values_BPA.softmax(dim=1)).sum(dim=1)


def _side(losses: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of the chosen losses [..., A] per attribute, and 1 where there is any, [A] each."""
    axes = tuple(range(losses.ndim - 1))
    count_A = chosen.sum(axes)
    total_A = torch.where(chosen, losses, 0.0).sum(axes)
    return total_A / count_A.clamp_min(1), (count_A > 0).to(losses.dtype)


def default_latents(config: SAEConfig, count: int) -> tuple[int, ...]:
    """Latents to tie, where the user names none: the first ones of a group that has room.

    The most general group of which they fill at most a half is taken (else the largest), so that
    general, untied concepts keep their place.

    Raises:
        ConfigError: more attributes than half of the latents.
    """
    if not 1 <= count <= config.n // 2:
        raise ConfigError(f"{count} attributes for {config.n} latents: at most half can be tied")
    sizes = config.groups
    group = next((g for g, size in enumerate(sizes) if size >= 2 * count), None)
    if group is None:
        group = sizes.index(max(sizes))
    first = min(sum(sizes[:group]), config.n - count)
    return tuple(range(first, first + count))


@dataclass(frozen=True)
class TieCost:
    """What a tie brings and costs, by two trainings that differ in nothing else."""

    fvu_without: float  # fraction of variance unexplained on held-out tokens
    fvu_with: float
    auc_best_without: tuple[float, ...]  # per attribute: best of all latents, chosen on this data
    auc_same_without: tuple[float, ...]  # the latents that are to be tied, in the untied model
    auc_with: tuple[float, ...]  # the tied latents

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in vars(self).items()}


def attribute_auc(model: SparseAutoencoder, attributes: Attributes) -> NDArray[np.float64]:
    """AUC of every latent for every attribute by inference activations, [N, A] in [0, 1].

    Places are patches where masks are known, else images (largest activation of an image). NaN
    where an attribute is everywhere or nowhere among the known places.
    """
    blocks = []
    for row in range(len(attributes.truth)):
        acts_PN = model.encode_dense(attributes.read([row])[0])
        blocks.append(acts_PN if attributes.per_patch else acts_PN.amax(0, keepdim=True))
    acts_MN = torch.cat(blocks).cpu().numpy()
    truth_MA = attributes.truth.reshape(-1, len(attributes.names))
    columns = []
    for column_M in truth_MA.T:
        known = column_M != UNKNOWN
        columns.append(auc(acts_MN[known], (column_M[known] == 1)[:, None]))
    return np.concatenate(columns, axis=1)


def tie_cost(
    without: SparseAutoencoder,
    tied: SparseAutoencoder,
    latents: Sequence[int],
    held_out: Tensor,
    attributes: Attributes,
) -> TieCost:
    """Compare an untied and a tied model on held-out tokens [M, D] and held-out labels."""
    from core.sae.metrics import evaluate_sae

    before_NA, after_NA = attribute_auc(without, attributes), attribute_auc(tied, attributes)
    pairs = list(zip(latents, range(len(latents)), strict=True))
    return TieCost(
        fvu_without=evaluate_sae(without, held_out)["fvu"],
        fvu_with=evaluate_sae(tied, held_out)["fvu"],
        auc_best_without=tuple(float(v) for v in np.nanmax(before_NA, axis=0)),
        auc_same_without=tuple(float(before_NA[pair]) for pair in pairs),
        auc_with=tuple(float(after_NA[pair]) for pair in pairs),
    )


def check_tie(tie: Tie, config: SAEConfig) -> None:
    """Raises ConfigError where a tie does not fit the dictionary."""
    if max(tie.latents) >= config.n:
        raise ConfigError(f"latent {max(tie.latents)} is tied, there are {config.n}")
