"""Concepts: listing, one page with examples, suggestions, renaming."""

from pathlib import Path

import pytest
import torch

from core.errors import ConfigError
from dashboard.services.concepts import top_rows
from dashboard.viewmodels import ConceptRow
from db.errors import Conflict, StaleWrite
from db.records import new_id
from tests.integration.services.world import RULER, World, judge, make_world, reviewer


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    torch.set_num_threads(1)
    return make_world(tmp_path_factory.mktemp("concepts") / "ws", splits={"train": 40, "test": 8})


def ruler(world: World) -> ConceptRow:
    rows = world.services.concepts.list(world.project_id)
    return next(row for row in rows if row.concept == RULER)


def test_listing_searches_and_filters(world: World) -> None:
    concepts = world.services.concepts
    assert len(concepts.list(world.project_id)) == 12
    assert {row.name for row in concepts.list(world.project_id, "RUL")} == {"ruler"}
    unnamed = [row for row in concepts.list(world.project_id) if not row.named]
    assert all(row.name == f"concept {row.concept}" for row in unnamed)
    assert {row.level for row in concepts.list(world.project_id, level=0)} == {0}
    assert 0 < ruler(world).frequency < 1


def test_a_page_shows_the_images_that_activate_it_most(world: World) -> None:
    view = world.services.concepts.view(ruler(world).id)
    strengths = [example.activation for example in view.examples]
    assert strengths == sorted(strengths, reverse=True)
    assert strengths[0] > 1.5
    assert all(max(example.map_u8) == 255 for example in view.examples)
    assert {example.label for example in view.examples} >= {"melanoma"}
    weights = dict(view.weights)
    assert weights["melanoma"] > 0 > weights["naevus"]
    assert view.suggestions == (("stripe", 0.4), ("dark corner", 0.0))


def test_a_rename_is_appended_and_shows_everywhere(world: World) -> None:
    me = reviewer(world)
    row = next(r for r in world.services.concepts.list(world.project_id) if r.name == "hair")
    one = new_id()
    concepts = world.services.concepts
    event = concepts.rename(
        id=one, concept_id=row.id, reviewer_id=me, name=" <b>thin  hair</b> ", reason="", based_on=0
    )
    assert (event.name, event.by, event.revision) == ("<b>thin hair</b>", "Ada", 1)
    again = concepts.rename(
        id=one, concept_id=row.id, reviewer_id=me, name="<b>thin hair</b>", reason="", based_on=0
    )
    assert again == event
    view = concepts.view(row.id)
    assert [e.name for e in view.history] == ["hair", "<b>thin hair</b>"]
    assert view.revision == 1
    assert ("hair", 0.5) in view.suggestions
    with pytest.raises(StaleWrite):
        concepts.rename(id=new_id(), concept_id=row.id, reviewer_id=me, name="x", based_on=0)
    with pytest.raises(Conflict):
        concepts.rename(id=one, concept_id=row.id, reviewer_id=me, name="y", based_on=1)
    with world.services.uow(read_only=True) as uow:
        assert len(uow.audit.list(entity="concept", entity_id=row.id)) == 1


def test_a_rename_reaches_stored_narratives(world: World) -> None:
    me = reviewer(world)
    review = world.services.review
    cases = (
        review.case(world.project_id, item.case_id, me)
        for item in review.queue(world.project_id, me)
    )
    case = next(c for c in cases if any(cue.concept == RULER for cue in c.cues))
    world.services.concepts.rename(
        id=new_id(), concept_id=ruler(world).id, reviewer_id=me, name="measuring strip", based_on=0
    )
    seen = world.services.review.case(world.project_id, case.id, me)
    assert "measuring strip" in {cue.name for cue in seen.cues}
    assert "ruler" not in seen.narrative


@pytest.mark.parametrize("bad", ["", "  ", "a\nb", "a\x1bb", "\u200b", "x" * 200])
def test_bad_names_are_refused(world: World, bad: str) -> None:
    with pytest.raises(ConfigError):
        world.services.concepts.rename(
            id=new_id(), concept_id=ruler(world).id, reviewer_id=reviewer(world), name=bad,
            based_on=0,
        )  # fmt: skip


def test_tallies_count_standing_verdicts(world: World) -> None:
    given = judge(world, reviewer(world, "Tally"), count=2)
    assert ruler(world).verdicts_spurious == given


def test_top_rows_by_hand() -> None:
    assert top_rows([0.0, 2.0, 1.0, 2.0], 3) == (1, 3, 2)
    assert top_rows([0.0, 0.0], 3) == ()


def test_no_version_no_concepts(world: World, tmp_path: Path) -> None:
    with world.services.uow() as uow:
        empty = uow.projects.add("empty", str(tmp_path))
        uow.commit()
    assert world.services.concepts.list(empty.id) == ()
