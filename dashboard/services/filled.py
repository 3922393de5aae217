"""Pictures with a region changed, encoded again: what the model would see then.

A region is filled from its surroundings, or covered with the same region of another picture.

Tokens are kept in the run's folder by picture and region, so that a run that goes on does not
encode twice. Every picture is encoded alone: in a batch the last bits of its tokens would depend
on its neighbours, and a run that goes on has other neighbours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import FeedbackError, InputError
from dashboard.services.engines import Engines, read_verified
from dashboard.services.run_data import RunData

if TYPE_CHECKING:
    from torch import Tensor

    from core.tokens import TokenStore

FOLDER = "filled"
AT_ONCE = 64  # pictures kept in memory before they are written; what a kill can lose


class Filler:
    """Tokens of a run's pictures with regions changed."""

    def __init__(self, data: RunData, engines: Engines, root: Path, folder: Path) -> None:
        """`root` is the folder of the images, `folder` where tokens are kept."""
        from core.tokens import TokenStore

        self._data, self._engines, self._root = data, engines, root
        self._store: TokenStore = TokenStore(folder)
        self._fresh: dict[str, Tensor] = {}

    def filled(self, row: int, region_P: Any) -> Any:
        """Tokens float32 [P, D] of a row's picture with a region (bool [P]) filled.

        Raises FeedbackError where the picture cannot be read any more.
        """
        region = np.asarray(region_P, dtype=np.bool_)
        key = _key(self._data.images[row].sha256, region)
        return self._tokens(key, lambda: self._fill(row, region))

    def pasted(self, row: int, source: int, region_P: Any) -> Any:
        """Tokens float32 [P, D] of a row's picture with that region of another one pasted in.

        Raises FeedbackError where one of the pictures cannot be read any more.
        """
        region = np.asarray(region_P, dtype=np.bool_)
        shas = self._data.images[row].sha256 + self._data.images[source].sha256
        return self._tokens(_key(shas, region), lambda: self._paste(row, source, region))

    def flush(self) -> None:
        """Writes what has not been written yet."""
        self._store.write(self._fresh.items())
        self._fresh.clear()

    def _tokens(self, key: str, pixels: Callable[[], Any]) -> Any:
        if key in self._store:
            return self._store.get(key).numpy()
        if key not in self._fresh:
            info = self._data.bundle.manifest.encoder
            encoder = self._engines.encoder(info.spec, info.hash)
            # Half precision at once: a run that reads them back must see the same numbers.
            self._fresh[key] = encoder.encode_images([pixels()]).tokens_BPD[0].half()
        tokens_PD = self._fresh[key].float().numpy()
        if len(self._fresh) >= AT_ONCE:
            self.flush()
        return tokens_PD

    def _fill(self, row: int, region_P: Any) -> Any:
        from core.filling import fill_region

        return fill_region(self._pixels(row), region_P.reshape(self._grid))

    def _paste(self, row: int, source: int, region_P: Any) -> Any:
        from PIL import Image

        from core.filling import enlarge

        pixels = self._pixels(row)
        height, width = pixels.shape[:2]
        other = Image.fromarray(self._pixels(source)).resize((width, height))
        mask_HW = enlarge(region_P.reshape(self._grid), height, width)
        return np.where(mask_HW[..., None], np.asarray(other), pixels)

    def _pixels(self, row: int) -> Any:
        try:
            return read_verified(self._root, self._data.images[row])
        except InputError as error:
            # To a strategy it is evidence that it cannot use; others may do without pictures.
            raise FeedbackError(f"a marked picture cannot be read: {error}") from error

    @property
    def _grid(self) -> tuple[int, int]:
        return self._data.bundle.manifest.encoder.grid


def _key(what: str, region_P: Any) -> str:
    return hashlib.sha256(what.encode() + b"\0" + np.packbits(region_P).tobytes()).hexdigest()
