"""The hierarchy of a dictionary as it stands, kept until somebody decides something."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection
from typing import Final, TypeVar

from db.hierarchy_records import HierarchyRecord
from db.records import ConceptRecord
from db.unit_of_work import UnitOfWork

KEPT: Final = 4  # dictionaries
Key = TypeVar("Key")
Value = TypeVar("Value")


class Folded:
    """Folding reads every relation; its revision is one number. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str], HierarchyRecord] = OrderedDict()
        self._ids: OrderedDict[tuple[str, str], dict[int, str]] = OrderedDict()

    def of(self, uow: UnitOfWork, project_id: str, dictionary_hash: str) -> HierarchyRecord:
        """The hierarchy as this transaction sees it. Never change anything in it."""
        key = (project_id, dictionary_hash)
        revision = uow.hierarchy.revision(project_id, dictionary_hash)
        with self._lock:
            kept = self._kept.get(key)
        if kept is None or kept.revision != revision:
            kept = uow.hierarchy.folded(project_id, dictionary_hash)
            with self._lock:
                _keep(self._kept, key, kept)
        return kept

    def concepts(
        self, uow: UnitOfWork, project_id: str, dictionary_hash: str, numbers: Collection[int]
    ) -> dict[int, ConceptRecord]:
        """The concepts of those numbers with the names that stand; unknown numbers are left out.

        A dictionary's concepts are stored once and for all, so their ids are kept.
        """
        if not numbers:
            return {}
        key = (project_id, dictionary_hash)
        with self._lock:
            ids = self._ids.get(key)
        if ids is None or not ids.keys() >= set(numbers):
            ids = uow.concepts.ids(project_id, dictionary_hash)
            with self._lock:
                _keep(self._ids, key, ids)
        wanted = {ids[number] for number in numbers if number in ids}
        return {record.number: record for record in uow.concepts.by_ids(sorted(wanted)).values()}


def _keep(kept: OrderedDict[Key, Value], key: Key, value: Value) -> None:
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > KEPT:
        kept.popitem(last=False)
