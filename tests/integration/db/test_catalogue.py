"""Projects, images, versions, concepts, relations, cases and cues."""

from dataclasses import replace
from uuid import uuid4

import pytest

from db.errors import Conflict, IllegalTransition, InvalidValue, NotFound
from db.records import NewConcept, RelationRecord, new_id
from db.unit_of_work import UnitOfWorkFactory
from tests.integration.db.builders import (
    DICTIONARY,
    World,
    make_world,
    new_case,
    new_concept,
    new_cue,
    new_image,
    new_version,
)


def test_a_project_is_found_by_id_and_name(factory: UnitOfWorkFactory) -> None:
    name = f"Dermoscopy {uuid4()}"
    with factory() as uow:
        made = uow.projects.add(
            f"  {name} ", "folder", classes=["a", "b"], vocabulary={"terms": []}, notice="synthetic"
        )
        assert uow.projects.get(made.id) == made
        assert uow.projects.by_name(name) == made
        assert uow.projects.find(name) == uow.projects.find(made.id) == made
        assert made in uow.projects.list()
        changed = uow.projects.update(made.id, notice="", settings={"blind": True})
        uow.commit()
    assert (made.classes, made.vocabulary, made.notice) == (("a", "b"), {"terms": []}, "synthetic")
    assert (changed.notice, changed.settings, changed.classes) == (
        None,
        {"blind": True},
        ("a", "b"),
    )
    with factory() as uow:
        again = uow.projects.update(made.id, classes=("c",), vocabulary={"terms": [1]}, root="r")
        assert (again.classes, again.vocabulary, again.root) == (("c",), {"terms": [1]}, "r")
        with pytest.raises(Conflict):
            uow.projects.add(name, "elsewhere")
        with pytest.raises(InvalidValue):
            uow.projects.add(" \x00", "elsewhere")
        with pytest.raises(NotFound):
            uow.projects.find("nowhere")


def test_images_come_in_bulk_and_are_looked_up(factory: UnitOfWorkFactory) -> None:
    with factory() as uow:
        project = uow.projects.add(f"bulk {uuid4()}", "x")
        added = uow.images.add_many(project.id, [new_image(index) for index in range(2500)])
        uow.commit()
    with factory(read_only=True) as uow:
        lookup = uow.images.lookup(project.id)
        counts = uow.images.counts(project.id)
        pages = [uow.images.list(project.id, limit=1000, offset=at) for at in (0, 1000, 2000)]
        assert uow.images.get(added[5].id) == added[5]
        assert uow.images.by_ids([added[0].id, new_id()]) == {added[0].id: added[0]}
        assert uow.images.by_relpath(project.id, added[9].relpath) == added[9]
        assert uow.images.by_sha256(project.id, added[9].sha256) == added[9]
        assert uow.images.by_sha256(project.id, "none") is None
        some = uow.images.list(project.id, split="test", label="naevus", search="IMAGES/0000")
    assert lookup.by_relpath == {each.relpath: each for each in added}
    assert set(lookup.by_sha256) == {each.sha256 for each in added}
    assert [each for page in pages for each in page] == list(added)
    assert (counts.total, counts.by_label) == (2500, {"naevus": 1250, "melanoma": 1250})
    assert counts.by_split == {"test": 834, "train": 1666}
    assert [each.relpath for each in some] == ["images/00003.png", "images/00009.png"]


def test_an_image_is_stored_once(factory: UnitOfWorkFactory, world: World) -> None:
    for twin in (replace(new_image(0), relpath="other.png"), replace(new_image(0), sha256="f")):
        with pytest.raises(Conflict), factory() as uow:
            uow.images.add_many(world.project.id, [twin])
    with pytest.raises(NotFound), factory() as uow:
        uow.images.add_many(new_id(), [new_image(0)])


def test_labels_can_be_mended(factory: UnitOfWorkFactory, world: World) -> None:
    image = world.cases[0].image
    with factory() as uow:
        uow.images.update(image.id, label="x", split=None, group_name="g", mask_path="m.png")
        uow.commit()
    with factory(read_only=True) as uow:
        changed = uow.images.get(image.id)
    assert changed == replace(image, label="x", split=None, group_name="g", mask_path="m.png")


