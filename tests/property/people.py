"""Several people at one desk: what they may do, as data, and doing it."""

import random
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from db.desk_records import QueuePlace
from db.errors import IllegalTransition, InvalidValue, StaleWrite
from db.records import RelationRecord, new_id
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory
from tests.integration.db.builders import DICTIONARY, make_world, new_version

PEOPLE, CASES, CONCEPTS = 3, 3, 6
CUES = CASES * CONCEPTS
VALUES = ("correct", "spurious", "unsure", "withdrawn")


@dataclass(frozen=True)
class Desk:
    """Ids of the template store, the same in every copy."""

    project_id: str
    version_id: str
    people: tuple[str, ...]
    cases: tuple[str, ...]
    cues: tuple[str, ...]
    concepts: tuple[str, ...]  # by number
    versions: tuple[str, ...]  # the first is that of the cases, active at the start


def make_desk(factory: UnitOfWorkFactory) -> Desk:
    """A project of 3 cases and 6 concepts, two levels of relations, 3 people; case 0 wants two."""
    world = make_world(factory, images=CASES, concepts=CONCEPTS)
    edges = ((2, 0, "is-a"), (3, 0, "part-of"), (4, 1, "is-a"), (5, 2, "is-a"))
    with factory() as uow:
        uow.relations.add_many(
            world.project.id,
            DICTIONARY,
            [RelationRecord(low, high, kind, 0.5, 9) for low, high, kind in edges],
        )
        cleo = uow.reviewers.get_or_create("Cleo")
        cases = [case.id for case in world.cases]
        places = [QueuePlace(case, "why", 0.5, 2 if not at else 1) for at, case in enumerate(cases)]
        uow.queue.plan(world.version.id, places)
        numbers = uow.concepts.ids(world.project.id, DICTIONARY)
        children = (new_version(mark * 64, world.version.hash) for mark in "wxy")
        versions = [uow.versions.add(world.project.id, child).id for child in children]
        uow.commit()
    return Desk(
        project_id=world.project.id,
        version_id=world.version.id,
        people=(world.ada.id, world.ben.id, cleo.id),
        cases=tuple(cases),
        cues=tuple(cue.id for case in world.cues for cue in case),
        concepts=tuple(numbers[number] for number in range(CONCEPTS)),
        versions=(world.version.id, *versions),
    )


@dataclass(frozen=True)
class Deed:
    """Somebody does something; the numbers choose among what there is."""

    what: str
    who: int
    where: int  # of cue, case, concept, proposal ...
    how: int  # value, target, kind ...
    lag: bool  # based on a revision behind the one that stands


WHATS = (
    "judge", "judge", "judge", "undo", "undo", "assess", "assess", "draw", "erase", "rename",
    "propose", "propose", "propose", "decide", "decide", "decide", "mark", "note", "class",
    "queue", "queue", "assign", "column", "column", "version", "version",
)  # fmt: skip


def script(seed: int) -> list[Deed]:
    """Fifty deeds drawn evenly: short or lopsided ones meet few of the rare states."""
    draw = random.Random(seed)
    return [
        Deed(
            draw.choice(WHATS),
            draw.randrange(PEOPLE),
            draw.randrange(CUES),
            draw.randrange(12),
            draw.random() < 0.2,
        )
        for _deed in range(50)
    ]


scripts = st.integers(0, 2**32).map(script)


@dataclass
class Stacks:
    """The undo rules in the plainest Python: what stands, and per person what can be undone."""

    stands: dict[tuple[int, str], Any] = field(default_factory=dict)  # person and thing -> word
    revisions: dict[tuple[int, str], int] = field(default_factory=lambda: defaultdict(int))
    acts: dict[int, list[tuple[str, Any]]] = field(default_factory=lambda: defaultdict(list))

    def do(self, who: int, thing: str, word: Any) -> None:
        self.acts[who].append((thing, self.stands.get((who, thing))))
        self.stands[who, thing] = word
        self.revisions[who, thing] += 1

    def undo(self, who: int) -> bool:
        if not self.acts[who]:
            return False
        thing, before = self.acts[who].pop()
        self.stands[who, thing] = before
        self.revisions[who, thing] += 1
        return True

    def words(self, prefix: str) -> dict[tuple[int, str], Any]:
        """Things of one kind that something is said of."""
        return {
            key: word
            for key, word in self.stands.items()
            if key[1].startswith(prefix) and word is not None
        }


