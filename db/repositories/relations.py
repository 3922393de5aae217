"""Relations between the concepts of one dictionary."""

from collections.abc import Sequence

from sqlalchemy import or_, select

from db.models import Project, Relation
from db.records import RelationKind, RelationRecord
from db.repositories.base import AnySelect, Repository, checked_word, values_of

_FIELDS = (
    Relation.child_number,
    Relation.parent_number,
    Relation.kind,
    Relation.weight,
    Relation.support,
)


class RelationRepository(Repository):
    """The concept graph; its ends must be stored before its edges."""

    def add_many(
        self, project_id: str, dictionary_hash: str, relations: Sequence[RelationRecord]
    ) -> int:
        """Insert the edges not known yet and say how many. NotFound for an unknown end."""
        self._require(Project, project_id, "project", lock=True)
        known = {
            (edge.child_number, edge.parent_number)
            for edge in self.list(project_id, dictionary_hash)
        }
        fresh = {
            (edge.child_number, edge.parent_number): edge
            for edge in relations
            if (edge.child_number, edge.parent_number) not in known
        }
        for edge in fresh.values():
            checked_word(edge.kind, RelationKind, "kind of relation")
        key = {"project_id": project_id, "dictionary_hash": dictionary_hash}
        self._insert_many(Relation, [key | values_of(edge) for edge in fresh.values()])
        return len(fresh)

    def list(
        self, project_id: str, dictionary_hash: str, *, number: int | None = None
    ) -> tuple[RelationRecord, ...]:
        """Edges by child and parent; with `number`, only those that touch that concept."""
        query: AnySelect = select(
            *_FIELDS
        ).where(  # columns, not rows of the model: there are thousands
            Relation.project_id == project_id, Relation.dictionary_hash == dictionary_hash
        )
        if number is not None:
            touches = or_(Relation.child_number == number, Relation.parent_number == number)
            query = query.where(touches)
        query = query.order_by(Relation.child_number, Relation.parent_number)
        return tuple(RelationRecord(*row) for row in self._session.execute(query))
