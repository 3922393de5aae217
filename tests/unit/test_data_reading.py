"""The readers of untrusted text, against the plain ones of the standard library."""

import csv
import io
import json
import tempfile
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import ConfigError, InputError
from dashboard.services import data_json
from dashboard.services.archive_zip import Packer, Unpacker, is_plain
from dashboard.services.data_coco import rectangles
from dashboard.services.data_csv import read_csv
from dashboard.services.data_forms import TABLES, WORDS
from dashboard.services.data_json import JsonDocument
from dashboard.services.data_words import Word, parse
from dashboard.services.made import MadeFile, whole_file
from db.records import utc_now

quick = settings(max_examples=60, deadline=None)
cells = st.lists(
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), min_size=2,
             max_size=4), max_size=5,
)  # fmt: skip
jsons = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner,
                                                                max_size=4),
    max_leaves=12,
)  # fmt: skip


def chopped(text: bytes, size: int) -> list[bytes]:
    return [text[at : at + size] for at in range(0, len(text), size)]


@quick
@given(rows=cells, size=st.integers(1, 7))
def test_csv_is_read_as_it_was_written(rows: list[list[str]], size: int) -> None:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\r\n").writerows(rows)
    found = [row for _line, row in read_csv(chopped(out.getvalue().encode(), size), "a.csv")]
    assert found == rows


def test_a_cell_may_be_longer_than_the_process_allows() -> None:
    long = "x" * (csv.field_size_limit() + 1)
    rows = list(read_csv([b"\xef\xbb\xbfa,b\n\n1,", long.encode(), b'\n"2\n3",'], "a.csv"))
    assert rows == [(1, ["a", "b"]), (3, ["1", long]), (4, ["2\n3", ""])]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'a,"b', "line 1: a quote is not closed"),
        (b'x\na,b"c"\n', "line 2: a quote stands in the middle"),
        (b'"a"b,c\n', "stands in the middle"),
        (b"\xff\xfea", "not UTF-8"),
    ],
)
def test_broken_csv_is_named_with_its_line(content: bytes, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        list(read_csv([content], "a.csv"))


@quick
@given(items=st.lists(jsons, max_size=6), other=jsons)
def test_json_is_read_piece_by_piece_as_a_whole(items: list[Any], other: Any) -> None:
    body = {"first": other, "a": {"x": [1], "b": items}, "last": 12, "z": [other]}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.json"
        for indent in (None, 1):
            path.write_text(json.dumps(body, indent=indent), encoding="utf-8")
            document = JsonDocument(path)
            assert list(document.items("a", "b")) == items
            assert list(document.items("a", "missing")) == []
            assert document.value("last") == 12
            assert document.value("none") is None
            assert document.keys() == tuple(body)


def test_an_element_may_lie_across_pieces(tmp_path: Path) -> None:
    path, items = tmp_path / "a.json", ["\u00e4" * 150_000, 123456789, [1] * 1000] * 3
    text = json.dumps({"a": items}, ensure_ascii=False).encode()
    assert len(text) > 3 * data_json.PIECE
    path.write_bytes(text)
    assert list(JsonDocument(path).items("a")) == items


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"a": [1, 2', "ends too early"), (b'{"a": [1 2]}', "found '2' instead of , or ]"),
        (b'{"a": [NaN]}', "NaN"), (b'{"a": [{"k": 1, "k": 2}]}', "a key is there twice"),
        (b'{"a": [' + b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
        (b'{"a": ["\xff"]}', "UTF-8"), (b'{1: 2}', "key is no text"), (b'{"a" 1}', "instead of :"),
        (b'{"a": [tru]}', "not valid JSON"),
    ],
)  # fmt: skip
def test_broken_json_is_named_with_the_reason(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=reason):
        list(JsonDocument(path).items("a"))


def test_a_list_is_no_object_and_has_no_keys(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("[1, 2]")
    assert JsonDocument(path).keys() == ()
    assert JsonDocument(path).value("a") is None


@quick
@given(st.integers(0, 2**30 - 1), st.integers(1, 6))
def test_rectangles_cover_a_mask_exactly_once(bits: int, rows: int) -> None:
    mask = np.array([bits >> at & 1 for at in range(rows * 5)], dtype=bool).reshape(rows, 5)
    drawn = np.zeros_like(mask, dtype=int)
    for top, left, bottom, right in rectangles(mask):
        drawn[top:bottom, left:right] += 1
    assert np.array_equal(drawn, mask.astype(int))


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("a", True), ("a/b.c", True), ("\u00e4/\U0001f41d", True), ("", False), ("/a", False),
        ("a/", False), ("a//b", False), ("./a", False), ("a/./b", False), ("..", False),
        ("a/../b", False), ("a\\b", False), ("C:a", False), ("a\x00", False), ("a\n", False),
        ("con?", False),
    ],
)  # fmt: skip
def test_names_that_could_leave_their_folder(name: str, plain: bool) -> None:
    assert is_plain(name) is plain


def test_a_zip_file_depends_on_its_content_alone(tmp_path: Path) -> None:
    for name in ("a.zip", "b.zip"):
        with Packer(tmp_path / name) as packer:
            packer.add("x/y.bin", [b"ab", b"", b"c"], squeeze=False)
            packer.add_json("z.json", {"b": 1, "a": [1.5, None]})
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with Unpacker(tmp_path / "a.zip") as packed:
        assert packed.names == ("x/y.bin", "z.json")
        assert b"".join(packed.blocks("x/y.bin")) == b"abc"
        assert packed.json("z.json") == {"a": [1.5, None], "b": 1}
        assert [packed.sha256(each.name) for each in packer.members] == [
            each.sha256 for each in packer.members
        ]
        with pytest.raises(InputError, match=r"a\.zip: nowhere is missing"):
            packed.sha256("nowhere")
        packed.extract("x/y.bin", tmp_path / "out" / "y")
        with pytest.raises(InputError, match="cannot be unpacked"):
            packed.extract("x/y.bin", tmp_path / "out" / "y")
        with pytest.raises(InputError, match="larger than"):
            packed.json("z.json", most=3)


def test_a_member_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a.txt", b"x" * 5000)
    blob = path.read_bytes()
    size = (5000).to_bytes(4, "little")
    for lie in (10, 6000):
        path.write_bytes(blob.replace(size, lie.to_bytes(4, "little")))
        with Unpacker(path) as packed, pytest.raises(InputError, match=r"a\.txt"):
            list(packed.blocks("a.txt"))


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "a.txt"
    with whole_file(target) as draft:
        draft.write_text("done")
    assert MadeFile.of(target, "text").size == 4
    with suppress(RuntimeError), whole_file(target) as draft:
        draft.write_text("half")
        raise RuntimeError
    assert [path.name for path in target.parent.iterdir()] == ["a.txt"]
    assert target.read_text() == "done"


@quick
@given(
    table=st.sampled_from(WORDS),
    row=st.dictionaries(
        st.sampled_from([c.name for columns in TABLES.values() for c in columns] + [""]), jsons
    ),
)
def test_any_row_is_a_word_or_a_reason(table: str, row: dict[str, Any]) -> None:
    found: list[Word] = []
    reason = "a word"
    try:
        found.append(parse(table, "row 1", row, utc_now()))
    except ConfigError as error:
        reason = str(error)
    assert reason
    assert all((word.table, len(word.id)) == (table, 36) for word in found)
