"""Pooled codes of images on disk: a cache of plain arrays that can be deleted and made again.

Each call of `add` makes one file (`NAME.npz`: keys, indptr, index, value), written beside its
place and renamed, so that a kill leaves whole files only. Legend: I images, N concepts.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from core.errors import BundleError


class PooledStore:
    """One sparse row of N pooled activations per image sha256."""

    def __init__(self, folder: Path, n: int) -> None:
        self._folder = folder
        self._n = n
        self._rows: dict[str, tuple[Any, int]] = {}
        self._seen: set[str] = set()
        self._refresh()

    def missing(self, shas: Iterable[str]) -> list[str]:
        """Keys that are not here yet, without repeats, in the order given."""
        self._refresh()
        return [sha for sha in dict.fromkeys(shas) if sha not in self._rows]

    def add(self, shas: Sequence[str], pooled_IN: Any) -> None:
        """Keep the rows of a CSR matrix [I, N] under their keys."""
        matrix = sparse.csr_matrix(pooled_IN, dtype=np.float32)
        if matrix.shape != (len(shas), self._n):
            raise ValueError(f"{matrix.shape} does not fit {len(shas)} x {self._n} codes")
        self._folder.mkdir(parents=True, exist_ok=True)
        name = f"pooled-{uuid.uuid4().hex[:12]}"
        fresh = self._folder / f".{name}.tmp"
        with fresh.open("wb") as handle:
            np.savez(
                handle,
                keys=np.array(shas, dtype="U64"),
                indptr=matrix.indptr.astype(np.int64),
                index=matrix.indices.astype(np.int64),
                value=matrix.data,
            )
        fresh.replace(self._folder / f"{name}.npz")

    def rows(self, shas: Sequence[str]) -> Any:
        """CSR float32 [len(shas), N] in that order. Raises KeyError for an unknown key."""
        self._refresh()
        if not shas:
            return sparse.csr_matrix((0, self._n), dtype=np.float32)
        parts: dict[int, tuple[Any, list[int], list[int]]] = {}
        for place, sha in enumerate(shas):
            matrix, row = self._rows[sha]
            _, rows, places = parts.setdefault(id(matrix), (matrix, [], []))
            rows.append(row)
            places.append(place)
        stacked = sparse.vstack([m[rows] for m, rows, _ in parts.values()], format="csr")
        order = np.concatenate([places for _, _, places in parts.values()])
        return stacked[np.argsort(order)]

    def _refresh(self) -> None:
        """Take up files that were written since, by this or another process."""
        for path in sorted(self._folder.glob("pooled-*.npz")):
            if path.name in self._seen:
                continue
            for row, (sha, matrix) in enumerate(_read(path, self._n)):
                self._rows.setdefault(sha, (matrix, row))
            self._seen.add(path.name)


def _read(path: Path, n: int) -> list[tuple[str, Any]]:
    try:
        with np.load(path, allow_pickle=False) as held:
            keys = [str(key) for key in held["keys"]]
            parts = (held["value"], held["index"], held["indptr"])
            matrix = sparse.csr_matrix(parts, shape=(len(keys), n))
    except (OSError, ValueError, KeyError) as error:
        raise BundleError(path.name, "the cache of codes is damaged; delete it") from error
    return [(key, matrix) for key in keys]
