"""A whole workspace moves from SQLite to PostgreSQL and back, and its data forms work there."""

import json
from pathlib import Path
from uuid import uuid4

from sqlalchemy import text

from dashboard.bootstrap import build
from dashboard.services.report_scope import ReportScope
from dashboard.settings import Settings
from db.engine import create_engine
from db.migrate import upgrade
from tests.integration.services.data_world import person, said, small_world, speak
from tests.integration.services.world import World


def on_server(server: str, folder: Path, like: World) -> World:
    """An empty workspace on PostgreSQL."""
    name = f"insight_{uuid4().hex}"
    admin = create_engine(server)
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    admin.dispose()
    url = server.replace("/postgres?", f"/{name}?")
    settings = Settings.load(folder, environ={"INSIGHT_DATABASE_URL": url})
    upgrade(url)
    return World(build(settings), settings, like.project_id, like.version_hash)


def test_a_project_moves_to_a_server_and_back(postgres_url: str, tmp_path: Path) -> None:
    here = small_world(tmp_path / "here")
    speak(here)
    there = on_server(postgres_url, tmp_path / "there", here)
    try:
        first = here.services.archive.write(here.project_id, tmp_path / "first.zip")
        there.services.archive.read(first.path)
        assert said(there) == said(here)
        second = there.services.archive.write(here.project_id, tmp_path / "second.zip")
        assert second.sha256 == first.sha256
        _words_go_in_and_out(here, there, tmp_path)
    finally:
        there.services.uow.engine.dispose()


def _words_go_in_and_out(here: World, there: World, folder: Path) -> None:
    """The same data from both stores; and a word that the server does not have yet."""
    lead = person(there, "Ada")
    for form in ("csv", "parquet", "coco"):
        files = [
            world.services.data.write(
                world.project_id, ReportScope(), form, folder / f"{at}.{form}"
            )
            for at, world in enumerate((here, there))
        ]
        assert files[0].sha256 == files[1].sha256
        report = there.services.data.read(there.project_id, files[0].path, lead)
        assert (report.added, report.problems) == ({}, ())
    made = here.services.data.write(here.project_id, ReportScope(), "json", folder / "a.json")
    body = json.loads(made.path.read_bytes())
    for rows in body["tables"].values():
        for row in rows:
            row.update({"id": None, "given_at": None} if "id" in row else {})
    made.path.write_text(json.dumps(body), encoding="utf-8")
    report = there.services.data.read(there.project_id, made.path, lead)
    assert report.problems == ()
    assert set(report.added) == {
        "names", "verdicts", "assessments", "class_verdicts", "column_verdicts", "drawings",
        "notes",
    }  # fmt: skip
    with there.services.uow(read_only=True) as uow:
        assert uow.chain_check.run(there.project_id).is_whole
