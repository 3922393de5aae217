"""Concepts: listing, one page with examples, suggestions, renaming."""

from pathlib import Path

import numpy as np
import pytest
import torch

from core.errors import ConfigError
from core.sae import SAEConfig, SparseAutoencoder
from dashboard.services.concept_examples import concept_map, peak_box, ranked
from dashboard.services.concept_facts import firing, nearest
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


def test_filters_of_the_list(world: World) -> None:
    concepts = world.services.concepts
    named = concepts.page(world.project_id, only="named")
    assert {row.name for row in named.rows} >= {"ruler", "round border"}
    unnamed = concepts.page(world.project_id, only="unnamed")
    assert all(not row.named for row in unnamed.rows)
    assert named.total + unnamed.total == 12
    assert concepts.page(world.project_id, only="locked").total == 0
    page = concepts.page(world.project_id, order="number", limit=5, offset=5)
    assert ([row.concept for row in page.rows], page.total) == ([5, 6, 7, 8, 9], 12)


def test_a_page_says_how_the_model_uses_it(world: World) -> None:
    view = world.services.concepts.view(ruler(world).id)
    weights = dict(view.weights)
    assert weights["melanoma"] > 0 > weights["naevus"]
    assert view.suggestions == (("stripe", 0.4), ("dark corner", 0.0))
    assert view.may_change


def test_examples_are_strongest_middling_and_weakest(world: World) -> None:
    found = world.services.concepts.examples(ruler(world).id)
    strengths = [example.activation for example in found]
    assert strengths == sorted(strengths, reverse=True)
    assert strengths[0] > 1.5
    assert [example.rank for example in found].count("top") == 6
    assert {example.rank for example in found} == {"top", "middle", "lowest"}
    assert all(max(example.map_u8) == 255 for example in found)
    top = found[0]
    assert {example.label for example in found} >= {"melanoma"}
    # The ruler of this world lies on the patches 12 to 14 of 4 x 4: the lower left.
    assert top.box[0] == 0.0
    assert top.box[3] == 1.0
    assert top.box[1] > 0.4


def test_facts_count_classes_and_places(world: World) -> None:
    facts = world.services.concepts.facts(ruler(world).id)
    assert facts.images == 48
    of = {found.name: found for found in facts.classes}
    assert (of["melanoma"].total, of["naevus"].total) == (24, 24)
    assert of["melanoma"].strength > 1.5 > of["naevus"].strength
    assert {split.name for split in facts.splits} == {"train", "test"}
    assert facts.groups == ()
    assert facts.positions is not None
    shares = facts.positions.shares
    assert min(shares[12:15]) > 2 * max(shares[:12])
    # Decoder rows of this world are orthogonal: every other concept is at right angles.
    assert {round(near.cosine, 6) for near in facts.nearest} == {0.0}


def test_a_concept_of_its_own_weights_alone_is_the_same_map(world: World) -> None:
    services = world.services
    with services.uow(read_only=True) as uow:
        version = uow.versions.active(world.project_id)
        image = uow.images.list(world.project_id)[0]
    assert version is not None
    bundle = services.engines.bundle(version.folder)
    tokens = services.engines.tokens(world.project_id, version.encoder_hash).get(image.sha256)
    with torch.no_grad():
        slow = bundle.sae.encode_dense(tokens)
    for concept in range(12):
        fast = concept_map(bundle.sae, tokens, concept)
        np.testing.assert_allclose(fast, slow[:, concept].numpy(), rtol=1e-3, atol=1e-6)


def test_the_nearest_by_hand() -> None:
    sae = SparseAutoencoder(SAEConfig(d=2, n=3, k=1, group_fractions=(1.0,)))
    with torch.no_grad():
        sae.W_dec.copy_(torch.tensor([[2.0, 0.0], [3.0, 3.0], [0.0, -1.0]]))
    (first, one), (second, other) = nearest(sae, 0)
    assert (first, second) == (1, 2)
    assert one == pytest.approx(0.5**0.5)
    assert other == pytest.approx(0.0)


