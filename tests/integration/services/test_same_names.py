"""Cues that bear one name are told apart, and their names stay what they are."""

import pytest
import torch

from dashboard.components import viewer
from dashboard.components.viewer import Picture, Sitting
from dashboard.viewmodels import CaseView
from db.records import new_id
from tests.integration.services.world import CLASSES, RULER, World, judge, make_world, reviewer


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    torch.set_num_threads(1)
    return make_world(tmp_path_factory.mktemp("names") / "ws", splits={"train": 40, "test": 8})


def first_case(world: World) -> CaseView:
    me = reviewer(world)
    review = world.services.review
    queue = review.queue(world.project_id, me)
    cases = (review.case(world.project_id, row.case_id, me) for row in queue)
    return next(case for case in cases if len(case.cues) >= 3)


def test_cues_of_one_name_get_their_place_or_number(world: World) -> None:
    before = first_case(world)
    assert {cue.qualifier for cue in before.cues} == {""}
    for cue in before.cues[:2]:
        world.services.concepts.rename(
            id=new_id(), concept_id=cue.concept_id, reviewer_id=reviewer(world), name="scale",
            based_on=0,
        )  # fmt: skip

    case = first_case(world)

    first, second, *others = case.cues
    assert (first.name, second.name) == ("scale", "scale")
    assert first.qualifier
    assert second.qualifier
    assert first.qualifier != second.qualifier
    assert {cue.qualifier for cue in others} == {""}
    sitting = Sitting("s", reviewer(world), world.project_id, CLASSES)
    packet = viewer.packet(case, Picture(b"", "image/png"), sitting, {})
    assert f'"qualifier": "{first.qualifier}"'.encode() in packet


def test_what_a_run_would_use_is_told_apart_by_number(world: World) -> None:
    me = reviewer(world, "Ben")
    judge(world, me, count=3)
    with world.services.uow(read_only=True) as uow:
        version = uow.versions.active(world.project_id)
        assert version is not None
        ids = uow.concepts.ids(world.project_id, version.dictionary_hash)
        named = uow.concepts.by_ids([ids[0], ids[1], ids[RULER]])
    for n in (0, 1):
        world.services.concepts.rename(
            id=new_id(), concept_id=ids[n], reviewer_id=me, name="edge",
            based_on=named[ids[n]].revision,
        )  # fmt: skip

    rows = {
        row.concept: row.name for row in world.services.runs.evidence(world.project_id).concepts
    }

    assert {0, 1, RULER} <= set(rows)
    assert (rows[0], rows[1]) == ("edge · no. 0", "edge · no. 1")
    assert rows[RULER] == (named[ids[RULER]].name or "")
