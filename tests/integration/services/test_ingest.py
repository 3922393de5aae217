"""Ingest: good files come in, every bad one is named with its reason, a repeat changes nothing."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from core.errors import InputError, TableError
from dashboard.bootstrap import Services
from dashboard.services.ingest import BATCH, IngestReport
from dashboard.services.labels import Columns, clean_path, normalise_split, read_labels
from tests.builders import (
    image_folder,
    picture,
    save_mask,
    save_picture,
    workspace,
    write_table,
)


@pytest.fixture
def services(tmp_path: Path) -> Services:
    return workspace(tmp_path)


def reasons(report: IngestReport) -> dict[str, str]:
    return {problem.file: problem.reason for problem in report.problems}


def make_bad_files(folder: Path) -> dict[str, str]:
    """Twelve kinds of bad file; for each a word that its reason must hold."""
    folder.mkdir(parents=True, exist_ok=True)
    good = save_picture(folder / "good.png", 1).read_bytes()
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.jpg").write_text("this is no picture", encoding="utf-8")
    (folder / "cut.png").write_bytes(good[: len(good) // 2])
    bomb = Image.new("1", (20_000, 20_000))
    bomb.save(folder / "bomb.png", compress_level=9)
    frames = [Image.fromarray(picture(k)) for k in range(3)]
    frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:])
    frames[0].save(folder / "pages.tif", save_all=True, append_images=frames[1:])
    (folder / "svg.png").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>", encoding="utf-8")
    (folder / "dangling.png").symlink_to(folder / "nowhere.png")
    outside = save_picture(folder.parent / "outside" / "secret.png", 2)
    (folder / "escape.png").symlink_to(outside)
    os.mkfifo(folder / "pipe.png")
    (folder / "twin.png").write_bytes(good)
    (folder / os.fsdecode(b"n\xff.png")).write_bytes(good)
    return {
        "empty.png": "empty", "text.jpg": "not an image", "cut.png": "truncated",
        "bomb.png": "pixels", "moving.gif": "frames", "pages.tif": "frames",
        "svg.png": "not an image", "dangling.png": "leads nowhere", "escape.png": "leads out",
        "pipe.png": "not a regular file", "twin.png": "same content as good.png",
        "n?.png": "not valid UTF-8",
    }  # fmt: skip


def test_twelve_kinds_of_bad_file_are_named_and_the_good_ones_come_in(
    services: Services, tmp_path: Path
) -> None:
    expected = make_bad_files(tmp_path / "data")
    save_picture(tmp_path / "data" / "deep" / "er" / "other.jpg", 5)

    report = services.ingest.ingest(tmp_path / "data", "tiles")

    found = reasons(report)
    assert found.keys() == expected.keys()
    for file, word in expected.items():
        assert word in found[file]
    assert (report.added, report.unchanged) == (2, 0)


def test_a_second_run_changes_nothing_and_reports_the_same(
    services: Services, tmp_path: Path
) -> None:
    make_bad_files(tmp_path / "data")
    first = services.ingest.ingest(tmp_path / "data", "tiles")
    before = _rows(services)

    second = services.ingest.ingest(tmp_path / "data", "tiles")

    assert second == replace(first, added=0, unchanged=first.added)
    assert _rows(services) == before


def _rows(services: Services, project: str = "tiles") -> dict[str, tuple[object, ...]]:
    with services.uow(read_only=True) as uow:
        images = uow.images.list(uow.projects.find(project).id)
    return {
        i.relpath: (i.id, i.sha256, i.label, i.split, i.group_name, i.mask_path) for i in images
    }


def test_labels_splits_masks_and_groups_are_stored(services: Services, tmp_path: Path) -> None:
    table = image_folder(tmp_path / "data", 3, masks=True)

    report = services.ingest.ingest(
        tmp_path / "data", "tiles", labels=table, mask_column="mask", split_column="split",
        group_column="group",
    )  # fmt: skip

    assert (report.added, report.labelled, report.problems, report.notices) == (6, 6, (), ())
    row = _rows(services)["images/red-002.png"]
    assert row[2:] == ("red", "test", "red even", "masks/red-002.png")
    assert services.projects.get("tiles").classes == ("blue", "red")
    raw = (tmp_path / "data/images/red-002.png").read_bytes()
    assert row[1] == hashlib.sha256(raw).hexdigest()


def test_bad_rows_are_named_with_their_line(services: Services, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    for index, name in enumerate(("a", "b", "c", "d", "e", "f")):
        save_picture(folder / f"{name}.png", index)
    save_mask(folder / "small.png", side=8)
    table = write_table(
        folder / "labels.csv",
        [
            {"file": "a.png", "label": "red", "mask": ""},
            {"file": "gone.png", "label": "red", "mask": ""},
            {"file": "../up.png", "label": "red", "mask": ""},
            {"file": "/etc/passwd", "label": "red", "mask": ""},
            {"file": "b.png", "label": "red", "mask": ""},
            {"file": "b.png", "label": "blue", "mask": ""},
            {"file": "c.png", "label": "blue", "mask": ""},
            {"file": "./c.png", "label": "blue", "mask": ""},
            {"file": "d.png", "label": "", "mask": "nomask.png"},
            {"file": "e.png", "label": "blue", "mask": "small.png"},
            {"file": "", "label": "blue", "mask": ""},
        ],
    )

    report = services.ingest.ingest(folder, "tiles", labels=table, mask_column="mask")

    found = sorted((p.row, p.file, p.reason) for p in report.problems if p.row is not None)
    assert [(row, file) for row, file, _ in found] == [
        (3, "gone.png"), (4, "../up.png"), (5, "/etc/passwd"), (6, "b.png"), (7, "b.png"),
        (10, "nomask.png"), (11, "small.png"), (12, "row 12"),
    ]  # fmt: skip
    assert "no such file" in found[0][2]
    assert "out of the folder" in found[1][2]
    assert "absolute" in found[2][2]
    assert "lines 6, 7" in found[3][2]
    assert "does not exist" in found[5][2]
    assert "8x8 px" in found[6][2]
    assert "names no file" in found[7][2]
    assert _rows(services).keys() == {"a.png", "c.png", "d.png", "e.png", "f.png"}
    assert any("c.png: listed 2 times alike" in notice for notice in report.notices)
    assert any("1 images are not listed" in notice for notice in report.notices)
    assert (report.labelled, report.unlabelled) == (3, 2)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"file,label\ncaf\xe9.png,red\n", "0xe9 at offset 14 (line 2)"),
        ("file,label\na.png,red\n".encode("utf-16"), "UTF-16"),
        (b"", "empty"),
        (b"name,label\na.png,red\n", "no column 'file'; it has: name, label"),
        (b"file,label,label\na.png,red,red\n", "column named twice: label"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_before_anything_is_stored(
    services: Services, tmp_path: Path, content: bytes, word: str
) -> None:
    save_picture(tmp_path / "data" / "a.png")
    (tmp_path / "labels.csv").write_bytes(content)

    with pytest.raises(TableError) as caught:
        services.ingest.ingest(tmp_path / "data", "tiles", labels=tmp_path / "labels.csv")

    assert word in caught.value.reason
    assert caught.value.file == "labels.csv"
    assert services.projects.list() == ()


def test_odd_but_sound_tables_are_read(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes("\ufefffile;label\r\n=1+1.png; <b>red</b> \r\n\r\n😀.png;=cmd()\r\n".encode())

    table = read_labels(path, Columns())

    assert {row.file: row.label for row in table.rows.values()} == {
        "=1+1.png": "<b>red</b>",
        "😀.png": "=cmd()",
    }
    assert table.problems == ()


def test_rows_with_a_wrong_count_of_cells_or_an_open_quote_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text('file,label\na.png\nb.png,red,x\nc.png,"red\nd.png,red\n', encoding="utf-8")

    table = read_labels(path, Columns())

    assert table.rows == {}
    assert [(p.file, p.row) for p in table.problems] == [
        ("a.png", 2), ("b.png", 3), ("c.png", 5),
    ]  # fmt: skip
    assert "quote" in table.problems[2].reason


def test_names_in_another_unicode_form_are_the_same_file(
    services: Services, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    save_picture(folder / "cafe\u0301.png")
    table = write_table(folder / "labels.csv", [{"file": "caf\u00e9.png", "label": "red"}])

    report = services.ingest.ingest(folder, "tiles", labels=table)

    assert (report.added, report.labelled, report.problems) == (1, 1, ())


def test_changed_labels_update_the_image_and_leave_an_audit_row(
    services: Services, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    save_picture(folder / "a.png")
    table = write_table(folder / "labels.csv", [{"file": "a.png", "label": "red"}])
    services.ingest.ingest(folder, "tiles", labels=table)
    image_id = _rows(services)["a.png"][0]
    write_table(table, [{"file": "a.png", "label": "blue"}])

    report = services.ingest.ingest(folder, "tiles", labels=table)

    assert (report.added, report.updated, report.unchanged) == (0, 1, 0)
    assert _rows(services)["a.png"][:3:2] == (image_id, "blue")
    with services.uow(read_only=True) as uow:
        (entry,) = uow.audit.list(entity="image", entity_id=str(image_id))
    assert entry.detail["before"]["label"] == "red"
    assert services.projects.get("tiles").classes == ("red", "blue")


def test_columns_that_come_later_join_those_that_are_there(
    services: Services, tmp_path: Path
) -> None:
    """A column that an expert rejects as a whole often comes with a later table."""
    folder = tmp_path / "data"
    save_picture(folder / "a.png")
    rows = [{"file": "a.png", "label": "red", "site": "north", "camera": "x"}]
    table = write_table(folder / "labels.csv", rows)
    services.ingest.ingest(folder, "tiles", labels=table)
    write_table(table, [{"file": "a.png", "label": "red", "exposure": "short", "camera": "y"}])

    report = services.ingest.ingest(folder, "tiles", labels=table)

    assert (report.updated, report.unchanged) == (1, 0)
    assert services.ingest.ingest(folder, "tiles", labels=table).unchanged == 1
    with services.uow(read_only=True) as uow:
        assert uow.images.columns(services.projects.get("tiles").id) == {
            "camera": {"y": 1}, "exposure": {"short": 1}, "site": {"north": 1}
        }  # fmt: skip


def test_an_ingest_without_a_table_leaves_labels_alone(services: Services, tmp_path: Path) -> None:
    table = image_folder(tmp_path / "data", 3)
    services.ingest.ingest(tmp_path / "data", "tiles", labels=table, split_column="split")

    report = services.ingest.ingest(tmp_path / "data", "tiles")

    assert (report.unchanged, report.updated, report.labelled) == (6, 0, 6)


def test_an_altered_picture_is_refused(services: Services, tmp_path: Path) -> None:
    path = save_picture(tmp_path / "data" / "a.png", 1)
    services.ingest.ingest(tmp_path / "data", "tiles")
    save_picture(path, 2)

    report = services.ingest.ingest(tmp_path / "data", "tiles")

    assert "content changed" in reasons(report)["a.png"]
    assert (report.added, report.unchanged) == (0, 0)


def test_a_project_keeps_to_its_folder(services: Services, tmp_path: Path) -> None:
    save_picture(tmp_path / "one" / "a.png")
    save_picture(tmp_path / "two" / "b.png")
    services.ingest.ingest(tmp_path / "one", "tiles")

    with pytest.raises(InputError, match="holds the images of"):
        services.ingest.ingest(tmp_path / "two", "tiles")
    with pytest.raises(InputError, match="no such folder"):
        services.ingest.ingest(tmp_path / "three", "tiles")


def test_an_ingest_that_is_stopped_keeps_whole_batches_and_goes_on(
    services: Services, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    for index in range(BATCH + 30):
        save_picture(folder / f"{index:04d}.png", index, side=8)

    with pytest.raises(KeyboardInterrupt):
        services.ingest.ingest(folder, "tiles", progress=_stop_at(0.99))
    assert len(_rows(services)) == BATCH

    report = services.ingest.ingest(folder, "tiles")
    assert (report.added, report.unchanged) == (30, BATCH)


def _stop_at(share: float) -> Callable[[float, str], None]:
    def progress(fraction: float, stage: str) -> None:
        if fraction >= share - 0.04:
            raise KeyboardInterrupt

    return progress


def test_hidden_folders_links_to_folders_and_the_workspace_are_not_entered(
    services: Services, tmp_path: Path
) -> None:
    save_picture(tmp_path / "a.png", 1)
    save_picture(tmp_path / ".hidden" / "b.png", 2)
    save_picture(tmp_path / "workspace" / "demo" / "c.png", 3)
    (tmp_path / "linked").symlink_to(tmp_path / ".hidden")

    report = services.ingest.ingest(tmp_path, "tiles")

    assert _rows(services).keys() == {"a.png"}
    assert report.notices == ("linked: a link to a folder, not followed",)


@pytest.mark.parametrize(
    ("raw", "clean"), [("a/b.png", "a/b.png"), (" ./a\\b.png ", "a/b.png"), ("a//b.png", "a/b.png")]
)
def test_paths_are_normalised(raw: str, clean: str) -> None:
    assert clean_path(raw) == clean


@pytest.mark.parametrize("raw", ["", ".", "..", "a/../b", "/a", "C:\\a.png", "\\\\host\\a", "a\0b"])
def test_paths_that_leave_the_folder_are_refused(raw: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        clean_path(raw)


@pytest.mark.parametrize(
    ("word", "split"),
    [("Training", "train"), ("dev", "val"), ("TEST", "test"), ("Reversed", "reversed")],
)
def test_splits_are_normalised(word: str, split: str) -> None:
    assert normalise_split(word) == split
