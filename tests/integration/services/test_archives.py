"""Project archives: the same project in another workspace, or a clear word why not."""

import json
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.errors import InputError
from dashboard.bootstrap import build
from dashboard.services.archive_zip import Packer
from dashboard.services.roles import Forbidden
from dashboard.settings import Settings
from db.errors import Conflict, NotFound
from db.feedback_records import NewRun
from db.migrate import upgrade
from db.records import new_id
from db.run_records import RunPoint
from tests.integration.services.data_world import copied, person, said, small_world, speak
from tests.integration.services.world import World, reviewer


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world in which something of every kind was said; nothing is added to it."""
    world = small_world(tmp_path_factory.mktemp("spoken"))
    speak(world)
    with world.services.uow() as uow:
        run = uow.runs.add(world.project_id, NewRun(new_id(), "reweight", 3, {"a": [1, 2.5]}))
        uow.runs.transition(run.id, "failed", allowed=("queued",))
        uow.run_points.put(run.id, [RunPoint("loss", 1, 0.5), RunPoint("loss", 2, 1 / 3)])
        uow.commit()
    return world


@pytest.fixture(scope="module")
def archive(spoken: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its archive, images included."""
    target = tmp_path_factory.mktemp("archive") / "tiny.insight.zip"
    packed = spoken.services.archive.packed(spoken.project_id, target, with_images=True)
    assert packed.notices == ()
    return target


@pytest.fixture(scope="module")
def empty_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated workspace without a project; only copied."""
    folder = tmp_path_factory.mktemp("empty")
    upgrade(Settings.load(folder, environ={}).database_url)
    return folder


@pytest.fixture
def empty(empty_folder: Path, tmp_path: Path, spoken: World) -> World:
    """A workspace of this test's own without a project."""
    settings = Settings.load(empty_folder, environ={})
    return copied(World(build(settings), settings, spoken.project_id, spoken.version_hash),
                  tmp_path / "home")  # fmt: skip


def state(world: World) -> dict[str, Any]:
    """The project as far as it is folded, hashes included."""
    project_id = world.project_id
    with world.services.uow(read_only=True) as uow:
        project = uow.projects.get(project_id)
        active = uow.versions.active(project_id)
        assert active is not None
        chain = list(uow.chain.read(project_id))
        return {
            "said": said(world),
            "project": (project.name, project.classes, project.vocabulary, project.notice),
            "versions": [(v.hash, v.state, v.metrics) for v in uow.versions.list(project_id)],
            "images": sorted(uow.images.lookup(project_id).by_sha256),
            "cases": [(c.id, c.prediction, c.explanation) for c in uow.cases.list(active.id)],
            "maps": [c.map_u8 for case in uow.cases.list(active.id)
                     for c in uow.cues.list(case.id)],
            "runs": [(r.id, r.seed, r.config) for r in uow.runs.list(project_id)],
            "audit": list(uow.archive.read(project_id, "audit_log")),
            "chain": chain,
            "events": [(e.table, e.id, e.values) for e in uow.log.read(project_id)],
            "progress": [uow.queue.progress(active.id, r.id).mine for r in uow.reviewers.list()],
        }  # fmt: skip


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as packed:
        return {name: packed.read(name) for name in packed.namelist()}


def test_a_project_is_the_same_in_an_empty_workspace(
    spoken: World, archive: Path, empty: World, tmp_path: Path
) -> None:
    taken = empty.services.archive.read(archive)
    assert (taken.project_id, taken.project, taken.renamed) == (spoken.project_id, "tiny", ())
    assert state(empty) == state(spoken)
    # The same bytes come out again, so nothing at all was lost on the way.
    again = empty.services.archive.write(taken.project_id, tmp_path / "again.zip", with_images=True)
    assert members(again.path) == members(archive)
    assert again.path.read_bytes() == archive.read_bytes()


