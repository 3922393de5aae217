"""What a training step is, whoever computes it.

Legend: M tokens, D dimension, N latents, P all parameters in one row.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import torch
from torch import Tensor

from core.errors import ConfigError
from core.sae.model import SparseAutoencoder

NAMES: Final = ("W_enc", "b_enc", "W_dec", "b_dec")
"""The parameters, in the order in which `StepGradients.flat_P` holds their gradients."""


@dataclass(frozen=True)
class StepReport:
    """What one evaluation of the objective says."""

    loss: float  # the whole objective
    reconstruction: float  # mean fraction of variance unexplained over the levels, [0, inf)
    levels: tuple[float, ...]  # the same of the entries of levels 0..l; the last is all of them
    auxiliary: float  # loss of the dead latents without its coefficient; 0 without any
    fired_N: Tensor  # bool [N], on the model's device: latents that were selected
    smallest: float | None  # smallest of the batch's k*M largest activations; None without any


@dataclass(frozen=True)
class StepGradients(StepReport):
    """A report with the gradients of the objective; valid until the next step.

    `flat_P` is one contiguous float32 tensor, so one all-reduce serves all parameters;
    `named` are views into it by parameter name, shaped like the model's (W_enc may be a
    transposed view), so that a further loss can add its gradients in place.
    """

    flat_P: Tensor
    named: Mapping[str, Tensor]


class Step(Protocol):
    """The optimiser and the gradients of one model that is being trained, in place."""

    def gradients(self, tokens_MD: Tensor, dead_N: Tensor) -> StepGradients:
        """Loss and gradients of one batch, at least one token; the model stays as it is.

        Args:
            tokens_MD: float32 [M, D], scaled, on the model's device.
            dead_N: bool [N], latents that count as dead, on the model's device.
        """
        ...

    def apply(self, gradients: StepGradients, lr: float) -> None:
        """One Adam update with the (possibly all-reduced) gradients of the last call.

        The decoder's gradient loses what is parallel to its unit rows first, and the rows have
        length 1 afterwards.
        """
        ...

    def advance(self, tokens_MD: Tensor, dead_N: Tensor, lr: float) -> StepReport:
        """`gradients` and `apply` in one, which can be faster: nothing has to be handed out."""
        ...

    def state_dict(self) -> dict[str, Tensor]:
        """Moments "<parameter>.first" and ".second" (shapes of the model, contiguous copies) and
        "count" (int64 scalar); the same for every backend. The weights are the model's."""
        ...

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on exactly where `state_dict` was taken; load the model's weights before this.

        Raises:
            ConfigError: names or shapes do not fit the model.
        """
        ...

    def finish(self) -> None:
        """Give the model back: all parameters contiguous. The step must not be used after."""
        ...


def check_state(state: Mapping[str, Tensor], model: SparseAutoencoder) -> None:
    """Raises ConfigError unless the state holds exactly what `Step.state_dict` writes."""
    expected = {"count": torch.Size(())}
    for name in NAMES:
        for moment in ("first", "second"):
            expected[f"{name}.{moment}"] = getattr(model, name).shape
    found = {name: value.shape for name, value in state.items()}
    if found != expected:
        raise ConfigError("the optimiser state does not fit the autoencoder")