def test_a_version_is_registered_once(factory: UnitOfWorkFactory, world: World) -> None:
    with factory() as uow:
        assert uow.versions.add(world.project.id, new_version()) == world.version
        with pytest.raises(Conflict):
            uow.versions.add(world.project.id, replace(new_version(), seed=8))
        assert uow.versions.by_hash(world.project.id, "nothing") is None
        assert uow.versions.by_ids([world.version.id]) == {world.version.id: world.version}
    assert world.version.metrics == {"accuracy": 0.9, "groups": [1, 2]}


def test_one_version_is_active_at_a_time(factory: UnitOfWorkFactory, world: World) -> None:
    with factory() as uow:
        child = uow.versions.add(world.project.id, new_version("c" * 64, parent=world.version.hash))
        assert child.state == "candidate"
        project = uow.projects.set_active_version(world.project.id, child.id)
        assert project.active_version_id == child.id
        uow.commit()
    with factory() as uow:
        active = uow.versions.active(world.project.id)
        assert active is not None
        assert active.id == child.id
        assert uow.versions.get(world.version.id).state == "candidate"
        assert uow.versions.list(world.project.id)[0].id == child.id
        with pytest.raises(IllegalTransition):
            uow.versions.set_state(child.id, "discarded")
        uow.versions.set_state(world.version.id, "discarded")
        with pytest.raises(IllegalTransition):
            uow.versions.set_state(world.version.id, "active")
        assert uow.versions.set_state(child.id, "active").state == "active"
        with pytest.raises(InvalidValue):
            uow.versions.set_state(child.id, "broken")  # type: ignore[arg-type]


def test_a_strangers_version_cannot_be_made_active(
    factory: UnitOfWorkFactory, world: World
) -> None:
    other = make_world(factory)
    with factory() as uow, pytest.raises(NotFound):
        uow.projects.set_active_version(world.project.id, other.version.id)


def test_concepts_are_added_once(factory: UnitOfWorkFactory, world: World) -> None:
    with factory() as uow:
        before = uow.concepts.by_number(world.project.id, DICTIONARY)
        more = [replace(new_concept(number), model_name="changed") for number in range(6)]
        assert uow.concepts.add_many(world.project.id, DICTIONARY, more) == 2
        after = uow.concepts.by_number(world.project.id, DICTIONARY)
        assert {number: after[number] for number in before} == before
        assert uow.concepts.by_ids([after[5].id])[after[5].id] == after[5]
    assert before[3].shown_name == "concept 3"
    assert before[2].runners_up == (("ruler", 0.4), ("hair", 0.3))


def test_relations_join_known_concepts(factory: UnitOfWorkFactory, world: World) -> None:
    edges = [
        RelationRecord(1, 0, "is-a", 0.9, 40),
        RelationRecord(2, 1, "part-of", 0.8, 30),
    ]
    project = world.project.id
    with factory() as uow:
        assert uow.relations.add_many(project, DICTIONARY, edges) == 2
        assert uow.relations.add_many(project, DICTIONARY, edges) == 0
        assert uow.relations.list(project, DICTIONARY) == tuple(edges)
        assert uow.relations.list(project, DICTIONARY, number=2) == (edges[1],)
        assert uow.relations.list(project, DICTIONARY, number=1) == tuple(edges)
    with pytest.raises(NotFound), factory() as uow:
        uow.relations.add_many(project, DICTIONARY, [RelationRecord(1, 99, "is-a", 1.0, 1)])


