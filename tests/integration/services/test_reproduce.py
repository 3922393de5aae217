"""Versions made again from their manifests: the same bit by bit, and what is said when not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from sqlalchemy import text

from core.artifacts import load_bundle
from core.discovery import DiscoverConfig, DiscoverItem, discover
from core.encoder import load_encoder
from core.errors import InputError
from core.manifest import read_manifest
from core.phantoms.build_demo import demo_vocabulary, encode_phantoms
from core.phantoms.dataset import Split
from core.phantoms.spec import CLASSES
from core.tokens import TokenStore
from dashboard.bootstrap import build
from dashboard.services.demo import BUNDLE
from dashboard.services.reproduce import (
    CannotReproduce,
    ReproduceService,
    rebuilt_demo,
    recorded_config,
)
from dashboard.services.run_work import run_inline
from dashboard.settings import Settings
from dashboard.viewmodels.reproduce import Reproduction
from db.records import new_id
from tests.integration.services.tuned_world import judge_stickers, make_tuned_world
from tests.integration.services.world import World, judge, make_world, reviewer


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def stickers(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Discovered with a real encoder; judged; nothing in it is ever damaged."""
    world = make_tuned_world(tmp_path_factory.mktemp("again") / "ws")
    judge_stickers(world)
    return world


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, str]:
    """The tiny world with a reweighted version; its hash. Nothing in it is ever damaged."""
    world = make_world(tmp_path_factory.mktemp("learnt") / "ws")
    judge(world, reviewer(world), count=8)
    return world, _reweighted(world)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, str]:
    world = make_tuned_world(
        tmp_path_factory.mktemp("tuned") / "ws", splits={"train": 32, "val": 8, "reversed": 12}
    )
    judge_stickers(world, most=8)
    run = world.services.runs.start_finetune(
        id=new_id(), project_id=world.project_id, reviewer_id=reviewer(world),
        options={"epochs": 2},
    )  # fmt: skip
    done = run_inline(world.services, run.id)
    assert done.state == "succeeded", done.message
    return world, done.result_version or ""


def _reweighted(world: World, seed: int = 3) -> str:
    run = world.services.runs.start_reweight(
        id=new_id(), project_id=world.project_id, reviewer_id=reviewer(world), seed=seed,
        strategy="groups",
    )  # fmt: skip
    done = run_inline(world.services, run.id)
    assert done.state == "succeeded", done.message
    return done.result_version or ""


def service(world: World) -> ReproduceService:
    return ReproduceService(world.services.uow, world.settings, world.services.engines, BUNDLE)


def again(world: World, version: str, **more: object) -> Reproduction:
    return service(world).reproduce(world.project_id, version, **more)


def damaged(world: World, folder: Path) -> World:
    """A copy of a workspace that a test may spoil."""
    shutil.copytree(world.settings.workspace, folder)
    settings = Settings.load(folder, environ={})
    services = build(settings)
    with services.uow.engine.begin() as connection:  # the store keeps whole paths
        moved = {"here": str(world.settings.workspace), "there": str(folder)}
        for column in (
            "model_versions set folder = replace(folder",
            "projects set root = replace(root",
        ):
            connection.execute(text(f"update {column}, :here, :there)"), moved)
    return World(services, settings, world.project_id, world.version_hash)


def topics(found: Reproduction) -> set[str]:
    return {each.topic for each in found.differences if each.matters}


