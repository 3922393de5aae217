"""Names that people gave, carried to another dictionary, on every back end."""

from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import uuid4

import pytest

from core.name_matching import ConceptMatch, Missed
from dashboard.services.carrying import ACTION, Former, NamesKept, carried_id, carry
from db.records import NameRecord, VersionRecord, new_id
from db.unit_of_work import UnitOfWorkFactory
from tests.integration.db.builders import DICTIONARY, World, new_concept, new_version


@dataclass
class Desk:
    """A project with a dictionary and later ones, and people who name things."""

    factory: UnitOfWorkFactory
    world: World

    def version(self) -> VersionRecord:
        """A version with a dictionary of its own; the same four concepts."""
        hash = uuid4().hex * 2
        new = replace(new_version(hash), dictionary_hash=uuid4().hex * 2)
        with self.factory() as uow:
            made = uow.versions.add(self.world.project.id, new)
            uow.concepts.add_many(
                self.world.project.id, new.dictionary_hash, [new_concept(n) for n in range(4)]
            )
            uow.commit()
        return made

    def give(
        self, number: int, name: str, *, by: str, version: VersionRecord | None = None
    ) -> NameRecord:
        """A person's name, on the first dictionary or on that of a version."""
        dictionary = version.dictionary_hash if version else DICTIONARY
        with self.factory() as uow:
            concept = uow.concepts.by_number(self.world.project.id, dictionary)[number]
            event = uow.concepts.add_name(
                id=new_id(), concept_id=concept.id, name=name, based_on=concept.revision,
                reviewer_id=by, reason="seen it",
            )  # fmt: skip
            uow.commit()
        return event

    def carry(self, to: VersionRecord, *former: Former) -> NamesKept:
        with self.factory() as uow:
            kept = carry(uow, to, former)
            uow.commit()
        return kept

    def history(self, version: VersionRecord, number: int) -> tuple[NameRecord, ...]:
        with self.factory(read_only=True) as uow:
            events = uow.concepts.name_events(self.world.project.id, version.dictionary_hash)
        return events.get(number, ())

    def audited(self, version: VersionRecord) -> int:
        with self.factory(read_only=True) as uow:
            rows = uow.audit.list(entity="version", entity_id=version.id)
        return sum(row.action == ACTION for row in rows)


@pytest.fixture
def desk(factory: UnitOfWorkFactory, world: World) -> Desk:
    return Desk(factory, world)


def former(version: VersionRecord, **pairs: float) -> Former:
    """`former(v, _1to2=.9)`: old 1 is new 2 with score .9; every other concept has no match."""
    found = {n: ConceptMatch(n, None, 0.4, 0.1, "weak") for n in range(4)}
    for pair, score in pairs.items():
        old, new = (int(each) for each in pair.strip("_").split("to"))
        found[old] = ConceptMatch(old, new, score, 0.3, None)
    return Former(version, found)


def test_a_name_is_carried_with_person_version_and_score(desk: Desk) -> None:
    given = desk.give(1, "scale bar", by=desk.world.ada.id)
    new = desk.version()

    kept = desk.carry(new, former(desk.world.version, _1to2=0.934))

    (carried,) = kept.carried
    assert (carried.concept, carried.from_concept, carried.score) == (2, 1, 0.934)
    assert (carried.name, carried.reviewer) == ("scale bar", desk.world.ada.name)
    assert kept.lost == ()
    (event,) = desk.history(new, 2)
    assert event.id == carried_id(event.concept_id, given.id)
    assert (event.name, event.source, event.revision) == ("scale bar", "person", 1)
    assert event.reviewer == desk.world.ada.name
    assert event.reason == "carried over from version vvvvvvvv, match 0.93: seen it"
    with desk.factory(read_only=True) as uow:
        names = uow.concepts.names(desk.world.project.id, new.dictionary_hash)
        (row,) = uow.audit.list(entity="version", entity_id=new.id)
    assert names == {0: "sign 0", 1: "sign 1", 2: "scale bar"}
    assert (row.actor, row.action) == ("engine", ACTION)
    assert row.detail["carried"][0]["name"] == "scale bar"


def test_carrying_again_writes_nothing(desk: Desk) -> None:
    desk.give(1, "scale bar", by=desk.world.ada.id)
    new = desk.version()
    first = desk.carry(new, former(desk.world.version, _1to2=0.9))
    again = desk.carry(new, former(desk.world.version, _1to2=0.9))
    assert again == first
    assert len(desk.history(new, 2)) == 1
    assert desk.audited(new) == 1


@pytest.mark.parametrize(
    ("missed", "why"),
    [("weak", "similar enough"), ("ambiguous", "about as similar"), ("taken", "better")],
)
def test_what_has_no_match_is_listed_once(desk: Desk, missed: Missed, why: str) -> None:
    desk.give(1, "scale bar", by=desk.world.ada.id)
    new = desk.version()
    unmatched = Former(desk.world.version, {1: ConceptMatch(1, None, 0.61, 0.0, missed)})

    kept = desk.carry(new, unmatched)
    desk.carry(new, unmatched)

    (lost,) = kept.lost
    assert (lost.name, lost.reviewer) == ("scale bar", desk.world.ada.name)
    assert (lost.from_concept, lost.score) == (1, 0.61)
    assert why in lost.why
    assert (kept.carried, desk.history(new, 1)) == ((), ())
    assert desk.audited(new) == 1


