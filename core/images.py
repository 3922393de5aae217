"""Reading images and masks from untrusted files.

Everything is checked before it costs anything: kind of file, size in bytes, size in pixels (from
the header, before decoding), count of frames. Pillow's global settings are never touched.

Legend: H, W pixels.
"""

import hashlib
import io
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from core.errors import ImageError, InputError

FORMATS: Final = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF")
"""What Pillow may try. GIF is read only to say why an animation is refused, or as a still."""
LOSSY: Final = frozenset({"JPEG", "MPO", "WEBP"})
PLAIN_MODES: Final = frozenset({"1", "L", "RGB", "RGBX", "CMYK", "YCbCr"})
ALPHA_MODES: Final = frozenset({"LA", "La", "PA", "P", "RGBA", "RGBa"})
ORIENTATION_TAG: Final = 0x0112
TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_DAMAGE: Final = (
    OSError,
    SyntaxError,  # Pillow's word for a broken chunk
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
    UserWarning,  # of Pillow on damaged tags, where warnings are turned into errors
)


@dataclass(frozen=True)
class SafeLimits:
    """What a single file may cost."""

    max_pixels: int = 64_000_000  # width x height, checked before decoding
    max_bytes: int = 256 * 2**20  # of the file


@dataclass(frozen=True)
class LoadedImage:
    """An image as the engine sees it: upright, 8-bit RGB."""

    rgb: NDArray[np.uint8]  # [H, W, 3]
    sha256: str  # of the file's bytes, hex
    width: int  # pixels, upright
    height: int


DEFAULT_LIMITS: Final = SafeLimits()


def load_image(path: Path, limits: SafeLimits = DEFAULT_LIMITS) -> LoadedImage:
    """Read an image.

    EXIF rotation is applied; CMYK, palette and greyscale become RGB; transparency is laid over
    white; 16-bit greyscale is scaled by its full range (0..65535).

    Raises:
        ImageError: the file is missing, empty, no image, damaged, too large, animated, or of an
            unsupported kind; `reason` says which.
    """
    data = _read(path, limits)
    picture = _decode(path.name, data, limits)
    rgb = np.asarray(_to_rgb(path.name, picture), dtype=np.uint8)
    return LoadedImage(rgb, hashlib.sha256(data).hexdigest(), rgb.shape[1], rgb.shape[0])


def load_mask(path: Path, limits: SafeLimits = DEFAULT_LIMITS) -> NDArray[np.bool_]:
    """Read a mask: bool [H, W], true inside.

    Inside is every pixel that is not black; in formats with lossy compression, where black is
    noisy, every pixel at or above half of full brightness. Transparent pixels are outside.

    Raises:
        ImageError: as `load_image`.
    """
    picture = _decode(path.name, _read(path, limits), limits)
    if picture.mode.startswith("I;16") or picture.mode == "I":
        return np.asarray(np.asarray(picture) > 0, dtype=np.bool_)
    least = 128 if picture.format in LOSSY else 1
    if "transparency" in picture.info or picture.mode in ALPHA_MODES:
        rgba = np.asarray(picture.convert("RGBA"), dtype=np.uint8)
        inside = (rgba[..., :3].max(axis=2) >= least) & (rgba[..., 3] > 0)
        return np.asarray(inside, dtype=np.bool_)
    rgb = np.asarray(_to_rgb(path.name, picture), dtype=np.uint8)
    return np.asarray(rgb.max(axis=2) >= least, dtype=np.bool_)


def safe_join(root: Path, relative: str) -> Path:
    """The file `relative` inside the folder `root`, resolved; it need not exist.

    Raises:
        InputError: an absolute path, a step upwards, or a symbolic link that leads out of root.
    """
    windows = PureWindowsPath(relative)
    if not relative or "\0" in relative:
        raise InputError(repr(relative), "an empty or invalid path")
    if PurePosixPath(relative).is_absolute() or windows.drive or windows.root:
        raise InputError(relative, "an absolute path is not allowed")
    if ".." in PurePosixPath(relative).parts or ".." in windows.parts:
        raise InputError(relative, "the path leads out of its folder")
    base = root.resolve()
    try:
        target = (base / relative).resolve()
    except (OSError, RuntimeError) as error:  # a loop of links
        raise InputError(relative, "the path cannot be resolved") from error
    if not target.is_relative_to(base):
        raise InputError(relative, "a link leads out of its folder")
    return target


