"""What a trace reads: beginnings of hashes, words by id, snapshots that hold them, flips."""

from typing import Any

import pytest

from db.records import NewCase, new_id
from db.unit_of_work import UnitOfWorkFactory
from tests.integration.db.builders import World, make_world, new_version

SECOND = "c0ffee" + "0" * 58


@pytest.fixture
def world(factory: UnitOfWorkFactory) -> World:
    return make_world(factory)


def snapshot(factory: UnitOfWorkFactory, world: World, payload: dict[str, Any]) -> str:
    with factory() as uow:
        made = uow.snapshots.add(world.project.id, hash=new_id() * 2, payload=payload, verdicts=1)
        uow.commit()
    return made.id


def test_what_begins_so(factory: UnitOfWorkFactory, world: World) -> None:
    with factory() as uow:
        uow.versions.add(world.project.id, new_version(SECOND, parent=world.version.hash))
        uow.commit()
    project = world.project.id
    with factory(read_only=True) as uow:
        (found,) = uow.trace.matches("version", "c0ffee", project_id=project)
        assert (found.ref, found.title, found.project_id) == (SECOND, "reweight", project)
        zeros = uow.trace.matches("image", "0000", project_id=project)
        assert {match.title for match in zeros} == {case.image.relpath for case in world.cases}
        assert len(uow.trace.matches("image", "0000", project_id=project, limit=2)) == 2
        case = world.cases[0]
        (found,) = uow.trace.matches("case", case.id[:13], project_id=project)
        assert found.id == case.id
        assert uow.trace.matches("version", "%", project_id=project) == ()
        assert uow.trace.matches("version", "c0ffee", project_id=new_id()) == ()


def test_words_of_every_kind(factory: UnitOfWorkFactory, world: World) -> None:
    cue, ids = world.cues[0][0], {name: new_id() for name in ("verdict", "class", "column", "draw")}
    with factory() as uow:
        uow.verdicts.append(
            id=ids["verdict"], cue_id=cue.id, reviewer_id=world.ada.id, value="spurious",
            based_on=0, reason="artefact",
        )  # fmt: skip
        uow.class_verdicts.append(
            id=ids["class"], concept_id=cue.concept_id, class_name="melanoma",
            reviewer_id=world.ada.id, value="correct", based_on=0,
        )  # fmt: skip
        uow.column_verdicts.append(
            id=ids["column"], project_id=world.project.id, column_name="site",
            reviewer_id=world.ben.id, value="spurious", based_on=0,
        )  # fmt: skip
        uow.drawings.draw(
            id=ids["draw"], case_id=world.cases[0].id, reviewer_id=world.ada.id, cue_id=cue.id,
            kind="here", shape="box", points=((0.1, 0.1), (0.5, 0.5)),
        )  # fmt: skip
        uow.commit()
    with factory(read_only=True) as uow:
        found = {name: uow.trace.word(word_id) for name, word_id in ids.items()}
        assert uow.trace.word(new_id()) is None
        counts = uow.trace.count_words(world.project.id, world.ada.id)
    kinds = {name: None if word is None else word.kind for name, word in found.items()}
    assert kinds == {
        "verdict": "verdict", "class": "class verdict", "column": "column verdict",
        "draw": "drawing",
    }  # fmt: skip
    verdict, column = found["verdict"], found["column"]
    assert verdict is not None
    assert (verdict.cue_id, verdict.reviewer, verdict.reason) == (
        cue.id,
        world.ada.name,
        "artefact",
    )
    assert column is not None
    assert (column.about, column.case_id, column.reviewer) == ("site", None, world.ben.name)
    assert counts == {
        "verdicts": 1, "assessments": 0, "words on classes": 1, "words on columns": 0,
        "drawings": 1,
    }  # fmt: skip


def test_snapshots_that_hold_a_word(factory: UnitOfWorkFactory, world: World) -> None:
    word, other = new_id(), new_id()
    first = snapshot(factory, world, {"cues": [{"verdicts": [{"id": word, "text": "ä %_\\"}]}]})
    snapshot(factory, world, {"cues": [{"verdicts": [{"id": other}]}]})
    with factory() as uow:
        made = uow.versions.add(
            world.project.id,
            type(new_version())(**(new_version(SECOND).__dict__ | {"snapshot_id": first})),
        )
        uow.commit()
    with factory(read_only=True) as uow:
        (head,) = uow.trace.holding(world.project.id, word)
        assert (head.id, head.verdicts) == (first, 1)
        assert uow.trace.holding(world.project.id, new_id()) == ()
        assert len(uow.trace.snapshot_heads(world.project.id)) == 2
        assert [each.id for each in uow.trace.versions_of([first])] == [made.id]
        assert uow.trace.versions_of([]) == ()


def test_flips_between_two_versions(factory: UnitOfWorkFactory, world: World) -> None:
    """Three images: one stays, one becomes right, one becomes wrong; a fourth only one decided."""
    labels = [case.image.label for case in world.cases]
    with factory() as uow:
        after = uow.versions.add(world.project.id, new_version(SECOND, world.version.hash))
        uow.cases.add_many(
            after.id,
            [
                NewCase(case.image_id, "naevus", 0.6, 1.0, 0.0, (("naevus", 0.6),), at)
                for at, case in enumerate(world.cases)
            ],
        )
        uow.commit()
    righted = sum(label == "naevus" for label in labels)
    broken = sum(label == "melanoma" for label in labels)
    with factory(read_only=True) as uow:
        found = uow.trace.flips(world.version.id, after.id, limit=1)
        same = uow.trace.flips(world.version.id, world.version.id)
    assert (found.cases, found.turned) == (len(labels), len(labels))
    assert (found.righted, found.broken) == (righted, broken)
    (first,) = found.first
    assert (first.before, first.after, first.label) == ("melanoma", "naevus", labels[0])
    assert (same.turned, same.righted, same.broken, same.first) == (0, 0, 0, ())


def test_tallies_and_sides(factory: UnitOfWorkFactory, world: World) -> None:
    with factory(read_only=True) as uow:
        tallies = uow.trace.image_tallies(world.project.id)
        assert sum(each.count for each in tallies) == len(world.cases)
        assert uow.trace.image_sides(world.project.id) == (192, 192, 128, 128)
        assert uow.trace.image_sides(new_id()) == (0, 0, 0, 0)
