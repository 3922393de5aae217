"""The commands about versions and groups, as a shell would call them."""

import json

import pytest
from typer.testing import CliRunner, Result

from dashboard.cli import app
from tests.integration.services.descendants import always, base, child, without_ruler
from tests.integration.services.world import World, make_world

WHY = "the useless one is only shown here"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    found = make_world(tmp_path_factory.mktemp("cli") / "ws")
    child(found, without_ruler(base(found)), seed=1)
    child(found, always(base(found), 0), seed=2)
    return found


def call(world: World, *arguments: str) -> Result:
    where = ["--project", "tiny", "--workspace", str(world.settings.workspace)]
    return CliRunner().invoke(app, [*arguments, *where])


def hashes(world: World) -> dict[int, str]:
    rows = json.loads(call(world, "versions", "list", "--json").stdout)
    return {row["seed"]: row["hash"] for row in rows}


def test_list_and_lineage(world: World) -> None:
    listed = call(world, "versions", "list")
    assert listed.exit_code == 0
    assert world.version_hash[:12] in listed.stdout
    assert "active" in listed.stdout
    told = call(world, "versions", "lineage")
    assert f"from version {world.version_hash[:10]}" in told.stdout
    assert len(json.loads(call(world, "versions", "lineage", "--json").stdout)["nodes"]) == 4


def test_compare_says_what_changed(world: World) -> None:
    better = hashes(world)[1]
    told = call(world, "versions", "compare", world.version_hash[:8], better[:8])
    assert told.exit_code == 0
    assert "from wrong to right" in told.stdout
    assert "Nothing watched is worse" in told.stdout
    view = json.loads(
        call(world, "versions", "compare", world.version_hash, better, "--json").stdout
    )
    assert {split["split"] for split in view["splits"]} == {"test", "reversed"}
    assert view["guard"]["passed"]


def test_a_worse_version_wants_a_reason(world: World) -> None:
    worse = hashes(world)[2][:8]
    refused = call(world, "versions", "activate", worse, "--as", "Ada")
    assert refused.exit_code == 4
    assert "write down why" in refused.output
    done = call(world, "versions", "activate", worse, "--as", "Ada", "--reason", WHY)
    assert done.exit_code == 0
    # The first version is worse than a constant on the reversed images, so that wants one too.
    assert call(world, "versions", "rollback", "--as", "Ada").exit_code == 4
    back = call(world, "versions", "rollback", "--as", "Ada", "--reason", WHY)
    assert back.exit_code == 0
    assert world.version_hash[:12] in back.stdout
    gone = call(world, "versions", "discard", worse, "--as", "Ada")
    assert gone.exit_code == 0
    again = call(world, "versions", "activate", worse, "--as", "Ada", "--reason", WHY)
    assert again.exit_code == 4
    assert "discarded version" in again.output
    assert call(world, "versions", "rollback", "--as", "Ada").exit_code == 4


def test_only_a_lead_decides_where_there_is_one(world: World) -> None:
    given = call(world, "members", "--as", "Lea", "--give", "Lea=lead")
    assert given.exit_code == 0
    first = hashes(world)[0][:10]
    for verb in (("activate", first), ("discard", hashes(world)[1][:10]), ("rollback",)):
        refused = call(world, "versions", *verb, "--as", "Ada")
        assert refused.exit_code == 4
        assert "this needs the role lead in this project; yours is expert" in refused.output
    stands = json.loads(call(world, "versions", "list", "--json").stdout)
    assert {row["seed"]: row["state"] for row in stands}[1] == "candidate"
    done = call(world, "versions", "discard", hashes(world)[1][:10], "--as", "Lea")
    assert done.exit_code == 0


def test_groups_of_one_column_and_of_all(world: World) -> None:
    one = call(world, "groups", "label", "--split", "reversed")
    assert one.exit_code == 0
    assert "naevus" in one.stdout
    assert "calibration error" in one.stdout
    view = json.loads(call(world, "groups", "label", "--json").stdout)
    assert view["overall"]["n"] == 80
    scanned = call(world, "groups")
    assert scanned.exit_code == 0
    assert "Label" in scanned.stdout
    assert call(world, "groups", "weather").exit_code == 4
