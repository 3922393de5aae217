"""When schedules are due: days, weeks, months, clocks that change, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigError
from dashboard.services.schedule_times import Spec, latest_due, next_due, parse_day

FORMATS = ("html",)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def daily(time: str, tz: str = "UTC") -> Spec:
    return Spec.from_json({"every": "day", "at": time, "tz": tz, "formats": FORMATS})


class TestDue:
    def test_every_day(self) -> None:
        spec = daily("06:00")
        assert next_due(spec, at("2026-03-01 05:59")) == at("2026-03-01 06:00")
        assert next_due(spec, at("2026-03-01 06:00")) == at("2026-03-02 06:00")
        assert latest_due(spec, at("2026-03-01 06:00")) == at("2026-03-01 06:00")
        assert latest_due(spec, at("2026-03-01 05:59")) == at("2026-02-28 06:00")

    def test_every_week(self) -> None:
        spec = Spec("week", "07:30", FORMATS, weekday=4)
        assert next_due(spec, at("2026-03-02 00:00")) == at("2026-03-06 07:30")
        assert latest_due(spec, at("2026-03-02 00:00")) == at("2026-02-27 07:30")
        assert spec.words() == "every Friday at 07:30 UTC"

    @pytest.mark.parametrize(
        ("after", "due"),
        [
            ("2026-01-31 07:00", "2026-02-28 06:00"),
            ("2028-02-01 00:00", "2028-02-29 06:00"),
            ("2026-04-01 00:00", "2026-04-30 06:00"),
            ("2026-12-31 07:00", "2027-01-31 06:00"),
        ],
    )
    def test_a_month_that_lacks_the_day_has_it_on_its_last_one(self, after: str, due: str) -> None:
        spec = Spec("month", "06:00", FORMATS, day=31)
        assert next_due(spec, at(after)) == at(due)
        assert "or its last day" in spec.words()

    def test_a_zone_keeps_its_time_of_day_over_a_change_of_clocks(self) -> None:
        spec = daily("06:00", "Europe/Berlin")
        assert next_due(spec, at("2026-03-28 00:00")) == at("2026-03-28 05:00")  # winter
        assert next_due(spec, at("2026-03-29 00:00")) == at("2026-03-29 04:00")  # summer

    def test_a_time_that_the_clocks_leave_out_is_due_as_much_later(self) -> None:
        spec = daily("02:30", "Europe/Berlin")  # on 29 March there is no 02:30
        assert next_due(spec, at("2026-03-28 12:00")) == at("2026-03-29 01:30")  # 03:30 there
        assert next_due(spec, at("2026-03-29 01:30")) == at("2026-03-30 00:30")

    def test_a_time_that_comes_twice_is_due_once(self) -> None:
        spec = daily("02:30", "Europe/Berlin")  # on 25 October it comes twice
        assert next_due(spec, at("2026-10-24 12:00")) == at("2026-10-25 00:30")
        assert next_due(spec, at("2026-10-25 00:30")) == at("2026-10-26 01:30")

    def test_a_zone_across_the_date_line(self) -> None:
        spec = daily("00:15", "Pacific/Kiritimati")  # UTC+14
        assert next_due(spec, at("2026-03-01 10:00")) == at("2026-03-01 10:15")
        assert latest_due(spec, at("2026-03-01 10:00")) == at("2026-02-28 10:15")

    @given(
        every=st.sampled_from(["day", "week", "month"]),
        clock=st.sampled_from(["00:00", "02:30", "12:00", "23:59"]),
        tz=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
        day=st.integers(1, 31), weekday=st.integers(0, 6),
        minutes=st.integers(0, 60 * 24 * 800),
    )  # fmt: skip
    def test_due_times_follow_one_another(
        self, every: Any, clock: str, tz: str, day: int, weekday: int, minutes: int
    ) -> None:
        spec = Spec(every, clock, FORMATS, weekday=weekday, day=day, tz=tz)
        now = at("2026-01-01 00:00") + timedelta(minutes=minutes)
        last, following = latest_due(spec, now), next_due(spec, now)
        assert last <= now < following
        assert next_due(spec, last) == following
        assert latest_due(spec, following) == following


class TestRefused:
    @pytest.mark.parametrize(
        ("raw", "said"),
        [
            ({"every": "hour", "formats": FORMATS}, "every must be"),
            ({"every": "day", "at": "6:00", "formats": FORMATS}, "time of day"),
            ({"every": "day", "at": "24:00", "formats": FORMATS}, "time of day"),
            ({"every": "day", "at": "06:00", "formats": ()}, "not none"),
            ({"every": "day", "at": "06:00", "formats": ("exe",)}, "not exe"),
            ({"every": "day", "at": "06:00", "formats": "html"}, "must be a list"),
            ({"every": "week", "weekday": 7, "formats": FORMATS}, "weekday"),
            ({"every": "month", "day": 0, "formats": FORMATS}, "day must be"),
            ({"every": "month", "day": True, "formats": FORMATS}, "day must be"),
            ({"every": "day", "tz": "Mars/Base", "formats": FORMATS}, "no time zone"),
            ({"every": "day", "tz": "../../etc/passwd", "formats": FORMATS}, "no time zone"),
        ],
    )
    def test_what_is_no_schedule(self, raw: dict[str, Any], said: str) -> None:
        with pytest.raises(ConfigError, match=said):
            Spec.from_json(raw)

    def test_days_by_name(self) -> None:
        assert parse_day("week", "fri") == {"weekday": 4}
        for every, word in (("week", "T"), ("week", "t"), ("month", "32"), ("day", "Monday")):
            with pytest.raises(ConfigError):
                parse_day(every, word)

    def test_json_and_back(self) -> None:
        spec = Spec("month", "23:59", ("pdf", "html"), day=31, tz="Europe/Berlin",
                    scope={"class_name": "naevus"})  # fmt: skip
        assert Spec.from_json(spec.as_json()) == spec
