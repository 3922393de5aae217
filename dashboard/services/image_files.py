"""Pictures for the browser: upright, 8-bit, in full resolution or fitted into a smaller side.

Every one is checked to be still the picture that was ingested: nobody judges one that was
exchanged. What was encoded is kept for a while, because the browser asks for the preview of a case
and, when somebody zooms in, for all of it.
"""

from __future__ import annotations

import hashlib
import io
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from core.errors import ImageError
from dashboard.services.engines import read_verified
from db.records import ImageRecord
from db.unit_of_work import UnitOfWorkFactory

if TYPE_CHECKING:
    from numpy.typing import NDArray

PREVIEW: Final = 1600  # pixels of the longer side: sharp on the desk until one zooms in
SMALLEST, LARGEST = 16, 8192
KEPT_BYTES: Final = 128 * 2**20
KEPT_CHECKS: Final = 4096
FRESH: Final = 60.0  # seconds
JPEG_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".jpe", ".jfif"})
_T = TypeVar("_T")
_Stamp = tuple[int, int]  # size in bytes and time of the last change of a file


@dataclass(frozen=True)
class Encoded:
    """An encoded picture; `tag` differs whenever the bytes do."""

    content: bytes
    mime: str
    tag: str


class ImageFiles:
    """Reads, checks and encodes a project's images; safe to share between threads."""

    def __init__(
        self,
        uow_factory: UnitOfWorkFactory,
        kept_bytes: int = KEPT_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._uow = uow_factory
        self._limit = kept_bytes
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, int | None], Encoded] = OrderedDict()
        self._checked: OrderedDict[str, _Stamp] = OrderedDict()
        self._seen: OrderedDict[str, float] = OrderedDict()  # when an image was last found good
        self._of_case: OrderedDict[str, ImageRecord] = OrderedDict()
        self._under_way: dict[tuple[str, int | None], threading.Lock] = {}

    def encoded(self, image_id: str, side: int | None = None) -> Encoded:
        """The picture, its longer side at most `side` pixels; None gives every pixel.

        A JPEG file comes back as JPEG (it has no exact pixels to lose), anything else as PNG.

        Raises NotFound, InputError for a path that leaves the project's folder, ImageError where
        the file has gone or was altered.
        """
        image, root = self._find(image_id)
        self._verify(image, root)
        side = None if side is None else max(SMALLEST, min(side, LARGEST))
        if side is not None and side >= max(image.width, image.height):
            side = None
        key = (image_id, side)
        with self._lock:
            turn = self._under_way.setdefault(key, threading.Lock())
        with turn:  # two who ask for the same at once wait for one encoding
            found = self._known(key)
            if found is None:
                found = _encode(image, read_verified(root, image), side)
                self._keep(key, found)
        with self._lock:
            self._under_way.pop(key, None)
        return found

    def check(self, image_id: str) -> None:
        """Raise as `encoded` would, without decoding anything.

        Asked again within FRESH seconds (each verdict draws its case anew), it does not look.
        """
        now = self._clock()
        if now - self._seen.get(image_id, now - 2 * FRESH) < FRESH:
            return
        self._verify(*self._find(image_id))
        self._remember(self._seen, image_id, now)

    def ahead(self, case_id: str) -> ImageRecord:
        """What the store knows of a case's image, which stays its image. Raises NotFound."""
        found = self._of_case.get(case_id)
        if found is None:
            with self._uow(read_only=True) as uow:
                found = uow.cases.get(case_id).image
            self._remember(self._of_case, case_id, found)
        return found

    def reachable(self) -> bool:
        """Whether the store answers."""
        with self._uow(read_only=True) as uow:
            uow.projects.list()
        return True

    def _find(self, image_id: str) -> tuple[ImageRecord, Path]:
        with self._uow(read_only=True) as uow:
            image = uow.images.get(image_id)
            return image, Path(uow.projects.get(image.project_id).root)

    def _verify(self, image: ImageRecord, root: Path) -> None:
        """The file's hash, reckoned again only when the file was touched."""
        from core.images import safe_join

        path = safe_join(root, image.relpath)
        try:
            status = path.stat()
            stamp = (status.st_size, status.st_mtime_ns)
            if self._checked.get(image.id) == stamp:
                return
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ImageError(image.relpath, f"cannot be read ({error.strerror})") from None
        if digest != image.sha256:
            raise ImageError(image.relpath, "its content changed since it was ingested")
        self._remember(self._checked, image.id, stamp)

    def _remember(self, kept: OrderedDict[str, _T], key: str, value: _T) -> None:
        with self._lock:
            kept[key] = value
            kept.move_to_end(key)
            while len(kept) > KEPT_CHECKS:
                kept.popitem(last=False)

    def _known(self, key: tuple[str, int | None]) -> Encoded | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def _keep(self, key: tuple[str, int | None], encoded: Encoded) -> None:
        with self._lock:
            self._kept[key] = encoded
            while sum(len(each.content) for each in self._kept.values()) > self._limit:
                self._kept.popitem(last=False)


def _encode(image: ImageRecord, rgb: NDArray[Any], side: int | None) -> Encoded:
    from PIL import Image

    from core.images import thumbnail

    pixels = rgb if side is None else thumbnail(rgb, side)
    out = io.BytesIO()
    if Path(image.relpath).suffix.lower() in JPEG_SUFFIXES:
        mime = "image/jpeg"
        Image.fromarray(pixels).save(out, "JPEG", quality=95, subsampling=0)
    else:
        mime = "image/png"
        Image.fromarray(pixels).save(out, "PNG", compress_level=1)  # six times as fast as 6
    return Encoded(out.getvalue(), mime, f"{image.sha256[:32]}-{side or 'full'}")
