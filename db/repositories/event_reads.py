"""Reading event tables with the name of who did it."""

from typing import Any, TypeVar

from sqlalchemy import ColumnElement, select

from db.models import Base, Reviewer
from db.repositories.base import AnySelect, Repository, build

Record = TypeVar("Record")


class Events(Repository):
    """What repositories over one event table share."""

    def _events(self, model: Any) -> AnySelect:
        return select(model, Reviewer.name.label("reviewer_name")).join(
            Reviewer, Reviewer.id == model.reviewer_id
        )

    def _read(
        self, record: type[Record], model: type[Base], *where: ColumnElement[bool]
    ) -> tuple[Record, ...]:
        """Events in the order of being said."""
        table: Any = model
        rows = self._session.execute(self._events(table).where(*where).order_by(table.seq))
        return tuple(build(record, row[0], reviewer=row.reviewer_name) for row in rows)

    def _latest(
        self, record: type[Record], model: type[Base], *where: ColumnElement[bool]
    ) -> Record | None:
        """The event of the highest revision."""
        table: Any = model
        query = self._events(table).where(*where).order_by(table.revision.desc()).limit(1)
        row = self._session.execute(query).one_or_none()
        return None if row is None else build(record, row[0], reviewer=row.reviewer_name)
