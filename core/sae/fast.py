"""A training step on the CPU with explicit, sparse gradients: the backend "numba".

Per batch: one encoder product in bfloat16 (float32 on request) whose result is scanned block by
block for the entries to keep; their values again in float32; residuals and slopes by one walk
over the levels of each token; gradients of each latent from its own entries; Adam, unit rows and
the bfloat16 copy in the same pass. Same loss and gradients as `core.sae.objective`, except that
entries are chosen by bfloat16 pre-activations. The same bits for any number of threads.

Legend: M tokens, D dimension, N latents, C latents padded to whole vectors, P all parameters in
one row.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from core.errors import ConfigError
from core.sae.auxiliary import auxiliary_gradients
from core.sae.config import Precision
from core.sae.forward import Forward, Weights
from core.sae.kernels import LANES, Array
from core.sae.model import SparseAutoencoder
from core.sae.protocol import NAMES, StepGradients, StepReport, check_state
from core.sae.updates import (
    DeadGradients,
    Rows,
    Sorted,
    adam,
    adam_row,
    apply_rows,
    gradient_rows,
    update_rows,
)
from core.sae.workers import Workers

LATENTS: Final = 128
"""Latents per task of the update."""
Phase = Literal["encode", "decode", "auxiliary", "update"]
PHASES: Final[tuple[Phase, ...]] = get_args(Phase)


@dataclass(frozen=True)
class _Pass:
    """One evaluation: everything that the gradients of the parameters are made of."""

    entries: Sorted
    dead: DeadGradients
    bias_D: Array  # gradient of the decoder's bias through the reconstructions
    report: StepReport


class NumbaStep:
    """See `core.sae.protocol.Step`.

    While it trains, the model's W_enc and b_enc are views of the step's own storage (W_enc a
    transposed one, because all work goes by latent); `finish` ends that. `seconds` adds up where
    the time goes, by phase; `forward` is the first half of the step.
    """

    def __init__(self, model: SparseAutoencoder, precision: Precision = "auto") -> None:
        """Take over a float32 model that lies on the CPU; it is trained in place.

        Raises:
            ConfigError: the model is not on the CPU.
        """
        if model.W_dec.device.type != "cpu":
            raise ConfigError("the numba backend trains on the CPU: choose torch for a GPU")
        self._model = model
        self._weights = _adopt(model, precision)
        low_CD = self._weights.low_CD
        self._low_CD = np.empty_like(self._weights.enc_CD, np.uint16) if low_CD is None else low_CD
        self._refresh()
        self._workers = Workers(torch.get_num_threads())
        self.forward = Forward(model.config, self._weights, self._workers)
        n, d = model.n, model.d
        rows = self._weights.enc_CD[:n], self._weights.dec_ND, self._weights.bias_C[:n]
        self._rows = Rows(*rows)
        self._first = Rows(*(np.zeros_like(values) for values in rows))
        self._second = Rows(*(np.zeros_like(values) for values in rows))
        self._first_D, self._second_D = np.zeros(d, np.float32), np.zeros(d, np.float32)
        self._count = 0
        self._flat_P = torch.empty(0)
        self.seconds = dict.fromkeys(PHASES, 0.0)

    def gradients(self, tokens_MD: Tensor, dead_N: Tensor) -> StepGradients:
        """See `Step`."""
        done = self._evaluate(tokens_MD, dead_N)
        named = self._named()
        out = _rows(named)

        def task(start: int, stop: int) -> Array:
            return gradient_rows(start, stop, done.entries, done.dead, self._rows.enc_ND, out)

        parts = self._workers.map(task, self._model.n, LATENTS)
        named["b_dec"].numpy()[:] = done.bias_D + np.sum(parts, axis=0)
        return StepGradients(**vars(done.report), flat_P=self._flat_P, named=named)

    def apply(self, gradients: StepGradients, lr: float) -> None:
        """See `Step`."""
        self._count += 1
        factors = adam(lr, self._count)
        given = _rows(gradients.named)
        own = self._rows, self._first, self._second, self._low_CD

        def task(start: int, stop: int) -> None:
            apply_rows(start, stop, given, *own, factors)

        self._workers.map(task, self._model.n, LATENTS)
        self._apply_bias(gradients.named["b_dec"].numpy(), lr)

    def advance(self, tokens_MD: Tensor, dead_N: Tensor, lr: float) -> StepReport:
        """See `Step`."""
        done = self._evaluate(tokens_MD, dead_N)
        self._count += 1
        factors = adam(lr, self._count)
        own = self._rows, self._first, self._second, self._low_CD

        def task(start: int, stop: int) -> Array:
            return update_rows(start, stop, done.entries, done.dead, *own, factors)

        with self._timed("update"):
            parts = self._workers.map(task, self._model.n, LATENTS)
            self._apply_bias(done.bias_D + np.sum(parts, axis=0), lr)
        return done.report

    def state_dict(self) -> dict[str, Tensor]:
        """See `Step`."""
        moments = {
            name: torch.from_numpy(np.array(values, order="C"))
            for name, values in self._moments().items()
        }
        return {"count": torch.tensor(self._count), **moments}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """See `Step`."""
        check_state(state, self._model)
        self._count = int(state["count"])
        for name, values in self._moments().items():
            values[...] = state[name].numpy()
        self._refresh()

    def finish(self) -> None:
        """See `Step`."""
        self._workers.close()
        for name in ("W_enc", "b_enc"):
            parameter = getattr(self._model, name)
            parameter.data = parameter.detach().clone(memory_format=torch.contiguous_format)

    def _evaluate(self, tokens_MD: Tensor, dead_N: Tensor) -> _Pass:
        config = self._model.config
        tokens = np.ascontiguousarray(tokens_MD.detach().numpy(), np.float32)
        dead_Q = np.flatnonzero(dead_N.numpy())
        with self._timed("encode"):
            encoded = self.forward.encode(tokens, dead_Q)
        with self._timed("decode"):
            decoded = self.forward.decode(encoded)
        with self._timed("auxiliary"):
            parts = self._weights, self._workers, dead_Q, encoded, decoded
            auxiliary, dead = auxiliary_gradients(config, *parts)
        levels = (decoded.errors_L / encoded.spread).tolist()
        mean = sum(levels) / len(levels)
        report = StepReport(
            loss=mean + config.aux_coefficient * auxiliary,
            reconstruction=mean,
            levels=tuple(levels),
            auxiliary=auxiliary,
            fired_N=torch.from_numpy(np.diff(decoded.entries.first_N) > 0),
            smallest=encoded.chosen.smallest,
        )
        return _Pass(decoded.entries, dead, decoded.bias_D, report)

    @contextmanager
    def _timed(self, phase: Phase) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[phase] += time.perf_counter() - start

    def _apply_bias(self, grad_D: Array, lr: float) -> None:
        if self._model.config.bias == "mean":
            return
        moments = self._first_D, self._second_D
        adam_row(self._weights.b_dec_D, grad_D, *moments, adam(lr, self._count))

    def _moments(self) -> dict[str, Array]:
        """Adam's moments by name, as views in the shapes of the model."""
        out: dict[str, Array] = {}
        pairs = ("first", self._first, self._first_D), ("second", self._second, self._second_D)
        for moment, rows, bias_D in pairs:
            values = rows.enc_ND.T, rows.bias_N, rows.dec_ND, bias_D
            out |= {f"{name}.{moment}": v for name, v in zip(NAMES, values, strict=True)}
        return out

    def _named(self) -> dict[str, Tensor]:
        """Room for the gradients, kept from step to step; the encoder's lie transposed."""
        n, d = self._model.n, self._model.d
        if not len(self._flat_P):
            self._flat_P = torch.zeros(2 * n * d + n + d)
        enc, bias, dec, bias_dec = torch.split(self._flat_P, [n * d, n, n * d, d])
        shaped = enc.view(n, d).T, bias, dec.view(n, d), bias_dec
        return dict(zip(NAMES, shaped, strict=True))

    def _refresh(self) -> None:
        """The bfloat16 copy of the encoder, after its weights were changed from outside."""
        low = torch.from_numpy(self._weights.enc_CD).bfloat16().view(torch.uint16)
        self._low_CD[:] = low.numpy()


def _adopt(model: SparseAutoencoder, precision: Precision) -> Weights:
    """Move W_enc (transposed) and b_enc into padded storage that the model then shares."""
    low = _native() if precision == "auto" else precision == "bf16"
    n, d = model.n, model.d
    width = -(-n // LANES) * LANES
    enc_CD, bias_C = torch.zeros(width, d), torch.full((width,), -torch.inf)
    enc_CD[:n] = model.W_enc.detach().T
    bias_C[:n] = model.b_enc.detach()
    model.W_enc.data, model.b_enc.data = enc_CD[:n].T, bias_C[:n]
    model.W_dec.data = model.W_dec.detach().contiguous()
    return Weights(
        enc_CD.numpy(),
        np.zeros((width, d), np.uint16) if low else None,
        bias_C.numpy(),
        model.W_dec.detach().numpy(),
        model.b_dec.detach().numpy(),
    )


def _rows(named: Mapping[str, Tensor]) -> Rows:
    return Rows(named["W_enc"].T.numpy(), named["W_dec"].numpy(), named["b_enc"].numpy())


def _native() -> bool:
    """Whether the processor multiplies bfloat16 itself; emulated, it is slower than float32."""
    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)  # not part of torch's promises
    return probe is not None and bool(probe())