def test_a_page_of_concepts(factory: UnitOfWorkFactory, world: World) -> None:
    project = world.project.id
    many = [
        NewConcept(
            number=n, level=n % 2, frequency=(n * 37 % 100) / 100, model_name=f"Streifen {n}"
        )
        for n in range(10, 110)
    ]
    with factory() as uow:
        uow.concepts.add_many(project, DICTIONARY, many)
        first = uow.concepts.list(project, DICTIONARY, search="streifen", limit=30)
        second = uow.concepts.list(project, DICTIONARY, search="STREIFEN", limit=30, offset=30)
        past = uow.concepts.list(project, DICTIONARY, search="streifen", limit=30, offset=500)
        often = uow.concepts.list(project, DICTIONARY, order="frequency", min_frequency=0.9)
        level = uow.concepts.list(project, DICTIONARY, level=1, order="level", limit=3)
        margin = uow.concepts.list(project, DICTIONARY, order="margin", limit=1)
        named = uow.concepts.list(project, DICTIONARY, order="name", limit=200)
    numbers = [item.concept.number for item in (*first.items, *second.items)]
    assert numbers == list(range(10, 70))
    assert (first.total, second.total, past) == (100, 100, replace(past, items=(), total=100))
    frequencies = [item.concept.frequency for item in often.items]
    assert frequencies == sorted(frequencies, reverse=True)
    assert min(frequencies) >= 0.9
    assert {item.concept.level for item in level.items} == {1}
    assert margin.items[0].concept.number == 3
    assert named.items[-1].concept.name is None  # the nameless come last


@pytest.mark.parametrize("search", ["100%", "a_b", "\\", "ÄRGER", "concept 3", "3"])
def test_search_takes_text_literally_and_knows_numbers(
    factory: UnitOfWorkFactory, world: World, search: str
) -> None:
    names = {40: "100% rot", 41: "a_b", 42: "axb", 43: "back\\slash", 44: "Großer ärger"}
    wanted = {"100%": {40}, "a_b": {41}, "\\": {43}, "ÄRGER": {44}, "concept 3": {3}, "3": {3}}
    with factory() as uow:
        uow.concepts.add_many(
            world.project.id,
            DICTIONARY,
            [replace(new_concept(number), model_name=name) for number, name in names.items()],
        )
        page = uow.concepts.list(world.project.id, DICTIONARY, search=search)
        found = {item.concept.number for item in page.items if item.concept.name != "sign 3"}
    assert found == wanted[search]


def test_most_often_spurious_first(factory: UnitOfWorkFactory, world: World) -> None:
    with factory() as uow:
        for case, cue, value in ((0, 2, "spurious"), (1, 2, "spurious"), (0, 1, "spurious")):
            uow.verdicts.append(
                id=new_id(),
                cue_id=world.cues[case][cue].id,
                reviewer_id=world.ada.id,
                value=value,  # type: ignore[arg-type]
                based_on=0,
            )
        page = uow.concepts.list(world.project.id, DICTIONARY, order="spurious")
        tallies = uow.concepts.tallies(world.project.id, DICTIONARY)
    assert [(item.concept.number, item.spurious) for item in page.items] == [
        (2, 2),
        (1, 1),
        (0, 0),
        (3, 0),
    ]
    assert [(each.number, each.spurious, each.name) for each in tallies] == [
        (2, 2, "sign 2"),
        (1, 1, "sign 1"),
    ]
    assert tallies[0].mean_causal_effect == pytest.approx(0.8)


def test_cases_stand_in_a_queue(factory: UnitOfWorkFactory, world: World) -> None:
    ids = [case.id for case in world.cases]
    version, ada = world.version.id, world.ada.id
    with factory() as uow:
        assert uow.cases.add_many(version, [new_case(world.cases[0].image_id, 99)]) == 0
        places = [uow.cases.neighbours(each) for each in ids]
        assert [place.position for place in places] == [1, 2, 3]
        assert [place.previous_id for place in places] == [None, ids[0], ids[1]]
        assert [place.next_id for place in places] == [ids[1], ids[2], None]
        assert {place.total for place in places} == {3}
        assert uow.cases.first(version) == ids[0]
        uow.assessments.append(id=new_id(), case_id=ids[0], reviewer_id=ada, based_on=0, agree=True)
        assert uow.cases.first_open(version, ada) == ids[1]
        assert uow.cases.first_open(version, ada, after=ids[1]) == ids[2]
        assert uow.cases.first_open(version, ada, after=ids[2]) is None
        assert uow.cases.first_open(version, world.ben.id) == ids[0]
        queue = uow.cases.queue(version, ada)
        assert [item.done for item in queue] == [True, False, False]
        still_open = uow.cases.queue(version, ada, only_open=True, limit=1, offset=1)
        assert [item.case_id for item in still_open] == [ids[2]]
        assert uow.cases.list(version, split="test") == (world.cases[0],)
        assert uow.cases.list(version, label="naevus", prediction="melanoma") == (world.cases[1],)
        assert uow.cases.list(version, limit=1, offset=2) == (world.cases[2],)
        assert uow.cases.by_image(version, new_id()) is None
        with pytest.raises(NotFound):
            uow.cases.get(new_id())


