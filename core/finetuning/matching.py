"""Which concept of a re-fitted dictionary is which of the one before, across two encoders.

Dictionaries of different encoders live in different spaces, so directions alone prove nothing.
Here both readings of the same patches are at hand: concepts match where they fire together and
point the same way; see core.finetuning.concepts.

Legend: O former concepts, N new concepts, M sampled patches, D embedding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from core.codes import Codes
from core.errors import ConfigError
from core.name_matching import ConceptMatch, MatchConfig, match_similar
from core.naming import unit
from core.sae import SparseAutoencoder
from core.tokens import TokenStore

_SALT: Final = 5  # second word of the seed


@dataclass(frozen=True)
class CarryConfig:
    """When a former and a new concept count as one."""

    min_score: float = 0.7  # least cosine of the decoder directions, (0, 1]
    min_correlation: float = 0.6  # least correlation of the activations, (0, 1]
    min_margin: float = 0.05  # least lead over the second best, of correlations, >= 0
    images: int = 400  # at most so many are read twice

    def __post_init__(self) -> None:
        if not 0 < self.min_score <= 1 or not 0 < self.min_correlation <= 1:
            raise ConfigError("min_score and min_correlation lie in (0, 1]")
        if self.min_margin < 0 or self.images < 1:
            raise ConfigError("min_margin is not negative, and images at least 1")


@dataclass(frozen=True)
class Pair:
    """A former concept's match."""

    new: int
    cosine: float  # of the decoder directions, [-1, 1]
    correlation: float  # of the activations, [-1, 1]

    @property
    def score(self) -> float:
        """The weaker of the two."""
        return min(self.cosine, self.correlation)


@dataclass(frozen=True, eq=False)
class Carried:
    """Which former concepts live on, and why the others do not."""

    pairs: Mapping[int, Pair]  # by former concept
    lost: Mapping[int, str]  # former concept -> "silent", "weak", "ambiguous", "taken", "turned"
    mass: float  # share of all former activation that the concepts which live on had, [0, 1]

    def missed(self) -> dict[str, int]:
        """How many former concepts have no match, by reason."""
        return dict(sorted(Counter(self.lost.values()).items()))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Arrays to keep in a bundle: carried_old, carried_new (int64), carried_score (float32)."""
        rows = sorted(self.pairs.items())
        return {
            "carried_old": np.array([old for old, _ in rows], np.int64),
            "carried_new": np.array([pair.new for _, pair in rows], np.int64),
            "carried_score": np.array([pair.score for _, pair in rows], np.float32),
        }

    def as_map(self) -> dict[int, int]:
        """Former concept -> new concept."""
        return {old: pair.new for old, pair in self.pairs.items()}


def carried_of(extra: Mapping[str, NDArray[Any]]) -> dict[int, tuple[int, float]]:
    """Former concept -> (new concept, score) as a bundle keeps it; empty where it keeps none."""
    if "carried_old" not in extra:
        return {}
    columns = (extra["carried_old"], extra["carried_new"], extra["carried_score"])
    return {int(o): (int(n), float(s)) for o, n, s in zip(*columns, strict=True)}


def carry(
    former: SparseAutoencoder,
    tokens_before: TokenStore,
    new: SparseAutoencoder,
    tokens_after: TokenStore,
    keys: Sequence[str],
    config: CarryConfig | None = None,
    seed: int = 0,
) -> Carried:
    """Match two dictionaries by how they read the same images, each with its own encoder.

    Args:
        keys: images in both stores; a sample of them is read.

    Raises:
        ConfigError: no image is in both stores, or their grids differ.
    """
    config = config or CarryConfig()
    sample = _sample(keys, tokens_before, tokens_after, config.images, seed)
    old_MO = _codes(former, tokens_before, sample)
    new_MN = _codes(new, tokens_after, sample)
    if old_MO.shape[0] != new_MN.shape[0]:
        raise ConfigError("the two encoders cut images into different patches")
    correlation_ON = correlations(old_MO, new_MN)
    fires_O, fires_N = (np.asarray(c.getnnz(axis=0) > 0) for c in (old_MO, new_MN))
    settings = MatchConfig(config.min_correlation, config.min_margin)
    matches = match_similar(correlation_ON, fires_O, fires_N, config=settings)
    cosine_ON = unit(former.decoder_ND.double().numpy()) @ unit(new.decoder_ND.double().numpy()).T
    mass_O = np.asarray(old_MO.sum(axis=0), np.float64).ravel()
    return _decided(matches, cosine_ON, mass_O, config.min_score)


def correlations(old_MO: sparse.csr_matrix, new_MN: sparse.csr_matrix) -> NDArray[np.float32]:
    """Pearson correlation of every pair of columns, float32 [O, N]; 0 for a constant column."""
    count = old_MO.shape[0]
    mean_O, scale_O = _moments(old_MO)
    mean_N, scale_N = _moments(new_MN)
    product_ON = np.asarray((old_MO.T @ new_MN).todense(), np.float64) / count
    product_ON -= np.outer(mean_O, mean_N)
    product_ON /= np.outer(scale_O, scale_N)
    clipped_ON: NDArray[np.float32] = np.clip(product_ON, -1.0, 1.0).astype(np.float32)
    return clipped_ON


def _moments(codes_MK: sparse.csr_matrix) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each column; infinite where a column is constant."""
    mean_K = np.asarray(codes_MK.mean(axis=0), np.float64).ravel()
    square_K = np.asarray(codes_MK.multiply(codes_MK).mean(axis=0), np.float64).ravel()
    spread_K = np.sqrt(np.clip(square_K - mean_K**2, 0.0, None))
    return mean_K, np.where(spread_K > 0, spread_K, np.inf)


def _sample(
    keys: Sequence[str], before: TokenStore, after: TokenStore, most: int, seed: int
) -> list[str]:
    both = sorted(key for key in keys if key in before and key in after)
    if not both:
        raise ConfigError("no image was read by both encoders")
    drawn = np.random.default_rng([seed, _SALT]).permutation(len(both))[:most]
    return [both[i] for i in sorted(drawn)]


def _codes(sae: SparseAutoencoder, tokens: TokenStore, keys: Sequence[str]) -> sparse.csr_matrix:
    """Activations of all patches of some images, float64 [M, N]."""
    return Codes.concat((sae.encode(tokens.get(key)) for key in keys), sae.n).csr().astype(float)


def _decided(
    matches: Sequence[ConceptMatch], cosine_ON: NDArray[np.float64], mass_O: NDArray[np.float64],
    min_score: float,
) -> Carried:  # fmt: skip
    """Matches by activations whose directions agree as well."""
    pairs: dict[int, Pair] = {}
    lost: dict[int, str] = {}
    for match in matches:
        if not mass_O[match.old] > 0:
            lost[match.old] = "silent"
        elif match.new is None:
            lost[match.old] = match.missed or "weak"
        elif cosine_ON[match.old, match.new] < min_score:
            lost[match.old] = "turned"
        else:
            cosine = float(cosine_ON[match.old, match.new])
            pairs[match.old] = Pair(match.new, cosine, float(match.score))
    kept = float(mass_O[list(pairs)].sum())
    return Carried(pairs, lost, kept / max(float(mass_O.sum()), 1e-12))
