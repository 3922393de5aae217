import contextlib
import hashlib
import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from core.errors import ImageError, InputError
from core.images import (
    SafeLimits,
    jpeg_bytes,
    load_image,
    load_mask,
    png_bytes,
    safe_join,
    thumbnail,
)

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def noise(height: int = 40, width: int = 60) -> Image.Image:
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def frames(kind: str) -> bytes:
    first, second = Image.new("RGB", (8, 8), RED), Image.new("RGB", (8, 8), BLUE)
    return encoded(first, kind, save_all=True, append_images=[second])


def huge_png(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header announces any size."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\0" * 1000)
    signature = b"\x89PNG\r\n\x1a\n"
    return signature + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


BAD: dict[str, tuple[bytes, str]] = {
    "zero_byte.png": (b"", "empty"),
    "text.png": (b"file,label\na.png,naevus\n" * 20, "not an image"),
    "half.jpg": (encoded(noise(), "JPEG")[:900], "truncated or damaged"),
    "half.png": (encoded(noise(), "PNG")[:3000], "truncated or damaged"),
    "half.webp": (encoded(noise(), "WEBP", lossless=True)[:2000], "damaged|not an image"),
    "half.tiff": (encoded(noise(), "TIFF")[:3000], "damaged|not an image"),
    "half.bmp": (encoded(noise(), "BMP")[:3000], "truncated or damaged"),
    "header_only.png": (encoded(noise(), "PNG")[:8], "not an image|damaged"),
    "bomb.png": (huge_png(60_000, 60_000), "allowed"),
    "large.png": (huge_png(10_000, 10_000), "allowed"),
    "just_over.png": (huge_png(8001, 8000), "8001 x 8000 pixels"),
    "animated.gif": (frames("GIF"), "2 frames"),
    "animated.webp": (frames("WEBP"), "2 frames"),
    "animated.png": (frames("PNG"), "2 frames"),
    "pages.tiff": (frames("TIFF"), "2 frames or pages"),
    "float.tiff": (encoded(Image.new("F", (4, 4), 0.5), "TIFF"), "kind F"),
    "int32.tiff": (encoded(Image.new("I", (4, 4), 70_000), "TIFF"), "kind I"),
    "other.ppm": (encoded(noise(), "PPM"), "not an image in a supported format"),
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_bad_files_are_refused_by_name_and_reason(tmp_path: Path, name: str) -> None:
    content, reason = BAD[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError, match=reason) as caught:
        load_image(tmp_path / name)
    assert caught.value.file == name
    if name != "int32.tiff":  # integers of any range are fine as a mask
        with pytest.raises(ImageError, match=reason):
            load_mask(tmp_path / name)


def test_pillow_settings_stay(tmp_path: Path) -> None:
    before = Image.MAX_IMAGE_PIXELS
    (tmp_path / "bomb.png").write_bytes(huge_png(60_000, 60_000))
    with pytest.raises(ImageError):
        load_image(tmp_path / "bomb.png")
    assert before == Image.MAX_IMAGE_PIXELS


def test_limits(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(noise(40, 60), "PNG"))
    assert load_image(path, SafeLimits(max_pixels=2400)).width == 60
    with pytest.raises(ImageError, match="60 x 40 pixels are more than the 2399 allowed"):
        load_image(path, SafeLimits(max_pixels=2399))
    with pytest.raises(ImageError, match="bytes, more than the 100 allowed"):
        load_image(path, SafeLimits(max_bytes=100))


def test_what_is_not_a_regular_file(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="folder"):
        load_image(tmp_path)
    with pytest.raises(ImageError, match="does not exist"):
        load_image(tmp_path / "absent.png")
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ImageError, match="not a regular file"):
        load_image(tmp_path / "pipe.png")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    with pytest.raises(ImageError):
        load_image(tmp_path / "loop.png")
    with pytest.raises(ImageError):
        load_image(tmp_path / ("x" * 300 + ".png"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_unreadable_file(tmp_path: Path) -> None:
    path = tmp_path / "secret.png"
    path.write_bytes(encoded(noise(), "PNG"))
    path.chmod(0)
    with pytest.raises(ImageError, match="cannot be read"):
        load_image(path)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "WEBP"])
