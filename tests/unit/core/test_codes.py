import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from core.codes import Codes, CodeStore, count_dtype, index_dtype, iter_images
from core.errors import BundleError


def acts(seed: int, m: int, n: int, share: float = 0.2) -> Tensor:
    """Sparse activations that fp16 holds exactly."""
    generator = torch.Generator().manual_seed(seed)
    dense = torch.rand(m, n, generator=generator).half().float()
    return dense * (torch.rand(m, n, generator=generator) < share)


def test_hand_computed_codes() -> None:
    codes = Codes.from_dense(torch.tensor([[0.0, 2.0, 0.5], [0.0, 0.0, 0.0], [1.0, 0.0, 3.0]]))
    assert codes.indptr.tolist() == [0, 2, 2, 4]
    assert codes.index.tolist() == [1, 2, 0, 2]
    assert codes.value.tolist() == [2.0, 0.5, 1.0, 3.0]
    assert (len(codes), codes.nnz, codes.n) == (3, 4, 3)
    assert codes.map_of(2).tolist() == [0.5, 0.0, 3.0]
    assert codes.map_of(1).tolist() == [2.0, 0.0, 0.0]
    assert codes.pooled().tolist() == [1.0, 2.0, 3.0]
    assert codes.slice(1, 3).dense().tolist() == [[0.0, 0.0, 0.0], [1.0, 0.0, 3.0]]


@pytest.mark.parametrize(("n", "dtype"), [(65536, np.uint16), (65537, np.uint32)])
def test_index_is_as_small_as_it_can_be(n: int, dtype: type) -> None:
    assert index_dtype(n) is dtype
    last = torch.tensor([n - 1])
    codes = Codes.from_entries(torch.tensor([0]), last, torch.tensor([1.0]), 1, n)
    assert codes.index.dtype == dtype
    assert codes.index.tolist() == [n - 1]


@settings(max_examples=50, deadline=None)
@given(m=st.integers(0, 20), n=st.integers(1, 30), seed=st.integers(0, 999), cut=st.floats(0, 1))
def test_dense_and_back(m: int, n: int, seed: int, cut: float) -> None:
    dense = acts(seed, m, n)
    codes = Codes.from_dense(dense)
    assert torch.equal(codes.dense(), dense)
    at = int(cut * m)
    joined = Codes.concat([codes.slice(0, at), codes.slice(at, m)], n)
    assert torch.equal(joined.dense(), dense)
    if m:
        assert codes.pooled().tolist() == dense.max(0).values.tolist()
        assert np.array_equal(codes.map_of(n - 1), dense[:, n - 1].numpy())


def test_concat_of_nothing() -> None:
    codes = Codes.concat([], 5)
    assert (len(codes), codes.nnz) == (0, 0)
    assert codes.index.dtype == np.uint16


def images(count: int, n: int = 12, start: int = 0) -> Iterator[tuple[str, Codes]]:
    for image in range(start, start + count):
        yield f"sha{image}", Codes.from_dense(acts(image, 4 + image % 2, n))


def test_store_gives_back_what_was_written(tmp_path: Path) -> None:
    store = CodeStore(tmp_path / "codes")
    assert store.write(images(6), 12) == 6
    again = CodeStore(tmp_path / "codes")
    assert (len(again), again.n) == (6, 12)
    assert again.keys == tuple(f"sha{image}" for image in range(6))
    assert again.row_of("sha4") == 4
    for row, (key, codes) in enumerate(images(6)):
        found = again.image(row)
        assert torch.equal(found.dense(), codes.dense()), key
        assert found.index.dtype == np.uint16
    assert len(again.all()) == int(again.first_token[-1]) == 4 * 3 + 5 * 3
    assert [key for key, _ in iter_images(again)] == list(again.keys)


def test_pooled_is_the_maximum_over_patches(tmp_path: Path) -> None:
    store = CodeStore(tmp_path)
    store.write(images(5), 12)
    expected = np.stack([codes.pooled() for _, codes in images(5)])
    pooled = store.pooled()
    assert pooled.dtype == np.float32
    assert np.array_equal(pooled.toarray(), expected)


def test_images_without_any_concept(tmp_path: Path) -> None:
    store = CodeStore(tmp_path)
    empty = Codes.from_dense(torch.zeros(3, 4))
    store.write([("a", empty), ("b", empty)], 4)
    assert store.pooled().toarray().tolist() == [[0.0] * 4] * 2
    assert store.image(1).dense().shape == (3, 4)


