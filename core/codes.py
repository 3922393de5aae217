"""Sparse codes of tokens: which concepts fire where, and how strongly.

Legend: M tokens, N concepts, I images, P patches of one image, Z stored entries.
"""

import json
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Final, assert_never

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.errors import BundleError
from core.files import write_json
from core.heads import Pooling

FORMAT: Final = 2
MANIFEST: Final = "manifest.json"


def index_dtype(n: int) -> type[np.uint16] | type[np.uint32]:
    """The smallest index type for n concepts: uint16 up to 65536, else uint32."""
    return np.uint16 if n <= 65536 else np.uint32


@dataclass(frozen=True)
class Codes:
    """Activations of N concepts on M tokens, compressed by rows (CSR over tokens).

    Token m holds entries indptr[m]:indptr[m+1]; within a token the concepts ascend.
    """

    indptr: NDArray[np.int64]  # [M + 1], starts at 0
    index: NDArray[Any]  # [Z] uint16 or uint32, concept of each entry
    value: NDArray[np.float16]  # [Z] > 0, in units of the token's length
    n: int  # N

    @classmethod
    def from_dense(cls, acts_MN: Tensor) -> "Codes":
        """Compress dense activations [M, N] >= 0; zeros are dropped, values rounded to fp16."""
        acts = acts_MN.detach().to("cpu", torch.float16)
        rows, columns = torch.nonzero(acts, as_tuple=True)
        return cls.from_entries(rows, columns, acts[rows, columns], *acts.shape)

    @classmethod
    def from_entries(cls, rows: Tensor, columns: Tensor, value: Tensor, m: int, n: int) -> "Codes":
        """From row-major sorted entries: rows, columns int64 [Z], value [Z]."""
        counts = torch.bincount(rows, minlength=m)
        indptr = np.zeros(m + 1, dtype=np.int64)
        np.cumsum(counts.numpy(), out=indptr[1:])
        index = columns.numpy().astype(index_dtype(n))
        return cls(indptr, index, value.to(torch.float16).numpy(), n)

    @classmethod
    def concat(cls, parts: Iterable["Codes"], n: int) -> "Codes":
        """Stack codes of the same dictionary over tokens; no parts give 0 tokens."""
        blocks = list(parts)
        indptr, stored = [np.zeros(1, dtype=np.int64)], 0
        for part in blocks:
            indptr.append(part.indptr[1:] + stored)
            stored += part.nnz
        return cls(
            np.concatenate(indptr),
            np.concatenate([np.zeros(0, index_dtype(n)), *(part.index for part in blocks)]),
            np.concatenate([np.zeros(0, np.float16), *(part.value for part in blocks)]),
            n,
        )

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @property
    def nnz(self) -> int:
        """Count of stored entries Z."""
        return len(self.index)

    def slice(self, start: int, stop: int) -> "Codes":
        """Tokens start..stop (exclusive) as codes of their own; the arrays are views."""
        first, last = int(self.indptr[start]), int(self.indptr[stop])
        indptr = np.asarray(self.indptr[start : stop + 1]) - first
        return Codes(indptr, self.index[first:last], self.value[first:last], self.n)

    def csr(self) -> sp.csr_matrix:
        """As scipy CSR, float32 [M, N]."""
        value = np.asarray(self.value, dtype=np.float32)
        index = np.asarray(self.index, dtype=np.int64)
        return sp.csr_matrix((value, index, self.indptr), shape=(len(self), self.n))

    def dense(self) -> Tensor:
        """As a dense tensor, float32 [M, N]. For few tokens only."""
        return torch.from_numpy(self.csr().toarray())

    def map_of(self, concept: int) -> NDArray[np.float32]:
        """Activation of one concept on every token, float32 [M]."""
        found = np.flatnonzero(self.index == concept)
        out = np.zeros(len(self), dtype=np.float32)
        out[np.searchsorted(self.indptr, found, side="right") - 1] = self.value[found]
        return out

    def pooled(self, how: Pooling = "max") -> NDArray[np.float32]:
        """Maximum or mean over the tokens, float32 [N]; 0 where a concept never fires."""
        out = np.zeros(self.n, dtype=np.float32)
        index, value = _pool_rows(self, how)
        out[index] = value
        return out