def test_the_project_can_be_worked_on(spoken: World, archive: Path, empty: World) -> None:
    empty.services.archive.read(archive)
    me = reviewer(empty, "Ada")
    rows = empty.services.review.queue(empty.project_id, me)
    case = empty.services.review.case(empty.project_id, rows[0].case_id, me)
    cue = next(cue for cue in case.cues if cue.mine is None)
    empty.services.review.give_verdict(
        id=new_id(), cue_id=cue.id, reviewer_id=me, value="unsure", based_on=0
    )
    with empty.services.uow(read_only=True) as uow:
        version = uow.versions.active(empty.project_id)
        project = uow.projects.get(empty.project_id)
        assert version is not None
        assert empty.services.engines.bundle(version.folder).manifest.version_hash == version.hash
        assert Path(version.folder).is_relative_to(empty.settings.workspace)
        image = uow.images.by_sha256(project.id, min(uow.images.lookup(project.id).by_sha256))
        assert image is not None
        assert (Path(project.root) / image.relpath).is_file()
        events = [each.seq for each in uow.verdicts.by_reviewer(project.id, me)]
        assert len(list(uow.chain.read(project.id))) > len(events)
    assert events == sorted(events)


def test_a_workspace_with_others_keeps_them(spoken: World, archive: Path, tmp_path: Path) -> None:
    other = small_world(tmp_path / "other", seed=1)
    speak(other)
    before = state(other)
    with pytest.raises(Conflict, match="named 'tiny' is here already"):
        other.services.archive.read(archive)
    taken = other.services.archive.read(archive, name="tiny two")
    assert {here for _id, here in taken.renamed} == {"Ada (2)", "=Ben, O'Neil (2)"}
    after = state(other)
    before.pop("progress")  # of everybody in the workspace
    after.pop("progress")
    assert after == before
    there = World(other.services, other.settings, spoken.project_id, spoken.version_hash)
    assert state(there)["chain"] == state(spoken)["chain"]
    assert [e[1] for e in state(there)["events"]] == [e[1] for e in state(spoken)["events"]]
    with pytest.raises(Conflict, match="is here already, as 'tiny two'"):
        other.services.archive.read(archive, name="tiny three")


def test_an_archive_without_images_takes_a_folder_of_them(
    spoken: World, empty: World, tmp_path: Path
) -> None:
    made = spoken.services.archive.write(spoken.project_id, tmp_path / "bare.zip")
    with zipfile.ZipFile(made.path) as packed:
        assert not [name for name in packed.namelist() if name.startswith(("images", "masks"))]
        text = b"".join(packed.read(name) for name in packed.namelist() if "jsonl" in name)
    assert str(spoken.settings.workspace).encode() not in text  # no path of the machine
    with spoken.services.uow(read_only=True) as uow:
        root = Path(uow.projects.get(spoken.project_id).root)
    empty.services.archive.read(made.path, images=root)
    with empty.services.uow(read_only=True) as uow:
        assert uow.projects.get(empty.project_id).root == str(root)


def test_images_that_changed_are_left_out_and_named(spoken: World, tmp_path: Path) -> None:
    world = small_world(tmp_path / "changed", seed=2)
    folder = tmp_path / "changed" / "images"
    (folder / "train-000.png").write_bytes(b"another")
    (folder / "train-001.png").unlink()
    packed = world.services.archive.packed(world.project_id, tmp_path / "a.zip", with_images=True)
    assert packed.notices == (
        "train-000.png: changed since it was ingested and is left out",
        "train-001.png: cannot be read and is left out",
    )
    assert world.services.archive.check(tmp_path / "a.zip").left_out == packed.notices


def test_a_run_that_was_under_way_is_interrupted(
    spoken: World, empty: World, tmp_path: Path
) -> None:
    world = copied(spoken, tmp_path / "copy")
    with world.services.uow() as uow:
        run = uow.runs.add(world.project_id, NewRun(new_id(), "reweight", 3))
        uow.commit()
    made = world.services.archive.write(world.project_id, tmp_path / "x.zip")
    empty.services.archive.read(made.path)
    with empty.services.uow(read_only=True) as uow:
        there = uow.runs.get(run.id)
    assert (there.state, there.workflow_id) == ("interrupted", None)


def test_only_a_lead_may_take_everything_away(tmp_path: Path, spoken: World) -> None:
    world = copied(spoken, tmp_path / "copy")
    boss, guest = person(world, "Boss"), person(world, "Guest")
    with world.services.uow() as uow:
        uow.members.append(id=new_id(), project_id=world.project_id, reviewer_id=boss.id,
                           role="lead", by_id=boss.id, based_on=0)  # fmt: skip
        uow.commit()
    with pytest.raises(Forbidden):
        world.services.archive.packed(world.project_id, tmp_path / "x.zip", guest)
    made = world.services.archive.packed(world.project_id, tmp_path / "x.zip", boss).file
    kept = world.services.archive.record(world.project_id, made, boss)
    assert (kept.kind, kept.sha256) == ("archive", made.sha256)
    with pytest.raises(NotFound):
        world.services.archive.write("nowhere", tmp_path / "y.zip")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "x.zip"]


