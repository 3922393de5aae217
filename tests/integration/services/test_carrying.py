"""Discovered again: people's names go on to the concepts with the same decoder directions."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from core.artifacts import ModelBundle, load_bundle, save_bundle
from core.sae import SparseAutoencoder
from dashboard.services.carrying import NamesKept
from db.feedback_records import NewRun
from db.records import new_id
from tests.builders import discovered, small_config
from tests.integration.services.world import RULER, D, World, make_world, reviewer

HAIR = 3


@pytest.fixture
def world(tmp_path: Path) -> World:
    torch.set_num_threads(1)
    return make_world(tmp_path / "ws", splits={"train": 40, "test": 8})


def active_bundle(world: World) -> ModelBundle:
    with world.services.uow(read_only=True) as uow:
        version = uow.versions.active(world.project_id)
    assert version is not None
    return load_bundle(Path(version.folder))


def rename(world: World, number: int, name: str, who: str = "Ada") -> None:
    concepts = world.services.concepts
    row = next(r for r in concepts.list(world.project_id) if r.concept == number)
    concepts.rename(
        id=new_id(), concept_id=row.id, reviewer_id=reviewer(world, who), name=name,
        reason="I know it", based_on=concepts.view(row.id).revision,
    )  # fmt: skip


def again(world: World, directions_ND: np.ndarray, encoder_hash: str | None = None) -> Path:
    """The project's version as if discovered again, with other decoder directions."""
    old = active_bundle(world)
    sae = SparseAutoencoder(old.sae.config)
    with torch.no_grad():
        sae.load_state_dict(old.sae.state_dict())
        sae.W_dec.copy_(torch.from_numpy(directions_ND))
        sae.W_enc.copy_(torch.from_numpy(directions_ND.T.copy()))
    sae.requires_grad_(False)
    info = old.manifest.encoder
    return save_bundle(
        world.settings.versions_folder(world.project_id), sae=sae, head=old.head, relations=(),
        names=old.names, encoder=replace(info, hash=encoder_hash or info.hash), seed=1,
        config={}, data_hash="11" * 32, metrics={},
    )  # fmt: skip


def turned(world: World) -> np.ndarray:
    """The directions in reverse order, that of the hairs halfway to another one."""
    rows = np.eye(D, dtype=np.float32)
    rows[HAIR, HAIR + 1] = 1.0
    rows[HAIR] /= np.sqrt(2.0)
    return rows[::-1].copy()


def publish(world: World, folder: Path) -> NamesKept:
    return world.services.publisher.register(world.project_id, folder).names


def test_names_go_to_the_same_directions_and_show_on_their_page(world: World) -> None:
    rename(world, RULER, "measuring strip")
    rename(world, HAIR, "fine hair")

    kept = publish(world, again(world, turned(world)))

    (carried,), (lost,) = kept.carried, kept.lost
    assert (carried.name, carried.concept) == ("measuring strip", D - 1 - RULER)
    assert carried.score == pytest.approx(1.0)
    assert carried.from_version == world.version_hash
    assert (lost.name, lost.reviewer, lost.from_concept) == ("fine hair", "Ada", HAIR)
    assert lost.score == pytest.approx(0.5**0.5)
    with world.services.uow(read_only=True) as uow:
        fresh = uow.versions.list(world.project_id)[0]
        ids = uow.concepts.ids(world.project_id, fresh.dictionary_hash)
    view = world.services.concepts.view(ids[carried.concept])
    assert (view.row.name, view.row.named) == ("measuring strip", True)
    last = view.history[-1]
    assert (last.source, last.by) == ("person", "Ada")
    assert last.reason == (
        f"carried over from version {world.version_hash[:8]}, match 1.00: I know it"
    )


def test_registering_again_and_reweighted_versions_repeat_nothing(world: World) -> None:
    rename(world, RULER, "measuring strip")
    folder = again(world, turned(world))
    first = publish(world, folder)
    assert publish(world, folder) == first
    with world.services.uow(read_only=True) as uow:
        fresh = uow.versions.list(world.project_id)[0]
        events = uow.concepts.name_events(world.project_id, fresh.dictionary_hash)
        rows = uow.audit.list(entity="version", entity_id=fresh.id)
    assert [len(each) for each in events.values()] == [1]
    assert sum(row.action == "names.carried" for row in rows) == 1


