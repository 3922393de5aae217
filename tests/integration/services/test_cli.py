"""The command line: exit codes, output for people and for scripts, clear refusals."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from core.errors import ConfigError
from dashboard.cli import app, plain
from dashboard.services.supervise import (
    HOST,
    Child,
    Supervisor,
    children,
    next_wait,
    require_free_port,
)
from tests.builders import discovered, image_folder, save_picture, settings, write_table

COMMANDS = (
    ["demo"], ["up"], ["ingest"], ["discover"], ["explain"], ["verdicts", "import"],
    ["verdicts", "export"], ["run", "reweight"], ["report"], ["doctor"], ["rules"], ["heads"],
    ["segment"], ["compare"],
)  # fmt: skip


class Console:
    """Runs commands on one workspace, in this process."""

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace
        self._runner = CliRunner()

    def __call__(self, *words: object, code: int = 0) -> str:
        """Standard output of a command that must end with `code`."""
        line = [*map(str, words), "--workspace", str(self.workspace)]
        result = self._runner.invoke(app, line, catch_exceptions=False)
        assert result.exit_code == code, result.output
        self.errors = result.stderr
        return result.stdout

    def json(self, *words: object, code: int = 0) -> Any:
        """The JSON that a command prints."""
        return json.loads(self(*words, "--json", code=code))


@pytest.fixture
def insight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Console:
    for name in ("INSIGHT_HOME", "INSIGHT_DATABASE_URL", "INSIGHT_WORKER_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return Console(tmp_path / "workspace")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Console]:
    """A discovered project "tiles" and a console on its workspace."""
    folder = tmp_path_factory.mktemp("made")
    services = discovered(folder, per_class=6)
    return folder, Console(services.settings.workspace)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_its_exit_codes(command: list[str]) -> None:
    result = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "120"})

    assert result.exit_code == 0
    assert "Exit codes" in result.output
    assert "--workspace" in result.output


def test_help_needs_no_heavy_library() -> None:
    heavy = "{'torch', 'sqlalchemy', 'streamlit', 'dbos', 'numpy'}"
    code = f"import sys, dashboard.cli; print({heavy} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"


def test_wrong_usage_is_code_two(insight: Console) -> None:
    insight("ingest", code=2)
    assert "Missing" in insight.errors
    insight("report", "--project", "x", "--format", "docx", "--out", "y", code=2)
    assert "docx" in insight.errors


def test_ingest_reports_for_people_and_for_scripts(insight: Console, tmp_path: Path) -> None:
    table = image_folder(tmp_path / "data", 3)
    words = ("ingest", tmp_path / "data", "--project", "tiles", "--labels", table)

    assert "6 added, 0 unchanged" in insight(*words, "--split-column", "split")
    report = insight.json(*words, "--split-column", "split")

    assert (report["added"], report["unchanged"], report["problems"]) == (0, 6, [])


def test_ingest_with_bad_files_ends_with_code_three_each_time(
    insight: Console, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    save_picture(folder / "a.png")
    (folder / "bad\x1b[31m.png").write_bytes(b"")
    table = write_table(
        folder / "labels.csv", [{"file": "a.png", "label": "x"}, {"file": "b.png", "label": "x"}]
    )
    words = ("ingest", folder, "--project", "tiles", "--labels", table)

    first = insight(*words, code=3)
    second = insight.json(*words, code=3)

    assert "bad?[31m.png: the file is empty" in first
    assert "b.png (line 3): listed in the table, but there is no such file" in first
    assert [problem["row"] for problem in second["problems"]] == [None, 3]
    assert second["added"] == 0


def test_refusals_are_one_clear_line_and_code_four(insight: Console, tmp_path: Path) -> None:
    insight("ingest", tmp_path / "nowhere", "--project", "tiles", code=4)
    assert insight.errors.strip() == f"error: {tmp_path / 'nowhere'}: there is no such folder"
    insight("discover", "--project", "nobody", code=4)
    assert insight.errors.startswith("error: no project")
    save_picture(tmp_path / "data" / "a.png")
    insight("ingest", tmp_path / "data", "--project", "tiles")
    insight("explain", tmp_path / "data" / "a.png", "--project", "tiles", code=4)
    assert "run discover" in insight.errors


def test_discover_names_version_and_figures(made: tuple[Path, Console]) -> None:
    folder, insight = made
    image_folder(folder / "again", 6, classes=("red", "green"))
    insight("ingest", folder / "again", "--project", "again", "--labels",
            folder / "again" / "labels.csv", "--split-column", "split")  # fmt: skip

    found = insight.json("discover", "--project", "again", "--encoder", folder / "encoder",
                         "--seed", "3")  # fmt: skip

    assert (found["cases"], found["state"], found["problems"]) == (12, "active", [])
    assert len(found["version"]) == 64
    assert found["metrics"]["splits"]["test"]["n"] == 4


def test_explain_writes_json_with_the_documented_keys_and_a_picture(
    made: tuple[Path, Console], tmp_path: Path
) -> None:
    folder, insight = made
    image = folder / "data" / "images" / "blue-001.png"

    told = insight("explain", image, "--project", "tiles", "--json", tmp_path / "e.json",
                   "--png", tmp_path / "e.png")  # fmt: skip

    body = json.loads((tmp_path / "e.json").read_text(encoding="utf-8"))
    keys = {"prediction", "confidence", "logit", "bias", "contributions", "cues", "hierarchy",
            "narrative", "provenance"}  # fmt: skip
    assert keys <= body.keys()
    total = sum(c["value"] for c in body["contributions"]) + body["bias"]
    assert total == pytest.approx(body["logit"])
    assert all(c["value"] != 0 for c in body["contributions"])
    assert told.strip() == body["narrative"]
    assert (tmp_path / "e.png").read_bytes().startswith(b"\x89PNG")


def test_explain_of_a_bad_file_is_refused(made: tuple[Path, Console], tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")

    made[1]("explain", tmp_path / "bad.png", "--project", "tiles", code=4)

    assert made[1].errors.startswith("error: bad.png: not an image")


@pytest.mark.parametrize(
    ("form", "start"), [("html", b"<!doctype html"), ("json", b"{"), ("csv", b"pk")]
)
def test_reports_are_written(
    made: tuple[Path, Console], tmp_path: Path, form: str, start: bytes
) -> None:
    out = tmp_path / f"report.{form}"

    made[1]("report", "--project", "tiles", "--format", form, "--out", out, "--as", "Ada")

    assert out.read_bytes().lower().startswith(start)


def test_verdicts_go_out_and_come_in(made: tuple[Path, Console], tmp_path: Path) -> None:
    out = tmp_path / "verdicts.csv"

    made[1]("verdicts", "export", out, "--project", "tiles")
    text = made[1]("verdicts", "import", out, "--project", "tiles")

    assert "0 added, 0 unchanged, 0 refused" in text


def test_doctor_lists_findings(made: tuple[Path, Console], insight: Console) -> None:
    found = made[1].json("doctor")
    empty = insight.json("doctor", code=3)

    assert {check["name"] for check in found} >= {"versions", "database", "worker"}
    assert empty[-1]["remedy"] == "run: insight demo"


def test_a_run_without_verdicts_fails_with_its_reason(made: tuple[Path, Console]) -> None:
    insight = made[1]

    view = insight.json("run", "reweight", "--project", "tiles", code=4)

    assert view["state"] == "failed"
    assert "nothing was called spurious yet" in view["message"]


def test_up_refuses_a_port_that_is_taken(insight: Console) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]

        insight("up", "--port", port, code=4)

    assert f"port {port}" in insight.errors
    assert "--port" in insight.errors
    require_free_port(port)
    with pytest.raises(ConfigError, match="port"):
        settings(insight.workspace, INSIGHT_PORT="seventy")


def test_the_supervisor_restarts_the_worker_and_ends_with_the_app(tmp_path: Path) -> None:
    said: list[str] = []
    once = f"open({str(tmp_path / 'runs')!r}, 'a').write('x')"
    wait = (
        "import pathlib, time\n"
        f"p = pathlib.Path({str(tmp_path / 'runs')!r})\n"
        "while not p.exists() or len(p.read_text()) < 2: time.sleep(0.05)\n"
        "raise SystemExit(7)"
    )
    kept = (
        Child("worker", (sys.executable, "-c", once), restart=True),
        Child("app", (sys.executable, "-c", wait), restart=False),
    )

    assert Supervisor(kept, {}, said.append).run() == 7

    assert len((tmp_path / "runs").read_text()) >= 2
    assert said[0] == "the worker ended with code 0; restart in 1 s"
    assert said[-1] == "the app ended with code 7"


def test_the_supervisor_ends_every_child_when_told_to_stop(tmp_path: Path) -> None:
    sleep = "import sys, time; print('up', flush=True); time.sleep(600)"
    kept = tuple(Child(name, (sys.executable, "-c", sleep), restart=True) for name in "ab")
    supervisor = Supervisor(kept, {}, print, grace=5.0)
    ticks: list[int] = []

    def stop_soon() -> None:
        ticks.append(1)
        if len(ticks) == 3:
            supervisor.stop()

    assert supervisor.run(stop_soon) == 0


def test_waits_between_restarts_grow_and_start_over_after_a_steady_life() -> None:
    waits = [0.0]
    for _ in range(7):
        waits.append(next_wait(waits[-1], lived=0.1))

    assert waits[1:] == [1, 2, 4, 8, 16, 30, 30]
    assert next_wait(30.0, lived=61.0) == 1


def test_the_app_is_bound_to_this_machine_and_sends_nothing_home(tmp_path: Path) -> None:
    worker, desk = children(settings(tmp_path))
    flags = dict(zip(desk.argv[5::2], desk.argv[6::2], strict=True))

    assert worker.restart
    assert not desk.restart
    assert flags["--server.address"] == "127.0.0.1"
    assert flags["--browser.gatherUsageStats"] == "false"
    assert Path(desk.argv[4]).is_file()


def test_control_characters_never_reach_the_terminal() -> None:
    assert plain("a\x1b[2Jb\nc") == "a?[2Jb?c"
