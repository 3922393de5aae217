"""How much a new version may lose before somebody has to say why it is used all the same.

Two figures are watched on every held-out split: accuracy and worst-group accuracy. A rail is broken
where the later version's figure lies below the former one's by more than the tolerance. The plain
figures decide, not their intervals: with few cases a loss may be chance, and then the written
reason says so. A rail that asked for proof of harm would let most harm pass on a small test set.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from core.errors import ConfigError
from core.judgement import Judgement

RailKey = Literal["accuracy", "worst_group"]
WATCHED: tuple[RailKey, ...] = ("accuracy", "worst_group")
TOLERANCE = 0.03
"""Share that may be lost; refits that repaired the phantoms lost up to .024 on aligned cases."""


@dataclass(frozen=True)
class Rail:
    """One watched figure on one split."""

    split: str
    key: RailKey
    lost: float  # share lost by the later version; negative: won
    low: float | None  # 95 % interval of what was lost
    high: float | None
    tolerance: float

    @property
    def broken(self) -> bool:
        """More was lost than may be."""
        return self.lost > self.tolerance + 1e-9

    @property
    def clear(self) -> bool:
        """The whole interval lies beyond the tolerance: not a matter of few cases."""
        return self.broken and self.low is not None and self.low > self.tolerance


def rails(judged: Mapping[str, Judgement], tolerance: float = TOLERANCE) -> tuple[Rail, ...]:
    """The rails of every split, the largest loss first.

    Args:
        judged: split -> former version against later version.
        tolerance: share of accuracy (and of worst-group accuracy) that may be lost, in [0, 1].
    """
    if not 0 <= tolerance <= 1:
        raise ConfigError(f"the tolerance must lie in 0..1, not {tolerance}")
    found = []
    for split, judgement in judged.items():
        for key in WATCHED:
            figure = judgement.figure(key)
            if figure is None or figure.difference.value is None:
                continue
            change = figure.difference
            low = None if change.high is None else -change.high
            high = None if change.low is None else -change.low
            found.append(Rail(split, key, -(change.value or 0.0), low, high, tolerance))
    return tuple(sorted(found, key=lambda rail: (-rail.lost, rail.split, rail.key)))
