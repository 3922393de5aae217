"""The objective: right answers, for the right reasons.

    answers          mean_b w_b CE(f(x_b), y_b)
    input_gradient   mean_b sum_{d rejected} (d/dx_bd sum_c log p_bc)^2
                     (Ross, Hughes and Doshi-Velez 2017, "Right for the right reasons",
                     arXiv 1703.03717, equation 1)
    concept_gradient mean_b sum_{p, n rejected} (d/da_bpn sum_c log p_bc)^2
                     (Stammer, Schramowski and Kersting 2021, "Right for the right concept",
                     arXiv 2011.12854: the same on concepts instead of pixels)
    contribution     mean_b sum_c sum_{n rejected} |w_cn - mean_c w_cn| max_{p rejected} a_bpn
                     the logit units, relative to the other classes, by which rejected concepts in
                     rejected regions can move the answer at most (exact for one patch). For
                     mean-pooled heads the maximum is the sum over p divided by P.
    counterfactual   mean_b w_b CE(f(fill(x_b)), y_b)
    agreement        mean_b KL(p(x_b) || p(fill(x_b))) + KL(p(fill(x_b)) || p(x_b))
    paste            mean_b w_b CE(f(paste(x_b, rejected part of another case)), y_b)
    anchor           mean over patches outside rejected regions of |x_bp - x0_bp|^2 / |x0_bp|^2,
                     x0 the token before the tuning: what nobody rejected keeps its meaning

Terms that look at marks are means over marked cases, so that a strength means the same whatever
the number of marks.

Legend: B cases; C classes; P patches; N concepts; D embedding.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.errors import ConfigError
from core.finetuning.config import Losses
from core.finetuning.examples import Batch
from core.heads import Pooling

_EPS = 1e-12


@dataclass(frozen=True, eq=False)
class Read:
    """What a model that reads concepts says of a batch; all with gradients."""

    logits_BC: Tensor
    acts_BPN: Tensor | None = None  # activation of every concept in every patch, >= 0
    tokens_BPD: Tensor | None = None
    weight_CN: Tensor | None = None  # of the linear head
    pooling: Pooling = "max"
    inputs: Tensor | None = None  # what was read
    rows_M: Tensor | None = None  # int64: only these rows count, see `select`

    def select(self, rows_M: Tensor) -> Read:
        """The same of some rows. Gradients are still taken of all inputs and activations, which
        autograd knows as wholes, and cut afterwards by `cut`."""
        tokens = None if self.tokens_BPD is None else self.tokens_BPD[rows_M]
        return replace(self, logits_BC=self.logits_BC[rows_M], tokens_BPD=tokens, rows_M=rows_M)

    def cut(self, whole: Tensor) -> Tensor:
        """The rows that count."""
        return whole if self.rows_M is None else whole[self.rows_M]


class Reads(Protocol):
    """A module that reads concepts; its `forward` gives the same logits."""

    def read(self, inputs: Tensor) -> Read:
        """Logits and where they come from."""
        ...


def read(model: nn.Module, inputs: Tensor) -> Read:
    """Run a model; logits are float32 whatever it computed in."""
    reader = getattr(model, "read", None)  # an isinstance with Reads costs a small model dearly
    found: Read = reader(inputs) if callable(reader) else Read(model(inputs).float())
    return replace(found, inputs=inputs)


def answers(logits_BC: Tensor, batch: Batch) -> Tensor:
    """Weighted cross-entropy: sum_b w_b CE_b / B, scalar."""
    loss_B = F.cross_entropy(logits_BC.float(), batch.labels_B, reduction="none")
    return (loss_B * batch.weight_B).mean()


def reasons(found: Read, batch: Batch, losses: Losses) -> dict[str, Tensor]:
    """The penalties on one batch that need no copy, unweighted, by name.

    Args:
        found: of the model on the batch; its inputs require a gradient where
            `losses.input_gradient` > 0.
        batch: marked cases.

    Raises:
        ConfigError: the model reads no concepts, or the batch lacks what a term needs.
    """
    terms: dict[str, Tensor] = {}
    if losses.input_gradient > 0:
        terms["input_gradient"] = input_gradient(found, batch)
    if losses.concept_gradient > 0:
        terms["concept_gradient"] = concept_gradient(found, batch)
    if losses.contribution > 0:
        terms["contribution"] = contribution(found, batch)
    return terms


def input_gradient(found: Read, batch: Batch) -> Tensor:
    """Squared gradient of the summed log-probabilities on the rejected part; see the module."""
    if batch.rejected is None or found.inputs is None:
        raise ConfigError("input_gradient needs cases with a rejected part of the input")
    total = F.log_softmax(found.logits_BC.float(), dim=-1).sum()
    (whole,) = torch.autograd.grad(total, found.inputs, create_graph=True)
    slope = found.cut(whole).float()
    return torch.where(batch.rejected, slope, 0.0).square().flatten(1).sum(1).mean()


def concept_gradient(found: Read, batch: Batch) -> Tensor:
    """The same on the activations of rejected concepts in rejected regions; see the module."""
    acts_BPN, inside_BPN = _inside(found, batch)
    total = F.log_softmax(found.logits_BC.float(), dim=-1).sum()
    (whole,) = torch.autograd.grad(total, acts_BPN, create_graph=True)
    slope = found.cut(whole).float()
    return torch.where(inside_BPN, slope, 0.0).square().flatten(1).sum(1).mean()


def contribution(found: Read, batch: Batch) -> Tensor:
    """Logit units that rejected concepts in rejected regions can move; see the module."""
    acts_BPN, inside_BPN = _inside(found, batch)
    if found.weight_CN is None:
        raise ConfigError("contribution needs a model with a linear head on concepts")
    shown_BPN = torch.where(inside_BPN, found.cut(acts_BPN), 0.0)
    pooled_BN = shown_BPN.amax(1) if found.pooling == "max" else shown_BPN.mean(1)
    relative_CN = found.weight_CN - found.weight_CN.mean(0)
    return (pooled_BN @ relative_CN.abs().T).sum(1).mean()


def agreement(logits_BC: Tensor, copies_BC: Tensor) -> Tensor:
    """Symmetric Kullback-Leibler divergence of the answers to originals and copies, nats."""
    one, other = (F.log_softmax(x.float(), dim=-1) for x in (logits_BC, copies_BC))
    return ((one.exp() - other.exp()) * (one - other)).sum(-1).mean()


def anchor(found: Read, batch: Batch) -> Tensor:
    """How far tokens outside rejected regions moved, as a share of their length; see the module."""
    if found.tokens_BPD is None or batch.anchor_BPD is None:
        raise ConfigError("anchor needs a model that gives tokens, and the tokens from before")
    moved_BP = (found.tokens_BPD - batch.anchor_BPD).square().sum(-1)
    relative_BP = moved_BP / batch.anchor_BPD.square().sum(-1).clamp_min(_EPS)
    if batch.region_BP is None:
        return relative_BP.mean()
    outside_BP = ~batch.region_BP
    return torch.where(outside_BP, relative_BP, 0.0).sum() / outside_BP.sum().clamp_min(1)


def _inside(found: Read, batch: Batch) -> tuple[Tensor, Tensor]:
    """All activations read, and where a rejected concept lies in a rejected region [B, P, N]."""
    if found.acts_BPN is None or batch.region_BP is None:
        raise ConfigError("this loss needs a model that reads concepts, and rejected regions")
    inside_BPN = batch.region_BP[:, :, None]
    if batch.concepts_BN is not None:
        inside_BPN = inside_BPN & batch.concepts_BN[:, None, :]
    return found.acts_BPN, inside_BPN
