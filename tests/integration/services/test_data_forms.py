"""Data forms: out of one workspace, into another; and whatever else somebody may hand over."""

import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pandas as pd
import pytest

from core.errors import ConfigError, InputError
from dashboard.services.data_forms import FORMS, SUFFIX, TABLES, WORDS, Form
from dashboard.services.data_import import ImportReport
from dashboard.services.data_read import reading
from dashboard.services.data_schema import FILE, generated
from dashboard.services.report_scope import ReportScope
from dashboard.services.roles import Forbidden
from db.errors import NotFound
from db.records import new_id
from tests.integration.services.data_world import HOSTILE, copied, person, said, small_world, speak
from tests.integration.services.world import World, reviewer


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world in which something of every kind was said; nothing is added to it."""
    world = small_world(tmp_path_factory.mktemp("spoken"))
    speak(world)
    person(world, "Lead")
    return world


@pytest.fixture(scope="module")
def files(spoken: World, tmp_path_factory: pytest.TempPathFactory) -> dict[Form, Path]:
    """Its four forms."""
    folder = tmp_path_factory.mktemp("forms")
    lead = person(spoken, "Lead")
    return {
        form: spoken.services.data.write(
            spoken.project_id, ReportScope(), form, folder / f"data{SUFFIX[form]}", lead
        ).path
        for form in FORMS
    }


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The same catalogue without a word; only copied."""
    return small_world(tmp_path_factory.mktemp("untouched"))


@pytest.fixture
def fresh(untouched: World, tmp_path: Path) -> World:
    """A workspace of this test's own with that catalogue."""
    return copied(untouched, tmp_path / "fresh")


def take(world: World, path: Path, **how: bool) -> ImportReport:
    return world.services.data.read(world.project_id, path, person(world, "Lead"), **how)


@pytest.mark.parametrize("form", FORMS)
def test_a_form_brings_every_word_into_another_workspace_once(
    form: Form, spoken: World, files: dict[Form, Path], fresh: World
) -> None:
    looked = take(fresh, files[form], write=False)
    assert said(fresh)["verdicts"] == []
    first = take(fresh, files[form])
    assert (first.problems, first.added) == ((), looked.added)
    assert said(fresh) == said(spoken)
    again = take(fresh, files[form])
    assert (again.added, again.unchanged) == ({}, sum(first.added.values()))
    assert said(fresh) == said(spoken)


@pytest.mark.parametrize("form", FORMS)
def test_the_same_words_give_the_same_bytes(
    form: Form, spoken: World, files: dict[Form, Path], tmp_path: Path
) -> None:
    made = spoken.services.data.write(
        spoken.project_id, ReportScope(), form, tmp_path / "again", person(spoken, "Lead")
    )
    former = files[form].read_bytes()
    if form == "json":  # its report bears the time of its making
        first, second = json.loads(former), json.loads(made.path.read_bytes())
        assert {**first, "report": None} == {**second, "report": None}
    else:
        assert made.path.read_bytes() == former
    assert list(tmp_path.iterdir()) == [made.path]  # no scratch file is left


