"""Matryoshka BatchTopK sparse autoencoder: concepts as directions, with levels."""

from core.sae.config import PAPER_FRACTIONS, SAEConfig, TrainConfig, group_sizes
from core.sae.model import SparseAutoencoder, from_state

__all__ = [
    "PAPER_FRACTIONS",
    "SAEConfig",
    "SparseAutoencoder",
    "TrainConfig",
    "from_state",
    "group_sizes",
]
