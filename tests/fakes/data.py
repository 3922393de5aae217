"""Data files over a set of ids, with the real readers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from dashboard.services.data_forms import WORDS
from dashboard.services.data_import import Tally, words
from dashboard.services.data_read import reading
from dashboard.viewmodels.data import ImportView


class FakeData:
    """Takes in the words of a file."""

    def __init__(self) -> None:
        self.known: set[str] = set()
        self.asked: list[tuple[str, bool]] = []  # file, whether it was written

    def read_for(
        self, project_id: str, file: Path, reviewer_id: str, *, write: bool = True
    ) -> ImportView:
        self.asked.append((file.name, write))
        tally, fresh = Tally(), set[str]()
        with reading(file) as reader:
            for table in WORDS:
                for word in words(reader.rows(table), table, tally):
                    fresh.add(f"{table} {word.id}")
        added = Counter(key.partition(" ")[0] for key in fresh - self.known)
        unchanged = len(fresh & self.known)
        self.known |= fresh if write else set()
        return ImportView(
            reader.form, tuple(sorted(added.items())), unchanged, tally.refused,
            tuple(tally.problems), write,
        )  # fmt: skip