def test_a_store_without_images(tmp_path: Path) -> None:
    store = CodeStore(tmp_path)
    assert store.write([], 4) == 0
    assert len(store) == 0
    assert store.pooled().shape == (0, 4)


def test_rewriting_replaces_and_cleans_up(tmp_path: Path) -> None:
    store = CodeStore(tmp_path)
    store.write(images(6), 12)
    held = store.image(0)
    expected = held.dense()
    store.write(images(2, start=10), 12)
    assert store.keys == ("sha10", "sha11")
    assert len(list(tmp_path.iterdir())) == 5
    assert torch.equal(held.dense(), expected)  # a reader of the old content is not disturbed


def test_a_write_that_dies_leaves_the_old_content(tmp_path: Path) -> None:
    store = CodeStore(tmp_path)
    store.write(images(3), 12)

    def dying() -> Iterator[tuple[str, Codes]]:
        yield from images(2, start=20)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.write(dying(), 12)
    again = CodeStore(tmp_path)
    assert again.keys == ("sha0", "sha1", "sha2")
    assert torch.equal(again.image(1).dense(), next(c for k, c in images(3) if k == "sha1").dense())
    store.write(images(1), 12)
    assert len(list(tmp_path.iterdir())) == 5


def test_codes_of_another_dictionary_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="12 concepts in a store of 13"):
        CodeStore(tmp_path).write(images(1), 13)


def test_damage_is_reported(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="cannot be read"):
        len(CodeStore(tmp_path))
    CodeStore(tmp_path).write(images(3), 12)
    next(tmp_path.glob("value-*.bin")).write_bytes(b"short")
    with pytest.raises(BundleError, match="another size than recorded"):
        CodeStore(tmp_path).image(0)
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "format": 99}))
    with pytest.raises(BundleError, match="format 99"):
        len(CodeStore(tmp_path))


def write_format_1(folder: Path, items: list[tuple[str, Codes]], n: int) -> None:
    """A store as the first release wrote it: an int64 pointer per token."""
    joined = Codes.concat([codes for _, codes in items], n)
    parts = {"index": joined.index, "value": joined.value, "indptr": joined.indptr}
    for name, values in parts.items():
        (folder / f"{name}-old.bin").write_bytes(values.tobytes())
    first = [0, *np.cumsum([len(codes) for _, codes in items]).tolist()]
    manifest = {
        "format": 1,
        "n": n,
        "nnz": joined.nnz,
        "files": {name: f"{name}-old.bin" for name in parts},
        "keys": [key for key, _ in items],
        "first_token": first,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_a_store_of_the_first_release_still_reads(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    write_format_1(tmp_path / "old", list(images(5)), 12)
    old, new = CodeStore(tmp_path / "old"), CodeStore(tmp_path / "new")
    new.write(images(5), 12)
    assert old.first_token.tolist() == new.first_token.tolist()
    assert torch.equal(old.all().dense(), new.all().dense())
    for row in range(5):
        assert torch.equal(old.image(row).dense(), new.image(row).dense())
    assert old.bytes_on_disk > new.bytes_on_disk
    old.write(images(2), 12)  # and is rewritten in the present form
    assert len(list((tmp_path / "old").glob("*.bin"))) == 4


@pytest.mark.parametrize(
    ("n", "dtype"), [(255, np.uint8), (256, np.uint16), (65535, np.uint16), (65536, np.uint32)]
)
def test_counts_are_as_small_as_they_can_be(n: int, dtype: type) -> None:
    assert count_dtype(n) is dtype


def test_a_token_in_which_everything_fires(tmp_path: Path) -> None:
    store = CodeStore(tmp_path)
    full = Codes.from_dense(torch.ones(2, 255))
    store.write([("a", full)], 255)
    assert torch.equal(store.image(0).dense(), torch.ones(2, 255))


def test_bytes_on_disk_by_hand(tmp_path: Path) -> None:
    store = CodeStore(tmp_path)
    store.write([("a", Codes.from_dense(torch.eye(3, 300)))], 300)
    entries, counts, places = 3 * (2 + 2), 3 * 2, 2 * 2 * 8
    manifest = (tmp_path / "manifest.json").stat().st_size
    assert store.bytes_on_disk == entries + counts + places + manifest


def test_rows_outside_are_refused(tmp_path: Path) -> None:
    store = CodeStore(tmp_path)
    store.write(images(2), 12)
    for row in (-1, 2):
        with pytest.raises(IndexError, match="of 2 images"):
            store.image(row)
