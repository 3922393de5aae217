"""Making the files of a report: at once and by the worker; who took what, and taken again."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch

from core.errors import ConfigError, InputError, InsightError
from dashboard.bootstrap import Services
from dashboard.services import report_making
from dashboard.services.export_makers import makers
from dashboard.services.made import MadeFile
from dashboard.services.report_making import ReportMaking
from dashboard.services.report_scope import ReportScope
from dashboard.services.run_work import run_inline
from db.errors import NotFound
from db.records import new_id
from tests.integration.services.world import World, judge, make_world, reviewer

WHOLE = ReportScope()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    torch.set_num_threads(1)
    made = make_world(tmp_path_factory.mktemp("making") / "ws", splits={"train": 24, "test": 8})
    judge(made, reviewer(made), count=3)
    return made


class Told:
    """Stands where the worker's queue is told."""

    def __init__(self) -> None:
        self.announced: list[str] = []

    def announce(self, run_id: str, workflow_id: str) -> bool:
        self.announced.append(run_id)
        return True


def service(world: World, told: Told | None = None) -> ReportMaking:
    forms = makers(world.services.report_files)
    return ReportMaking(world.services.uow, world.settings, told or Told(), forms)


def exports(services: Services, project_id: str) -> list[str]:
    with services.uow(read_only=True) as uow:
        return [row.id for row in uow.exports.list(project_id)]


def test_a_small_report_is_made_at_once_and_written_down(world: World) -> None:
    me, making = reviewer(world), service(world)
    form = making.form(world.project_id, WHOLE, me)
    assert (form.cases, form.at_once) == (32, True)
    assert "html" in {each.key for each in form.formats}
    seen: list[float] = []
    ident = new_id()
    [row] = making.make(
        id=ident, project_id=world.project_id, reviewer_id=me, scope=ReportScope(reviewer="Ada"),
        formats=["html"], progress=lambda share, stage="": seen.append(share),
    )  # fmt: skip
    assert seen == sorted(seen)
    content = making.read(row.id, me)
    assert hashlib.sha256(content).hexdigest() == row.sha256
    assert (row.by, row.format, row.there, row.size) == ("Ada", "html", True, len(content))
    assert row.scope == "Cases with a word of the review; words of Ada."
    with world.services.uow(read_only=True) as uow:
        kept = uow.exports.get(row.id)
        lines = uow.audit.list(entity="export", entity_id=row.id)
    assert kept.scope["reviewer"] == f"person:{me}"
    assert kept.version_hash == world.version_hash
    assert [line.action for line in lines] == ["export", "export"]  # made, and taken
    assert "Ada" not in str(kept.scope)
    before = exports(world.services, world.project_id)
    [again] = making.make(
        id=ident, project_id=world.project_id, reviewer_id=me, scope=ReportScope(reviewer="Ada"),
        formats=["html"],
    )  # fmt: skip
    assert again == row
    assert exports(world.services, world.project_id) == before


def test_the_worker_makes_the_others(world: World) -> None:
    told = Told()
    me, making = reviewer(world), service(world, told)
    run_id = making.start(
        id=new_id(), project_id=world.project_id, reviewer_id=me, scope=WHOLE, formats=["html"]
    )
    again = making.start(
        id=run_id, project_id=world.project_id, reviewer_id=me, scope=WHOLE, formats=["html"]
    )
    assert again == run_id
    [row] = making.under_way(world.project_id, me)
    assert (row.run_id, row.state, row.formats, row.by) == (run_id, "queued", ("HTML",), "Ada")
    assert row.scope == "The whole project."
    run_inline(world.services, run_id)
    assert told.announced == [run_id]
    assert making.under_way(world.project_id, me) == ()
    made = making.files(world.project_id, me)[0]
    assert (made.format, made.by, made.there) == ("html", "Ada", True)
    assert b"<html" in making.read(made.id, me)[:200].lower()


@pytest.mark.parametrize("formats", [[], ["docx"]])
def test_an_unknown_form_is_refused(world: World, formats: list[str]) -> None:
    me = reviewer(world)
    with pytest.raises(ConfigError, match="choose formats of html"):
        service(world).make(
            id=new_id(), project_id=world.project_id, reviewer_id=me, scope=WHOLE, formats=formats
        )


def test_a_large_report_is_not_made_while_somebody_waits(tmp_path: Path) -> None:
    many = report_making.SMALL + 1
    world = make_world(tmp_path / "ws", splits={"train": many})
    me, making = reviewer(world), service(world)
    assert not making.form(world.project_id, WHOLE, me).at_once
    with pytest.raises(ConfigError, match="made by the worker"):
        making.make(
            id=new_id(), project_id=world.project_id, reviewer_id=me, scope=WHOLE, formats=["html"]
        )


def test_a_file_that_was_altered_or_has_gone_is_not_given_out(world: World) -> None:
    me, making = reviewer(world), service(world)
    [row] = making.make(
        id=new_id(), project_id=world.project_id, reviewer_id=me, scope=WHOLE, formats=["html"]
    )
    path = world.settings.workspace / str(row.path)
    path.write_text("something else", encoding="utf-8")
    with pytest.raises(InputError, match="was altered"):
        making.read(row.id, me)
    path.unlink()
    with pytest.raises(InputError, match="no longer in the workspace"):
        making.read(row.id, me)
    assert not next(each for each in making.files(world.project_id, me) if each.id == row.id).there
    with pytest.raises(NotFound):
        making.read(new_id(), me)


def test_a_path_outside_the_workspace_is_never_read(world: World, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret", encoding="utf-8")
    me = reviewer(world)
    with world.services.uow() as uow:
        row = uow.exports.add(
            id=new_id(), project_id=world.project_id, reviewer_id=me, kind="report", format="html",
            scope={}, sha256=MadeFile.of(secret, "html").sha256, size=6,
            path=f"../../../../../../{secret}",
        )  # fmt: skip
        uow.commit()
    with pytest.raises(InputError, match="no longer in the workspace"):
        service(world).read(row.id, me)


def test_what_fails_leaves_no_row(world: World) -> None:
    def broken(order: object) -> tuple[MadeFile, ...]:
        raise InsightError("the disk is full")

    services = world.services
    making = ReportMaking(services.uow, world.settings, services.runs, {"html": broken})
    before = exports(services, world.project_id)
    with pytest.raises(InsightError, match="disk is full"):
        making.make(
            id=new_id(), project_id=world.project_id, reviewer_id=reviewer(world), scope=WHOLE,
            formats=["html"],
        )  # fmt: skip
    assert exports(services, world.project_id) == before


def test_choices_name_versions_classes_and_people(world: World) -> None:
    choices = service(world).choices(world.project_id, reviewer(world))
    assert [hash_ for hash_, _ in choices.versions] == [world.version_hash]
    assert choices.versions[0][1].endswith("active)")
    assert (choices.classes, choices.people) == (("naevus", "melanoma"), ("Ada",))
    assert choices.first == choices.last is not None
    assert not choices.blind