@dataclass
class Play:
    """A script being played; refusals that the rules foresee are part of it."""

    uow: UnitOfWork
    desk: Desk
    stacks: Stacks = field(default_factory=Stacks)
    ids: list[str] = field(default_factory=list)  # of every call, also refused ones

    def run(self, script: list[Deed]) -> "Play":
        for deed in script:
            doing: Callable[[Deed], None] = getattr(self, f"_{deed.what}")
            doing(deed)
        return self

    def _id(self) -> str:
        self.ids.append(new_id())
        return self.ids[-1]

    def _seen(self, deed: Deed, current: int) -> int:
        return max(0, current - deed.lag)

    def _refused(self, deed: Deed, current: int, call: Callable[[], object]) -> bool:
        """Calls; whether it was refused, as it must be exactly when the writer lags behind."""
        if not (deed.lag and current):
            call()
            return False
        with suppress(StaleWrite):
            call()
            raise AssertionError("a lost update was not refused")
        return True

    def _judge(self, deed: Deed) -> None:
        thing, value = f"cue {deed.where}", VALUES[deed.how % 4]
        current = self.stacks.revisions[deed.who, thing]
        refused = self._refused(
            deed,
            current,
            lambda: self.uow.verdicts.append(
                id=self._id(),
                cue_id=self.desk.cues[deed.where],
                reviewer_id=self.desk.people[deed.who],
                value=value,
                based_on=self._seen(deed, current),
            ),
        )
        if not refused:
            self.stacks.do(deed.who, thing, None if value == "withdrawn" else value)

    def _assess(self, deed: Deed) -> None:
        at = deed.where % CASES
        thing, agree = f"case {at}", (True, False, None)[deed.how % 3]
        current = self.stacks.revisions[deed.who, thing]
        refused = self._refused(
            deed,
            current,
            lambda: self.uow.assessments.append(
                id=self._id(),
                case_id=self.desk.cases[at],
                reviewer_id=self.desk.people[deed.who],
                agree=agree,
                ratings={"clarity": 1 + deed.how % 5} if agree else None,
                based_on=self._seen(deed, current),
            ),
        )
        if not refused:
            self.stacks.do(deed.who, thing, agree)

    def _draw(self, deed: Deed) -> None:
        at = deed.where % CASES
        drawn = self.uow.drawings.draw(
            id=self._id(),
            case_id=self.desk.cases[at],
            reviewer_id=self.desk.people[deed.who],
            kind=("missed", "wrong-part", "here", "spurious")[deed.how % 4],
            shape="box",
            points=((0.1, 0.1), (0.5, 0.5)),
        )
        self.stacks.do(deed.who, f"drawing {drawn.id}", True)

    def _erase(self, deed: Deed) -> None:
        mine = [key[1] for key in self.stacks.words("drawing") if key[0] == deed.who]
        if mine:
            thing = mine[deed.how % len(mine)]
            self.uow.drawings.erase(
                id=self._id(),
                drawing_id=thing.removeprefix("drawing "),
                reviewer_id=self.desk.people[deed.who],
            )
            self.stacks.do(deed.who, thing, None)

    def _undo(self, deed: Deed) -> None:
        taken = self.uow.undo.undo(
            id=self._id(),
            reviewer_id=self.desk.people[deed.who],
            project_id=self.desk.project_id,
        )
        assert (taken is not None) == self.stacks.undo(deed.who)

    def _rename(self, deed: Deed) -> None:
        concept = self.uow.concepts.get(self.desk.concepts[deed.where % CONCEPTS])
        self._refused(
            deed,
            concept.revision,
            lambda: self.uow.concepts.add_name(
                id=self._id(),
                concept_id=concept.id,
                name=f"name {deed.how}",
                based_on=self._seen(deed, concept.revision),
                reviewer_id=self.desk.people[deed.who],
            ),
        )

    def _propose(self, deed: Deed) -> None:
        concept, target = deed.where % CONCEPTS, deed.how % CONCEPTS
        kind = ("parent", "merge", "parent", "split")[(deed.where + deed.how) % 4]
        root = kind == "parent" and concept == target
        with suppress(InvalidValue):  # a concept as its own target
            self.uow.hierarchy.propose(
                id=self._id(),
                concept_id=self.desk.concepts[concept],
                reviewer_id=self.desk.people[deed.who],
                kind=kind,
                target_id=None if root or kind == "split" else self.desk.concepts[target],
                relation_kind=("is-a", "part-of")[deed.how % 2],
                parts=("left", "right") if kind == "split" else (),
            )

    def _decide(self, deed: Deed) -> None:
        known = self.uow.hierarchy.proposals(self.desk.project_id, DICTIONARY)
        if not known:
            return
        current = self.uow.hierarchy.revision(self.desk.project_id, DICTIONARY)
        with suppress(InvalidValue):  # it cannot be accepted as things stand
            self._refused(
                deed,
                current,
                lambda: self.uow.hierarchy.decide(
                    id=self._id(),
                    proposal_id=known[deed.where % len(known)].id,
                    reviewer_id=self.desk.people[deed.who],
                    accepted=deed.how % 4 != 0,
                    based_on=self._seen(deed, current),
                ),
            )

    def _mark(self, deed: Deed) -> None:
        concept = self.desk.concepts[deed.where % CONCEPTS]
        kind = "artefact" if deed.how % 2 else "locked"
        latest = self.uow.concept_marks.of_concept(concept).get(kind)
        current = 0 if latest is None else latest.revision
        self._refused(
            deed,
            current,
            lambda: self.uow.concept_marks.append(
                id=self._id(),
                concept_id=concept,
                reviewer_id=self.desk.people[deed.who],
                kind=kind,
                value=deed.how % 3 != 0,
                based_on=self._seen(deed, current),
            ),
        )

    def _note(self, deed: Deed) -> None:
        at = self.desk.cases[deed.where % CASES]
        mine = [
            note
            for note in self.uow.notes.of_case(at)
            if note.reviewer_id == self.desk.people[deed.who]
        ]
        if deed.how % 3 == 0 and mine:
            self.uow.notes.remove(
                id=self._id(), note_id=mine[0].id, reviewer_id=self.desk.people[deed.who]
            )
            return
        self.uow.notes.add(
            id=self._id(),
            project_id=self.desk.project_id,
            reviewer_id=self.desk.people[deed.who],
            kind="note",
            text=f"note {deed.how}",
            case_id=at,
        )

    def _class(self, deed: Deed) -> None:
        concept = self.desk.concepts[deed.where % CONCEPTS]
        name = ("naevus", "melanoma")[deed.how % 2]
        who = self.desk.people[deed.who]
        mine = self.uow.class_verdicts.mine(self.desk.project_id, who).get((concept, name))
        current = 0 if mine is None else mine.revision
        self._refused(
            deed,
            current,
            lambda: self.uow.class_verdicts.append(
                id=self._id(),
                concept_id=concept,
                class_name=name,
                reviewer_id=who,
                value=VALUES[deed.how % 4],
                based_on=self._seen(deed, current),
            ),
        )

    def _column(self, deed: Deed) -> None:
        column, who = ("exposure", "site")[deed.where % 2], self.desk.people[deed.who]
        mine = self.uow.column_verdicts.mine(self.desk.project_id, who).get(column)
        current = 0 if mine is None else mine.revision
        self._refused(
            deed,
            current,
            lambda: self.uow.column_verdicts.append(
                id=self._id(),
                project_id=self.desk.project_id,
                column_name=column,
                reviewer_id=who,
                value=VALUES[deed.how % 4],
                based_on=self._seen(deed, current),
            ),
        )

    def _version(self, deed: Deed) -> None:
        active = self.uow.versions.active(self.desk.project_id)
        assert active is not None
        version = self.desk.versions[deed.where % len(self.desk.versions)]
        # Active already; discarded before; the active one discarded: all refused, nothing changed.
        with suppress(InvalidValue, IllegalTransition):
            self.uow.version_events.append(
                id=self._id(),
                version_id=version,
                kind=("activate", "rollback", "activate", "discard")[deed.how % 4],
                former_id=active.id,
                reviewer_id=self.desk.people[deed.who],
                reason=f"reason {deed.how}",
            )

    def _queue(self, deed: Deed) -> None:
        self.uow.queue.mark(
            id=self._id(),
            case_id=self.desk.cases[deed.where % CASES],
            reviewer_id=self.desk.people[deed.who],
            kind=("skip", "flag", "escalate", "resolve")[deed.how % 4],
        )

    def _assign(self, deed: Deed) -> None:
        self.uow.queue.assign(
            id=self._id(),
            case_id=self.desk.cases[deed.where % CASES],
            assignee_id=self.desk.people[deed.how % PEOPLE],
            by_id=self.desk.people[deed.who],
            assigned=deed.how % 4 != 0,
        )