class TestTheSame:
    def test_a_discovery(self, stickers: World) -> None:
        found = again(stickers, stickers.version_hash[:10])
        assert (found.outcome, found.rebuilt) == ("same", stickers.version_hash)
        assert topics(found) == set()
        assert {row.name for row in found.parts} >= {"sae.safetensors", "head.safetensors"}
        assert all(row.recorded == row.stored == row.rebuilt for row in found.parts)
        assert all(row.then == row.now for row in found.software)

    def test_a_discovery_from_its_pixels(self, stickers: World) -> None:
        found = again(stickers, stickers.version_hash, from_pixels=True)
        assert (found.outcome, found.fields) == ("same", ())

    def test_a_reweighting(self, learnt: tuple[World, str]) -> None:
        world, version = learnt
        found = again(world, version)
        assert (found.outcome, found.rebuilt, found.kind) == ("same", version, "reweight")

    def test_words_given_since_do_not_matter(self, learnt: tuple[World, str]) -> None:
        world, version = learnt
        judge(world, reviewer(world, "Bo"), count=3)
        assert again(world, version).outcome == "same"

    def test_nothing_is_written_but_a_line_of_the_audit_log(
        self, learnt: tuple[World, str]
    ) -> None:
        world, version = learnt
        with world.services.uow(read_only=True) as uow:
            before = uow.versions.list(world.project_id), uow.runs.list(world.project_id)
            images = uow.images.list(world.project_id)
        files = sorted(path for path in world.settings.workspace.rglob("versions/*"))
        again(world, version)
        with world.services.uow(read_only=True) as uow:
            assert before == (uow.versions.list(world.project_id), uow.runs.list(world.project_id))
            assert images == uow.images.list(world.project_id)
            line = uow.audit.list(entity="version", limit=1)[0]
        assert (line.action, line.detail["outcome"]) == ("version.reproduce", "same")
        assert files == sorted(path for path in world.settings.workspace.rglob("versions/*"))

    def test_the_result_can_be_kept(self, learnt: tuple[World, str], tmp_path: Path) -> None:
        world, version = learnt
        found = again(world, version, keep=tmp_path / "kept")
        assert found.kept == str(tmp_path / "kept")
        assert load_bundle(tmp_path / "kept").manifest.version_hash == version
        with pytest.raises(InputError, match="exists already"):
            again(world, version, keep=tmp_path / "kept")


class TestTuned:
    """A chain of versions: discovered, fine-tuned, then reweighted on the tuned encoder."""

    def test_a_fine_tuning_with_its_encoder(self, tuned: tuple[World, str]) -> None:
        world, version = tuned
        encoders = sorted(path.name for path in world.settings.encoders_folder.iterdir())
        found = again(world, version)
        assert (found.outcome, found.rebuilt, found.kind) == ("same", version, "finetune")
        assert encoders == sorted(path.name for path in world.settings.encoders_folder.iterdir())

    def test_a_run_on_a_tuned_version(self, tuned: tuple[World, str]) -> None:
        world, version = tuned
        me = reviewer(world)
        row = world.services.versions.find(world.project_id, version)
        world.services.versions.activate(
            id=new_id(), version_id=row.id, reviewer_id=me, reason="only to go on from it here"
        )
        judge_stickers(world, most=8)
        after = _reweighted(world)
        assert again(world, after).outcome == "same"
        assert again(world, after, from_pixels=True).outcome == "same"


def test_the_demos_version_from_fewer_phantoms(tmp_path: Path) -> None:
    """The shipped one needs 3,800; with a dictionary that was given, as the shipped one was."""
    encoder = load_encoder("demo")
    dictionary = load_bundle(BUNDLE).sae
    splits = (Split("train", 48), Split("val", 16), Split("test", 16))
    items: list[DiscoverItem] = []
    store = TokenStore(tmp_path / "tokens")
    store.write(encode_phantoms(encoder, splits, 0, 1, items))
    config = DiscoverConfig(fuzzy=None)
    made = discover(
        store, items, encoder, demo_vocabulary(), CLASSES, config=config, dictionary=dictionary
    ).save(tmp_path / "first", encoder.info)
    manifest = read_manifest(made)
    again = rebuilt_demo(manifest, made, encoder, tmp_path / "second", splits)
    assert again.name == made.name
    older = {name: value for name, value in manifest.config.items() if name != "fuzzy"}
    assert recorded_config(older, may_be_given=True).fuzzy is None
    with pytest.raises(CannotReproduce, match="was given, not learnt"):
        recorded_config(manifest.config)


