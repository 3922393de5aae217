"""A place in a picture: which patch it is, and which cues and concepts fire there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.errors import ConfigError, InsightError
from dashboard.services.case_view import letter
from dashboard.services.engines import Engines
from dashboard.services.trace_nodes import facts
from dashboard.viewmodels.trace import TraceNode
from db.errors import NotFound
from db.records import CaseRecord, CueRecord, VersionRecord

ALSO = 5  # further concepts of a patch that are named
TOKENS = (
    "The exact activations need the tokens of this image, which are not on this machine; the "
    "overlay's own values are shown."
)


@dataclass(frozen=True)
class Place:
    """A patch of a case."""

    x: float  # fractions of width and height, [0, 1]
    y: float
    rows: int
    columns: int

    @property
    def row(self) -> int:
        """Row of the patch, from 0 at the top."""
        return min(int(self.y * self.rows), self.rows - 1)

    @property
    def column(self) -> int:
        """Column of the patch, from 0 at the left."""
        return min(int(self.x * self.columns), self.columns - 1)

    @property
    def patch(self) -> int:
        """Number of the patch, row by row."""
        return self.row * self.columns + self.column


def place_of(x: float, y: float, cues: Sequence[CueRecord]) -> Place:
    """The patch under a point. Raises ConfigError for a point outside the picture."""
    if not (0.0 <= x <= 1.0 and 0.0 <= y <= 1.0):
        raise ConfigError(f"x and y are shares of width and height, in 0..1, not {x:g} and {y:g}")
    if not cues:
        raise InsightError("this case has no cues yet: open it at the desk first")
    return Place(x, y, cues[0].grid_rows, cues[0].grid_cols)


def chosen(cues: Sequence[CueRecord], place: Place, asked: str | None) -> list[CueRecord]:
    """The cue that was asked for, else those whose overlay fires on the patch, strongest first.

    Raises NotFound for a letter that the case does not have.
    """
    if asked is not None:
        by_letter = {letter(cue.rank): cue for cue in cues} | {cue.id: cue for cue in cues}
        key = asked if asked in by_letter else asked.strip().upper()
        if key not in by_letter:
            there = ", ".join(letter(cue.rank) for cue in cues)
            raise NotFound(f"cue of this case (it has {there})", asked)
        return [by_letter[key]]
    firing = [cue for cue in cues if value(cue, place) > 0]
    return sorted(firing, key=lambda cue: (-on_region(cue, place), -value(cue, place), cue.rank))


def value(cue: CueRecord, place: Place) -> float:
    """What the overlay shows at the patch, share of the cue's own maximum in this image, [0, 1]."""
    return cue.map_u8[place.patch] / 255


def on_region(cue: CueRecord, place: Place) -> bool:
    """Whether the patch lies in the cue's region."""
    bits = np.frombuffer(cue.region_bits, dtype=np.uint8)
    return bool(np.unpackbits(bits, count=place.rows * place.columns)[place.patch])


def node(case: CaseRecord, place: Place) -> TraceNode:
    """The patch itself."""
    image = case.image
    pixel = (
        f"{min(int(place.x * image.width), image.width - 1)}, "
        f"{min(int(place.y * image.height), image.height - 1)}"
    )
    return TraceNode(
        "place", f"Patch in row {place.row + 1}, column {place.column + 1}", "",
        facts(
            ("point", f"{place.x:.3f}, {place.y:.3f} of width and height"),
            ("pixel", f"{pixel} of {image.width} x {image.height}"),
            ("patch", f"{place.patch} of {place.rows} x {place.columns}"),
        ),
    )  # fmt: skip


def activations(
    engines: Engines, case: CaseRecord, version: VersionRecord, place: Place
) -> dict[int, float] | None:
    """Concept -> its activation at the patch, where it fires; None where tokens are not at hand."""
    import torch

    try:
        tokens_PD = engines.tokens_of(case.project_id, version.encoder_hash, case.image.sha256)
        if tokens_PD is None:
            return None
        bundle = engines.bundle(version.folder)
        with torch.no_grad():
            acts_PN = bundle.sae.encode_dense(tokens_PD.float())
    except InsightError:
        return None
    here_N = acts_PN[place.patch].numpy()
    order = np.argsort(-here_N, kind="stable")
    return {int(n): float(here_N[n]) for n in order if here_N[n] > 0}
