"""Settings of the sparse autoencoder and of its training."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, assert_never, get_args

from core.errors import ConfigError

Variant = Literal["matryoshka", "batch-topk", "topk", "nested-k"]
"""How the active latents of a batch are chosen, and what the loss asks of them:

matryoshka: the k * M largest activations of the batch; loss over nested prefixes of the
    dictionary, so latents have levels (Bussmann et al. 2025, arXiv 2503.17547).
batch-topk: the same choice, one loss over all of it (Bussmann et al. 2024, arXiv 2412.06410).
topk: the k largest of every token (Gao et al. 2024, arXiv 2406.04093).
nested-k: per token; loss over the nested_ks[0], nested_ks[1], ... largest (MSAE: Zaigrajew et al.
    2025, arXiv 2502.20578). No order of the dictionary, so no levels.
"""
Backend = Literal["auto", "numba", "torch"]
"""Who computes a training step: explicit sparse gradients in numba (CPU only), the torch autograd
reference (any device), or "auto": numba where it can run."""
Precision = Literal["auto", "bf16", "fp32"]
"""Of the pre-activations by which the numba backend chooses entries (their values are float32 in
any case); auto: bfloat16 where the processor multiplies it natively."""
Bias = Literal["learned", "mean"]
"""What b_dec is: trained with the rest, or the mean of the data and left there. A learned bias
drifts to what is most frequent (the background), which then has no concept of its own."""

PAPER_FRACTIONS: Final = (0.008, 0.03, 0.06, 0.12, 0.24, 0.542)
"""Shares of the Matryoshka groups in the paper (65/245/491/983/1966/4442 of 8192)."""


@dataclass(frozen=True)
class SAEConfig:
    """Shape and objective of a sparse autoencoder; Matryoshka BatchTopK unless told otherwise."""

    d: int  # dimension of the tokens
    n: int = 1024  # latents
    k: int = 12  # mean count of active latents per token
    group_fractions: tuple[float, ...] = PAPER_FRACTIONS  # of n, general to specific; matryoshka
    aux_k: int | None = None  # dead latents per token in the auxiliary loss; None: d // 2
    aux_coefficient: float = 1 / 32
    threshold_momentum: float = 0.99  # of the running mean of the smallest kept activation
    variant: Variant = "matryoshka"
    nested_ks: tuple[int, ...] | None = None  # nested-k only, ascending to k; None: k/4, k/2, k
    bias: Bias = "learned"

    def __post_init__(self) -> None:
        _require(self.d >= 1, f"d is {self.d}: it must be at least 1")
        _require(1 <= self.k <= self.n, f"k is {self.k}: it must lie in 1..n, n is {self.n}")
        _require(self.aux_k is None or self.aux_k >= 1, "aux_k must be at least 1")
        _require(self.aux_coefficient >= 0, "aux_coefficient must not be negative")
        _require(0 <= self.threshold_momentum < 1, "threshold_momentum must lie in [0, 1)")
        _require(self.bias in get_args(Bias), f"bias is {self.bias!r}: it is learned or mean")
        self._check_variant()

    def _check_variant(self) -> None:
        match self.variant:
            case "matryoshka":
                group_sizes(self.n, self.group_fractions)
            case "batch-topk" | "topk" | "nested-k":
                own = self.group_fractions in (PAPER_FRACTIONS, (1.0,))
                _require(own, f"{self.variant} has no groups: leave group_fractions out")
                object.__setattr__(self, "group_fractions", (1.0,))
            case _:  # settings come from files as well
                raise ConfigError(f"the variant {self.variant!r} is unknown")
        if self.nested_ks is None:
            return
        _require(self.variant == "nested-k", "nested_ks belong to the variant nested-k")
        rising = all(a < b for a, b in itertools.pairwise((0, *self.nested_ks)))
        fits = rising and self.nested_ks[-1:] == (self.k,)
        _require(fits, f"nested_ks must rise from at least 1 to k = {self.k}")

    @property
    def groups(self) -> tuple[int, ...]:
        """Latents per group, general to specific; sums to n. One group unless matryoshka."""
        return group_sizes(self.n, self.group_fractions)

    @property
    def tiers(self) -> tuple[int, ...]:
        """Largest activations per token that each nested loss of nested-k uses, up to k."""
        return self.nested_ks or tuple(sorted({max(1, self.k // 4), max(1, self.k // 2), self.k}))

    @property
    def losses(self) -> int:
        """Over how many nested reconstructions the loss is a mean."""
        match self.variant:
            case "matryoshka":
                return len(self.group_fractions)
            case "batch-topk" | "topk":
                return 1
            case "nested-k":
                return len(self.tiers)
            case _:
                assert_never(self.variant)

    @property
    def prefixes(self) -> tuple[int, ...]:
        """Cumulative group sizes; the last one is n."""
        return tuple(itertools.accumulate(self.groups))

    @property
    def aux_latents(self) -> int:
        """How many dead latents per token the auxiliary loss uses."""
        return min(self.n, self.aux_k if self.aux_k is not None else max(1, self.d // 2))

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict; `from_json` reads it back.

        Settings that came later are left out at their defaults: the identity (hash) of a
        dictionary covers its settings, and dictionaries made before must keep theirs.
        """
        raw = {**asdict(self), "group_fractions": list(self.group_fractions)}
        if self.nested_ks is not None:
            raw["nested_ks"] = list(self.nested_ks)
        later = {"variant": "matryoshka", "nested_ks": None, "bias": "learned"}
        return {name: value for name, value in raw.items() if later.get(name, ...) != value}

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> "SAEConfig":
        """Read what `to_json` wrote. Raises ConfigError."""
        try:
            ks = raw.get("nested_ks")
            lists = {
                "group_fractions": tuple(raw["group_fractions"]),
                "nested_ks": None if ks is None else tuple(ks),
            }
            return cls(**{**raw, **lists})
        except (KeyError, TypeError) as error:
            raise ConfigError(f"not the settings of a sparse autoencoder: {error}") from error


