"""What the home screen makes of the sums that the database gives it. Pure: no store, no screen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import Final, Literal

from core.intervals import NORMAL
from dashboard.services.run_view import shown_state
from dashboard.viewmodels.home import AgreementPoint, HomeAlert, LoadRow, QueueHealth, RunLine
from dashboard.viewmodels.judgement import Estimate
from dashboard.viewmodels.schedules import ScheduleView
from db.feedback_records import RunRecord
from db.home_records import LoadCount, PairSums, QueueCount

Stretch = Literal["day", "week", "month"]
SITTING: Final = 300.0  # seconds; a longer pause between two words ends a sitting
LEAST_PAUSES: Final = 5
WAITS_LONG: Final = timedelta(days=3)
POINTS: Final = 40  # stretches in one chart, at most


def stretch_of(first: date | None, last: date) -> Stretch:
    """Days for a month of work, weeks for most of a year, then months.

    >>> stretch_of(date(2026, 3, 1), date(2026, 3, 20)), stretch_of(None, date(2026, 3, 20))
    ('day', 'day')
    """
    if first is None or (last - first).days < POINTS:
        return "day"
    return "week" if (last - first).days < 7 * POINTS else "month"


def alpha(sums: PairSums) -> Estimate:
    """Krippendorff's alpha of the words correct and spurious, its interval clustered by case.

    With O = sum of o, C and S the numbers of each word and n = C + S

        alpha = 1 - (n - 1) O / (2 C S)

    (Krippendorff 2011, Computing Krippendorff's alpha-reliability). Linearised in (O, C, S), whose
    variance is that of sums over cases; the interval lies within [-1, 1]. With no second word in
    use alpha is not defined.
    """
    n, product = sums.c + sums.s, 2.0 * sums.c * sums.s
    if sums.cues == 0 or product == 0:
        return Estimate(None)
    value = 1.0 - (n - 1.0) * sums.o / product
    if sums.cases < 2:
        return Estimate(value)
    by_o = -(n - 1.0) / product
    by_c = -sums.o / product + (n - 1.0) * sums.o / (product * sums.c)
    by_s = -sums.o / product + (n - 1.0) * sums.o / (product * sums.s)
    m = sums.cases
    squares = (
        by_o * by_o * (sums.oo - sums.o * sums.o / m)
        + by_c * by_c * (sums.cc - sums.c * sums.c / m)
        + by_s * by_s * (sums.ss - sums.s * sums.s / m)
        + 2.0 * by_o * by_c * (sums.oc - sums.o * sums.c / m)
        + 2.0 * by_o * by_s * (sums.os - sums.o * sums.s / m)
        + 2.0 * by_c * by_s * (sums.cs - sums.c * sums.s / m)
    )
    reach = NORMAL * math.sqrt(max(squares, 0.0) * m / (m - 1.0))
    return Estimate(value, max(-1.0, value - reach), min(1.0, value + reach))


def points(found: Sequence[PairSums]) -> tuple[AgreementPoint, ...]:
    """The latest stretches, oldest first."""
    return tuple(
        AgreementPoint(each.day, alpha(each), each.cues, each.cases) for each in found[-POINTS:]
    )


def running(found: Sequence[tuple[date, int]]) -> tuple[tuple[date, int], ...]:
    """Counts by day as a running total.

    >>> running([(date(2026, 3, 1), 2), (date(2026, 3, 4), 1)])[-1][1]
    3
    """
    total, summed = 0, []
    for day, count in found:
        total += count
        summed.append((day, total))
    return tuple(summed)


def pace(times: Sequence[datetime]) -> tuple[float | None, int]:
    """Median seconds between two words of one sitting, and of how many pauses.

    Words stored at one moment (a whole case at once) count as one. It can be said only where
    there are a few pauses shorter than a sitting's end.
    """
    moments = sorted(set(times))
    pauses = [
        gap
        for earlier, later in pairwise(moments)
        if 0 < (gap := (later - earlier).total_seconds()) <= SITTING
    ]
    if len(pauses) < LEAST_PAUSES:
        return None, len(pauses)
    return float(median(pauses)), len(pauses)


def load_row(found: LoadCount, times: Sequence[datetime]) -> LoadRow:
    """One person's share of the work with its pace."""
    seconds, sample = pace(times)
    return LoadRow(
        found.reviewer, found.assigned, found.open, found.done, found.held, seconds, sample,
        found.last,
    )  # fmt: skip


def health(found: QueueCount) -> QueueHealth:
    """The queue's counts."""
    return QueueHealth(
        total=found.total, done=found.done, begun=max(0, found.begun),
        untouched=max(0, found.total - found.done - max(0, found.begun)), held=found.held,
        stale=found.stale, flagged=found.flagged, escalated=found.escalated,
        skipped=found.skipped, oldest=found.oldest, oldest_case=found.oldest_case,
    )  # fmt: skip


def run_line(run: RunRecord, sentence: str, now: datetime) -> RunLine:
    """A run as listed; a drift check leads to its own screen."""
    task = str(run.config.get("task", ""))
    link = ("drift", (("check", run.id),)) if task == "drift" else ("runs", (("run", run.id),))
    said = sentence or run.message
    if not said and run.state != "succeeded":
        said = run.stage  # that of one that is done only says again that it is done
    if task == "export" and run.state == "succeeded":
        files = run.metrics.get("details", {}).get("files", [])
        said = f"{len(files)} {'file' if len(files) == 1 else 'files'} made"
    return RunLine(
        run.id, run.kind, task, shown_state(run, now), run.progress,
        run.finished_at or run.created_at, said, link,
    )  # fmt: skip


def alerts(
    queue: QueueHealth | None, load: Sequence[LoadRow], runs: Sequence[RunLine],
    drift: Mapping[str, bool], schedules: Sequence[ScheduleView], now: datetime,
) -> tuple[HomeAlert, ...]:  # fmt: skip
    """What needs a hand, the most pressing first."""
    found = []
    latest_check = next((run for run in runs if run.task == "drift"), None)
    if latest_check is not None and drift.get(latest_check.run_id):
        found.append(HomeAlert("warning", latest_check.text, latest_check.link))
    newest: set[tuple[str, str]] = set()
    for run in runs:
        key = (run.kind, run.task)
        if key not in newest and run.state in ("failed", "interrupted"):
            found.append(HomeAlert("warning", f"A run {run.state}: {run.text}", run.link))
        newest.add(key)
    for schedule in schedules:
        if schedule.active and schedule.missing:
            lacks = ", ".join(schedule.missing)
            text = f"Schedule “{schedule.name}” cannot make {lacks} on this installation."
            found.append(HomeAlert("warning", text, ("home", ())))
        elif schedule.failed:
            last = schedule.runs[0]
            text = f"Schedule “{schedule.name}” {last.state}: {last.message or 'no reason kept'}"
            found.append(HomeAlert("warning", text, ("runs", (("run", last.run_id),))))
    if queue is not None and queue.oldest is not None and now - queue.oldest > WAITS_LONG:
        days = (now - queue.oldest).days
        query = (("case", queue.oldest_case or ""),)
        text = f"A flagged or escalated case has waited for {days} days."
        found.append(HomeAlert("warning", text, ("review", query)))
    idle = [row.person for row in load if row.open and not row.held and _idle(row, now)]
    if idle:
        text = f"Assigned cases lie with {', '.join(idle)}: no word for a week."
        found.append(HomeAlert("info", text, ("queue", (("status", "open"),))))
    return tuple(found)


def _idle(row: LoadRow, now: datetime) -> bool:
    return row.last is None or now - row.last > timedelta(days=7)
