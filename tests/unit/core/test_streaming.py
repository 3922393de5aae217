from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.encoder import DenseFeatures
from core.errors import ConfigError, ImageError
from core.streaming import EncoderSource, SeekableStream, ShuffledStream, StoreSource
from core.tokens import TokenStore
from core.types import EncoderInfo

P, D = 4, 3


class CountingEncoder:
    """Tokens hold the brightness of the image and the number of the patch; counts its images."""

    info = EncoderInfo("counting", "e" * 64, D, (2, 2), 8)

    def __init__(self) -> None:
        self.encoded = 0

    def encode_images(self, images: Sequence[NDArray[np.uint8]]) -> DenseFeatures:
        self.encoded += len(images)
        bright = [float(image[0, 0, 0]) for image in images]
        tokens = [[[b, float(p), 1.0] for p in range(P)] for b in bright]
        tokens_BPD = torch.tensor(tokens).reshape(len(images), P, D)
        tokens_BPD[tokens_BPD[..., 0] == 255.0] = torch.nan
        return DenseFeatures(tokens_BPD, torch.ones(len(images), D))

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        return torch.ones(len(texts), D)


def load(key: str) -> NDArray[np.uint8]:
    if key.endswith("3"):
        raise ImageError(key, "the image is damaged")
    if key.endswith("7"):
        raise OSError("no such file")
    return np.full((8, 8, 3), int(key), np.uint8)


def source(count: int = 20, **options: object) -> EncoderSource:
    keys = [str(image) for image in range(count)]
    return EncoderSource(CountingEncoder(), keys, load, block=3, **options)  # type: ignore[arg-type]


def rows_of(parts: list[Tensor]) -> list[tuple[float, ...]]:
    return [tuple(row) for part in parts for row in part.tolist()]


GOOD = [image for image in range(20) if image % 10 not in (3, 7)]
EXPECTED = sorted((float(image), float(patch), 1.0) for image in GOOD for patch in range(P))


def test_every_token_of_the_good_images_once_per_epoch() -> None:
    told: list[tuple[str, str]] = []
    stream = ShuffledStream(
        source(on_bad=lambda key, reason: told.append((key, reason))), batch=10, buffer=24
    )
    first, second = list(stream(0)), list(stream(1))
    assert sorted(rows_of(first)) == sorted(rows_of(second)) == EXPECTED
    assert rows_of(first) != rows_of(second)
    assert rows_of(list(stream(0))) == rows_of(first)
    assert sorted(told) == [
        ("13", "the image is damaged"),
        ("17", "no such file"),
        ("3", "the image is damaged"),
        ("7", "no such file"),
    ]


def test_tokens_that_are_not_finite_are_skipped() -> None:
    from_one = EncoderSource(CountingEncoder(), ["255", "1"], load)
    rows = rows_of(list(ShuffledStream(from_one, batch=9)(0)))
    assert sorted(rows) == [(1.0, float(patch), 1.0) for patch in range(P)]
    assert from_one.skipped == {"255": "the encoder gives values that are not finite"}


@pytest.mark.parametrize("skip", [0, 1, 3, 5, 7, 9])
def test_seeking_after_an_interruption(skip: int) -> None:
    stream = ShuffledStream(source(), batch=8, buffer=24, seed=4)
    assert isinstance(stream, SeekableStream)
    parts = stream(2)
    for _ in range(skip):
        next(parts, None)
    state = stream.state()
    again = ShuffledStream(source(), batch=8, buffer=24, seed=4)
    again.restore(state)
    assert rows_of(list(again.seek(2, skip))) == rows_of(list(parts))


def test_seeking_encodes_only_what_is_in_the_pool() -> None:
    encoder = CountingEncoder()
    keys = [str(image) for image in range(200) if image % 10 not in (3, 7)]
    stream = ShuffledStream(EncoderSource(encoder, keys, load, block=2), batch=16, buffer=16)
    list(stream.seek(0, 36))
    assert encoder.encoded < 60  # of 160; the last 16 and what the pool still holds


def test_an_image_lost_during_the_interruption_is_an_error() -> None:
    first = ShuffledStream(source(10), batch=8, buffer=24)
    state = first.state()  # taken before the bad ones were met
    again = ShuffledStream(source(10), batch=8, buffer=24)
    again.restore(state)
    with pytest.raises(ConfigError, match="could be read before"):
        list(again.seek(0, 2))


def test_state_of_other_images_is_refused() -> None:
    state = ShuffledStream(source(9), batch=8).state()
    for other in (ShuffledStream(source(10), 8), ShuffledStream(source(9), 8, seed=1)):
        with pytest.raises(ConfigError, match="not those of the earlier run"):
            other.restore(state)


def test_processes_share_the_images() -> None:
    parts = [ShuffledStream(source(), batch=8, rank=rank, world=3) for rank in range(3)]
    rows = [rows_of(list(part(0))) for part in parts]
    assert sorted(row for part in rows for row in part) == EXPECTED


def test_with_a_store_each_image_is_encoded_once(tmp_path: Path) -> None:
    store = TokenStore(tmp_path, "bf16")
    kept = source(store=store, dtype=torch.bfloat16)
    stream = ShuffledStream(kept, batch=10, buffer=24)
    first = rows_of(list(stream(0)))
    encoder = kept._encoder
    assert isinstance(encoder, CountingEncoder)
    assert encoder.encoded == len(GOOD) == len(store)
    second = rows_of(list(stream(1)))
    assert encoder.encoded == len(GOOD)
    assert sorted(first) == sorted(second) == EXPECTED
    from_store = ShuffledStream(StoreSource(store, sorted(store.shas())), batch=10)
    assert sorted(rows_of(list(from_store(0)))) == EXPECTED


def test_what_cannot_work_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="listed twice"):
        EncoderSource(CountingEncoder(), ["1", "1"], load)
    with pytest.raises(ConfigError, match="block"):
        EncoderSource(CountingEncoder(), ["1"], load, block=0)
    with pytest.raises(ConfigError, match="no tokens yet"):
        StoreSource(TokenStore(tmp_path), ["1"])
    with pytest.raises(ConfigError, match="2 images for 3 processes"):
        ShuffledStream(source(2), batch=1, world=3)
    with pytest.raises(ConfigError, match="at least 1"):
        ShuffledStream(source(2), batch=0)
