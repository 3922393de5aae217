"""Verdict tables: out, in again, row by row, and nothing twice."""

import csv
import io
from pathlib import Path

import pytest
import torch

from core.errors import TableError
from dashboard.services.verdict_io import COLUMNS, ImportReport
from db.records import new_id
from tests.integration.services.world import World, judge, make_world, reviewer


@pytest.fixture
def world(tmp_path: Path) -> World:
    torch.set_num_threads(1)
    return make_world(tmp_path / "ws", splits={"train": 16, "test": 8})


def write(path: Path, rows: list[dict[str, object]], columns: tuple[str, ...] = COLUMNS) -> Path:
    out = io.StringIO()
    writer = csv.DictWriter(out, columns)
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(out.getvalue(), encoding="utf-8")
    return path


def rows_of(body: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(body.decode())))


def bring(world: World, path: Path, project: str | None = None) -> ImportReport:
    return world.services.verdicts.import_csv(path, project)


def test_a_table_goes_into_another_workspace_and_comes_back(world: World, tmp_path: Path) -> None:
    me = reviewer(world, "=Eve")
    judge(world, me, count=3)
    body = world.services.verdicts.export_csv("tiny")
    assert {row["reviewer"] for row in rows_of(body)} == {"'=Eve"}
    path = tmp_path / "verdicts.csv"
    path.write_bytes(body)
    assert bring(world, path) == ImportReport(0, len(rows_of(body)), ())
    other = make_world(tmp_path / "other", splits={"train": 16, "test": 8})
    report = bring(other, path)
    assert report == ImportReport(len(rows_of(body)), 0, ())
    assert bring(other, path) == ImportReport(0, len(rows_of(body)), ())
    assert rows_of(other.services.verdicts.export_csv()) == rows_of(body)
    with other.services.uow(read_only=True) as uow:
        assert uow.reviewers.by_name("=Eve") is not None
        assert len(uow.audit.list(entity="verdict")) == report.added


def test_each_bad_row_is_named_and_the_good_ones_are_taken(world: World, tmp_path: Path) -> None:
    judge(world, reviewer(world), count=1)
    good: dict[str, object] = dict(rows_of(world.services.verdicts.export_csv())[0])
    fresh = {**good, "id": "", "reviewer": "Bo", "given_at": ""}
    bad: list[tuple[dict[str, object], str]] = [
        ({**fresh, "concept": "ruler"}, "number"),
        ({**fresh, "concept": "11999"}, "not among the cues"),
        ({**fresh, "image_sha256": "00"}, "no image"),
        ({**fresh, "image": "", "image_sha256": ""}, "names no image"),
        ({**fresh, "version": "ff"}, "no model version"),
        ({**fresh, "project": "nobody"}, "no project"),
        ({**fresh, "value": "wrong"}, "value must be"),
        ({**fresh, "reason": "because"}, "reason must be"),
        ({**fresh, "reviewer": " "}, "empty"),
        ({**fresh, "given_at": "yesterday"}, "isoformat"),
        ({**fresh, "id": "17"}, "not a uuid"),
        ({**good, "value": "unsure"}, "stored already"),
    ]
    path = write(tmp_path / "in.csv", [row for row, _ in bad] + [fresh])
    report = bring(world, path)
    assert (report.added, report.unchanged) == (1, 0)
    assert [problem.row for problem in report.problems] == list(range(2, 14))
    for problem, (_, reason) in zip(report.problems, bad, strict=True):
        assert reason in problem.reason
    assert bring(world, path).unchanged == 1


def test_rows_match_by_path_and_active_version_where_nothing_else_is_given(
    world: World, tmp_path: Path
) -> None:
    me = reviewer(world)
    case = world.services.review.case(world.project_id, None, me)
    columns = ("image", "concept", "reviewer", "value")
    row = {"image": case.image_name, "concept": case.cues[0].concept, "reviewer": "Ada",
           "value": "spurious"}  # fmt: skip
    path = write(tmp_path / "in.csv", [dict(row)], columns)
    assert bring(world, path, "tiny") == ImportReport(1, 0, ())
    seen = world.services.review.case(world.project_id, case.id, me).cues[0].mine
    assert seen is not None
    assert seen.value == "spurious"


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"\xff\xfe\x00", "UTF-8"), (b"a,b\n1,2\n", "no column"), (b"", "no column")],
)
def test_a_file_that_is_no_table_is_refused(
    world: World, tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(TableError, match=reason):
        bring(world, path)
    with pytest.raises(TableError, match="cannot be read"):
        bring(world, tmp_path / f"{new_id()}.csv")
