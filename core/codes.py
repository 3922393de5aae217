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
from typing import Any, BinaryIO, Final

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.errors import BundleError
from core.files import write_json

FORMAT: Final = 1
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

    def pooled(self) -> NDArray[np.float32]:
        """Maximum over the tokens, float32 [N]; 0 where a concept never fires."""
        out = np.zeros(self.n, dtype=np.float32)
        np.maximum.at(out, np.asarray(self.index, np.int64), np.asarray(self.value, np.float32))
        return out


class CodeStore:
    """Codes of many images on disk: memory-mapped, any image in constant time.

    A write goes to fresh files and becomes visible with the manifest, which is replaced
    atomically: after a kill the former content stands. Files: index, value, indptr (over
    tokens), all raw little-endian, and manifest.json with the image keys.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, items: Iterable[tuple[str, Codes]], n: int) -> int:
        """Replace the content by (image key, codes [P, N]) pairs; return the count of images.

        Holds one image in memory at a time, apart from the keys.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        tag = uuid.uuid4().hex[:12]
        names = {part: f"{part}-{tag}.bin" for part in ("index", "value", "indptr")}
        keys: list[str] = []
        first_token = [0]
        with ExitStack() as stack:
            files = {k: stack.enter_context((self.folder / v).open("wb")) for k, v in names.items()}
            nnz = _write_entries(files, items, n, keys, first_token)
            for handle in files.values():
                handle.flush()
                os.fsync(handle.fileno())
        manifest = {"format": FORMAT, "n": n, "nnz": nnz, "files": names}
        self._publish({**manifest, "keys": keys, "first_token": first_token})
        return len(keys)

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
        """Codes of one image, [P, N]; views into the memory map."""
        return self.all().slice(int(self.first_token[row]), int(self.first_token[row + 1]))

    @cached_property
    def first_token(self) -> NDArray[np.int64]:
        """[I + 1]: image i owns tokens first_token[i]:first_token[i+1]."""
        return np.asarray(self._manifest["first_token"], dtype=np.int64)

    def all(self) -> Codes:
        """Codes of every token of every image, [I*P, N], memory-mapped."""
        return self._all

    def pooled(self) -> sp.csr_matrix:
        """Maximum over the patches of each image, float32 CSR [I, N]."""
        blocks = [_pool_rows(self.image(row)) for row in range(len(self))]
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
            raise BundleError(str(path.name), "the store of codes cannot be read") from error
        if loaded.get("format") != FORMAT:
            raise BundleError(str(path.name), f"format {loaded.get('format')} is not {FORMAT}")
        return loaded

    @cached_property
    def _all(self) -> Codes:
        nnz, tokens = int(self._manifest["nnz"]), int(self.first_token[-1])
        return Codes(
            self._map("indptr", np.int64, tokens + 1),
            self._map("index", index_dtype(self.n), nnz),
            self._map("value", np.float16, nnz),
            self.n,
        )

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
        for name in ("_manifest", "keys", "first_token", "_rows", "_all"):
            self.__dict__.pop(name, None)


def _write_entries(
    files: Mapping[str, BinaryIO],
    items: Iterable[tuple[str, Codes]],
    n: int,
    keys: list[str],
    first_token: list[int],
) -> int:
    """Append every image to the open files; fills keys and first_token, returns the entries."""
    nnz = 0
    files["indptr"].write(np.zeros(1, dtype="<i8").tobytes())
    for key, codes in items:
        if codes.n != n:
            raise ValueError(f"codes of {codes.n} concepts in a store of {n}")
        keys.append(key)
        first_token.append(first_token[-1] + len(codes))
        files["indptr"].write((np.asarray(codes.indptr[1:]) + nnz).astype("<i8").tobytes())
        files["index"].write(np.ascontiguousarray(codes.index, dtype=index_dtype(n)).tobytes())
        files["value"].write(np.ascontiguousarray(codes.value, dtype=np.float16).tobytes())
        nnz += codes.nnz
    return nnz


def _pool_rows(codes: Codes) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Concepts that fire in an image, ascending, and the maximum of each."""
    index = np.asarray(codes.index, dtype=np.int64)
    if not len(index):
        return index, np.zeros(0, np.float32)
    order = np.argsort(index, kind="stable")
    ordered = index[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    value = np.asarray(codes.value, dtype=np.float32)[order]
    return ordered[starts], np.maximum.reduceat(value, starts)


def iter_images(store: CodeStore) -> Iterator[tuple[str, Codes]]:
    """Every (key, codes [P, N]) of a store in row order."""
    for row, key in enumerate(store.keys):
        yield key, store.image(row)