@dataclass(frozen=True)
class TrainConfig:
    """How long and how fast to train."""

    steps: int = 1000  # optimiser steps; the stream is repeated as often as that takes
    batch: int = 4096  # tokens per step; longer tensors of the stream are split
    lr: float | None = None  # peak learning rate; None: default_lr(n)
    warmup: float = 0.05  # share of the steps with a rising rate
    decay: float = 0.3  # share of the steps, at the end, with a falling rate
    dead_after: int | None = None  # tokens without firing that make a latent dead; None: 8 batches
    seed: int = 0
    backend: Backend = "auto"
    precision: Precision = "auto"
    device: str = "cpu"  # a torch device, or "auto": a GPU where there is one

    def __post_init__(self) -> None:
        known = self.backend in get_args(Backend)
        _require(known, f"the backend {self.backend!r} is unknown: auto, numba or torch")
        known = self.precision in get_args(Precision)
        _require(known, f"the precision {self.precision!r} is unknown: auto, bf16 or fp32")
        _require(self.steps >= 1, "steps must be at least 1")
        _require(self.batch >= 1, "batch must be at least 1")
        _require(self.lr is None or self.lr > 0, "lr must be above 0")
        _require(min(self.warmup, self.decay) >= 0, "warmup and decay must not be negative")
        _require(self.warmup + self.decay <= 1, "warmup and decay must not exceed 1 together")
        _require(self.dead_after is None or self.dead_after >= 1, "dead_after must be at least 1")

    @property
    def dead_tokens(self) -> int:
        """Tokens without firing after which a latent counts as dead."""
        return self.dead_after if self.dead_after is not None else 8 * self.batch

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict; `from_json` reads it back."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> "TrainConfig":
        """Read what `to_json` wrote. Raises ConfigError."""
        try:
            return cls(**raw)
        except TypeError as error:
            raise ConfigError(f"not the settings of a training: {error}") from error


def default_lr(n: int) -> float:
    """Peak learning rate for Adam: 2e-4 / sqrt(n / 2^14) (dictionary_learning), times 4.

    The published rule is meant for runs of 10^5 steps. On photographs (512 latents, 600 steps)
    4e-3 left .317 of the variance unexplained and 2e-3 left .328; the rule gives 1.1e-3 (one
    seed). At n = 8192 four times the rule is 1.1e-3.
    """
    return 4 * 2e-4 / math.sqrt(n / 2**14)


def group_sizes(n: int, fractions: Sequence[float]) -> tuple[int, ...]:
    """Split n latents into groups: floor(n * fraction), the last group takes the rest.

    Every group holds at least one latent and the sizes sum to n exactly; with the paper's
    fractions and n = 8192 this gives the paper's sizes.

    Raises:
        ConfigError: fractions are not positive, do not sum to 1 (within 1e-6), or n is smaller
            than the number of groups.
    """
    _require(len(fractions) > 0 and min(fractions) > 0, "group fractions must be above 0")
    _require(abs(sum(fractions) - 1) <= 1e-6, f"group fractions sum to {sum(fractions)}, not 1")
    _require(n >= len(fractions), f"{n} latents cannot fill {len(fractions)} groups")
    sizes = [max(1, math.floor(n * fraction + 1e-9)) for fraction in fractions[:-1]]
    sizes.append(n - sum(sizes))
    while sizes[-1] < 1:  # the floor of 1 took too much: the largest groups give it back
        sizes[sizes.index(max(sizes))] -= 1
        sizes[-1] += 1
    return tuple(sizes)


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ConfigError(message)