def test_lossless_formats_are_exact(tmp_path: Path, kind: str) -> None:
    content = encoded(noise(), kind, **({"lossless": True} if kind == "WEBP" else {}))
    (tmp_path / "a").write_bytes(content)
    loaded = load_image(tmp_path / "a")
    assert np.array_equal(loaded.rgb, np.asarray(noise()))
    assert loaded.rgb.dtype == np.uint8
    assert (loaded.width, loaded.height) == (60, 40)
    assert loaded.sha256 == hashlib.sha256(content).hexdigest()


def first_pixel(tmp_path: Path, content: bytes) -> list[int]:
    (tmp_path / "x").write_bytes(content)
    pixel: list[int] = load_image(tmp_path / "x").rgb[0, 0].tolist()
    return pixel


def test_grey_and_bilevel_become_rgb(tmp_path: Path) -> None:
    assert first_pixel(tmp_path, encoded(Image.new("L", (3, 3), 90), "PNG")) == [90] * 3
    assert first_pixel(tmp_path, encoded(Image.new("1", (3, 3), 1), "PNG")) == [255] * 3


@pytest.mark.parametrize(("value", "expected"), [(0, 0), (65535, 255), (32896, 128), (257, 1)])
def test_16_bit_grey_is_scaled_by_its_full_range(tmp_path: Path, value: int, expected: int) -> None:
    pixels = np.full((3, 3), value, dtype=np.uint16)
    for kind in ("PNG", "TIFF"):
        found = first_pixel(tmp_path, encoded(Image.fromarray(pixels), kind))
        assert found == [expected] * 3


def test_cmyk_jpeg(tmp_path: Path) -> None:
    found = first_pixel(tmp_path, encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG"))
    assert np.abs(np.subtract(found, RED)).max() <= 3


def test_transparency_is_laid_over_white(tmp_path: Path) -> None:
    half = Image.new("RGBA", (3, 3), (0, 0, 0, 51))
    assert first_pixel(tmp_path, encoded(half, "PNG")) == [204] * 3
    grey = Image.new("LA", (3, 3), (10, 0))
    assert first_pixel(tmp_path, encoded(grey, "PNG")) == [255] * 3
    keyed = encoded(Image.new("RGB", (3, 3), RED), "PNG", transparency=RED)
    assert first_pixel(tmp_path, keyed) == [255] * 3


def test_palette_with_and_without_transparency(tmp_path: Path) -> None:
    palette = Image.new("P", (3, 3), 1)
    palette.putpalette([*WHITE, *GREEN])
    assert first_pixel(tmp_path, encoded(palette, "PNG")) == list(GREEN)
    assert first_pixel(tmp_path, encoded(palette, "PNG", transparency=b"\xff\x00")) == [255] * 3
    assert first_pixel(tmp_path, encoded(palette, "GIF")) == list(GREEN)


CORNERS = np.array([[RED, GREEN, BLUE], [WHITE, WHITE, (0, 0, 0)]], dtype=np.uint8)
Pixels = NDArray[np.uint8]
UPRIGHT: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda x: x,
    2: np.fliplr,
    3: lambda x: np.rot90(x, 2),
    4: np.flipud,
    5: lambda x: x.transpose(1, 0, 2),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: np.rot90(x, 2).transpose(1, 0, 2),
    8: lambda x: np.rot90(x, 1),
}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    (tmp_path / "a.png").write_bytes(encoded(Image.fromarray(CORNERS), "PNG", exif=exif))
    loaded = load_image(tmp_path / "a.png")
    expected = UPRIGHT[orientation](CORNERS)
    assert np.array_equal(loaded.rgb, expected)
    assert (loaded.height, loaded.width) == expected.shape[:2]


def test_damaged_exif_counts_as_none(tmp_path: Path) -> None:
    content = encoded(Image.fromarray(CORNERS), "PNG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01")
    (tmp_path / "a.png").write_bytes(content)
    assert np.array_equal(load_image(tmp_path / "a.png").rgb, CORNERS)


def test_phone_pictures_with_a_preview_are_no_animation(tmp_path: Path) -> None:
    preview = noise(10, 15)
    content = encoded(noise(), "MPO", save_all=True, append_images=[preview])
    (tmp_path / "phone.jpg").write_bytes(content)
    assert load_image(tmp_path / "phone.jpg").width == 60


