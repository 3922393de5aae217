"""Model versions: the first one and those that the fakes' runs made, with what was decided."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from core.errors import InsightError
from dashboard.viewmodels.judgement import Estimate, GuardView, JudgementView
from dashboard.viewmodels.versions import (
    EventKind,
    HeldOut,
    LineageEdge,
    LineageNode,
    LineageView,
    VersionDetail,
    VersionEventRow,
    VersionRow,
)
from db.errors import Conflict, NotFound
from tests.fakes.cases import START, Book, uid
from tests.fakes.judging import guard, judgement
from tests.fakes.runs import BASE


class ReasonNeeded(InsightError):
    """As the real service refuses."""


@dataclass
class _Made:
    row: VersionRow
    bad: bool = False  # lost more than the project allows


class FakeVersions:
    """Versions over the book's runs."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self.made = [_Made(_row(uid("version", 0), BASE, None, "discover", "active", 0))]
        self.given: list[VersionEventRow] = []
        self.barred = ""  # why nobody may decide; "" where everybody may

    def add(self, hash: str, *, state: str = "candidate", bad: bool = False) -> VersionRow:
        """A further version, made from the first one."""
        at = len(self.made)
        row = _row(uid("version", at), hash, BASE, "reweight", state, at)
        self.made.append(_Made(row, bad))
        return row

    def list(self, project_id: str) -> tuple[VersionRow, ...]:
        known = {each.row.hash for each in self.made}
        for run in self._book.runs.values():
            if run.result_version and run.result_version not in known:
                self.add(run.result_version, bad=run.seed == 13)
                known.add(run.result_version)
        return tuple(each.row for each in reversed(self.made))

    def view(self, version_id: str) -> VersionDetail:
        found = self._find(version_id)
        row, rows = found.row, self.list("")
        active = row.state == "active"
        return VersionDetail(
            row, tuple(each for each in rows if each.hash == row.parent),
            tuple(each for each in rows if each.parent == row.hash),
            tuple(each for each in self.events("") if each.version_hash == row.hash),
            None if active else self.guard(version_id), not active,
            row.state == "candidate", "demo", "5c" * 32, "0.1.0",
        )  # fmt: skip

    def held_out(self, version_id: str) -> HeldOut:
        """On other images than those it was built on, as the demo's first version."""
        row = self._find(version_id).row
        value = (row.accuracy.value or 0.0) + 0.01
        return HeldOut(Estimate(value, value - 0.03, value + 0.02), 400, "reversed, test")

    def why_not(self, project_id: str, reviewer_id: str) -> str:
        return self.barred

    def events(self, project_id: str) -> tuple[VersionEventRow, ...]:
        return tuple(reversed(self.given))

    def compare(self, project_id: str, before: str, after: str) -> JudgementView:
        if before == after:
            raise InsightError("choose two different versions")
        return judgement(self._book, before, after, bad=self._by_hash(after).bad)

    def guard(self, version_id: str) -> GuardView:
        return guard(bad=self._find(version_id).bad)

    def activate(
        self, *, id: str, version_id: str, reviewer_id: str, reason: str = "",
        based_on: str | None = None,
    ) -> VersionRow:  # fmt: skip
        return self._activate(id, version_id, reviewer_id, reason, based_on, "activate")

    def rollback(
        self, *, id: str, project_id: str, reviewer_id: str, reason: str = "",
        based_on: str | None = None,
    ) -> VersionRow:  # fmt: skip
        target = self.former(project_id)
        if target is None:
            raise InsightError("no other version was active before")
        return self._activate(id, target.id, reviewer_id, reason, based_on, "rollback")

    def former(self, project_id: str) -> VersionRow | None:
        last = next((e for e in reversed(self.given) if e.former_hash is not None), None)
        return None if last is None else self._by_hash(last.former_hash or "").row

    def discard(
        self, *, id: str, version_id: str, reviewer_id: str, reason: str = ""
    ) -> VersionRow:
        found = self._find(version_id)
        found.row = replace(found.row, state="discarded")
        self._note(id, "discard", found.row, None, reviewer_id, reason)
        return found.row

    def lineage(self, project_id: str) -> LineageView:
        nodes = [
            LineageNode("data:1", "data", "Data", "849 images", "", START, 0, 0, "dd"),
            LineageNode("run:0", "run", "Discovery", "seed 0", "succeeded", START, 1, 0, "r0"),
        ]
        edges = [LineageEdge("data:1", "run:0", "learnt from")]
        rows = self.list(project_id)
        for at, row in enumerate(reversed(rows)):
            id = f"version:{row.id}"
            column = 2 if at == 0 else 5
            nodes.append(
                LineageNode(id, "version", row.hash[:10], row.kind, row.state, row.created_at,
                            column, max(0, at - 1), row.id)
            )  # fmt: skip
            if at == 0:
                edges.append(LineageEdge("run:0", id, "made"))
            else:
                nodes += _between(at, row)
                first = f"version:{self.made[0].row.id}"
                edges += [
                    LineageEdge(first, f"run:{at}", "started from"),
                    LineageEdge(first, f"snapshot:{at}", "verdicts on"),
                    LineageEdge(f"snapshot:{at}", f"run:{at}", "verdicts used"),
                    LineageEdge(f"run:{at}", id, "made"),
                ]
        active = next(row for row in rows if row.state == "active")
        text = tuple(f"Version {row.hash[:10]}: {row.kind}, {row.state}." for row in rows)
        return LineageView(tuple(nodes), tuple(edges), 6, len(rows), text, f"version:{active.id}")

    def _activate(
        self, id: str, version_id: str, reviewer_id: str, reason: str, based_on: str | None,
        kind: EventKind,
    ) -> VersionRow:  # fmt: skip
        if self.barred:
            raise InsightError(self.barred)
        found = self._find(version_id)
        if any(each.id == id for each in self.given):
            return found.row
        former = next(each for each in self.made if each.row.state == "active")
        if based_on is not None and based_on != former.row.id:
            raise Conflict("another version became active meanwhile")
        if found.bad and not reason:
            raise ReasonNeeded("held-out figures got worse: write down why it shall be used")
        at = START + timedelta(days=1, minutes=len(self.given))
        former.row = replace(former.row, state="candidate", used_until=at)
        found.row = replace(found.row, state="active", used_until=None)
        self._note(id, kind, found.row, former.row, reviewer_id, reason)
        return found.row

    def _note(
        self, id: str, kind: EventKind, row: VersionRow, former: VersionRow | None, by: str,
        reason: str,
    ) -> None:  # fmt: skip
        name = next((n for n, who in self._book.reviewers.items() if who == by), "someone")
        at = START + timedelta(days=1, minutes=len(self.given))
        self.given.append(
            VersionEventRow(id, kind, row.hash, former.hash if former else None, name, at, reason)
        )

    def _find(self, version_id: str) -> _Made:
        self.list("")
        for each in self.made:
            if each.row.id == version_id:
                return each
        raise NotFound("version", version_id)

    def _by_hash(self, hash: str) -> _Made:
        return next(each for each in self.made if each.row.hash == hash)


def _row(id: str, hash: str, parent: str | None, kind: str, state: str, at: int) -> VersionRow:
    run = None if parent is None else uid("run", at)
    return VersionRow(
        id, hash, parent, kind, state, at, START + timedelta(hours=at), run,
        kind if run else None, "Dr Example" if run else None, "77aa" * 16 if run else None,
        18 if run else 0, Estimate(0.94 - at / 100, 0.92 - at / 100, 0.956 - at / 100), 849,
        "test and val images",
    )  # fmt: skip


def _between(at: int, row: VersionRow) -> list[LineageNode]:
    place = max(0, at - 1)
    return [
        LineageNode(f"snapshot:{at}", "snapshot", "Verdicts", f"{row.verdicts} verdicts", "",
                    row.created_at, 3, place, "s"),
        LineageNode(f"run:{at}", "run", "Reweighting", f"seed {row.seed}", "succeeded",
                    row.created_at, 4, place, "r"),
    ]  # fmt: skip
