"""When a schedule is due: every day, week or month at a time of day in a zone. Pure.

Times of day are local to the zone and due times are UTC. Where clocks go forward over a time, it is
due as late after the change as it would have been before (02:30 becomes 03:30); where they go back,
the first of the two counts. A month that lacks the day has it on its last one.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, Final, cast, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from core.errors import ConfigError
from dashboard.viewmodels.schedules import Every

EVERY: Final[tuple[Every, ...]] = get_args(Every)
FORMATS: Final = ("html", "pdf", "json", "csv", "parquet", "coco", "archive", "cards")
DAYS: Final = tuple(calendar.day_name)
LONGEST: Final = 70  # days between two due times, at most
_ONE_DAY: Final = timedelta(days=1)


@dataclass(frozen=True)
class Spec:
    """One schedule.

    every    "day", "week" or "month"
    at       time of day, "06:00", 24 hours
    weekday  0 (Monday) to 6, for "week"
    day      1..31, for "month"
    tz       IANA zone of the time of day
    formats  what is made
    scope    what it speaks of, as a report's scope says it
    """

    every: Every
    at: str
    formats: tuple[str, ...]
    weekday: int = 0
    day: int = 1
    tz: str = "UTC"
    scope: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON; `from_json` restores it."""
        return {
            "every": self.every, "at": self.at, "weekday": self.weekday, "day": self.day,
            "tz": self.tz, "formats": list(self.formats), "scope": dict(self.scope),
        }  # fmt: skip

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Spec:
        """A checked schedule from text or JSON. Raises ConfigError, which names the field."""
        every = raw.get("every")
        if every not in EVERY:
            raise ConfigError(f"every must be {', '.join(EVERY)}, not {every!r}")
        spec = cls(
            cast("Every", every), _time(raw.get("at", "06:00")), _formats(raw.get("formats", ())),
            _whole("weekday", raw.get("weekday", 0), 0, 6), _whole("day", raw.get("day", 1), 1, 31),
            str(raw.get("tz") or "UTC"), dict(raw.get("scope") or {}),
        )  # fmt: skip
        zone(spec.tz)
        return spec

    def words(self) -> str:
        """The schedule in words.

        >>> Spec("week", "06:00", ("html",), weekday=4).words()
        'every Friday at 06:00 UTC'
        """
        match self.every:
            case "day":
                when = "every day"
            case "week":
                when = f"every {DAYS[self.weekday]}"
            case _:
                when = f"on day {self.day} of every month"
                if self.day > 28:
                    when += " (or its last day)"
        return f"{when} at {self.at} {self.tz}"


def next_due(spec: Spec, after: datetime) -> datetime:
    """The first due time after a moment, UTC."""
    where = zone(spec.tz)
    day = after.astimezone(where).date() - _ONE_DAY
    for _ in range(LONGEST):
        due = _due_on(spec, day, where)
        if due is not None and due > after:
            return due
        day += _ONE_DAY
    raise AssertionError("a schedule is due at least once in two months")


def latest_due(spec: Spec, now: datetime) -> datetime:
    """The last due time that is not after a moment, UTC."""
    where = zone(spec.tz)
    day = now.astimezone(where).date() + _ONE_DAY
    for _ in range(LONGEST):
        due = _due_on(spec, day, where)
        if due is not None and due <= now:
            return due
        day -= _ONE_DAY
    raise AssertionError("a schedule is due at least once in two months")


def zone(name: str) -> tzinfo:
    """The time zone of that name. Raises ConfigError."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(
            f"there is no time zone {name!r}; write one as Europe/Berlin, or UTC"
        ) from error


def parse_day(every: str, text: str | None) -> dict[str, int]:
    """`--on`: a day's name for a week, a number for a month. Raises ConfigError.

    >>> parse_day("week", "Friday"), parse_day("month", "31"), parse_day("day", None)
    ({'weekday': 4}, {'day': 31}, {})
    """
    if text is None:
        return {}
    word = text.strip().casefold()
    if every == "week":
        fits = [n for n, name in enumerate(DAYS) if len(word) >= 2 and
                name.casefold().startswith(word)]  # fmt: skip
        if len(fits) != 1:
            raise ConfigError(f"a week's day is one of {', '.join(DAYS)}, not {text!r}")
        return {"weekday": fits[0]}
    if every == "month" and word.isascii() and word.isdigit():
        return {"day": _whole("day", int(word), 1, 31)}
    raise ConfigError("--on names the day of a week (Monday) or of a month (1 to 31)")


def _due_on(spec: Spec, day: date, where: tzinfo) -> datetime | None:
    match spec.every:
        case "week" if day.weekday() != spec.weekday:
            return None
        case "month" if day.day != min(spec.day, calendar.monthrange(day.year, day.month)[1]):
            return None
        case _:
            local = datetime.combine(day, time.fromisoformat(spec.at), where)
            return local.astimezone(UTC)


def _time(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value.strip()):
        raise ConfigError(f"at must be a time of day as 06:00, not {value!r}")
    return value.strip()


def _formats(value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ConfigError(f"formats must be a list, not {value!r}")
    words = tuple(dict.fromkeys(str(each).strip().casefold() for each in value if str(each)))
    strange = next((word for word in words if word not in FORMATS), None)
    if strange is not None or not words:
        raise ConfigError(f"formats: choose of {', '.join(FORMATS)}, not {strange or 'none'}")
    return words


def _whole(name: str, value: object, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ConfigError(f"{name} must be a whole number in {low}..{high}, not {value!r}")
    return value
