"""Intervals for shares: of one set of cases, and of the difference between two on the same cases.

With x of n cases, p = x / n and z the 97.5 % quantile of the normal distribution:

    Wilson          (p + z^2 / 2n +- z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)
                    (Wilson 1927, J. Am. Stat. Assoc. 22:209); within [0, 1], never of no width
    Bonett-Price    the same cases judged twice, b of them right only before and c right only after:
                    d = (c + 1 - (b + 1)) / (n + 2),
                    d +- z sqrt(((b + 1 + c + 1) / (n + 2) - d^2) / (n + 2))
                    (Bonett & Price 2012, Br. J. Math. Stat. Psychol. 65:479)

Both hold their level with few cases and with shares near 0 or 1, where the usual p +- z s does not.
"""

import math
from dataclasses import dataclass
from typing import Any

from core.errors import ConfigError

LEVEL = 0.95
"""Share of such intervals that are to hold the true value."""
NORMAL = 1.959964
"""97.5 % quantile of the standard normal distribution."""


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval, low <= high; None where it is not defined."""

    value: float | None
    low: float | None = None
    high: float | None = None

    def as_json(self) -> list[float | None]:
        """JSON-ready: [value, low, high]."""
        return [self.value, self.low, self.high]

    @classmethod
    def from_json(cls, raw: Any) -> "Estimate":
        """What `as_json` gave. Raises ConfigError for anything else."""
        if not isinstance(raw, list | tuple) or len(raw) != 3:
            raise ConfigError(f"an estimate is [value, low, high], not {raw!r}")
        value, low, high = (None if x is None else float(x) for x in raw)
        return cls(value, low, high)


def wilson(hits: float, n: float) -> Estimate:
    """A share and its Wilson interval.

    Args:
        hits: cases that count, in [0, n].
        n: cases; no value without any.

    Raises ConfigError where hits lie outside [0, n].
    """
    if not 0 <= hits <= n:
        raise ConfigError(f"{hits} of {n} is no share")
    if n == 0:
        return Estimate(None)
    share, square = hits / n, NORMAL**2
    middle = share + square / (2 * n)
    reach = NORMAL * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    scale = 1 + square / n
    low, high = max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale)
    return Estimate(share, min(low, share), max(high, share))


def paired_difference(only_before: int, only_after: int, n: int) -> Estimate:
    """(share after) - (share before) of the same n cases, with the interval of Bonett and Price.

    Args:
        only_before: cases that counted before and do not after.
        only_after: cases that count after and did not before.
        n: all cases, those that stayed as they were included.

    The value is the plain difference, the interval is that of the adjusted counts, within [-1, 1]
    and around the value. Raises ConfigError where the counts do not fit.
    """
    if only_before < 0 or only_after < 0 or only_before + only_after > n:
        raise ConfigError(f"{only_before} and {only_after} of {n} cases cannot have changed")
    if n == 0:
        return Estimate(None)
    value = (only_after - only_before) / n
    moved = (only_before + only_after + 2) / (n + 2)
    middle = (only_after - only_before) / (n + 2)
    reach = NORMAL * math.sqrt(max(0.0, moved - middle**2) / (n + 2))
    low, high = max(-1.0, middle - reach), min(1.0, middle + reach)
    return Estimate(value, min(low, value), max(high, value))
