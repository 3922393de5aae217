"""Stand-ins for the concept and hierarchy services: the phantoms' cues as concepts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import numpy as np

from core.errors import ConfigError
from core.phantoms import CLASSES, VOCABULARY
from dashboard.services.roles import Forbidden
from dashboard.viewmodels import ConceptRow, ConceptView, ExampleView, NameEvent
from dashboard.viewmodels.concepts import (
    ConceptListView,
    FactsView,
    FiringView,
    MarkEvent,
    MarkKind,
    NeighbourView,
    PositionsView,
    RelativeView,
    TallyView,
)
from dashboard.viewmodels.hierarchy import (
    DecisionView,
    InboxView,
    ProposalView,
    TreeNodeView,
    TreeView,
)
from db.errors import NotFound, StaleWrite
from tests.fakes.cases import GRID, LEVELS, START, WEIGHTS, Book, map_of, phantom, uid

NAMES = tuple(WEIGHTS)
PARENTS = {
    "atypical network": ("lesion", "part-of"), "blue-white veil": ("lesion", "part-of"),
    "streaks": ("lesion", "part-of"), "globules": ("lesion", "part-of"),
    "irregular border": ("lesion", "part-of"), "regression": ("blue-white veil", "is-a"),
    "typical network": ("lesion", "part-of"), "hair": ("skin", "part-of"),
    "ink marking": ("ruler", "is-a"), "colour sticker": ("ruler", "is-a"),
}  # fmt: skip


@dataclass
class Marks:
    """What the fakes remember of one desk's concepts."""

    marks: dict[tuple[str, str], list[MarkEvent]] = field(default_factory=dict)
    proposals: dict[str, ProposalView] = field(default_factory=dict)
    merged: dict[str, str] = field(default_factory=dict)  # name -> name that stands for it
    parents: dict[str, tuple[str, str]] = field(default_factory=lambda: dict(PARENTS))
    moved: set[str] = field(default_factory=set)
    decisions: int = 0
    may: bool = True


