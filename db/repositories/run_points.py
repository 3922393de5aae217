"""Live curves of runs: the points that a run tells while it works."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from db.errors import InvalidValue
from db.models import Run
from db.models import RunPoint as Row
from db.repositories.base import Repository, batches, checked_name, translated
from db.run_records import RunPoint


class RunPointRepository(Repository):
    """The one table that is written over: a run that resumes tells the same points again."""

    def put(self, run_id: str, points: Iterable[RunPoint]) -> int:
        """Keep points; one of the same series and step takes the place of the former.

        Returns how many were given. Raises InvalidValue for a step below 0 or a value that is
        not finite (nothing is kept then), NotFound for an unknown run.
        """
        self._require(Run, run_id, "run")
        checked = (_checked(run_id, each) for each in points)
        rows = {(row["series"], row["step"]): row for row in checked}  # each key once a statement
        content = [row for _, row in sorted(rows.items())]
        on_server = self._session.get_bind().dialect.name == "postgresql"
        insert: Any = postgresql.insert if on_server else sqlite.insert
        with translated():
            for batch in batches(content):
                statement = insert(Row).values(batch)
                self._session.execute(
                    statement.on_conflict_do_update(
                        index_elements=["run_id", "series", "step"],
                        set_={"value": statement.excluded.value},
                    )
                )
        return len(content)

    def of_run(
        self, run_id: str, *, series: Sequence[str] | None = None, after: int | None = None
    ) -> dict[str, tuple[RunPoint, ...]]:
        """Series -> its points by step (of those series, with a step larger than `after`)."""
        query = select(Row.series, Row.step, Row.value).where(Row.run_id == run_id)
        if series is not None:
            query = query.where(Row.series.in_(series))
        if after is not None:
            query = query.where(Row.step > after)
        found: dict[str, list[RunPoint]] = {}
        for row in self._session.execute(query.order_by(Row.series, Row.step)):
            found.setdefault(row.series, []).append(RunPoint(row.series, row.step, row.value))
        return {name: tuple(points) for name, points in found.items()}

    def latest(self, run_id: str) -> dict[str, RunPoint]:
        """Series -> its last point."""
        last = (
            select(Row.series, func.max(Row.step).label("step"))
            .where(Row.run_id == run_id)
            .group_by(Row.series)
            .subquery()
        )
        query = (
            select(Row.series, Row.step, Row.value)
            .join(last, (last.c.series == Row.series) & (last.c.step == Row.step))
            .where(Row.run_id == run_id)
        )
        rows = self._session.execute(query.order_by(Row.series))
        return {row.series: RunPoint(row.series, row.step, row.value) for row in rows}

    def clear(self, run_id: str, *, from_step: int = 0) -> int:
        """Forget points from a step on (a run that starts over); returns how many there were."""
        query = delete(Row).where(Row.run_id == run_id, Row.step >= from_step).returning(Row.step)
        return len(self._session.scalars(query).all())


def _checked(run_id: str, point: RunPoint) -> dict[str, Any]:
    value = float(point.value)
    if not math.isfinite(value):
        raise InvalidValue(f"a point of {point.series!r} is not finite")
    if point.step < 0:
        raise InvalidValue("steps are counted from 0")
    series = checked_name(point.series, "name of a curve")
    return {"run_id": run_id, "series": series, "step": int(point.step), "value": value}