def thumbnail(rgb: NDArray[np.uint8], max_side: int) -> NDArray[np.uint8]:
    """Shrink uint8 [H, W, 3] so that its longer side is at most `max_side`; never enlarges."""
    height, width = rgb.shape[:2]
    factor = max_side / max(height, width)
    if factor >= 1:
        return rgb
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = Image.fromarray(rgb).resize(size, Image.Resampling.LANCZOS)
    return np.asarray(small, dtype=np.uint8)


def png_bytes(pixels: NDArray[np.uint8]) -> bytes:
    """Encode uint8 [H, W], [H, W, 3] or [H, W, 4] as PNG."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def jpeg_bytes(rgb: NDArray[np.uint8], quality: int = 90) -> bytes:
    """Encode uint8 [H, W, 3] (or [H, W]) as JPEG."""
    out = io.BytesIO()
    Image.fromarray(rgb).save(out, "JPEG", quality=quality)
    return out.getvalue()


def _read(path: Path, limits: SafeLimits) -> bytes:
    """All bytes of a regular file of a sensible size; pipes and devices are never opened."""
    try:
        if path.is_dir():
            raise ImageError(path.name, "a folder, not a file")
        if not path.exists():
            raise ImageError(path.name, "the file does not exist")
        if not path.is_file():
            raise ImageError(path.name, "not a regular file")
        size = path.stat().st_size
        if size == 0:
            raise ImageError(path.name, "the file is empty")
        if size > limits.max_bytes:
            raise ImageError(
                path.name, f"the file has {size} bytes, more than the {limits.max_bytes} allowed"
            )
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise ImageError(path.name, "the file cannot be read") from error


def _decode(name: str, data: bytes, limits: SafeLimits) -> Image.Image:
    """The decoded, upright first and only frame."""
    try:
        picture = Image.open(io.BytesIO(data), formats=FORMATS)
        width, height = picture.size
        frames = getattr(picture, "n_frames", 1)
    except UnidentifiedImageError as error:
        raise ImageError(name, "not an image in a supported format") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(name, f"more pixels than the {limits.max_pixels} allowed") from error
    except _DAMAGE as error:
        raise ImageError(name, "the image is damaged") from error
    if width * height > limits.max_pixels:
        raise ImageError(
            name, f"{width} x {height} pixels are more than the {limits.max_pixels} allowed"
        )
    # MPO is a JPEG with a preview or depth image behind it, as phones write: no animation.
    if frames > 1 and picture.format != "MPO":
        raise ImageError(name, f"the image has {frames} frames or pages; only single ones are read")
    try:
        picture.load()
    except (*_DAMAGE, Image.DecompressionBombError) as error:
        raise ImageError(name, "the image is truncated or damaged") from error
    return _upright(picture)


def _upright(picture: Image.Image) -> Image.Image:
    """Apply the EXIF orientation; a damaged EXIF block counts as none."""
    try:
        turn = TURNS.get(picture.getexif().get(ORIENTATION_TAG, 1))
    except _DAMAGE:
        turn = None
    if turn is None:
        return picture
    turned = picture.transpose(turn)
    turned.info = picture.info
    turned.format = picture.format
    return turned


def _to_rgb(name: str, picture: Image.Image) -> Image.Image:
    mode = picture.mode
    # Pillow before 11 reads 16-bit PNG as 32-bit "I"; any other file in "I" has no known range.
    if mode.startswith("I;16") or (mode == "I" and picture.format == "PNG"):
        grey = np.asarray(picture).astype(np.float64) * (255.0 / 65535.0)
        return Image.fromarray(np.rint(grey).clip(0, 255).astype(np.uint8)).convert("RGB")
    if mode in ALPHA_MODES or (mode in PLAIN_MODES and "transparency" in picture.info):
        rgba = picture.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    if mode in PLAIN_MODES:
        return picture.convert("RGB")
    raise ImageError(name, f"pixels of the kind {mode} are not supported")
