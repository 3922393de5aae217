"""Drift checks through the services: a shifted set is found and named, an unshifted one is not."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sqlalchemy import text
from typer.testing import CliRunner

from core.errors import ConfigError, InsightError
from dashboard.cli import app
from dashboard.services.run_work import run_inline
from dashboard.viewmodels.drift import DriftView, ImageSet
from db.errors import Conflict, NotFound
from db.records import NewImage, new_id
from tests.integration.services.queue_world import set_rules
from tests.integration.services.world import RULER, World, _image, _tokens, make_world, reviewer

LATER = "2031-05-02"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """60 images to learn from, 30 test ones; 30 of camera B came later and all show a ruler."""
    torch.set_num_threads(1)
    built = make_world(tmp_path_factory.mktemp("drift") / "ws", splits={"train": 60, "test": 30})
    _ingest_later(built)
    return built


def _ingest_later(world: World) -> None:
    rng = np.random.default_rng(5)
    images: list[NewImage] = []
    store = world.services.engines.tokens(world.project_id, "ab" * 32)
    for index in range(30):
        drawn = _image(
            world.settings.workspace / "images", f"b-{index:02d}.png", "", index % 2, rng
        )
        meta = {"camera": "B", "patient": f"p{index // 3}"}
        images.append(NewImage(drawn.relpath, drawn.sha256, 32, 24, drawn.label, None, meta=meta))
        store.write([(drawn.sha256, torch.from_numpy(_tokens(rng, index % 2, True)))])
    with world.services.uow() as uow:
        uow.images.add_many(world.project_id, images)
        uow.commit()
    with world.services.uow() as uow:
        # Only time itself could put them on a later day.
        uow._session.execute(
            text("UPDATE images SET created_at = :day WHERE relpath LIKE 'b-%'"),
            {"day": f"{LATER} 08:00:00.000000"},
        )
        uow.commit()


def start(world: World, new: ImageSet, **more: object) -> str:
    asked = {"id": new_id(), "project_id": world.project_id, "reviewer_id": reviewer(world), **more}
    return world.services.drift.start(new=new, **asked).run_id


def checked(world: World, new: ImageSet, **more: object) -> DriftView:
    run_id = start(world, new, **more)
    run_inline(world.services, run_id)
    return world.services.drift.view(run_id)


def test_what_a_check_can_be_started_with(world: World) -> None:
    form = world.services.drift.form(world.project_id)
    by_label = {choice.label: choice for choice in form.choices}
    assert form.ready
    assert form.images == 120
    assert ("B", 30) in by_label["camera"].values
    assert by_label["Ingested since"].values == ((LATER, 30),)
    assert not by_label["Mask"].usable
    assert "same value" in by_label["Mask"].why_not
    assert not by_label["patient"].usable
    # What came after the version was made is what is most likely asked about.
    assert form.new == ImageSet("since", (LATER,))
    assert [choice.usable for choice in form.choices] == sorted(
        [choice.usable for choice in form.choices], reverse=True
    )


@pytest.mark.parametrize("new", [ImageSet("since", (LATER,)), ImageSet("column", ("B",), "camera")])
def test_a_shift_is_found_and_named_with_its_cases(world: World, new: ImageSet) -> None:
    view = checked(world, new)
    assert (view.state, view.done, view.alert) == ("succeeded", True, True)
    assert (view.n_new, view.n_reference) == (30, 60)
    first = view.concepts[0]
    assert (first.concept, first.name, first.alert) == (RULER, "ruler", True)
    assert first.direction == "more"
    assert first.superiority > 0.7
    assert first.new_fires == 1.0
    assert first.q < 0.01
    assert "ruler (at a strength of" in view.sentence
    assert first.sentence.startswith("ruler: new images fire it at a strength of")
    assert first.new_mean > 1.3 * first.reference_mean
    assert view.p < 0.05
    assert 0.6 < view.told_apart <= 1.0
    # The cases shown are new ones, can be opened, and have a map where the ruler lies.
    assert len(first.pictures) == 8
    for picture in first.pictures:
        assert picture.image_name.startswith("b-")
        assert world.services.review.case(
            world.project_id, picture.case_id, reviewer(world)
        ).image_id == picture.image_id  # fmt: skip
        assert picture.grid == (4, 4)
        assert max(picture.map_u8) == 255
    assert {picture.image_name[:2] for picture in view.cases} == {"b-"}


def test_new_images_get_a_decision_once(world: World) -> None:
    checked(world, ImageSet("since", (LATER,)))
    view = checked(world, ImageSet("since", (LATER,)))
    with world.services.uow(read_only=True) as uow:
        version = uow.versions.active(world.project_id)
        assert version is not None
        assert uow.cases.total(version.id) == 120
    assert not any("new to this model" in notice.text for notice in view.notices)


def test_the_first_check_says_that_it_decided_new_images(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    built = make_world(tmp_path / "ws", splits={"train": 40, "test": 24})
    _ingest_later(built)
    view = checked(built, ImageSet("column", ("B",), "camera"))
    assert "30 images were new to this model" in view.notices[0].text


def test_no_shift_no_alert(world: World) -> None:
    view = checked(world, ImageSet("split", ("test",)))
    assert not view.alert
    assert view.p > 0.05
    assert "No drift found" in view.sentence
    assert f"{view.detectable:.2f}" in view.advice
    assert not any(concept.alert for concept in view.concepts)
    assert sum(row.new for row in view.decisions) == pytest.approx(1.0)
    assert "as before" in view.decisions_sentence


def test_a_reference_of_its_own_and_within_labels(world: World) -> None:
    view = checked(
        world, ImageSet("column", ("B",), "camera"), reference=ImageSet("split", ("test",)),
        within="label",
    )  # fmt: skip
    assert (view.reference, view.n_reference) == ("split test", 30)
    assert view.within == "label"
    assert view.alert
    assert view.concepts[0].name == "ruler"


def test_images_of_a_patient_count_once(world: World) -> None:
    set_rules(world, cluster_column="patient")
    try:
        with pytest.raises(InsightError, match="only 10 new images"):
            raise InsightError(checked(world, ImageSet("since", (LATER,))).message)
    finally:
        set_rules(world, cluster_column="")


def test_a_blind_project_hides_label_and_decision(world: World) -> None:
    set_rules(world, blind=["labels", "prediction"])
    try:
        view = checked(world, ImageSet("since", (LATER,)))
        shown = [picture for concept in view.concepts for picture in concept.pictures]
        assert shown
        assert {(p.image_name, p.label, p.prediction) for p in shown} == {("hidden", None, "")}
    finally:
        set_rules(world, blind=[])


def test_asking_twice_with_one_id_is_one_check(world: World) -> None:
    key = new_id()
    before = len(world.services.drift.list(world.project_id))
    first = start(world, ImageSet("split", ("test",)), id=key)
    assert start(world, ImageSet("split", ("test",)), id=key) == first
    assert len(world.services.drift.list(world.project_id)) == before + 1
    with pytest.raises(Conflict):
        start(world, ImageSet("column", ("B",), "camera"), id=key)
    row = world.services.drift.list(world.project_id)[0]
    assert (row.state, row.alert, row.new, row.by) == ("queued", None, "split test", "Ada")
    waiting = world.services.drift.view(key)
    assert (waiting.done, waiting.state, waiting.concepts) == (False, "queued", ())
    world.services.runs.cancel(key)
    assert world.services.drift.view(key).state == "cancelled"


def test_the_same_seed_gives_the_same_figures(world: World) -> None:
    first, second = (checked(world, ImageSet("split", ("test",)), seed=4) for _ in range(2))
    assert (first.p, first.whole_p, first.told_apart) == (
        second.p,
        second.whole_p,
        second.told_apart,
    )
    assert first.concepts == second.concepts


@pytest.mark.parametrize(
    ("new", "more", "says"),
    [
        (ImageSet("column", ("Z",), "camera"), {}, "only 0 images"),
        (ImageSet("column", ("B",)), {}, "column is named"),
        (ImageSet("split", ("test",), "camera"), {}, "column is named"),
        (ImageSet("split", ()), {}, "which value"),
        (ImageSet("since", ("yesterday",)), {}, "not a day"),
        (ImageSet("since", ("2026-01-01", "2026-01-02")), {}, "one day"),
        (ImageSet("pick", ("a",)), {}, "chosen by"),
        (ImageSet("split", ("test",)), {"within": "camera"}, "compare within"),
        (ImageSet("split", ("test",)), {"level": 0.0}, "level"),
        (ImageSet("split", ("test",)), {"reference": ImageSet("split", ("test",))}, "only 0"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    world: World, new: ImageSet, more: dict[str, object], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        start(world, new, **more)


def test_runs_that_are_no_checks_are_refused(world: World) -> None:
    with pytest.raises(NotFound):
        world.services.drift.view(new_id())
    run = world.services.runs.start_reweight(
        id=new_id(), project_id=world.project_id, reviewer_id=None
    )
    with pytest.raises(ConfigError, match="no drift check"):
        world.services.drift.view(run.id)
    world.services.runs.cancel(run.id)


def test_from_the_command_line(world: World) -> None:
    key = start(world, ImageSet("split", ("test",)))
    run_inline(world.services, key)
    home = ["--project", "tiny", "--workspace", str(world.settings.workspace)]
    listed = CliRunner().invoke(app, ["drift", *home, "--list"])
    assert listed.exit_code == 0
    assert key[:8] in listed.stdout
    assert "No drift found" in listed.stdout
    refused = CliRunner().invoke(app, ["drift", *home, "--new", "camera=Z"])
    assert refused.exit_code == 4
    assert "only 0 images" in refused.stderr
    for wrong in (["--new", "camera"], ["--new", "split=a", "--new", "camera=B"]):
        assert CliRunner().invoke(app, ["drift", *home, *wrong]).exit_code == 2