def test_the_json_fits_its_schema(files: dict[Form, Path]) -> None:
    schema = json.loads(FILE.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    body = json.loads(files["json"].read_bytes())
    jsonschema.Draft202012Validator(schema).validate(body)
    assert body["rows"] == {name: len(rows) for name, rows in body["tables"].items()}
    assert len(body["cases"]) == body["rows"]["cases"] == 32


def test_the_shipped_schema_is_that_of_the_classes() -> None:
    assert FILE.read_text(encoding="utf-8") == generated(), (
        "write it anew: python -c 'from dashboard.services.data_schema import FILE, generated; "
        'FILE.write_text(generated(), encoding="utf-8")\''
    )


def test_tables_open_in_pandas(files: dict[Form, Path], tmp_path: Path) -> None:
    for form in ("csv", "parquet"):
        with zipfile.ZipFile(files[form]) as packed:
            packed.extractall(tmp_path / form)
    listed = pd.read_csv(tmp_path / "csv" / "verdicts.csv", keep_default_na=False, dtype=str)
    typed = pd.read_parquet(tmp_path / "parquet" / "verdicts.parquet")
    assert list(listed["id"]) == list(typed["id"])
    assert str(typed["given_at"].dtype) == "datetime64[us, UTC]"
    assert typed["concept"].dtype == "int64"
    assert set(listed.columns) == {column.name for column in TABLES["verdicts"]}
    assert "=HYPERLINK" in " ".join(typed["comment"])


def test_no_cell_of_a_spreadsheet_runs(files: dict[Form, Path], tmp_path: Path) -> None:
    with zipfile.ZipFile(files["csv"]) as packed:
        packed.extractall(tmp_path)
    cells = 0
    for table, columns in TABLES.items():
        read = pd.read_csv(tmp_path / f"{table}.csv", keep_default_na=False, dtype=str)
        for column in columns:
            if column.kind in ("text", "json"):
                risky = [cell for cell in read[column.name] if cell[:1] in ("=", "+", "-", "@")]
                assert risky == []
                cells += len(read)
    assert cells > 500


def test_coco_is_what_other_programs_expect(files: dict[Form, Path], spoken: World) -> None:
    body = json.loads(files["coco"].read_bytes())
    images = {each["id"]: each for each in body["images"]}
    classes = {each["id"] for each in body["categories"]}
    assert [each["id"] for each in body["annotations"]] == list(
        range(1, len(body["annotations"]) + 1)
    )
    for mark in body["annotations"]:
        image = images[mark["image_id"]]
        assert mark["category_id"] in classes
        x, y, width, height = mark["bbox"]
        assert 0 <= x <= x + width <= image["width"] + 0.01
        assert 0 <= y <= y + height <= image["height"] + 0.01
        assert all(len(polygon) >= 6 for polygon in mark["segmentation"])
        assert 0 < mark["area"] <= image["width"] * image["height"]
    kinds = [mark["attributes"]["kind"] for mark in body["annotations"]]
    assert kinds.count("drawing") == 3
    said_in = sum(len(m["attributes"].get("verdicts", ())) for m in body["annotations"])
    assert said_in == len(said(spoken)["verdicts"])


def test_a_scope_narrows_what_is_written(spoken: World, tmp_path: Path) -> None:
    lead = person(spoken, "Lead")

    def rows(scope: ReportScope) -> dict[str, int]:
        made = spoken.services.data.write(
            spoken.project_id, scope, "json", tmp_path / "part.json", lead
        )
        return dict(json.loads(made.path.read_bytes())["rows"])

    every, adas = rows(ReportScope()), rows(ReportScope(reviewer="Ada"))
    assert 0 < adas["verdicts"] < every["verdicts"]
    assert (adas["names"], every["names"]) == (0, len(HOSTILE))
    late = rows(ReportScope.parse({"since": "2999-01-01"}))
    assert (late["verdicts"], late["cases"], late["column_verdicts"]) == (0, 0, 0)
    case = spoken.services.uow(read_only=True)
    with case as uow:
        version = uow.versions.active(spoken.project_id)
        assert version is not None
        one = uow.cases.list(version.id, limit=1)[0].id
    assert rows(ReportScope(case_id=one))["cases"] == 1


def test_an_export_is_written_down(spoken: World, tmp_path: Path) -> None:
    lead = person(spoken, "Lead")
    made = spoken.services.data.write(
        spoken.project_id, ReportScope(), "csv", tmp_path / "x.zip", lead
    )
    kept = spoken.services.data.record(spoken.project_id, ReportScope(), made, lead)
    assert (kept.kind, kept.format, kept.sha256, kept.size) == (
        "data", "csv", made.sha256, made.path.stat().st_size,
    )  # fmt: skip


def test_who_reviews_blind_gets_their_own_words_alone(spoken: World, tmp_path: Path) -> None:
    world = copied(spoken, tmp_path / "blind")
    boss, ada = person(world, "Boss"), person(world, "Ada")
    with world.services.uow() as uow:
        uow.members.append(id=new_id(), project_id=world.project_id, reviewer_id=boss.id,
                           role="lead", by_id=boss.id, based_on=0)  # fmt: skip
        uow.commit()
    world.services.settings_of.save(
        id=new_id(), project_id=world.project_id, reviewer_id=boss.id,
        changes={"blind": ["peers"]}, based_on=0,
    )  # fmt: skip
    for form in ("json", "csv", "coco"):
        made = world.services.data.write(
            world.project_id, ReportScope(), form, tmp_path / "own", ada
        )
        with reading(made.path) as reader:
            people = {row.row["reviewer"] for table in WORDS for row in reader.rows(table)}
        assert people == {"Ada"}
        assert b"O'Neil" not in made.path.read_bytes()
    every = world.services.data.write(world.project_id, ReportScope(), "coco", tmp_path / "x", boss)
    assert b"O'Neil" in every.path.read_bytes()


def test_only_a_lead_may_bring_words_in(fresh: World, files: dict[Form, Path]) -> None:
    boss, guest = person(fresh, "Boss"), person(fresh, "Guest")
    with fresh.services.uow() as uow:
        uow.members.append(
            id="11111111-1111-4111-8111-111111111111", project_id=fresh.project_id,
            reviewer_id=boss.id, role="lead", by_id=boss.id, based_on=0,
        )  # fmt: skip
        uow.commit()
    with pytest.raises(Forbidden):
        fresh.services.data.read(fresh.project_id, files["csv"], guest)
    assert fresh.services.data.read(fresh.project_id, files["csv"], boss).refused == 0


def test_an_unknown_form_or_project_is_refused(spoken: World, tmp_path: Path) -> None:
    write = spoken.services.data.write
    with pytest.raises(ConfigError, match="must be one of json, csv, parquet, coco"):
        write(spoken.project_id, ReportScope(), "xlsx", tmp_path / "x")
    with pytest.raises(NotFound):
        write("nowhere", ReportScope(), "csv", tmp_path / "x")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write(spoken.project_id, ReportScope(), "csv", tmp_path / "file" / "x")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


# What does not fit ------------------------------------------------------------------------------

Change = Callable[[dict[str, Any]], None]


def changed(files: dict[Form, Path], folder: Path, table: str, change: Change) -> Path:
    """The JSON form with its first row of a table changed."""
    body = json.loads(files["json"].read_bytes())
    change(body["tables"][table][0])
    body["tables"] = {table: body["tables"][table][:1]}
    path = folder / "changed.json"
    path.write_text(json.dumps(body), encoding="utf-8")
    return path


BAD: dict[str, tuple[str, dict[str, Any], str]] = {
    "no such image": ("verdicts", {"image_sha256": "0" * 64}, "no image"),
    "no such version": ("verdicts", {"version": "f" * 64}, "no model version"),
    "another dictionary": ("verdicts", {"dictionary": "f" * 64}, "has another dictionary"),
    "no such concept": ("verdicts", {"concept": 99}, "has no concept 99"),
    "a concept that is no cue": ("verdicts", {"concept": 11}, "is not among the cues"),
    "a word that nobody knows": ("verdicts", {"value": "maybe"}, "value must be one of"),
    "a scope that nobody knows": ("verdicts", {"scope": "x"}, "scope must be one of"),
    "an unknown reason": ("verdicts", {"reason": "because"}, "reason must be one of"),
    "a number as text": ("verdicts", {"concept": "two"}, "concept must be a number"),
    "no person": ("verdicts", {"reviewer": ""}, "reviewer is missing"),
    "a person of control characters": ("verdicts", {"reviewer": "a\u202eb"}, "invisible"),
    "a broken id": ("verdicts", {"id": "../../etc"}, "id is not a uuid"),
    "no time zone": ("verdicts", {"given_at": "2026-01-01T00:00:00"}, "no time zone"),
    "no time": ("verdicts", {"given_at": "yesterday"}, "is no time"),
    "the future": ("verdicts", {"given_at": "2999-01-01T00:00:00+00:00"}, "in the future"),
    "too long a text": ("verdicts", {"comment": "x" * 100_001}, "longer than"),
    "NUL": ("verdicts", {"comment": "a\x00b"}, "cannot be stored"),
    "an object as text": ("verdicts", {"comment": {}}, "comment must be text"),
    "no such class": ("class_verdicts", {"class_name": "cat"}, "is not a class"),
    "a label of nowhere": ("assessments", {"corrected_label": "cat"}, "is not a class"),
    "a rating of six": ("assessments", {"ratings": {"a": 6}}, "ratings must be"),
    "points of text": ("drawings", {"points": [["a", 1]]}, "points must be"),
    "a rejected place on a cue": ("drawings", {"kind": "spurious"}, "speaks of no cue"),
    "a kind that nobody knows": ("drawings", {"kind": "x"}, "must be one of missed, wrong-part"),
    "points outside": ("drawings", {"points": [[-1.0, 0.0], [2.0, 1.0]]}, "fractions"),
    "a payload of a list": ("notes", {"payload": [1]}, "payload must be an object"),
    "an unknown dictionary": ("names", {"dictionary": "f" * 64}, "no dictionary"),
    "a name of nothing": ("names", {"name": "  "}, "is empty"),
}  # fmt: skip


@pytest.mark.parametrize("why", BAD)
def test_a_row_that_does_not_fit_is_named(
    why: str, spoken: World, files: dict[Form, Path], tmp_path: Path
) -> None:
    """Read into the world itself with a fresh id: without the change it would only be known."""
    table, values, reason = BAD[why]
    fresh_id = {"id": None, "comment": "fresh", "given_at": None, "text": "fresh"}
    path = changed(files, tmp_path, table, lambda row: row.update(fresh_id | values))
    before = said(spoken)
    report = take(spoken, path)
    assert report.added == {}
    assert report.refused == 1
    assert reason in report.problems[0]
    assert report.problems[0].startswith(f"{table} row 1: ")
    assert said(spoken) == before


def test_a_word_that_is_stored_is_never_changed(
    spoken: World, files: dict[Form, Path], tmp_path: Path
) -> None:
    path = changed(files, tmp_path, "verdicts", lambda row: row.update(comment="another"))
    report = take(spoken, path)
    assert (report.added, report.refused) == ({}, 1)
    assert "never changed" in report.problems[0]


def test_a_word_of_another_project_is_not_taken_for_this_one(
    fresh: World, files: dict[Form, Path], tmp_path: Path
) -> None:
    """Ids are one namespace: the same word cannot stand in two projects of a workspace."""
    assert take(fresh, files["csv"]).refused == 0
    with fresh.services.uow() as uow:
        other = uow.projects.add("other", "images", classes=("naevus", "melanoma"))
        uow.commit()
    lead = person(fresh, "Lead")
    report = fresh.services.data.read(other.id, files["json"], lead)
    assert (report.added, report.unchanged) == ({}, 0)
    assert all("in another project" in problem for problem in report.problems)


def test_an_earlier_word_is_not_put_over_a_later_one(fresh: World, files: dict[Form, Path],
                                                     tmp_path: Path) -> None:  # fmt: skip
    first = changed(files, tmp_path, "verdicts", lambda row: row.update(id=None))
    assert take(fresh, first).added == {"verdicts": 1}
    early = {"id": None, "given_at": "2001-01-01T00:00:00+00:00", "value": "unsure"}
    report = take(fresh, changed(files, tmp_path, "verdicts", lambda row: row.update(early)))
    assert "a later verdict of this person on this cue stands here" in report.problems[0]


def test_good_rows_are_taken_beside_bad_ones(
    fresh: World, files: dict[Form, Path], tmp_path: Path
) -> None:
    body = json.loads(files["json"].read_bytes())
    rows = body["tables"]["verdicts"]
    count = len(rows)
    rows.insert(1, {**rows[1], "id": None, "value": "nonsense"})
    rows.insert(3, "no row")
    rows.append({**rows[0], "comment": "the same id again"})
    path = tmp_path / "mixed.json"
    path.write_text(json.dumps({**body, "tables": {"verdicts": rows}}), encoding="utf-8")
    report = take(fresh, path)
    assert report.added == {"verdicts": count}
    assert [problem.partition(":")[0] for problem in report.problems] == [
        "verdicts row 2", "verdicts row 4", f"verdicts row {count + 3}",
    ]  # fmt: skip


def test_a_table_made_by_hand_needs_few_columns(fresh: World, tmp_path: Path) -> None:
    with fresh.services.uow(read_only=True) as uow:
        version = uow.versions.active(fresh.project_id)
        assert version is not None
        case = uow.cases.list(version.id, limit=1)[0]
    fresh.services.explain.explain_case(case.id)
    with fresh.services.uow(read_only=True) as uow:
        number = uow.cues.list(case.id)[0].number
    folder = tmp_path / "hand"
    folder.mkdir()
    text = f"image,concept,reviewer,value\n{case.image.relpath},{number},Zoe,correct\n"
    (folder / "verdicts.csv").write_text(text, encoding="utf-8-sig")
    assert take(fresh, folder).added == {"verdicts": 1}
    assert take(fresh, folder).unchanged == 1  # the id is made of the content


# What is no data at all -------------------------------------------------------------------------


def broken(files: dict[Form, Path]) -> Iterator[tuple[str, Path, bytes, str]]:
    csv, parquet, text = files["csv"], files["parquet"], files["json"].read_bytes()
    yield "empty", files["json"], b"", "ends too early"
    yield "cut.json", files["json"], text[:3000], "JSON"
    yield "nan.json", files["json"], text.replace(b'"rows"', b'"x": NaN, "rows"', 1), "NaN"
    yield "latin.json", files["json"], b'{"format": "\xff\xfe"}', "UTF-8"
    yield "other.json", files["json"], b'{"format": "else", "schema": 1}', "not a data file"
    yield "old.json", files["json"], text.replace(b'"schema": 1', b'"schema": 9', 1), "schema 9"
    yield "list.json", files["json"], b"[1, 2]", "not a data file"
    yield "foreign.json", files["json"], b'{"images": [], "annotations": []}', "names no people"
    yield "deep.json", files["json"], b'{"format": ' + b"[" * 200_000, "JSON"
    yield "cut.zip", csv, csv.read_bytes()[:-200], "zip"
    yield "cut2.zip", parquet, parquet.read_bytes()[:-30], "zip"
    yield "picture.png", csv, b"\x89PNG\r\n\x1a\n" + bytes(100), "UTF-8"


def test_broken_files_are_named_with_the_reason(
    spoken: World, files: dict[Form, Path], tmp_path: Path
) -> None:
    before = said(spoken)
    for name, _form, content, reason in broken(files):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(InputError, match=reason) as error:
            take(spoken, path)
        assert name in str(error.value)
    with pytest.raises(InputError, match="cannot be read"):
        take(spoken, tmp_path / "nowhere.json")
    assert said(spoken) == before


def rezipped(source: Path, target: Path, change: dict[str, bytes]) -> Path:
    """A zip file with some members replaced or added."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in [*old.namelist(), *(each for each in change if each not in old.namelist())]:
            new.writestr(name, change.get(name, old.read(name) if name in old.namelist() else b""))
    return target


@pytest.mark.parametrize("name", ["../evil", "/abs/evil", "a/../../b", "C:\\x", "x\ny"])
def test_a_member_that_would_leave_its_folder_is_refused(
    name: str, spoken: World, files: dict[Form, Path], tmp_path: Path
) -> None:
    path = rezipped(files["csv"], tmp_path / "evil.zip", {name: b"x"})
    with pytest.raises(InputError, match=r"could leave its folder|is no plain|twice"):
        take(spoken, path)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(spoken: World, tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("verdicts.csv", bytes(300 * 2**20))
    assert path.stat().st_size < 2**20
    with pytest.raises(InputError, match="would unpack to"):
        take(spoken, path)


def test_broken_tables_are_named(spoken: World, files: dict[Form, Path], tmp_path: Path) -> None:
    head = b"image,concept,reviewer,value\n"
    cases = {
        "csv": [
            (head + b'a,1,"Ada,correct\n', "a quote is not closed"),
            (head + b'a,1,A"da,correct"\n', "stands in the middle"),
            (head + b"\xff,1,Ada,correct\n", "not UTF-8"),
        ],
        "parquet": [(b"PAR1 nothing PAR1", "cannot be read"), (b"", "cannot be read")],
    }
    for form, broken_ones in cases.items():
        for content, reason in broken_ones:
            table = f"verdicts.{form}"
            path = rezipped(files[form], tmp_path / f"{form}.zip", {table: content})  # type: ignore[index]
            with pytest.raises(InputError, match=reason):
                take(spoken, path)
    for content, reason in ((b"{", "about.json is not valid JSON"), (b"[]", "not a data file")):
        path = rezipped(files["csv"], tmp_path / "about.zip", {"about.json": content})
        with pytest.raises(InputError, match=reason):
            take(spoken, path)
    short = rezipped(files["csv"], tmp_path / "short.zip", {"verdicts.csv": head + b"a,b\n"})
    assert take(spoken, short).problems[0] == "verdicts.csv line 2: has 2 cells, not 4"


def test_an_unpacked_folder_is_read_as_well(
    spoken: World, files: dict[Form, Path], tmp_path: Path
) -> None:
    every = said(spoken)
    every.pop("tallies")
    for form in ("csv", "parquet"):
        shutil.unpack_archive(files[form], tmp_path / form, "zip")
        report = take(spoken, tmp_path / form)
        assert (report.form, report.added, report.refused) == (form, {}, 0)
        assert report.unchanged == sum(len(words) for words in every.values())
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no table of words"):
        take(spoken, tmp_path / "empty")


def test_a_check_needs_no_project(spoken: World, files: dict[Form, Path]) -> None:
    for form in FORMS:
        report = spoken.services.data.check(files[form])
        assert (report.form, report.refused) == (form, 0)
        assert report.added["verdicts"] == len(said(spoken)["verdicts"])
    assert reviewer(spoken, "Lead")