def test_equal_places_in_the_queue_still_have_an_order(factory: UnitOfWorkFactory) -> None:
    world = make_world(factory, images=1)
    with factory() as uow:
        images = uow.images.add_many(world.project.id, [new_image(n) for n in range(10, 20)])
        uow.cases.add_many(world.version.id, [new_case(image.id, 5) for image in images])
        walk, here = [], uow.cases.first(world.version.id)
        while here is not None:
            walk.append(here)
            here = uow.cases.neighbours(here).next_id
        assert walk == [item.case_id for item in uow.cases.queue(world.version.id, world.ada.id)]
    assert len(walk) == 11


def test_cases_are_of_one_project(factory: UnitOfWorkFactory, world: World) -> None:
    other = make_world(factory)
    with factory() as uow, pytest.raises(NotFound):
        uow.cases.add_many(world.version.id, [new_case(other.cases[0].image_id, 0)])


def test_an_explanation_is_stored_once(factory: UnitOfWorkFactory, world: World) -> None:
    case = world.cases[0].id
    with factory() as uow:
        assert uow.cases.set_explanation(case, {"narrative": "first"})
        assert not uow.cases.set_explanation(case, {"narrative": "second"})
        uow.commit()
    with factory(read_only=True) as uow:
        assert uow.cases.get(case).explanation == {"narrative": "first"}
        counts = uow.cases.counts(world.version.id)
    assert (counts.total, counts.explained, counts.reviewed) == (3, 1, 0)


def test_cues_are_stored_once_and_come_back_whole(factory: UnitOfWorkFactory, world: World) -> None:
    (cues, case) = (world.cues[1], world.cases[1].id)
    with factory() as uow:
        assert uow.cues.add_many(case, [new_cue(cues[0].concept_id, 9)]) == cues
        assert uow.cues.list(case) == cues
        assert uow.cues.get(cues[2].id) == cues[2]
        every = uow.cues.list_for([each.id for each in world.cases])
        top = uow.cues.top_for_concept(cues[3].concept_id, version_id=world.version.id, limit=2)
        assert uow.cues.find(world.version.id, "none", 0) is None
    assert every == {case.id: own for case, own in zip(world.cases, world.cues, strict=True)}
    assert len(top) == 2
    assert [cue.rank for cue in cues] == [0, 1, 2, 3]
    assert (cues[1].map_u8, cues[1].region_bits) == (bytes(range(12)), b"\xf0\x80")
    assert cues[1].regions[0].y1 == pytest.approx(1 / 3)
    assert (cues[3].name, cues[3].shown_name, cues[1].shown_name) == (None, "concept 3", "sign 1")


def test_cues_that_do_not_fit_are_refused(factory: UnitOfWorkFactory, world: World) -> None:
    concept = world.cues[0][0].concept_id
    good = new_cue(concept, 0)
    other = make_world(factory).cues[0][0].concept_id
    refusals: tuple[tuple[object, type[Exception]], ...] = (
        (replace(good, map_u8=b"short"), InvalidValue),
        (replace(good, region_bits=b"too long"), InvalidValue),
        (replace(good, grid_rows=0, map_u8=b"", region_bits=b""), InvalidValue),
        (replace(good, concept_id=other), NotFound),
    )
    with factory() as uow:
        (image,) = uow.images.add_many(world.project.id, [new_image(50)])
        uow.cases.add_many(world.version.id, [new_case(image.id, 50)])
        case = uow.cases.by_image(world.version.id, image.id)
        assert case is not None
        for cue, error in refusals:
            with pytest.raises(error):
                uow.cues.add_many(case.id, [cue])  # type: ignore[list-item]
