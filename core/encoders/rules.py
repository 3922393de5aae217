"""How the parts of a ViT block are computed: exactly, or in a way that an attribution needs.

A tower's forward pass goes through these three primitives, so that one forward serves encoding,
layer-wise relevance and attention rollout.

Legend: M images (or windows), T tokens, W width.
"""

from typing import Any, Final, Protocol

from torch import Tensor


class Rules(Protocol):
    """The primitives of a forward pass; `block` is a residual attention block of open_clip."""

    def block(self, block: Any, x_MTW: Tensor) -> Tensor:
        """A whole block, [M, T, W] to [M, T, W], batch-first whatever the block's own layout."""

    def norm(self, norm: Any, x_MTW: Tensor) -> Tensor:
        """A layer norm (or identity)."""

    def mlp(self, block: Any, x_MTW: Tensor) -> Tensor:
        """A block's MLP, without norm and residual."""


class ExactRules:
    """The tower as it was trained: every part is called as open_clip wrote it."""

    def block(self, block: Any, x_MTW: Tensor) -> Tensor:
        """See Rules."""
        out: Tensor
        if getattr(block.attn, "batch_first", True):
            out = block(x_MTW)
        else:  # open_clip before 2.26
            out = block(x_MTW.transpose(0, 1)).transpose(0, 1)
        return out

    def norm(self, norm: Any, x_MTW: Tensor) -> Tensor:
        """See Rules."""
        out: Tensor = norm(x_MTW)
        return out

    def mlp(self, block: Any, x_MTW: Tensor) -> Tensor:
        """See Rules."""
        out: Tensor = block.mlp(x_MTW)
        return out


EXACT: Final = ExactRules()
