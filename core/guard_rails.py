"""How much a new version may lose before somebody has to say why it is used all the same.

Watched on every held-out split:

accuracy, worst_group, average_group   a fall by more than the tolerance
shortcut_gap      how far the accuracy where the shortcut helps lies from that where it misleads:
                  growth by more than the tolerance. A split that mostly shows one side has no gap
                  of its own; then the gap over all splits together is watched.
spurious_share    share of the contributions that lies on concepts people rejected: likewise
ece               calibration error: growth whose whole interval lies beyond the tolerance

The plain figures decide, not their intervals: with few cases a loss may be chance, and then the
written reason says so. A rail that asked for proof of harm would let most harm pass on a small test
set. The calibration error is the exception: it reads high with few cases, by more the surer a model
is, so that a plain difference would often say nothing but that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from core.errors import ConfigError
from core.judgement import HIGHER_IS_BETTER, Judgement

RailKey = Literal[
    "accuracy", "worst_group", "average_group", "shortcut_gap", "spurious_share", "ece"
]
WATCHED: tuple[RailKey, ...] = (
    "accuracy", "worst_group", "average_group", "shortcut_gap", "spurious_share", "ece",
)  # fmt: skip
CLEARLY: frozenset[RailKey] = frozenset({"ece"})
"""Figures whose rail is broken only where the whole interval lies beyond the tolerance."""
POOLED: tuple[RailKey, ...] = ("shortcut_gap",)
"""Figures watched over all splits together where some split has none of its own."""
ALL: Final = "all held-out"
"""What all splits together are called."""
TOLERANCE = 0.03
"""Share that may be lost; refits that repaired the phantoms lost up to .024 on aligned cases."""


@dataclass(frozen=True)
class Rail:
    """One watched figure on one split."""

    split: str
    key: RailKey
    lost: float  # share that the later version is worse by; negative: better
    low: float | None  # 95 % interval of what was lost
    high: float | None
    tolerance: float

    @property
    def higher_is_better(self) -> bool:
        """Whether a loss is a fall of the figure, not its growth."""
        return HIGHER_IS_BETTER[self.key]

    @property
    def beyond(self) -> bool:
        """The plain figure is worse by more than may be."""
        return self.lost > self.tolerance + 1e-9

    @property
    def clear(self) -> bool:
        """The whole interval lies beyond the tolerance: not a matter of few cases."""
        return self.beyond and self.low is not None and self.low > self.tolerance

    @property
    def broken(self) -> bool:
        """More was lost than may be; for a figure of CLEARLY, clearly so."""
        return self.clear if self.key in CLEARLY else self.beyond


def rails(
    judged: Mapping[str, Judgement],
    tolerance: float = TOLERANCE,
    *,
    pooled: Judgement | None = None,
) -> tuple[Rail, ...]:
    """The rails of every split: broken ones first, then by what was lost, the most first.

    Args:
        judged: split -> former version against later version.
        tolerance: share that each watched figure may get worse by, in [0, 1].
        pooled: the same of all splits together; None where there is one split.

    Raises ConfigError where the tolerance lies outside [0, 1].
    """
    if not 0 <= tolerance <= 1:
        raise ConfigError(f"the tolerance must lie in 0..1, not {tolerance}")
    found = [
        rail
        for split, judgement in judged.items()
        for key in WATCHED
        if (rail := _rail(split, key, judgement, tolerance)) is not None
    ]
    if pooled is not None:
        found += _over_all(judged, pooled, tolerance, found)
    return tuple(sorted(found, key=lambda r: (not r.broken, -r.lost, r.split, r.key)))


def _over_all(
    judged: Mapping[str, Judgement], pooled: Judgement, tolerance: float, own: Sequence[Rail]
) -> list[Rail]:
    """Rails over all splits together, of figures that some split lacks."""
    lacking = [
        key for key in POOLED if {rail.split for rail in own if rail.key == key} != set(judged)
    ]
    found = [_rail(ALL, key, pooled, tolerance) for key in lacking]
    return [rail for rail in found if rail is not None]


def _rail(split: str, key: RailKey, judgement: Judgement, tolerance: float) -> Rail | None:
    """One figure as a rail; None where one of the versions has none."""
    figure = judgement.figure(key)
    if figure is None or figure.difference.value is None:
        return None
    change = figure.difference
    if not HIGHER_IS_BETTER[key]:
        return Rail(split, key, change.value or 0.0, change.low, change.high, tolerance)
    low = None if change.high is None else -change.high
    high = None if change.low is None else -change.low
    return Rail(split, key, -(change.value or 0.0), low, high, tolerance)
