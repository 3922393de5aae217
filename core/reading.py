"""One image read by a dictionary: what fires where, and what would fire without some concepts.

Taking concept k out of a token means x_p - a_pk d_k (d_k the unit decoder row). A dictionary whose
pre-activations are linear, z = x W_enc + c, need not read the changed token anew:

    z_pn(without S) = z_pn - sum over k in S of a_pk G_kn,    G = W_dec W_enc,

so one row of G per removed concept replaces a matrix product per image. Of the N columns only
those can fire whose upper bound max_p z_pn + sum_k max_p a_pk max(0, -G_kn) passes the threshold;
the rest is never looked at. Rows of G depend on the dictionary alone and are kept for the next
image. `Reencoded` does the same the slow way, for any dictionary, and is the reference in tests.

Legend: P patches of one image; D embedding; N concepts; K concepts taken out together; F patches
on which one of them fires; J columns (concepts) that might fire then; Z entries of the codes.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Protocol
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from core.codes import Codes
from core.heads import Float64Array, IntArray, Pooling
from core.sae import SparseAutoencoder
from core.sae.model import FP16_MAX
from core.types import BoolArray, FloatArray

MAX_ROWS = 2048
"""Changed tokens encoded at once by the slow path: bounds memory to rows x N floats."""
GRAM_BYTES = 64 * 2**20
"""Rows of G kept per dictionary: 2048 at N = 8192."""
SLACK = 1e-3
"""Relative room that the upper bound leaves for rounding."""


class Dictionary(Protocol):
    """What causal tests and explanations need of a sparse autoencoder."""

    @property
    def n(self) -> int:
        """Count of concepts N."""
        ...

    @property
    def decoder_ND(self) -> Tensor:
        """Direction of every concept in token space, float32 [N, D]."""
        ...

    def encode_dense(self, tokens_MD: Tensor) -> Tensor:
        """Inference activations float32 [M, N], >= 0."""
        ...


class Reading(Protocol):
    """The concepts of one image."""

    @property
    def codes(self) -> Codes:
        """Sparse activations of its P patches."""
        ...

    @property
    def pooled_N(self) -> Float64Array:
        """Pooled activations, float64 [N], as the head takes them."""
        ...

    def without(self, concepts: Sequence[int]) -> Float64Array:
        """Pooled activations float64 [N] after the concepts are taken out of every patch at once.

        Only patches on which one of them fires change; they are read anew, so that another
        concept may take over.
        """
        ...


@torch.no_grad()
def read_image(sae: Dictionary, tokens_PD: Tensor, pooling: Pooling = "max") -> Reading:
    """The reading of one image's tokens float32 [P, D], by the fast path where there is one."""
    if isinstance(sae, SparseAutoencoder):
        return Linear(sae, tokens_PD, pooling)
    return Reencoded(sae, tokens_PD, pooling)


class Reencoded:
    """The reference: changed tokens are encoded again. Works with any dictionary."""

    def __init__(self, sae: Dictionary, tokens_PD: Tensor, pooling: Pooling = "max") -> None:
        self._sae, self._tokens_PD, self._pooling = sae, tokens_PD, pooling
        self.codes = Codes.from_dense(sae.encode_dense(tokens_PD))
        self.pooled_N = self.codes.pooled(pooling).astype(np.float64)

    @torch.no_grad()
    def without(self, concepts: Sequence[int]) -> Float64Array:
        """See Reading."""
        acts_PK = _columns(self.codes, concepts)
        fired_F = np.flatnonzero(acts_PK.any(axis=1))
        if not len(fired_F):
            return self.pooled_N
        rows = torch.as_tensor(list(concepts), dtype=torch.long)
        part_FD = torch.from_numpy(acts_PK[fired_F]) @ self._sae.decoder_ND[rows]
        changed_FD = self._tokens_PD[torch.from_numpy(fired_F)] - part_FD
        fresh = [self._sae.encode_dense(part) for part in torch.split(changed_FD, MAX_ROWS)]
        acts_PN = self.codes.dense()
        acts_PN[torch.from_numpy(fired_F)] = torch.cat(fresh)
        return Codes.from_dense(acts_PN).pooled(self._pooling).astype(np.float64)