class TestNotTheSame:
    def test_a_changed_image_is_named(self, stickers: World, tmp_path: Path) -> None:
        world = damaged(stickers, tmp_path / "ws")
        with world.services.uow(read_only=True) as uow:
            root = Path(uow.projects.get(world.project_id).root)
            victim, gone = uow.images.list(world.project_id, split="train")[:2]
        shutil.copyfile(root / gone.relpath, root / victim.relpath)
        (root / gone.relpath).unlink()
        found = again(world, world.version_hash)
        said = [each.text for each in found.differences if each.topic == "images"]
        assert found.outcome == "differs"
        assert any(victim.relpath in text and "its content changed" in text for text in said)
        assert any(gone.relpath in text and "has gone" in text for text in said)
        assert found.rebuilt == world.version_hash  # the kept tokens are still right
        fresh = again(world, world.version_hash, from_pixels=True)
        assert fresh.rebuilt != world.version_hash
        assert "data" not in topics(fresh)
        assert {field.name for field in fresh.fields} >= {"data_hash", "dictionary_hash"}

    def test_a_changed_weight_is_named(self, learnt: tuple[World, str], tmp_path: Path) -> None:
        original, version = learnt
        world = damaged(original, tmp_path / "ws")
        folder = _bundle_of(world, version)
        blob = bytearray((folder / "head.safetensors").read_bytes())
        blob[-3] ^= 1
        (folder / "head.safetensors").write_bytes(bytes(blob))
        found = again(world, version)
        assert (found.outcome, found.rebuilt) == ("differs", version)
        (said,) = [each.text for each in found.differences if each.topic == "stored"]
        assert "head.safetensors" in said
        assert "was altered" in said
        head = next(row for row in found.parts if row.name == "head.safetensors")
        assert head.recorded == head.rebuilt != head.stored

    def test_a_changed_weight_of_the_parent_is_named(
        self, learnt: tuple[World, str], tmp_path: Path
    ) -> None:
        original, version = learnt
        world = damaged(original, tmp_path / "ws")
        folder = _bundle_of(world, world.version_hash)
        with (folder / "sae.safetensors").open("ab") as handle:
            handle.write(b"x")
        with pytest.raises(CannotReproduce, match=r"started from is damaged: sae\.safetensors"):
            again(world, version)
        with world.services.uow(read_only=True) as uow:
            assert uow.audit.list(entity="version", limit=1)[0].detail["outcome"] == "cannot"

    def test_another_label_is_named(self, stickers: World, tmp_path: Path) -> None:
        world = damaged(stickers, tmp_path / "ws")
        with world.services.uow() as uow:
            image = next(i for i in uow.images.list(world.project_id) if i.split == "train")
            other = "red" if image.label == "blue" else "blue"
            uow.images.update(
                image.id, label=other, split=image.split, group_name=image.group_name,
                mask_path=image.mask_path,
            )  # fmt: skip
            uow.commit()
        found = again(world, world.version_hash)
        assert found.outcome == "differs"
        assert "data" in topics(found)
        head = next(row for row in found.parts if row.name == "head.safetensors")
        assert "weight_CN by at most" in head.change or "bias_C" in head.change

    def test_an_altered_manifest_is_refused(
        self, learnt: tuple[World, str], tmp_path: Path
    ) -> None:
        original, version = learnt
        world = damaged(original, tmp_path / "ws")
        manifest = _bundle_of(world, version) / "manifest.json"
        raw = json.loads(manifest.read_text())
        manifest.write_text(json.dumps({**raw, "seed": raw["seed"] + 1}))
        with pytest.raises(InputError, match="was altered"):
            again(world, version)

    def test_a_version_that_tells_nothing_of_its_making(self, learnt: tuple[World, str]) -> None:
        world, _ = learnt
        with pytest.raises(CannotReproduce, match="does not hold the settings of a discovery"):
            again(world, world.version_hash)


def _bundle_of(world: World, version: str) -> Path:
    """The version's folder."""
    return world.settings.versions_folder(world.project_id) / version
