"""One training step of an autoencoder behind one protocol, so that the trainer need not care.

The trainer gives scaled tokens and the dead latents; the step gives gradients that can be summed
over processes, and applies them (Adam, unit decoder rows, parallel gradient removed). Two
backends: "torch" (autograd over `core.sae.objective`, any device, the reference) and "numba"
(`core.sae.fast`, explicit sparse gradients on the CPU).

Legend: M tokens, D dimension, N latents, P all parameters in one row.
"""

from collections.abc import Mapping
from typing import assert_never

import torch
import torch.nn.functional as F
from torch import Tensor

from core.sae.config import TrainConfig, default_lr
from core.sae.fast import NumbaStep
from core.sae.model import SparseAutoencoder
from core.sae.objective import objective
from core.sae.protocol import NAMES, Step, StepGradients, StepReport, check_state

__all__ = ["NAMES", "Step", "StepGradients", "StepReport", "TorchStep", "make_step"]


def make_step(model: SparseAutoencoder, train: TrainConfig) -> Step:
    """The step of the backend that `train.backend` names, for a model on its device.

    Raises:
        ConfigError: the backend "numba" for a model that is not on the CPU.
    """
    match train.backend:
        case "torch":
            return TorchStep(model)
        case "numba":
            return NumbaStep(model, train.precision)
        case "auto":
            on_cpu = model.W_dec.device.type == "cpu"
            return NumbaStep(model, train.precision) if on_cpu else TorchStep(model)
        case _:
            assert_never(train.backend)


class TorchStep:
    """The reference: autograd and torch's fused Adam, on any device. See `Step`."""

    def __init__(self, model: SparseAutoencoder) -> None:
        self._model = model
        self._parameters = {name: getattr(model, name) for name in NAMES}
        size = sum(p.numel() for p in self._parameters.values())
        self._flat_P = torch.zeros(size, device=model.W_dec.device)
        self._views = split_flat(self._flat_P, model)
        lr = default_lr(model.n)  # replaced in every update
        self._optimiser = torch.optim.Adam(self._parameters.values(), lr=lr, fused=True)

    def gradients(self, tokens_MD: Tensor, dead_N: Tensor) -> StepGradients:
        """See `Step`."""
        self._flat_P.zero_()
        for name, parameter in self._parameters.items():
            parameter.grad = self._views[name]
        loss = objective(self._model, tokens_MD, dead_N)
        loss.total.backward()  # type: ignore[no-untyped-call]
        fired_N = torch.zeros_like(dead_N)
        fired_N[loss.columns_Z] = True
        return StepGradients(
            loss=float(loss.total.detach()),
            reconstruction=float(loss.reconstruction),
            levels=tuple(loss.levels_L.tolist()),
            auxiliary=float(loss.auxiliary),
            fired_N=fired_N,
            smallest=None if loss.smallest is None else float(loss.smallest),
            flat_P=self._flat_P,
            named=self._views,
        )

    def apply(self, gradients: StepGradients, lr: float) -> None:
        """See `Step`."""
        for group in self._optimiser.param_groups:
            group["lr"] = lr
        if self._model.config.bias == "mean":
            gradients.named["b_dec"].zero_()  # Adam leaves alone what never had a gradient
        for name, parameter in self._parameters.items():
            parameter.grad = gradients.named[name]
        decoder_ND = self._parameters["W_dec"]
        with torch.no_grad():
            grad_ND = gradients.named["W_dec"]
            grad_ND.sub_((grad_ND * decoder_ND).sum(1, keepdim=True) * decoder_ND)
            self._optimiser.step()
            decoder_ND.copy_(F.normalize(decoder_ND, dim=1))

    def advance(self, tokens_MD: Tensor, dead_N: Tensor, lr: float) -> StepReport:
        """See `Step`."""
        gradients = self.gradients(tokens_MD, dead_N)
        self.apply(gradients, lr)
        return gradients

    def state_dict(self) -> dict[str, Tensor]:
        """See `Step`."""
        out = {"count": torch.zeros((), dtype=torch.int64)}
        for name, parameter in self._parameters.items():
            state = self._optimiser.state.get(parameter)
            if state:
                out["count"] = state["step"].detach().cpu().to(torch.int64)
            for moment, key in (("first", "exp_avg"), ("second", "exp_avg_sq")):
                value = state[key] if state else torch.zeros_like(parameter)
                out[f"{name}.{moment}"] = value.detach().cpu().clone()
        return out

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """See `Step`."""
        check_state(state, self._model)
        for name, parameter in self._parameters.items():
            device = parameter.device
            self._optimiser.state[parameter] = {
                "step": state["count"].to(torch.float32).to(device),
                "exp_avg": state[f"{name}.first"].to(device).clone(),
                "exp_avg_sq": state[f"{name}.second"].to(device).clone(),
            }

    def finish(self) -> None:
        """See `Step`."""
        for parameter in self._parameters.values():
            parameter.grad = None


def split_flat(flat_P: Tensor, model: SparseAutoencoder) -> dict[str, Tensor]:
    """Views of one row of numbers, one per parameter in the order of `NAMES`."""
    out, start = {}, 0
    for name in NAMES:
        parameter = getattr(model, name)
        out[name] = flat_P[start : start + parameter.numel()].view(parameter.shape)
        start += parameter.numel()
    return out