class Linear:
    """The fast path: changed pre-activations follow from rows of G. For SparseAutoencoder."""

    def __init__(self, sae: SparseAutoencoder, tokens_PD: Tensor, pooling: Pooling = "max") -> None:
        self._pooling = pooling
        self.codes, pre_PN = sae.encode_with_pre(tokens_PD)
        self._pre_PN: FloatArray = pre_PN.cpu().numpy()
        self._limit = max(float(sae.threshold), 0.0)
        self._top_N = self._pre_PN.max(axis=0, initial=-np.inf)
        self._patch_Z = np.repeat(np.arange(len(self.codes)), np.diff(self.codes.indptr))
        self._gram = gram_of(sae)
        self.pooled_N = self.codes.pooled(pooling).astype(np.float64)

    def without(self, concepts: Sequence[int]) -> Float64Array:
        """See Reading."""
        acts_PK = _columns(self.codes, concepts)
        fired_P: BoolArray = np.asarray(acts_PK.any(axis=1), dtype=np.bool_)
        if not fired_P.any():
            return self.pooled_N
        fired_F = np.flatnonzero(fired_P)
        gram_KN = self._gram.rows(concepts)
        rise_N = acts_PK.max(axis=0) @ np.maximum(-gram_KN, 0.0)
        bound_N = self._top_N + rise_N + SLACK * (np.abs(self._top_N) + rise_N)
        column_J = np.flatnonzero(bound_N > self._limit)
        pre_FJ = self._pre_PN[np.ix_(fired_F, column_J)]
        pre_FJ -= acts_PK[fired_F] @ gram_KN[:, column_J]
        return self._pooled(fired_P, column_J, pre_FJ)

    def _pooled(self, fired_P: BoolArray, column_J: IntArray, pre_FJ: FloatArray) -> Float64Array:
        """Old entries of the untouched patches and new ones of the others, pooled together."""
        silent_Z = ~fired_P[self._patch_Z]
        index_Z = np.asarray(self.codes.index, dtype=np.int64)[silent_Z]
        value_Z = np.asarray(self.codes.value, dtype=np.float64)[silent_Z]
        out_N = np.zeros(self.codes.n)
        if self._pooling == "max":
            np.maximum.at(out_N, index_Z, value_Z)
            # Rounding keeps the order, so the maximum may be rounded alone.
            fresh_J = self._rounded(pre_FJ.max(axis=0))
            out_N[column_J] = np.maximum(out_N[column_J], fresh_J)
            return out_N
        np.add.at(out_N, index_Z, value_Z)
        out_N[column_J] += self._rounded(pre_FJ).sum(axis=0)
        return np.asarray((out_N / len(fired_P)).astype(np.float32), dtype=np.float64)

    def _rounded(self, pre: FloatArray) -> Float64Array:
        """What `SparseAutoencoder.activate` gives; without tensors, as these arrays are small."""
        kept = np.where(pre > self._limit, pre, np.float32(0)).clip(0, FP16_MAX)
        return np.asarray(kept.astype(np.float16), dtype=np.float64)


class Gram:
    """Rows of G = W_dec W_enc, made when asked for and kept up to GRAM_BYTES. Thread-safe."""

    def __init__(self, sae: SparseAutoencoder, kept_bytes: int = GRAM_BYTES) -> None:
        self._decoder_ND, self._encoder_DN = sae.decoder_ND, sae.W_enc.detach()
        self._room = max(kept_bytes // (4 * sae.n), 0)
        self._kept: OrderedDict[int, FloatArray] = OrderedDict()
        self._lock = threading.Lock()

    @torch.no_grad()
    def rows(self, concepts: Sequence[int]) -> FloatArray:
        """Rows float32 [K, N] of the concepts, in the order given."""
        with self._lock:
            held = {k: self._kept[k] for k in concepts if k in self._kept}
            for k in held:
                self._kept.move_to_end(k)
        missing = [k for k in dict.fromkeys(concepts) if k not in held]
        if missing:
            fresh = (self._decoder_ND[torch.tensor(missing)] @ self._encoder_DN).cpu().numpy()
            held.update(zip(missing, fresh, strict=True))
            self._keep((k, held[k].copy()) for k in missing)
        return np.stack([held[k] for k in concepts])

    def _keep(self, rows: Iterable[tuple[int, FloatArray]]) -> None:
        with self._lock:
            self._kept.update(rows)
            while len(self._kept) > self._room:
                self._kept.popitem(last=False)


_grams: WeakKeyDictionary[SparseAutoencoder, Gram] = WeakKeyDictionary()
_grams_lock = threading.Lock()


def gram_of(sae: SparseAutoencoder) -> Gram:
    """The rows of G kept for a frozen dictionary; for one that still learns, nothing is kept."""
    if sae.W_enc.requires_grad or sae.training:
        return Gram(sae, 0)
    with _grams_lock:
        return _grams.setdefault(sae, Gram(sae))


def _columns(codes: Codes, concepts: Sequence[int]) -> FloatArray:
    """Activations of some concepts on every patch, float32 [P, K]."""
    return np.stack([codes.map_of(k) for k in concepts], axis=1) if len(concepts) else (
        np.zeros((len(codes), 0), np.float32)
    )  # fmt: skip