# What is refused ---------------------------------------------------------------------------------


def remade(archive: Path, target: Path, change: dict[str, bytes | None], *,
           honest: bool = False) -> Path:  # fmt: skip
    """An archive with members replaced, added or (None) left out; `honest` mends the manifest."""
    with zipfile.ZipFile(archive) as old:
        content = {name: old.read(name) for name in old.namelist()}
    content |= {name: blob for name, blob in change.items() if blob is not None}
    for name, blob in change.items():
        if blob is None:
            del content[name]
    manifest = content.pop("manifest.json")
    with Packer(target) as packer:
        for name, blob in content.items():
            packer.add(name, [blob])
        if honest:
            members = {m.name: {"sha256": m.sha256, "size": m.size} for m in packer.members}
            manifest = json.dumps(json.loads(manifest) | {"members": members}).encode()
        packer.add("manifest.json", [manifest])
    return target


def refuses(world: World, path: Path, reason: str) -> bool:
    """The archive is refused for that reason, and nothing of it is left anywhere."""
    before = sorted(p for p in world.settings.workspace.rglob("*") if "sqlite" not in p.name)
    with pytest.raises(InputError, match=reason):
        world.services.archive.read(path)
    with world.services.uow(read_only=True) as uow:
        assert uow.projects.list() == ()
        assert uow.reviewers.list() == ()
        assert uow.audit.list() == ()
    after = sorted(p for p in world.settings.workspace.rglob("*") if "sqlite" not in p.name)
    left = {p.name for p in after} - {p.name for p in before}
    return left <= {"projects", "encoders"}


def edited(archive: Path, table: str, change: Callable[[list[dict[str, Any]]], None]) -> bytes:
    with zipfile.ZipFile(archive) as packed:
        rows = [json.loads(line) for line in packed.read(f"tables/{table}.jsonl").splitlines()]
    change(rows)
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def test_an_altered_archive_is_refused_naming_the_member(
    archive: Path, empty: World, tmp_path: Path
) -> None:
    verdicts = edited(archive, "verdicts", lambda rows: rows[0].update(value="correct"))
    table = "tables/verdicts.jsonl"
    cases: list[tuple[dict[str, bytes | None], str]] = [
        ({table: verdicts + b" "}, "verdicts.jsonl was altered"),
        ({table: None}, "verdicts.jsonl is missing"),
        ({"tables/extra.jsonl": b""}, "extra.jsonl is not named in manifest.json"),
        ({"manifest.json": b"{}"}, "not that of a project archive"),
        ({"manifest.json": b"not json"}, "manifest.json is not valid JSON"),
        ({"manifest.json": b'{"format": "insight-archive", "format_version": 2}'}, "version 2"),
        ({"manifest.json": b'{"format": "insight-archive", "format_version": 1, "schema": "x"}'},
         "schema 'x'"),
    ]  # fmt: skip
    for change, reason in cases:
        assert refuses(empty, remade(archive, tmp_path / "altered.zip", change), reason)


