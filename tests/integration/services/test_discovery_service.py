"""From an ingested folder to a registered version, its cases and their explanations."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from core.errors import BundleError, ConfigError, EncoderError, InsightError
from dashboard.bootstrap import Services
from dashboard.services.card import draw_card, edges, letter
from dashboard.services.discovery import resolved
from dashboard.services.narrating import renarrate
from dashboard.services.pooled import PooledStore
from dashboard.services.publishing import unplanned_places
from db.errors import NotFound
from db.records import VersionRecord, new_id
from tests.builders import (
    discovered,
    image_folder,
    save_picture,
    small_config,
    tiny_encoder,
    workspace,
    write_table,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Services]:
    """A workspace with a discovered project, for tests that change nothing of it."""
    folder = tmp_path_factory.mktemp("made")
    return folder, discovered(folder)


@pytest.fixture
def own(made: tuple[Path, Services], tmp_path: Path) -> tuple[Path, Services]:
    """A fresh workspace over a copy of the same pictures, ingested but not discovered."""
    shutil.copytree(made[0] / "data", tmp_path / "data")
    services = workspace(tmp_path)
    services.ingest.ingest(
        tmp_path / "data", "tiles", labels=tmp_path / "data" / "labels.csv", split_column="split"
    )
    return tmp_path, services


def active(services: Services, project: str = "tiles") -> VersionRecord:
    with services.uow(read_only=True) as uow:
        version = uow.versions.active(uow.projects.find(project).id)
    assert version is not None
    return version


def test_the_first_version_is_active_and_every_image_is_a_case(
    made: tuple[Path, Services],
) -> None:
    _, services = made
    version = active(services)
    project = services.projects.get("tiles")
    with services.uow(read_only=True) as uow:
        cases = uow.cases.list(version.id)
        concepts = uow.concepts.by_number(project.id, version.dictionary_hash)

    assert (project.active_version, project.cases, project.reviewed) == (version.hash, 18, 0)
    assert len(concepts) == 32
    assert sorted(case.queue_order for case in cases) == list(range(18))
    for case in cases:
        assert case.confidence == max(share for _, share in case.probabilities)
        assert sum(share for _, share in case.probabilities) == pytest.approx(1.0)
    held_out = [case.queue_order for case in cases if case.image.split == "test"]
    assert min(held_out) == 18 - len(held_out)


def test_the_same_discovery_again_is_the_same_version_and_adds_nothing(
    made: tuple[Path, Services],
) -> None:
    folder, services = made
    before = active(services)

    again = services.discovery.discover(
        "tiles", encoder=str(folder / "encoder"), config=small_config()
    )

    assert (again.version, again.state) == (before.hash, "active")
    assert services.projects.get("tiles").cases == 18


def test_the_figures_of_a_case_and_of_its_file_are_the_same(made: tuple[Path, Services]) -> None:
    folder, services = made
    version = active(services)
    with services.uow(read_only=True) as uow:
        case = uow.cases.list(version.id)[0]

    told = services.explain.explain_image(folder / "data" / case.image.relpath, "tiles")

    assert told.prediction == case.prediction
    assert told.logit == pytest.approx(case.logit, abs=1e-6)
    assert sum(c.value for c in told.contributions) + told.bias == pytest.approx(told.logit)
    assert told.provenance.version_hash == version.hash
    assert told.provenance.image_sha256 == case.image.sha256


def test_regions_are_tested_in_the_picture_when_asked(made: tuple[Path, Services]) -> None:
    folder, services = made
    path = folder / "data" / "images" / "red-000.png"
    plain = services.explain.explain_image(path, "tiles")
    tested = services.explain.explain_image(path, "tiles", regions=True)

    assert plain.cues[0].region_effect is None
    assert all(cue.region_effect is not None for cue in tested.cues)
    assert all(len(cue.control_effects) <= 4 for cue in tested.cues)
    assert [c.causal_effect for c in tested.cues] == [c.causal_effect for c in plain.cues]
    assert tested.logit == plain.logit


def test_a_stored_case_keeps_its_set_and_what_would_flip_it(made: tuple[Path, Services]) -> None:
    folder, services = made
    project, version = services.projects.get("tiles"), active(services)
    with services.uow(read_only=True) as uow:
        case = uow.cases.list(version.id)[3]
    services.explain.explain_case(case.id)

    view = services.review.case(project.id, case.id, services.review.sign_in("Ada"))
    told = services.explain.explain_image(folder / "data" / case.image.relpath, "tiles")
    assert view.class_set is not None
    assert told.class_set is not None
    # A fifth of the train images was held back: too few to rule a class out.
    assert not view.class_set.informed
    assert set(view.class_set.classes) == {"red", "blue"}
    assert view.class_set.note == told.class_set.note
    assert told.class_set.note in view.narrative
    assert told.counterfactual is not None
    assert view.flip is not None
    assert view.flip.prediction == told.counterfactual.prediction != case.prediction
    assert [after for _, _, after in view.flip.changes] == [
        change.after for change in told.counterfactual.changes
    ]


def test_a_case_is_explained_once(made: tuple[Path, Services]) -> None:
    _, services = made
    with services.uow(read_only=True) as uow:
        case_id = uow.cases.list(active(services).id)[1].id
    services.explain.explain_case(case_id)
    with services.uow(read_only=True) as uow:
        first = uow.cues.list(case_id)
    services.explain.explain_case(case_id)
    with services.uow(read_only=True) as uow:
        case, cues = uow.cases.get(case_id), uow.cues.list(case_id)

    assert cues == first
    assert case.explanation is not None
    assert case.explanation["narrative"] == renarrate(case, cues)
    effects = [abs(cue.causal_effect) for cue in cues]
    assert effects == sorted(effects, reverse=True)
    shown = sum(cue.contribution for cue in cues)
    assert shown + case.explanation["other"] + case.bias == pytest.approx(case.logit)
    for cue in cues:
        assert len(cue.map_u8) == 16
        assert max(cue.map_u8) == 255
        assert len(cue.region_bits) == 2


def test_a_name_given_by_a_person_is_told_at_once(made: tuple[Path, Services]) -> None:
    folder, services = made
    project, version = services.projects.get("tiles"), active(services)
    with services.uow(read_only=True) as uow:
        case = uow.cases.list(version.id)[2]
    services.explain.explain_case(case.id)
    with services.uow(read_only=True) as uow:
        cue = uow.cues.list(case.id)[0]
        revision = uow.concepts.get(cue.concept_id).revision
    reviewer = services.review.sign_in("Ada")

    services.concepts.rename(
        id=new_id(), concept_id=cue.concept_id, reviewer_id=reviewer, name="my own word",
        reason="", based_on=revision,
    )  # fmt: skip

    view = services.review.case(project.id, case.id, reviewer)
    told = services.explain.explain_image(folder / "data" / case.image.relpath, "tiles")
    assert "my own word" in view.narrative
    assert view.cues[0].name == told.cues[0].name == "my own word"


def test_the_card_shows_cues_and_notice(made: tuple[Path, Services]) -> None:
    folder, services = made
    image = folder / "data" / "images" / "red-000.png"
    told = services.explain.explain_image(image, "tiles")

    plain = draw_card(image, told, None)
    marked = draw_card(image, told, "synthetic phantom, not for clinical use")

    assert plain.startswith(b"\x89PNG")
    assert plain != marked


def test_drawn_splits_are_kept_and_a_repeated_ingest_leaves_them(
    made: tuple[Path, Services], tmp_path: Path
) -> None:
    table = image_folder(tmp_path / "data", 9, splits=False)
    services = workspace(tmp_path)
    services.ingest.ingest(tmp_path / "data", "tiles", labels=table)
    services.discovery.discover("tiles", encoder=str(made[0] / "encoder"), config=small_config())

    again = services.ingest.ingest(tmp_path / "data", "tiles", labels=table)

    with services.uow(read_only=True) as uow:
        splits = Counter(i.split for i in uow.images.list(uow.projects.find("tiles").id))
    assert splits == {"train": 14, "val": 2, "test": 2}
    assert (again.unchanged, again.updated) == (18, 0)


def test_an_image_altered_after_ingest_is_named_and_gets_no_case(
    made: tuple[Path, Services], own: tuple[Path, Services]
) -> None:
    folder, services = own
    save_picture(folder / "data" / "images" / "red-000.png", 999)
    (folder / "data" / "images" / "red-001.png").unlink()

    found = services.discovery.discover(
        "tiles", encoder=str(made[0] / "encoder"), config=small_config()
    )

    assert {problem.file: problem.reason for problem in found.problems} == {
        "images/red-000.png": "its content changed since it was ingested",
        "images/red-001.png": "the file does not exist",
    }
    assert found.cases == services.projects.get("tiles").cases == 16


def test_a_ready_bundle_is_registered_and_new_images_are_added_behind(
    made: tuple[Path, Services], own: tuple[Path, Services]
) -> None:
    folder, services = own
    bundle = Path(active(made[1]).folder)
    project = services.projects.get("tiles")

    first = services.discovery.register_bundle(project.id, bundle)
    save_picture(folder / "data" / "images" / "new.png", 77)
    services.ingest.ingest(folder / "data", "tiles")
    second = services.discovery.register_bundle(project.id, bundle)

    assert (first.version, first.cases, first.state) == (bundle.name, 18, "active")
    assert (second.version, second.cases) == (bundle.name, 19)
    with services.uow(read_only=True) as uow:
        assert uow.cases.list(active(services).id)[-1].image.relpath == "images/new.png"
        assert len(uow.versions.list(project.id)) == 1


def test_a_damaged_bundle_or_other_classes_are_refused(
    made: tuple[Path, Services], own: tuple[Path, Services]
) -> None:
    folder, services = own
    bundle = Path(active(made[1]).folder)
    project = services.projects.get("tiles")
    copy = shutil.copytree(bundle, folder / "copy")
    (copy / "head.safetensors").write_bytes(b"no")
    with pytest.raises(BundleError, match="head"):
        services.discovery.register_bundle(project.id, copy)

    table = write_table(folder / "other.csv", [{"file": "images/red-000.png", "label": "odd"}])
    services.ingest.ingest(folder / "data", "others", labels=table)
    with pytest.raises(BundleError, match="classes"):
        services.discovery.register_bundle(services.projects.get("others").id, bundle)
    assert services.projects.get("tiles").active_version is None


def test_an_encoder_that_was_exchanged_is_refused(
    made: tuple[Path, Services], own: tuple[Path, Services]
) -> None:
    folder, services = own
    other = tiny_encoder(folder / "other", seed=1)

    with pytest.raises(EncoderError, match="is not the one"):
        services.engines.encoder(str(other), active(made[1]).encoder_hash)


def test_what_cannot_be_discovered_says_why(own: tuple[Path, Services], tmp_path: Path) -> None:
    folder, services = own
    save_picture(folder / "few" / "a.png")
    services.ingest.ingest(folder / "few", "few")
    for index in range(9):
        save_picture(folder / "plain" / f"{index}.png", index)
    services.ingest.ingest(folder / "plain", "plain")

    with pytest.raises(ConfigError, match="1 readable images"):
        services.discovery.discover("few")
    with pytest.raises(ConfigError, match="--labels"):
        services.discovery.discover("plain")
    with pytest.raises(NotFound):
        services.discovery.discover("nobody")
    with pytest.raises(InsightError, match="no model version"):
        services.explain.explain_image(folder / "few" / "a.png", "few")


def test_held_out_cases_stand_last_before_the_queue_is_planned() -> None:
    splits = ["test", "train", None, "val", "night shift", "train"]

    places = unplanned_places(splits)

    ranked = sorted(range(6), key=places.__getitem__)
    assert sorted(places) == list(range(6))
    assert set(ranked[:4]) == {1, 2, 3, 5}
    assert places == unplanned_places(splits)


def test_pooled_rows_come_in_the_order_asked_for(tmp_path: Path) -> None:
    store = PooledStore(tmp_path, 3)
    store.add(["a", "b"], sparse.csr_matrix(np.array([[1, 0, 0], [0, 2, 0]])))
    PooledStore(tmp_path, 3).add(["c"], sparse.csr_matrix(np.array([[0, 0, 3]])))

    assert store.missing(["c", "d", "d"]) == ["d"]
    assert store.rows(["c", "a", "b", "a"]).toarray().tolist() == [
        [0, 0, 3], [1, 0, 0], [0, 2, 0], [1, 0, 0],
    ]  # fmt: skip
    assert store.rows([]).shape == (0, 3)
    with pytest.raises(KeyError):
        store.rows(["d"])


def test_edges_of_a_single_patch_are_its_four_sides() -> None:
    region = np.zeros((2, 2), dtype=np.bool_)
    region[0, 1] = True

    assert sorted(edges(region)) == [(1, 0, 1, 1), (1, 0, 2, 0), (1, 1, 2, 1), (2, 0, 2, 1)]
    assert [letter(k) for k in (0, 25, 26)] == ["A", "Z", "A2"]


def test_local_encoder_folders_are_made_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "enc").mkdir()
    monkeypatch.chdir(tmp_path)

    assert resolved("enc") == str(tmp_path / "enc")
    assert resolved("demo") == "demo"
    assert resolved("ViT-B-16/laion2b_s34b_b88k") == "ViT-B-16/laion2b_s34b_b88k"
    assert resolved("enc?size=64&window=32") == str(tmp_path / "enc") + "?size=64&window=32"
    assert resolved("demo?dense=dinoised") == "demo?dense=dinoised"


def test_the_settings_lead_a_child_process_to_the_same_workspace(tmp_path: Path) -> None:
    settings = replace(workspace(tmp_path).settings, port=9000, precision="bf16")

    assert type(settings).load(environ=settings.environment()) == settings
