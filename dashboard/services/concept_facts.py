"""Where a concept fires (classes, groups, places in the image) and which others lie near it.

Legend: I images, F images in which it fires, N concepts, D embedding, P patches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from dashboard.services.concept_examples import Codes, concept_map
from dashboard.viewmodels.concepts import FactsView, FiringView, NeighbourView, PositionsView
from db.records import ConceptRecord, ImageRecord

if TYPE_CHECKING:
    from core.sae import SparseAutoencoder

NEAREST: Final = 8
LOOKED_AT: Final = 200  # images behind the heat map of positions, spread over all strengths
NO_LABEL: Final = "no label"


def facts(
    codes: Codes,
    concept: ConceptRecord,
    images: Mapping[str, ImageRecord],
    near: Sequence[tuple[int, float]],
    others: Mapping[int, ConceptRecord],
) -> FactsView:
    """Everything that the codes say of one concept.

    Args:
        images: of the project, by sha256.
        near: what `nearest` found.
        others: the concepts that `near` names, by number.
    """
    rows, values = codes.of(concept.number)
    strength_I = np.zeros(len(codes.shas), dtype=np.float32)
    strength_I[rows] = values
    known = [images.get(sha) for sha in codes.shas]

    def by(words: Sequence[str | None]) -> tuple[FiringView, ...]:
        return firing(words, strength_I)

    groups = by([image.group_name if image else None for image in known])
    splits = by([image.split if image else None for image in known])
    return FactsView(
        images=len(codes.shas),
        classes=by([(image.label or NO_LABEL) if image else None for image in known]),
        groups=groups,
        splits=splits if len(splits) > 1 else (),
        positions=positions(codes, concept.number, rows),
        nearest=tuple(
            NeighbourView(
                others[n].id, n, others[n].shown_name, cosine, others[n].frequency
            )
            for n, cosine in near
            if n in others
        ),
    )  # fmt: skip


def firing(words: Sequence[str | None], strength_I: NDArray[np.float32]) -> tuple[FiringView, ...]:
    """How often and how strongly it fires per word, most often first; None belongs to none.

    >>> firing(["a", "b", "a", None], np.array([2, 0, 4, 1], dtype=np.float32))[0]
    FiringView(name='a', images=2, total=2, strength=3.0)
    """
    places: dict[str, list[int]] = {}
    for at, word in enumerate(words):
        if word is not None:
            places.setdefault(word, []).append(at)
    found = []
    for word, at_word in places.items():
        values = strength_I[at_word]
        fired = values[values > 0]
        mean = float(fired.mean(dtype=np.float64)) if len(fired) else 0.0
        found.append(FiringView(word, len(fired), len(at_word), mean))
    return tuple(sorted(found, key=lambda each: (-each.share, each.name)))


def positions(codes: Codes, concept: int, rows: NDArray[np.int64]) -> PositionsView | None:
    """The share of images in which it fires at each patch; None where it fires nowhere."""
    if not len(rows):
        return None
    spread = np.unique(np.linspace(0, len(rows) - 1, min(LOOKED_AT, len(rows))).round())
    grid = codes.bundle.manifest.encoder.grid
    fired_P = np.zeros(grid[0] * grid[1], dtype=np.int64)
    looked = rows[spread.astype(np.int64)]
    for row in looked:
        fired_P += concept_map(codes.bundle.sae, codes.tokens.get(codes.shas[row]), concept) > 0
    shares = (fired_P / len(looked)).tolist()
    return PositionsView(grid, tuple(float(share) for share in shares), len(looked))


def nearest(
    sae: SparseAutoencoder, concept: int, count: int = NEAREST
) -> tuple[tuple[int, float], ...]:
    """(number, cosine) of the concepts whose directions are closest, largest cosine first."""
    decoder_ND = sae.decoder_ND.numpy()
    lengths_N = np.linalg.norm(decoder_ND, axis=1)
    lengths_N[lengths_N == 0] = 1.0
    cosine_N = decoder_ND @ decoder_ND[concept] / (lengths_N * lengths_N[concept])
    cosine_N[concept] = -np.inf
    order = np.argsort(-cosine_N, kind="stable")[: min(count, len(cosine_N) - 1)]
    return tuple((int(n), float(np.clip(cosine_N[n], -1.0, 1.0))) for n in order)
