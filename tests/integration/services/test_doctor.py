"""The doctor names what is wrong and how to mend it, and never raises."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dashboard.bootstrap import Services, build
from dashboard.services import heartbeat
from dashboard.services.doctor import Check
from db.feedback_records import NewRun
from db.records import new_id
from tests.builders import discovered, save_picture, settings, tiny_encoder

NOW = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Services]:
    folder = tmp_path_factory.mktemp("made")
    return folder, discovered(folder, per_class=6)


def named(services: Services) -> dict[str, Check]:
    # Built afresh: the doctor must see the disk, not what an earlier test left in memory.
    return {check.name: check for check in build(services.settings).doctor.check()}


def test_a_sound_workspace_passes(made: tuple[Path, Services]) -> None:
    folder, services = made

    checks = named(services)

    wrong = [name for name, check in checks.items() if not check.ok and name != "encoder demo"]
    assert wrong == []
    assert list(checks)[:4] == ["versions", "workspace", "database", "worker"]
    assert f"encoder {folder / 'encoder'}" in checks
    assert "12 present" in checks["images of tiles"].detail


def test_an_empty_workspace_says_what_to_run(tmp_path: Path) -> None:
    checks = build(settings(tmp_path)).doctor.check()

    assert checks[-1].name == "database"
    assert not checks[-1].ok
    assert "insight demo" in checks[-1].remedy
    assert not (tmp_path / "workspace" / "insight.sqlite").exists()


def test_a_server_that_cannot_be_reached_is_named_without_its_password(tmp_path: Path) -> None:
    url = "postgresql://ada:secret@127.0.0.1:1/none"

    checks = build(settings(tmp_path, INSIGHT_DATABASE_URL=url)).doctor.check()

    assert not checks[-1].ok
    assert "INSIGHT_DATABASE_URL" in checks[-1].remedy
    assert "secret" not in checks[-1].detail


def test_missing_and_altered_images_are_named(made: tuple[Path, Services]) -> None:
    folder, services = made
    images = folder / "data" / "images"
    gone, altered = images / "red-000.png", images / "red-001.png"
    kept = {path: path.read_bytes() for path in (gone, altered)}
    gone.unlink()
    save_picture(altered, 999)

    check = named(services)["images of tiles"]

    for path, content in kept.items():
        path.write_bytes(content)
    assert not check.ok
    assert "images/red-000.png is missing" in check.detail
    assert "images/red-001.png was altered" in check.detail
    assert str(folder / "data") in check.remedy


def test_a_damaged_model_and_another_encoder_are_named(made: tuple[Path, Services]) -> None:
    folder, services = made
    with services.uow(read_only=True) as uow:
        version = uow.versions.active(uow.projects.find("tiles").id)
    assert version is not None
    head = Path(version.folder) / "head.safetensors"
    kept = head.read_bytes()
    head.write_bytes(kept[:-1] + b"\x00" if kept[-1:] != b"\x00" else kept[:-1] + b"\x01")
    tiny_encoder(folder / "encoder", seed=5)

    checks = named(services)

    head.write_bytes(kept)
    tiny_encoder(folder / "encoder")
    assert "altered" in checks["model of tiles"].detail
    assert "is not the one" in checks[f"encoder {folder / 'encoder'}"].detail


def test_a_waiting_run_needs_a_worker(made: tuple[Path, Services]) -> None:
    _, services = made
    project = services.projects.get("tiles")
    run = NewRun(id=new_id(), kind="reweight", seed=0)
    with services.uow() as uow:
        uow.runs.add(project.id, run)
        uow.commit()

    silent = named(services)["worker"]
    heartbeat.beat(services.settings)
    beating = named(services)["worker"]
    heartbeat.clear(services.settings)
    with services.uow() as uow:
        uow.runs.update(run.id, state="cancelled")
        uow.commit()

    assert not silent.ok
    assert "insight up" in silent.remedy
    assert beating.ok
    assert "1 runs" in beating.detail


def test_a_beat_grows_old(tmp_path: Path) -> None:
    config = settings(tmp_path)
    assert heartbeat.read(config) is None
    heartbeat.beat(config, now=NOW)

    assert heartbeat.alive(config, NOW + timedelta(seconds=10))
    assert not heartbeat.alive(config, NOW + timedelta(seconds=30))
    heartbeat.clear(config)
    assert not heartbeat.alive(config, NOW)
