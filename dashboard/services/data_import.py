"""Words of a data file are taken into a project: append-only, each once, the bad ones named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from core.errors import ConfigError, InsightError
from dashboard.services.data_append import append_all
from dashboard.services.data_find import Catalogue, Placed
from dashboard.services.data_forms import WORDS
from dashboard.services.data_read import Found, Reader
from dashboard.services.data_words import Word, parse
from dashboard.services.progress import Progress
from dashboard.services.review import CaseExplainer
from db.errors import StoreError
from db.records import ProjectRecord, ReviewerRecord, utc_now
from db.repositories.base import batches
from db.unit_of_work import UnitOfWorkFactory

BATCH: Final = 200  # rows of one transaction
MOST_PROBLEMS: Final = 1000  # that are kept by name; the rest is counted


@dataclass(frozen=True)
class ImportReport:
    """What an import did."""

    form: str
    added: dict[str, int]  # table -> rows
    unchanged: int  # known before
    refused: int
    problems: tuple[str, ...]  # "verdicts.csv line 3: reason"; the first ones


@dataclass
class Tally:
    """An import report while it grows."""

    added: Counter[str] = field(default_factory=Counter)
    unchanged: int = 0
    refused: int = 0
    problems: list[str] = field(default_factory=list)

    def refuse(self, problem: str) -> None:
        """A row that is not taken."""
        self.refused += 1
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(problem)

    def report(self, form: str) -> ImportReport:
        """The report."""
        added = {table: self.added[table] for table in WORDS if self.added[table]}
        return ImportReport(form, added, self.unchanged, self.refused, tuple(self.problems))


@dataclass(frozen=True)
class Importer:
    """Takes the words of one file into one project."""

    uow: UnitOfWorkFactory
    explain: CaseExplainer
    project: ProjectRecord
    person: ReviewerRecord
    source: dict[str, Any]  # the file's name and hash, for the audit log
    tally: Tally = field(default_factory=Tally)

    def take(self, reader: Reader, progress: Progress, *, write: bool) -> ImportReport:
        """Read every table, a batch at a time, each batch in one transaction.

        Args:
            write: False only looks whether each word could be taken.
        """
        with self.uow(read_only=True) as uow:
            catalogue = Catalogue.of(uow, self.project)
        for at, table in enumerate(WORDS):
            for batch in batches(words(reader.rows(table), table, self.tally), BATCH):
                progress(at / len(WORDS), f"reading {table.replace('_', ' ')}")
                self._batch(catalogue, table, _once(batch, self.tally), write)
        progress(1.0, "done")
        return self.tally.report(reader.form)

    def _batch(self, catalogue: Catalogue, table: str, batch: Sequence[Word], write: bool) -> None:
        with self.uow(read_only=True) as uow:
            said = [(word.id, dict(word.values)) for word in batch]
            known = uow.words.known(self.project.id, table, said)
            fresh = [word for word in batch if word.id not in known]
            found = catalogue.place(uow, fresh)
        for word in batch:
            if known.get(word.id) is True:
                self.tally.unchanged += 1
            elif known.get(word.id) is False:
                self.tally.refuse(
                    f"{word.place}: {word.id} is stored already with other content or in another "
                    "project, and what was said is never changed: leave the id empty to add it anew"
                )
        placed = []
        for each in found:
            if isinstance(each, Placed):
                placed.append(each)
            else:
                self.tally.refuse(each)
        if not write:
            self.tally.added[table] += len(placed)
        elif ready := list(self._explained(table, placed)):
            self._write(table, ready)

    def _explained(self, table: str, placed: Iterable[Placed]) -> Iterator[Placed]:
        """Cases whose cues are spoken of are explained first; a word on one that cannot is left."""
        for each in placed:
            case = each.case
            needs = table in ("verdicts", "drawings") and each.concept_id is not None
            if needs and case is not None and not case.explained:
                try:
                    self.explain.explain_case(case.case_id)
                except (InsightError, StoreError) as error:
                    self.tally.refuse(f"{each.word.place}: {error}")
                    continue
            yield each

    def _write(self, table: str, placed: Sequence[Placed]) -> None:
        """Append a batch; where one of it is refused, one after another."""
        try:
            self._append(table, placed)
        except (InsightError, StoreError) as error:
            if len(placed) == 1:
                self.tally.refuse(f"{placed[0].word.place}: {error}")
                return
            for each in placed:
                self._write(table, [each])

    def _append(self, table: str, placed: Sequence[Placed]) -> None:
        with self.uow() as uow:
            added = append_all(uow, self.project.id, table, placed)
            uow.audit.append(
                actor=self.person.name,
                action="data.imported",
                entity="project",
                entity_id=self.project.id,
                detail=self.source | {"table": table, "rows": added},
                project_id=self.project.id,
            )
            uow.commit()
        self.tally.added[table] += added


def words(rows: Iterable[Found], table: str, tally: Tally) -> Iterator[Word]:
    """The rows that tell a word; the others are refused."""
    now = utc_now()
    for found in rows:
        try:
            yield parse(table, found.place, found.row, now)
        except ConfigError as error:
            tally.refuse(f"{found.place}: {error}")


def _once(batch: Sequence[Word], tally: Tally) -> list[Word]:
    """Each id once: a file may say the same thing twice."""
    found: dict[str, Word] = {}
    for word in batch:
        first = found.setdefault(word.id, word)
        if first is not word:
            same = (first.values, first.reviewer) == (word.values, word.reviewer)
            if same:
                tally.unchanged += 1
            else:
                tally.refuse(f"{word.place}: the id {word.id} is also that of {first.place}")
    return list(found.values())