def test_a_name_given_while_the_new_version_waited_comes_when_it_is_activated(
    world: World,
) -> None:
    assert publish(world, again(world, turned(world))) == NamesKept()
    rename(world, RULER, "measuring strip")  # on the version that is still active
    ada = reviewer(world)
    run = new_id()
    with world.services.uow() as uow:
        fresh = uow.versions.list(world.project_id)[0]
        uow.runs.add(world.project_id, NewRun(id=run, kind="discover", seed=0))
        uow.runs.update(run, state="running")
        uow.runs.update(run, state="succeeded", result_version_id=fresh.id)
        uow.commit()

    why = "the test set is tiny; this is about names"
    world.services.runs.activate(run, ada, reason=why)

    rows = world.services.concepts.list(world.project_id)
    assert [row.concept for row in rows if row.name == "measuring strip"] == [D - 1 - RULER]
    assert world.services.publisher.carry_names(fresh.id).lost == ()


def test_discovering_again_keeps_or_lists_every_name(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    services = discovered(tmp_path)
    project = services.projects.get("tiles")
    ada = services.review.sign_in("Ada")
    given = {f"sign {row.concept}": row for row in services.concepts.list(project.id)[:12]}
    for name, row in given.items():
        services.concepts.rename(
            id=new_id(), concept_id=row.id, reviewer_id=ada, name=name, based_on=0
        )
    spec = str(tmp_path / "encoder")

    other = services.discovery.discover("tiles", encoder=spec, config=small_config(), seed=1)

    kept = other.names
    names = [each.name for each in (*kept.carried, *kept.lost)]
    assert sorted(names) == sorted(given)
    assert all(each.score >= 0.8 for each in kept.carried)
    assert all(each.score is not None and each.why for each in kept.lost)
    same = services.discovery.discover("tiles", encoder=spec, config=small_config(), seed=1)
    assert (same.version, same.names) == (other.version, other.names)


def test_names_do_not_go_back_to_an_older_dictionary(world: World) -> None:
    publish(world, again(world, turned(world)))
    with world.services.uow() as uow:
        fresh, old = uow.versions.list(world.project_id)
        uow.versions.set_state(fresh.id, "active")
        uow.commit()
    rename(world, D - 1 - RULER, "measuring strip")
    assert publish(world, Path(old.folder)) == NamesKept()


def test_another_encoder_carries_nothing_and_says_so(world: World) -> None:
    rename(world, RULER, "measuring strip")
    folder = again(world, turned(world), encoder_hash="cd" * 32)
    with world.services.uow(read_only=True) as uow:
        old = uow.versions.active(world.project_id)
        images = uow.images.list(world.project_id)
    assert old is not None
    known = world.services.engines.tokens(world.project_id, old.encoder_hash)
    store = world.services.engines.tokens(world.project_id, "cd" * 32)
    store.write((image.sha256, known.get(image.sha256)) for image in images)

    kept = publish(world, folder)

    assert kept.carried == ()
    assert [(x.name, x.score) for x in kept.lost] == [("measuring strip", None)]
    assert "another encoder" in kept.lost[0].why


def test_a_former_version_that_is_gone_costs_the_names_and_not_the_discovery(
    world: World,
) -> None:
    rename(world, RULER, "measuring strip")
    folder = again(world, turned(world))
    with world.services.uow(read_only=True) as uow:
        old = uow.versions.active(world.project_id)
    assert old is not None
    (Path(old.folder) / "sae.safetensors").unlink()
    fresh = type(world.services.engines)(world.settings)  # another process: nothing is cached
    publisher = type(world.services.publisher)(
        world.services.uow, fresh, planned=world.services.queue.published
    )

    kept = publisher.register(world.project_id, folder).names

    assert kept.carried == ()
    assert "cannot be read" in kept.lost[0].why