Edit = Callable[[list[dict[str, Any]]], None]
FORGED: dict[str, tuple[str, Edit, str]] = {
    "a verdict edited": ("verdicts", lambda rows: rows[0].update(value="correct", comment="x"),
                         "verdicts"),
    "a verdict left out": ("verdicts", lambda rows: rows.pop(), "verdicts"),
    "a verdict put in": ("verdicts", lambda rows: rows.append(
        rows[0] | {"id": new_id(), "revision": 99}), "verdicts"),
    "an audit line edited": ("audit_log", lambda rows: rows[0].update(action="x"), "audit_log"),
    "another project's row": ("cases", lambda rows: rows[0].update(project_id=new_id()),
                              "belongs to another project"),
    "a row of a strange column": ("images", lambda rows: rows[0].update(evil=1),
                                  "column 'evil' is unknown"),
    "a row without a column": ("images", lambda rows: rows[0].pop("sha256"),
                               "column 'sha256' is missing"),
    "a number as text": ("cues", lambda rows: rows[0].update(rank="one"), "rank holds a value"),
    "bytes that are none": ("cues", lambda rows: rows[0].update(map_u8="%%%"), "map_u8 holds"),
    "a time that is none": ("images", lambda rows: rows[0].update(created_at="soon"),
                            "created_at holds"),
    "a version of a strange name": ("model_versions", lambda rows: rows[0].update(
        hash="../../evil", folder="x"), "is no hash of a version"),
    "a place beyond the events": ("verdicts", lambda rows: rows[0].update({"@place": 10**9}),
                                  "no place among the events"),
    "a word that no column knows": ("verdicts", lambda rows: rows[0].update(value="maybe"),
                                    "verdicts"),
    "a case of no image": ("cases", lambda rows: rows[0].update(image_id=new_id()), "cases"),
    "an entry of the chain left out": ("chain", lambda rows: rows.pop(3), "place 5"),
    "entries of the chain swapped": ("chain", lambda rows: rows.insert(0, rows.pop(1)),
                                    "place 2"),
    "the end of the chain cut off": ("chain", lambda rows: rows.pop(), "chain is broken"),
}  # fmt: skip


@pytest.mark.parametrize("what", FORGED)
def test_a_forged_archive_with_an_honest_manifest_is_refused(
    what: str, archive: Path, empty: World, tmp_path: Path
) -> None:
    table, edit, reason = FORGED[what]
    blob = edited(archive, table, edit)
    path = remade(archive, tmp_path / "f.zip", {f"tables/{table}.jsonl": blob}, honest=True)
    assert refuses(empty, path, reason)


def test_files_that_are_not_what_they_say_are_refused(
    archive: Path, empty: World, spoken: World, tmp_path: Path
) -> None:
    base = f"versions/{spoken.version_hash}"
    with zipfile.ZipFile(archive) as packed:
        head = packed.read(f"{base}/head.json")
    files = json.dumps({"member": "tables/cases.jsonl", "path": "../../evil"}).encode()
    cases: list[tuple[dict[str, bytes | None], str]] = [
        ({f"{base}/head.json": head + b" "}, "head.json: was altered"),
        ({f"{base}/head.json": None}, "head.json: is missing"),
        ({f"{base}/evil.pkl": b"x"}, "has no place in an archive"),
        ({f"versions/{'0' * 64}/head.json": head}, "versions/0000"),
        ({"encoders/../x.json": b"{}"}, "could leave its folder"),
        ({"encoders/UPPER/x.json": b"{}"}, "has no place in an archive"),
        ({"tables/files.jsonl": files}, "leads out of its folder"),
        ({"tables/files.jsonl": b'{"member": "nowhere", "path": "a"}'}, "which is not there"),
    ]
    for change, reason in cases:
        assert refuses(empty, remade(archive, tmp_path / "x.zip", change, honest=True), reason)


def test_a_truncated_file_is_refused_at_every_length(
    archive: Path, empty: World, tmp_path: Path
) -> None:
    whole = archive.read_bytes()
    for share in (0.0, 0.3, 0.9, 0.9999):
        path = tmp_path / "cut.zip"
        path.write_bytes(whole[: int(len(whole) * share)])
        assert refuses(empty, path, "not a zip file, or its end is missing")
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    path.write_bytes(bytes(flipped))
    assert refuses(empty, path, "damaged|altered|leave its folder|is missing|not named")


def test_links_and_secrets_in_an_archive_are_refused(archive: Path, empty: World,
                                                     tmp_path: Path) -> None:  # fmt: skip
    link = zipfile.ZipInfo("tables/link.jsonl")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as packed:
        packed.writestr(link, "/etc/passwd")
    assert refuses(empty, tmp_path / "link.zip", "is not a plain file")
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("manifest.json", bytes(300 * 2**20))
    assert refuses(empty, tmp_path / "bomb.zip", "would unpack to")


def test_what_an_import_that_was_killed_left_makes_way(archive: Path, empty: World) -> None:
    left = empty.settings.project_folder(empty.project_id)
    left.mkdir(parents=True)
    (left / "half").write_text("unfinished")
    empty.services.archive.read(archive)
    assert not (left / "half").exists()
    assert (left / "versions" / empty.version_hash / "manifest.json").is_file()