def test_places_and_shares_by_hand() -> None:
    parts = dict(ranked(9, 3))
    assert (list(parts["top"]), list(parts["middle"])) == ([0, 1, 2], [3, 4, 5])
    assert list(parts["lowest"]) == [6, 7, 8]
    map_GV = np.zeros((4, 4), dtype=np.float32)
    map_GV[3, 0] = 1.0
    map_GV[0, 3] = 0.9  # apart from the peak: not in the close-up
    assert peak_box(map_GV) == (0.0, 0.5, 0.5, 1.0)
    assert peak_box(np.zeros((4, 4), dtype=np.float32)) == (0.0, 0.0, 1.0, 1.0)
    strength = np.array([0.0, 2.0, 4.0, 1.0], dtype=np.float32)
    often, seldom = firing(["b", "b", "a", None], strength)
    assert (often.name, often.images, often.total, often.strength) == ("a", 1, 1, 4.0)
    assert (seldom.images, seldom.total, seldom.strength) == (1, 2, 2.0)


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


def test_tallies_count_standing_verdicts_by_class(world: World) -> None:
    given = judge(world, reviewer(world, "Tally"), count=2)
    row = next(r for r in world.services.concepts.list(world.project_id) if r.concept == RULER)
    assert row.verdicts_spurious == given
    view = world.services.concepts.view(row.id)
    assert sum(tally.spurious for tally in view.tallies) == given
    assert {tally.label for tally in view.tallies} <= {"melanoma", "naevus"}
    judged = world.services.concepts.page(world.project_id, only="judged")
    assert row.id in {each.id for each in judged.rows}


def test_a_locked_name_refuses_renames_until_it_is_unlocked(world: World) -> None:
    concepts, me = world.services.concepts, reviewer(world)
    row = next(r for r in concepts.list(world.project_id) if r.name == "round border")
    one = new_id()
    for _ in range(2):  # a repeat is harmless
        locked = concepts.mark(
            id=one, concept_id=row.id, reviewer_id=me, kind="locked", value=True,
            reason="agreed", based_on=0,
        )  # fmt: skip
    assert (locked.by, locked.reason, locked.revision) == ("Ada", "agreed", 1)
    with pytest.raises(ConfigError, match="Ada locked this name"):
        concepts.rename(id=new_id(), concept_id=row.id, reviewer_id=me, name="x", based_on=0)
    with pytest.raises(StaleWrite):
        concepts.mark(
            id=new_id(), concept_id=row.id, reviewer_id=me, kind="locked", value=False, based_on=0
        )
    view = concepts.view(row.id)
    assert (view.row.locked, dict(view.mark_revisions)) == (True, {"artefact": 0, "locked": 1})
    assert concepts.page(world.project_id, only="locked").rows == (view.row,)
    concepts.mark(
        id=new_id(), concept_id=row.id, reviewer_id=me, kind="locked", value=False, based_on=1
    )
    concepts.rename(id=new_id(), concept_id=row.id, reviewer_id=me, name="smooth edge", based_on=0)
    assert [mark.value for mark in concepts.view(row.id).marks] == [True, False]
    with world.services.uow(read_only=True) as uow:
        actions = [a.action for a in uow.audit.list(entity="concept", entity_id=row.id)]
    assert sorted(actions) == ["concept.locked", "concept.locked", "concept.renamed"]


def test_an_artefact_is_marked_and_listed(world: World) -> None:
    concepts = world.services.concepts
    concepts.mark(
        id=new_id(), concept_id=ruler(world).id, reviewer_id=reviewer(world), kind="artefact",
        value=True, based_on=0,
    )  # fmt: skip
    assert [row.concept for row in concepts.page(world.project_id, only="artefact").rows] == [RULER]


def test_no_version_no_concepts(world: World, tmp_path: Path) -> None:
    with world.services.uow() as uow:
        empty = uow.projects.add("empty", str(tmp_path))
        uow.commit()
    assert world.services.concepts.list(empty.id) == ()