def test_another_encoder_loses_every_name_with_the_reason(desk: Desk) -> None:
    desk.give(1, "scale bar", by=desk.world.ada.id)
    new = desk.version()
    kept = desk.carry(new, Former(desk.world.version, {}, "made with another encoder"))
    assert [(x.name, x.score, x.why) for x in kept.lost] == [
        ("scale bar", None, "made with another encoder")
    ]


def test_nothing_named_nothing_said(desk: Desk) -> None:
    new = desk.version()
    assert desk.carry(new, former(desk.world.version, _1to2=0.9)) == NamesKept()
    assert desk.carry(new) == NamesKept()
    assert desk.audited(new) == 0


def test_a_persons_own_name_is_never_overwritten(desk: Desk) -> None:
    desk.give(1, "scale bar", by=desk.world.ada.id)
    new = desk.version()
    desk.give(2, "ruler", by=desk.world.ben.id, version=new)
    kept = desk.carry(new, former(desk.world.version, _1to2=0.9))
    assert kept.carried == ()
    assert kept.lost[0].why == f"{desk.world.ben.name} named concept 2 'ruler'"
    assert [event.name for event in desk.history(new, 2)] == ["ruler"]


def test_a_rename_after_carrying_stands(desk: Desk) -> None:
    desk.give(1, "scale bar", by=desk.world.ada.id)
    new = desk.version()
    desk.carry(new, former(desk.world.version, _1to2=0.9))
    desk.give(2, "ruler", by=desk.world.ben.id, version=new)
    desk.carry(new, former(desk.world.version, _1to2=0.9))
    assert [event.name for event in desk.history(new, 2)] == ["scale bar", "ruler"]


def test_a_name_given_since_replaces_the_one_carried(desk: Desk) -> None:
    desk.give(1, "scale bar", by=desk.world.ada.id)
    new = desk.version()
    desk.carry(new, former(desk.world.version, _1to2=0.9))
    desk.give(1, "measuring scale", by=desk.world.ben.id)
    kept = desk.carry(new, former(desk.world.version, _1to2=0.9))
    assert [carried.name for carried in kept.carried] == ["measuring scale"]
    assert [event.name for event in desk.history(new, 2)] == ["scale bar", "measuring scale"]
    assert desk.audited(new) == 2


def test_over_three_dictionaries_a_name_comes_once_from_the_nearest(desk: Desk) -> None:
    desk.give(1, "scale bar", by=desk.world.ada.id)
    first = desk.world.version
    second, third = desk.version(), desk.version()
    desk.carry(second, former(first, _1to2=0.9))

    kept = desk.carry(third, former(second, _2to0=0.95), former(first, _1to3=0.85))

    assert [(c.concept, c.from_version) for c in kept.carried] == [(0, second.hash)]
    assert kept.lost == ()
    (event,) = desk.history(third, 0)
    assert event.reason == f"carried over from version {second.hash[:8]}, match 0.95: seen it"


def test_what_the_second_dictionary_lost_the_third_may_find(desk: Desk) -> None:
    desk.give(1, "scale bar", by=desk.world.ada.id)
    first = desk.world.version
    second, third = desk.version(), desk.version()
    assert desk.carry(second, former(first)).carried == ()
    kept = desk.carry(third, former(second), former(first, _1to3=0.85))
    assert [(c.concept, c.from_version) for c in kept.carried] == [(3, first.hash)]


def test_a_name_replaced_on_the_second_dictionary_does_not_come_back(desk: Desk) -> None:
    desk.give(1, "scale bar", by=desk.world.ada.id)
    first = desk.world.version
    second, third = desk.version(), desk.version()
    desk.carry(second, former(first, _1to2=0.9))
    desk.give(2, "ruler", by=desk.world.ben.id, version=second)
    kept = desk.carry(third, former(second, _2to2=0.9), former(first, _1to2=0.9))
    assert [c.name for c in kept.carried] == ["ruler"]
    assert kept.lost == ()
    lost = desk.carry(desk.version(), former(second), former(first, _1to2=0.9)).lost
    assert [each.name for each in lost] == ["ruler"]


def test_where_two_names_meet_the_later_one_goes_on(desk: Desk) -> None:
    desk.give(0, "later", by=desk.world.ben.id)
    first = desk.world.version
    second = desk.version()
    desk.give(0, "last", by=desk.world.ada.id, version=second)
    third = desk.version()
    kept = desk.carry(third, former(second, _0to1=0.9), former(first, _0to1=0.99))
    assert [c.name for c in kept.carried] == ["last"]
    assert [(x.name, "later name" in x.why) for x in kept.lost] == [("later", True)]


def test_events_come_by_number_oldest_first(desk: Desk) -> None:
    for name in ("a", "b"):
        desk.give(1, name, by=desk.world.ada.id)
    with desk.factory(read_only=True) as uow:
        events = uow.concepts.name_events(desk.world.project.id, DICTIONARY)
    assert {number: [e.name for e in each] for number, each in events.items()} == {1: ["a", "b"]}
    assert events[1][1].created_at - events[1][0].created_at >= timedelta(0)
