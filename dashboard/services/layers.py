"""Further pictures to lay over a case: its ground-truth mask, and other attribution methods.

Each is an 8-bit grey PNG, 0 = nothing, that covers the whole image whatever its size. Of a method's
map only what speaks for the decided class is drawn (255 = its strongest place): one grey value
cannot also say "against". Maps are computed when first asked for (seconds), then read from the
workspace.
"""

from __future__ import annotations

import io
import threading
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.errors import ConfigError, ImageError
from dashboard.services.attributing import AttributeService
from db.errors import NotFound
from db.records import CaseRecord, ImageRecord, VersionRecord
from db.unit_of_work import UnitOfWorkFactory

if TYPE_CHECKING:
    from core.attribution import MethodInfo
    from core.types import BoolArray, FloatArray

MASK: Final = "mask"
SIDE: Final = 1024  # pixels of the longer side of a mask as sent
FOR: Final = "What speaks for the decided class"
Layer = tuple[str, str, Literal["mask", "attribution"], str]
"""Key, name, kind, one line on what it is."""


class LayerService:
    """Lists and draws the layers of stored cases; safe to share between threads."""

    def __init__(self, uow_factory: UnitOfWorkFactory, attribute: AttributeService) -> None:
        self._uow = uow_factory
        self._attribute = attribute
        self._one_at_a_time = threading.Lock()  # a method uses every core there is
        self._unfit: set[tuple[str, str]] = set()  # encoder hash, method

    def available(self, case: CaseRecord, version: VersionRecord) -> tuple[Layer, ...]:
        """What can be laid over a case: the mask first where it has one, then every method.

        A method that needs another kind of encoder is left out once that has shown.
        """
        layers: list[Layer] = []
        if case.image.mask_path:
            layers.append((MASK, "Ground truth", "mask", "The mask that came with the image"))
        for info in methods():
            if (version.encoder_hash, info.name) not in self._unfit:
                layers.append((info.name, info.title, "attribution", _about(info)))
        return tuple(layers)

    def png(self, case_id: str, key: str) -> bytes:
        """The layer's picture.

        Raises NotFound for an unknown case or key or a case without a mask, ImageError where a
        file has gone or was altered, ConfigError for a method that does not fit the encoder,
        BundleError and EncoderError where the version cannot be used.
        """
        with self._uow(read_only=True) as uow:
            case = uow.cases.get(case_id)
            version = uow.versions.get(case.version_id)
            root = Path(uow.projects.get(case.project_id).root)
        if key == MASK:
            return mask_png(_mask(root, case.image))
        if key not in {info.name for info in methods()}:
            raise NotFound("layer", key)
        try:
            with self._one_at_a_time:
                found = self._attribute.case_map(case_id, key)
        except ConfigError:
            self._unfit.add((version.encoder_hash, key))
            raise
        return evidence_png(found.values_GV)


@lru_cache(maxsize=1)
def methods() -> tuple[MethodInfo, ...]:
    """Every attribution method, with the concept map first."""
    from core.attribution import methods as registered

    return registered()


def mask_png(mask_HW: BoolArray) -> bytes:
    """A mask as black and white, its longer side at most SIDE pixels.

    >>> mask_png(np.ones((2, 3), bool))[:4]
    b'\\x89PNG'
    """
    picture = Image.fromarray(mask_HW.astype(np.uint8) * 255)
    picture.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    return _png(picture)


def evidence_png(values_GV: FloatArray) -> bytes:
    """What is positive in a signed map, one pixel a patch, 255 at its strongest."""
    positive_GV = np.maximum(values_GV, 0.0)
    top = float(positive_GV.max(initial=0.0))
    scaled_GV = positive_GV / top if top > 0 else positive_GV
    grey_GV: NDArray[np.uint8] = np.rint(255 * scaled_GV).astype(np.uint8)
    return _png(Image.fromarray(grey_GV))


def _about(info: MethodInfo) -> str:
    return f"{FOR}. {info.summary} {info.source}."


def _mask(root: Path, image: ImageRecord) -> BoolArray:
    """The mask bool [H, W] that came with an image, guarded as on ingest."""
    from core.images import load_mask, safe_join

    if not image.mask_path:
        raise NotFound("mask of image", image.id)
    try:
        return load_mask(safe_join(root, image.mask_path))
    except OSError as error:
        raise ImageError(image.mask_path, f"cannot be read ({error.strerror})") from None


def _png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()
