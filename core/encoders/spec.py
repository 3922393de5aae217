"""The text that names an encoder and the way its dense tokens are taken.

`demo`, `ViT-B-16/laion2b_s34b_b88k` or a local folder, and options as a query:
`demo?dense=maskclip-value&size=288&window=144&stride=72`. Free of torch, so that a process that
only reads the database can parse it.
"""

from dataclasses import dataclass
from typing import Final, Literal, get_args

from core.errors import EncoderError

Dense = Literal["projected", "maskclip-value", "maskclip-residual", "dinoised"]
"""How patch tokens are taken from a tower.

projected          the last block's tokens through the final norm and the projection
maskclip-value     out_proj(V(ln_1 x)) of the last block replaces the block (the paper's formula,
                   and the code of RogerQi/maskclip_onnx)
maskclip-residual  the same, with the block's residual and MLP around it (the code of
                   chongzhou96/MaskCLIP, and of wysoczanska/clip_dinoiser)
dinoised           maskclip-residual, averaged over patches whose intermediate features are alike
"""
DENSE: Final[tuple[Dense, ...]] = get_args(Dense)
OPTIONS: Final = ("dense", "size", "window", "stride")
MAX_SIDE: Final = 8192  # pixels


@dataclass(frozen=True)
class EncoderSpec:
    """A parsed spec. `str()` gives its canonical text: options in one order, the default unsaid."""

    base: str  # "demo", "NAME/PRETRAINED_TAG" or a folder
    dense: Dense = "projected"
    size: tuple[int, int] | None = None  # input rows and columns in pixels; None = the tower's own
    window: int | None = None  # side of a square sliding window in pixels; None = none
    stride: int | None = None  # step of the window in pixels; None = half the window

    def __str__(self) -> str:
        parts = [] if self.dense == "projected" else [f"dense={self.dense}"]
        if self.size is not None:
            rows, columns = self.size
            parts.append(f"size={rows}" if rows == columns else f"size={rows}x{columns}")
        parts += [] if self.window is None else [f"window={self.window}"]
        parts += [] if self.stride is None else [f"stride={self.stride}"]
        return "?".join([self.base, "&".join(parts)]) if parts else self.base


def split_spec(spec: str) -> tuple[str, str]:
    """The encoder and the options of a spec, the latter with their leading "?" or empty."""
    base, mark, query = spec.partition("?")
    return base, mark + query


def parse_spec(spec: str) -> EncoderSpec:
    """Read a spec strictly.

    Raises:
        EncoderError: an option is unknown, given twice, empty, or out of range.
    """
    base, query = split_spec(spec)
    if not base:
        raise EncoderError(f"encoder {spec!r} has no name before its options")
    given = _given(spec, query)
    dense = given.get("dense", "projected")
    if dense not in DENSE:
        raise EncoderError(
            f"encoder {spec}: dense={dense} is unknown: choose from {', '.join(DENSE)}"
        )
    window = _side(spec, "window", given["window"]) if "window" in given else None
    stride = _side(spec, "stride", given["stride"]) if "stride" in given else None
    if stride is not None and (window is None or stride > window):
        raise EncoderError(
            f"encoder {spec}: stride={stride} needs a window that is at least as large"
        )
    size = _size(spec, given["size"]) if "size" in given else None
    return EncoderSpec(base, dense, size, window, stride)


def _given(spec: str, query: str) -> dict[str, str]:
    """Options by name, each known, given once and not empty."""
    given: dict[str, str] = {}
    for part in query[1:].split("&") if query else ():
        name, _, value = part.partition("=")
        if name not in OPTIONS:
            known = ", ".join(OPTIONS)
            raise EncoderError(
                f"encoder {spec}: option {name!r} is unknown: the options are {known}"
            )
        if name in given:
            raise EncoderError(f"encoder {spec}: option {name!r} is given twice")
        if not value:
            raise EncoderError(f"encoder {spec}: option {name!r} has no value")
        given[name] = value
    return given


def _size(spec: str, text: str) -> tuple[int, int]:
    """ "448" or "ROWSxCOLUMNS" in pixels."""
    rows, cross, columns = text.partition("x")
    first = _side(spec, "size", rows)
    return first, _side(spec, "size", columns) if cross else first


def _side(spec: str, name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= MAX_SIDE:
        raise EncoderError(
            f"encoder {spec}: {name}={text} is not a whole number of pixels from 1 to {MAX_SIDE}"
        )
    return int(text)
