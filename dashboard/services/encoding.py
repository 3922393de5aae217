"""Tokens of images in chunks that do not depend on where a former attempt was stopped.

The last bits of an image's tokens depend on the images that were encoded with it. A run that goes
on must find the same bits, so the list is cut once and a chunk is always encoded whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from dashboard.services.progress import Progress

if TYPE_CHECKING:
    from torch import Tensor

    from core.encoder import Encoder
    from core.tokens import TokenStore

CHUNK = 32  # images


def encode_whole_chunks(
    store: TokenStore,
    encoder: Encoder,
    shas: Sequence[str],
    load: Callable[[str], Any],
    progress: Progress,
) -> None:
    """Add the tokens of all images that are not in the store yet.

    Args:
        shas: keys; their order and number decide the chunks.
        load: key -> RGB uint8 [H, W, 3]. What it raises is passed on.
    """
    store.refresh()
    store.write(_encoded(store, encoder, shas, load, progress), shard_images=CHUNK)
    progress(1.0, "encoding the images anew")


def _encoded(
    store: TokenStore,
    encoder: Encoder,
    shas: Sequence[str],
    load: Callable[[str], Any],
    progress: Progress,
) -> Iterator[tuple[str, Tensor]]:
    for start in range(0, len(shas), CHUNK):
        progress(start / len(shas), "encoding the images anew")
        chunk = shas[start : start + CHUNK]
        if store.missing(chunk):
            tokens_BPD = encoder.encode_images([load(sha) for sha in chunk]).tokens_BPD
            yield from zip(chunk, tokens_BPD, strict=True)