class FakeConcepts:
    """Concepts named after the phantoms' cues."""

    def __init__(self, book: Book, marks: Marks) -> None:
        self._book = book
        self.marks = marks

    def list(self, project_id: str, search: str = "", **_: Any) -> tuple[ConceptRow, ...]:
        return self.page(project_id, search, limit=200).rows

    def page(
        self, project_id: str, search: str = "", *, level: int | None = None,
        order: str = "spurious", only: str = "all", limit: int = 50, offset: int = 0,
        min_frequency: float = 0.0,
    ) -> ConceptListView:  # fmt: skip
        rows = [self.row(name) for name in NAMES if name not in self.marks.merged]
        rows = [row for row in rows if search.strip().lower() in row.name.lower()]
        rows = [row for row in rows if level is None or row.level == level]
        wanted = {
            "all": lambda row: True,
            "named": lambda row: row.named,
            "unnamed": lambda row: not row.named,
            "judged": lambda row: row.verdicts_correct + row.verdicts_spurious > 0,
            "artefact": lambda row: row.artefact,
            "locked": lambda row: row.locked,
        }[only]
        rows = [row for row in rows if wanted(row)]
        return ConceptListView(tuple(rows[offset : offset + limit]), len(rows), offset)

    def row(self, name: str) -> ConceptRow:
        number = NAMES.index(name)
        id = uid("concept", name)
        cues = {uid("cue", at, name) for at in range(self._book.cases)}
        on_it = [v for cue, _, v in self._book.verdicts if cue in cues]
        parent = self.marks.parents.get(name)
        return ConceptRow(
            id, number, self._book.name_of(name), number != 8, LEVELS.get(name, 2),
            0.9 / (1 + number), parent[0] if parent else None, 0.21,
            sum(v.value == "correct" for v in on_it), sum(v.value == "spurious" for v in on_it),
            sum(v.value == "unsure" for v in on_it), self.marked(id, "artefact"),
            self.marked(id, "locked"), self.marks.merged.get(name),
        )  # fmt: skip

    def marked(self, concept_id: str, kind: str) -> bool:
        given = self.marks.marks.get((concept_id, kind))
        return bool(given and given[-1].value)

    def view(self, concept_id: str, reviewer_id: str | None = None) -> ConceptView:
        name = name_of(concept_id)
        given = tuple(self._book.names.get(concept_id, ()))
        survivor = self.marks.merged.get(name)
        parent = self.marks.parents.get(name)
        below = [(child, kind) for child, (up, kind) in self.marks.parents.items() if up == name]
        kinds: tuple[MarkKind, ...] = ("artefact", "locked")
        events = [event for kind in kinds for event in self.marks.marks.get((concept_id, kind), ())]
        return ConceptView(
            row=self.row(name), revision=len(given),
            suggestions=(
                ("measuring scale", 0.31), ("ruler ticks", 0.24),
                *((term.name, 0.0) for term in VOCABULARY[:6]),
            ),
            history=(NameEvent(name, "model", None, "", START, 0), *given),
            parents=(self._relative(*parent, name),) if parent else (),
            children=tuple(self._relative(child, kind, child) for child, kind in below),
            weights=tuple(zip(CLASSES, (-0.8, 1.9, -0.4), strict=True)),
            tallies=(TallyView("melanoma", 3, 11, 2), TallyView("naevus", 5, 0, 1)),
            marks=tuple(sorted(events, key=lambda event: event.at)),
            mark_revisions=tuple(
                (kind, len(self.marks.marks.get((concept_id, kind), ()))) for kind in kinds
            ),
            merged=tuple(old for old, new in self.marks.merged.items() if new == name),
            survivor_id=uid("concept", survivor) if survivor else None,
            may_change=self.marks.may,
        )  # fmt: skip

    def _relative(self, name: str, kind: str, child: str) -> RelativeView:
        source = "person" if child in self.marks.moved else "model"
        return RelativeView(
            uid("concept", name), NAMES.index(name), self._book.name_of(name), kind, source, 0.8
        )

    def examples(self, concept_id: str) -> tuple[ExampleView, ...]:
        name = name_of(concept_id)
        found = []
        for at in range(40):
            shown = phantom(at)
            if name in shown.masks and len(found) < 15:
                rank = ("top", "middle", "lowest")[min(len(found) // 5, 2)]
                map_u8 = map_of(shown.masks[name], np.random.default_rng(at)).tobytes()
                found.append(
                    ExampleView(
                        uid("image", at), f"phantom_{at:04d}.png", shown.label, 1.6 - at / 30,
                        (GRID, GRID), map_u8, rank, _box(map_u8),  # type: ignore[arg-type]
                    )
                )  # fmt: skip
        return tuple(found)

    def facts(self, concept_id: str) -> FactsView:
        name = name_of(concept_id)
        grid = np.zeros((12, 12))
        grid[8:11, 2:10] = np.linspace(0.2, 0.9, 8)
        return FactsView(
            images=420,
            classes=(
                FiringView("melanoma", 131, 140, 1.4), FiringView("seborrhoeic keratosis", 22, 140,
                0.8), FiringView("naevus", 9, 140, 0.7),
            ),
            groups=(FiringView("clinic A", 120, 150, 1.3), FiringView("clinic B", 42, 270, 1.1)),
            splits=(FiringView("train", 120, 300, 1.2), FiringView("test", 42, 120, 1.2)),
            positions=PositionsView((12, 12), tuple(grid.ravel().tolist()), 162),
            nearest=tuple(
                NeighbourView(uid("concept", other), at, self._book.name_of(other), 0.8 - at / 10,
                              0.9 / (1 + at))
                for at, other in enumerate(NAMES[:7]) if other != name
            ),
        )  # fmt: skip

    def rename(
        self, *, id: str, concept_id: str, reviewer_id: str, name: str, reason: str = "",
        based_on: int,
    ) -> NameEvent:  # fmt: skip
        if not name.strip():
            raise ConfigError("the name must not be empty")
        self._check()
        if self.marked(concept_id, "locked"):
            raise ConfigError("the name is locked; unlock it first")
        given = self._book.names.setdefault(concept_id, [])
        if based_on != len(given):
            raise StaleWrite("concept name", based_on, len(given))
        event = NameEvent(name.strip(), "person", "Dr Example", reason, START, based_on + 1)
        given.append(event)
        return event

    def mark(
        self, *, id: str, concept_id: str, reviewer_id: str, kind: MarkKind, value: bool,
        reason: str = "", based_on: int,
    ) -> MarkEvent:  # fmt: skip
        self._check()
        given = self.marks.marks.setdefault((concept_id, kind), [])
        if based_on != len(given):
            raise StaleWrite("concept mark", based_on, len(given))
        when = START + timedelta(minutes=len(given))
        given.append(MarkEvent(kind, value, "Dr Example", reason, when, based_on + 1))
        return given[-1]

    def _check(self) -> None:
        if not self.marks.may:
            raise Forbidden("annotator", "expert")


class FakeHierarchy:
    """A tree that accepted proposals change."""

    def __init__(self, book: Book, concepts: FakeConcepts) -> None:
        self._book, self._concepts, self.marks = book, concepts, concepts.marks

    def tree(self, project_id: str) -> TreeView:
        parents = self.marks.parents
        shown = {*parents, *(up for up, _ in parents.values())} - {*self.marks.merged}
        roots = [name for name in NAMES if name in shown and name not in parents]
        return TreeView(
            self.marks.decisions, tuple(self._node(name, shown) for name in roots),
            len(NAMES) - len(shown), len(parents), len(self.marks.moved), len(self.marks.merged),
        )  # fmt: skip

    def _node(self, name: str, shown: set[str]) -> TreeNodeView:
        row = self._concepts.row(name)
        below = [child for child, (up, _) in self.marks.parents.items() if up == name]
        kind = self.marks.parents.get(name, ("", None))[1]
        source = ("person" if name in self.marks.moved else "model") if kind else None
        return TreeNodeView(
            row.id, row.concept, row.name, row.named, row.frequency, kind, source,
            tuple(self._node(child, shown) for child in below if child in shown),
            row.artefact, row.locked,
            tuple(old for old, new in self.marks.merged.items() if new == name),
        )  # fmt: skip

    def waiting(self, project_id: str) -> int:
        return sum(view.state == "open" for view in self.marks.proposals.values())

    def revision(self, project_id: str) -> int:
        return self.marks.decisions

    def inbox(self, project_id: str, reviewer_id: str) -> InboxView:
        all_of = tuple(self.marks.proposals.values())
        return InboxView(
            self.marks.decisions, tuple(p for p in all_of if p.state == "open"),
            tuple(p for p in all_of if p.state != "open"), self.marks.may,
        )  # fmt: skip

    def propose(
        self, *, id: str, concept_id: str, reviewer_id: str, kind: Any,
        target_id: str | None = None, relation: str | None = None, parts: tuple[str, ...] = (),
        reason: str = "",
    ) -> ProposalView:  # fmt: skip
        if kind == "merge" and target_id in {None, concept_id}:
            raise ConfigError("a concept cannot be merged into itself")
        name = name_of(concept_id)
        target = name_of(target_id) if target_id else None
        view = ProposalView(
            id, kind, concept_id, self._book.name_of(name), target_id, target, relation, parts,
            reason, "Dr Example", START, "open", (), f"{name} will change.",
        )  # fmt: skip
        return self.marks.proposals.setdefault(id, view)

    def decide(
        self, *, id: str, proposal_id: str, reviewer_id: str, accepted: bool, reason: str = "",
        based_on: int,
    ) -> ProposalView:  # fmt: skip
        if not self.marks.may:
            raise Forbidden("annotator", "expert")
        if based_on != self.marks.decisions:
            raise StaleWrite("hierarchy", based_on, self.marks.decisions)
        self.marks.decisions += 1
        found = self.marks.proposals[proposal_id]
        decision = DecisionView(accepted, "Dr Example", reason, START, len(found.decisions) + 1)
        state = "accepted" if accepted else "declined"
        found = replace(found, state=state, decisions=(*found.decisions, decision))
        self.marks.proposals[proposal_id] = found
        name = name_of(found.concept_id)
        if accepted and found.kind == "merge":
            self.marks.merged[name] = found.target or ""
        elif accepted and found.kind == "parent":
            self.marks.parents.pop(name, None)
            if found.target:
                self.marks.parents[name] = (found.target, found.relation or "is-a")
                self.marks.moved.add(name)
        return found

    def change(
        self, *, id: str, concept_id: str, reviewer_id: str, kind: Any,
        target_id: str | None = None, relation: str | None = None, parts: tuple[str, ...] = (),
        reason: str = "", based_on: int,
    ) -> ProposalView:  # fmt: skip
        self.propose(
            id=id, concept_id=concept_id, reviewer_id=reviewer_id, kind=kind,
            target_id=target_id, relation=relation, parts=parts, reason=reason,
        )  # fmt: skip
        return self.decide(
            id=uid(id, "decision"), proposal_id=id, reviewer_id=reviewer_id, accepted=True,
            reason=reason, based_on=based_on,
        )  # fmt: skip


def name_of(concept_id: str) -> str:
    """The first name of the concept of that id. Raises NotFound."""
    for name in NAMES:
        if uid("concept", name) == concept_id:
            return name
    raise NotFound("concept", concept_id)


def _box(map_u8: bytes) -> tuple[float, float, float, float]:
    rows, columns = np.nonzero(np.frombuffer(map_u8, dtype=np.uint8).reshape(GRID, GRID) >= 128)
    if not len(rows):
        return (0.0, 0.0, 1.0, 1.0)
    low, high = (columns.min(), rows.min()), (columns.max() + 1, rows.max() + 1)
    x0, y0, x1, y1 = (float(v) / GRID for v in (*low, *high))
    return (max(0.0, x0 - 0.1), max(0.0, y0 - 0.1), min(1.0, x1 + 0.1), min(1.0, y1 + 0.1))