@settings(max_examples=80, deadline=None)
@given(
    kind=st.sampled_from(["PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF"]),
    hits=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=6),
    keep=st.floats(0, 1),
)
def test_any_damage_gives_an_image_or_an_image_error(
    tmp_path_factory: pytest.TempPathFactory,
    kind: str,
    hits: list[tuple[float, int]],
    keep: float,
) -> None:
    content = bytearray(encoded(noise(9, 11), kind))
    for place, value in hits:
        content[int(place * len(content))] = value
    path = tmp_path_factory.mktemp("damage") / "x"
    path.write_bytes(content[: int(keep * len(content)) + 1])
    with contextlib.suppress(ImageError):
        assert load_image(path, SafeLimits(max_pixels=100_000)).rgb.ndim == 3


def test_masks(tmp_path: Path) -> None:
    expected = np.array([[True, False], [False, True]])
    path = tmp_path / "mask.png"
    for inside in (1, 255):
        path.write_bytes(png_bytes(expected.astype(np.uint8) * inside))
        mask = load_mask(path)
        assert mask.dtype == np.bool_
        assert np.array_equal(mask, expected)
    classes = Image.fromarray(expected.astype(np.uint8) * 2).convert("P")
    path.write_bytes(encoded(classes, "PNG"))
    assert np.array_equal(load_mask(path), expected)
    path.write_bytes(encoded(Image.fromarray(expected.astype(np.uint16) * 300), "PNG"))
    assert np.array_equal(load_mask(path), expected)
    shape = np.full((2, 2, 4), 255, dtype=np.uint8)
    shape[..., 3] = expected * 255
    path.write_bytes(png_bytes(shape))
    assert np.array_equal(load_mask(path), expected)


def test_a_lossy_mask_is_cut_at_half(tmp_path: Path) -> None:
    expected = np.zeros((32, 32), dtype=bool)
    expected[:, 13:] = True
    (tmp_path / "mask.jpg").write_bytes(jpeg_bytes(expected.astype(np.uint8) * 255, quality=30))
    assert np.array_equal(load_mask(tmp_path / "mask.jpg"), expected)


def test_safe_join(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (tmp_path / "outside.png").write_bytes(b"x")
    (root / "out").symlink_to(tmp_path)
    (root / "in").symlink_to(root / "sub")
    (root / "loop").symlink_to(root / "loop")
    assert safe_join(root, "sub/a.png") == (root / "sub" / "a.png").resolve()
    assert safe_join(root, "in/a.png") == (root / "sub" / "a.png").resolve()
    assert safe_join(root, "./a..b.png") == (root / "a..b.png").resolve()
    for wrong in (
        "../outside.png",
        "sub/../../outside.png",
        "/etc/passwd",
        "out/outside.png",
        "..\\outside.png",
        "C:\\windows\\x.png",
        "\\\\server\\share\\x.png",
        "",
        "a\0.png",
    ):
        with pytest.raises(InputError):
            safe_join(root, wrong)


@given(parts=st.lists(st.sampled_from(["..", ".", "a", "/", "\\", "b c", "é", "~"]), max_size=6))
def test_safe_join_never_leaves_its_folder(
    tmp_path_factory: pytest.TempPathFactory, parts: list[str]
) -> None:
    root = tmp_path_factory.getbasetemp()
    with contextlib.suppress(InputError):
        assert safe_join(root, "/".join(parts)).is_relative_to(root.resolve())


def test_thumbnails_keep_the_shape_and_never_grow() -> None:
    rgb = np.asarray(noise(40, 60))
    assert thumbnail(rgb, 30).shape == (20, 30, 3)
    assert thumbnail(rgb, 60) is rgb
    assert thumbnail(np.zeros((1, 1000, 3), np.uint8), 10).shape == (1, 10, 3)


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 3), (4, 5, 4)])
def test_png_bytes(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png_bytes(pixels)))), pixels)


def test_jpeg_bytes() -> None:
    smooth = np.full((16, 16, 3), 120, dtype=np.uint8)
    back = np.asarray(Image.open(io.BytesIO(jpeg_bytes(smooth))))
    assert np.abs(back.astype(int) - 120).max() <= 1