class CodeStore:
    """Codes of many images on disk: memory-mapped, any image in constant time.

    A write goes to fresh files and becomes visible with the manifest, which is replaced
    atomically: after a kill the former content stands. Files, all raw little-endian:

    index, value: the entries, uint16 or uint32 and fp16.
    counts: entries of each token, in the smallest unsigned type that n entries fit.
    images: int64 [I + 1, 2], first token and first entry of each image, and the ends.
    manifest.json: format, n, count of entries, names of the files, image keys.

    Format 1, with an int64 pointer per token instead of counts and images, still reads.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, items: Iterable[tuple[str, Codes]], n: int) -> int:
        """Replace the content by (image key, codes [P, N]) pairs; return the count of images.

        Holds one image in memory at a time, apart from keys and places.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        tag = uuid.uuid4().hex[:12]
        names = {part: f"{part}-{tag}.bin" for part in ("index", "value", "counts", "images")}
        keys: list[str] = []
        with ExitStack() as stack:
            files = {k: stack.enter_context((self.folder / v).open("wb")) for k, v in names.items()}
            nnz = _write_entries(files, items, n, keys)
            for handle in files.values():
                handle.flush()
                os.fsync(handle.fileno())
        self._publish({"format": FORMAT, "n": n, "nnz": nnz, "files": names, "keys": keys})
        return len(keys)

    @property
    def bytes_on_disk(self) -> int:
        """Bytes of all files of the store, manifest included."""
        names = (*self._manifest["files"].values(), MANIFEST)
        return sum((self.folder / name).stat().st_size for name in names)

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def n(self) -> int:
        """Size N of the dictionary."""
        return int(self._manifest["n"])

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Image keys (sha256) in the order of the rows."""
        return tuple(self._manifest["keys"])

    def row_of(self, key: str) -> int:
        """Row of an image key. Raises KeyError."""
        return self._rows[key]

    def image(self, row: int) -> Codes:
        """Codes of one image, [P, N]; entries are views into the memory map.

        Reads this image's part of the files alone, however many images there are.
        Raises IndexError.
        """
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)} images")
        (token, entry), (last_token, last_entry) = self._images[row : row + 2].tolist()
        indptr = np.zeros(last_token - token + 1, dtype=np.int64)
        np.cumsum(self._counts[token:last_token], out=indptr[1:])
        index, value = self._index[entry:last_entry], self._value[entry:last_entry]
        return Codes(indptr, index, value, self.n)

    @property
    def first_token(self) -> NDArray[np.int64]:
        """[I + 1]: image i owns tokens first_token[i]:first_token[i+1]."""
        return np.asarray(self._images[:, 0])

    def all(self) -> Codes:
        """Codes of every token of every image, [I*P, N]; entries memory-mapped.

        The pointers (8 bytes per token) are made in memory on the first call.
        """
        return self._all

    def pooled(self, how: Pooling = "max") -> sp.csr_matrix:
        """Maximum or mean over the patches of each image, float32 CSR [I, N]."""
        blocks = [_pool_rows(self.image(row), how) for row in range(len(self))]
        indptr = np.cumsum([0, *(len(index) for index, _ in blocks)], dtype=np.int64)
        index = np.concatenate([np.zeros(0, np.int64), *(index for index, _ in blocks)])
        value = np.concatenate([np.zeros(0, np.float32), *(value for _, value in blocks)])
        return sp.csr_matrix((value, index, indptr), shape=(len(self), self.n))

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {key: row for row, key in enumerate(self.keys)}

    @cached_property
    def _manifest(self) -> dict[str, Any]:
        path = self.folder / MANIFEST
        try:
            loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BundleError(path.name, "the store of codes cannot be read") from error
        if not isinstance(loaded, dict) or loaded.get("format") not in (1, FORMAT):
            found = loaded.get("format") if isinstance(loaded, dict) else None
            raise BundleError(path.name, f"format {found} is none of 1 and {FORMAT}")
        return loaded

    @cached_property
    def _images(self) -> NDArray[np.int64]:
        """First token and first entry of each image, int64 [I + 1, 2]."""
        if self._manifest["format"] == 1:
            first = np.asarray(self._manifest["first_token"], dtype=np.int64)
            return np.stack([first, self._pointers_1[first]], axis=1)
        flat = self._map("images", np.int64, 2 * (len(self.keys) + 1))
        return np.asarray(flat).reshape(-1, 2)

    @cached_property
    def _counts(self) -> NDArray[Any]:
        """Entries of every token."""
        if self._manifest["format"] == 1:
            return np.diff(self._pointers_1)
        return self._map("counts", count_dtype(self.n), int(self._images[-1, 0]))

    @cached_property
    def _pointers_1(self) -> NDArray[np.int64]:
        """What format 1 keeps: first entry of every token, int64 [tokens + 1]."""
        return self._map("indptr", np.int64, int(self._manifest["first_token"][-1]) + 1)

    @cached_property
    def _index(self) -> NDArray[Any]:
        return self._map("index", index_dtype(self.n), int(self._manifest["nnz"]))

    @cached_property
    def _value(self) -> NDArray[np.float16]:
        return self._map("value", np.float16, int(self._manifest["nnz"]))

    @cached_property
    def _all(self) -> Codes:
        indptr = np.zeros(len(self._counts) + 1, dtype=np.int64)
        np.cumsum(self._counts, out=indptr[1:])
        return Codes(indptr, self._index, self._value, self.n)

    def _map(self, part: str, dtype: type, count: int) -> NDArray[Any]:
        """Memory-map one file; an empty file cannot be mapped, so it gives an empty array."""
        path = self.folder / self._manifest["files"][part]
        expected = count * np.dtype(dtype).itemsize
        if not path.is_file() or path.stat().st_size != expected:
            raise BundleError(path.name, "the file is missing or has another size than recorded")
        return np.memmap(path, dtype=dtype, mode="r") if count else np.zeros(0, dtype)

    def _publish(self, manifest: dict[str, Any]) -> None:
        write_json(self.folder / MANIFEST, manifest)
        keep = {*manifest["files"].values(), MANIFEST}
        for old in self.folder.iterdir():
            if old.name not in keep:
                old.unlink(missing_ok=True)
        cached = [k for k, v in vars(CodeStore).items() if isinstance(v, cached_property)]
        for name in cached:
            self.__dict__.pop(name, None)


def count_dtype(n: int) -> type[np.uint8] | type[np.uint16] | type[np.uint32]:
    """The smallest type that holds the count of entries of a token, 0 to n."""
    return np.uint8 if n <= 255 else np.uint16 if n <= 65535 else np.uint32


def _write_entries(
    files: Mapping[str, BinaryIO], items: Iterable[tuple[str, Codes]], n: int, keys: list[str]
) -> int:
    """Append every image to the open files; fills keys, returns the count of entries."""
    token = entry = 0
    files["images"].write(np.zeros(2, dtype="<i8").tobytes())
    for key, codes in items:
        if codes.n != n:
            raise ValueError(f"codes of {codes.n} concepts in a store of {n}")
        keys.append(key)
        token, entry = token + len(codes), entry + codes.nnz
        files["images"].write(np.array([token, entry], dtype="<i8").tobytes())
        files["counts"].write(np.diff(codes.indptr).astype(count_dtype(n)).tobytes())
        files["index"].write(np.ascontiguousarray(codes.index, dtype=index_dtype(n)).tobytes())
        files["value"].write(np.ascontiguousarray(codes.value, dtype=np.float16).tobytes())
    return entry


def _pool_rows(codes: Codes, how: Pooling) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Concepts that fire in an image, ascending, and the maximum or mean of each."""
    index = np.asarray(codes.index, dtype=np.int64)
    if not len(index):
        return index, np.zeros(0, np.float32)
    order = np.argsort(index, kind="stable")
    ordered = index[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    value = np.asarray(codes.value, dtype=np.float32)[order]
    match how:
        case "max":
            return ordered[starts], np.maximum.reduceat(value, starts)
        case "mean":  # summed in float64: reduceat adds one by one
            total = np.add.reduceat(value.astype(np.float64), starts)
            return ordered[starts], (total / len(codes)).astype(np.float32)
        case _:
            assert_never(how)


def iter_images(store: CodeStore) -> Iterator[tuple[str, Codes]]:
    """Every (key, codes [P, N]) of a store in row order."""
    for row, key in enumerate(store.keys):
        yield key, store.image(row)
