"""A version by the columns of its data."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sqlalchemy import text

from core.errors import ConfigError, InsightError
from tests.integration.services.descendants import base, child, without_ruler
from tests.integration.services.world import RULER, World, judge, make_world, reviewer


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Images with a camera that shows in which of them the ruler lies, a site, and an age."""
    torch.set_num_threads(1)
    found = make_world(tmp_path_factory.mktemp("groups") / "ws")
    judge(found, reviewer(found), count=6)
    services = found.services
    version = base(found)
    bundle = services.engines.bundle(version.folder)
    tokens = services.engines.tokens(found.project_id, version.encoder_hash)
    with services.uow(read_only=True) as uow:
        images = uow.images.list(found.project_id)
    pooled = services.engines.pooled(
        found.project_id, bundle, tokens, [image.sha256 for image in images]
    )
    ruler = pooled[:, [RULER]].toarray().ravel() > 1
    rng = np.random.default_rng(0)
    with services.uow() as uow:
        for row, image in enumerate(images):
            meta = {
                "camera": "old" if ruler[row] else "new",
                "site": str(rng.choice(["north", "south"])), "age": str(rng.integers(20, 90)),
                "always": "yes", "file": image.relpath,
            }  # fmt: skip
            if row % 50 == 0:
                del meta["site"]
            import json

            uow._session.execute(
                text("update images set meta = :meta where id = :id"),
                {"meta": json.dumps(meta), "id": image.id},
            )
        uow.commit()
    return found


def test_columns_and_why_some_cannot_be_used(world: World) -> None:
    rows = {row.column: row for row in world.services.groups.columns(world.project_id)}
    assert {name for name, row in rows.items() if row.usable} == {"label", "camera", "site", "age"}
    assert rows["age"].kind == "numbers"
    assert rows["site"].missing == 4
    assert "same value" in rows["always"].why_not
    assert "of its own" in rows["file"].why_not


def test_a_column_by_hand(world: World) -> None:
    """Of the reversed images: the ruler misleads, so the label and the camera decide."""
    view = world.services.groups.of(world.project_id, "camera", splits=["reversed"])
    with world.services.uow(read_only=True) as uow:
        rows = uow.cases.predictions(base(world).id, splits=["reversed"])
        cells = uow.images.column_values(world.project_id)
    for row in view.rows:
        mine = [r for r in rows if cells[r.image_id]["camera"] == row.value]
        right = sum(r.prediction == r.label for r in mine)
        assert row.n == len(mine)
        assert row.accuracy.value == pytest.approx(right / len(mine))
        assert (row.accuracy.low or 0) < (row.accuracy.value or 0) < (row.accuracy.high or 0)
        wrong = {r.image_id: r.case_id for r in mine if r.prediction != r.label}
        assert set(row.image_ids) <= set(wrong)
        assert row.case_ids == tuple(wrong[i] for i in row.image_ids)
    assert sum(row.n for row in view.rows) == view.overall.n == 40
    reliance = {row.value: row.reliance.value or 0 for row in view.rows}
    assert reliance["old"] > reliance["new"] + 0.2


def test_held_out_cases_are_the_default(world: World) -> None:
    view = world.services.groups.of(world.project_id, "site")
    assert view.splits == ("reversed", "test")
    assert 70 <= view.overall.n <= 80
    assert view.column.missing == 4
    learnt = world.services.groups.of(world.project_id, "site", splits=["train"])
    assert any("learnt from training images" in note for note in learnt.notes)
    with pytest.raises(ConfigError, match="choose splits of reversed, test, train"):
        world.services.groups.of(world.project_id, "site", splits=["val"])


def test_what_makes_no_groups_is_refused_in_words(world: World) -> None:
    groups = world.services.groups
    with pytest.raises(ConfigError, match="no column"):
        groups.of(world.project_id, "weather")
    with pytest.raises(ConfigError, match="same value"):
        groups.of(world.project_id, "always")
    with pytest.raises(InsightError, match="no such model version"):
        groups.of("nobody", "site")


def test_numbers_are_read_from_low_to_high(world: World) -> None:
    view = world.services.groups.of(world.project_id, "age")
    lows = [int(row.value.replace("above ", "").split()[0]) for row in view.rows]
    assert lows == sorted(lows)
    assert len(view.rows) == 4


def test_the_scan_finds_the_shortcut_column(world: World) -> None:
    scans = {scan.column.column: scan for scan in world.services.groups.scan(world.project_id)}
    assert set(scans) == {"label", "camera", "site", "age"}
    assert scans["camera"].p is not None
    assert all(s.p_adjusted is not None and s.p_adjusted >= (s.p or 0) for s in scans.values())
    assert not scans["site"].differs


def test_another_version_and_nothing_rejected(world: World, tmp_path: Path) -> None:
    better = child(world, without_ruler(base(world)), seed=1)
    view = world.services.groups.of(world.project_id, "camera", version_id=better.id)
    assert view.version == better.hash
    assert all(row.reliance.value == 0.0 for row in view.rows)
    untouched = make_world(tmp_path / "ws", splits={"train": 20, "test": 20})
    plain = untouched.services.groups.of(untouched.project_id, "label")
    assert all(row.reliance.value is None for row in plain.rows)
    assert any("Nobody has called" in note for note in plain.notes)
    assert "No group was tested" not in plain.multiplicity


def test_images_of_one_patient_widen_the_intervals(world: World) -> None:
    rules, me = world.services.settings_of, reviewer(world)
    plain = world.services.groups.of(world.project_id, "label", splits=["reversed"])
    revision = rules.view(world.project_id).revision
    rules.save(id="6d2a3a0e-9df1-4b6e-8a3a-0f1a2b3c4d5e", project_id=world.project_id,
               reviewer_id=me, changes={"cluster_column": "age"}, based_on=revision)  # fmt: skip
    drawn = world.services.groups.of(world.project_id, "label", splits=["reversed"])
    for before, after in zip(plain.rows, drawn.rows, strict=True):
        assert before.value == after.value
        assert (after.accuracy.low or 0) <= (before.accuracy.low or 0)
