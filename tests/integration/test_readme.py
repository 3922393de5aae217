"""Every command of the README and the guides is run, in order, in one temporary folder.

The folder holds what the text speaks of: `my-images` with a table, an encoder folder and a word
list. Before the reweighting run a scripted reviewer does what the ten-minute tour asks for.
`make run` is run with the environment that runs the tests; `make test` is what runs them.
"""

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.reviewing import review
from core.phantoms import ENCODER_DIR, VOCABULARY, Split, generate, write_dataset
from dashboard.bootstrap import build
from dashboard.settings import Settings
from tests.test_docs import ROOT, commands

ALLOWED_EXIT = {0}
DOCS = ROOT / "docs"
PAGES = (
    ROOT / "README.md",
    *(DOCS / f"{name}.md" for name in ("reviewing", "improving", "reporting")),
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reader's folder."""
    root = tmp_path_factory.mktemp("reader")
    splits = (Split("train", 40), Split("val", 12), Split("test", 12))
    table = write_dataset(root / "my-images", splits, seed=77, size=128)
    shutil.rmtree(root / "my-images" / "cue_masks")
    text = table.read_text(encoding="utf-8").replace("group", "camera", 1)
    table.write_text(text, encoding="utf-8")
    one = generate(0, seed=78, size=128)
    Image.fromarray(one.image).save(root / "my-images" / "one.png")
    shutil.copytree(ENCODER_DIR, root / "my-encoder")
    (root / "my-words.txt").write_text("\n".join(row.name for row in VOCABULARY), encoding="utf-8")
    return root


def environment() -> dict[str, str]:
    """The reader's: `insight` is on the path, no setting is made."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("INSIGHT_")}
    return {**kept, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"}


def start_and_stop(words: list[str], port: int, folder: Path, env: dict[str, str]) -> None:
    """Start the app, wait until it answers, then end it as Ctrl-C in a terminal does."""
    with (folder / "up.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            words, cwd=folder, env=env, stdout=log, stderr=log, start_new_session=True
        )
        try:
            wait_for_the_app(process, port, folder / "up.log")
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(timeout=60)


def wait_for_the_app(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    for _ in range(600):
        try:
            url = f"http://127.0.0.1:{port}/_stcore/health"
            with urllib.request.urlopen(url, timeout=2) as answer:
                assert answer.status == 200
                return
        except OSError:
            assert process.poll() is None, log.read_text("utf-8")
            time.sleep(0.2)
    pytest.fail("the app did not answer")


def test_make_run_opens_the_app(tmp_path: Path) -> None:
    """The first command of the README, from an empty workspace; packages are there already."""
    port, venv = free_port(), Path(sys.prefix)
    done = f"{venv}/.insight-run"  # the mark of the installation: not to be made again
    words = ["make", "-C", str(ROOT), "-o", done, "run", f"VENV={venv}", f"PORT={port}"]
    workspace = tmp_path / "workspace"
    start_and_stop(words, port, tmp_path, {**environment(), "INSIGHT_HOME": str(workspace)})
    assert (workspace / "insight.sqlite").exists()


def review_the_demo(folder: Path) -> None:
    """What step 3 of the tour asks for: marks on the cues of the first cases."""
    services = build(Settings.load(folder / "workspace", environ={}))
    project = services.projects.get("demo")
    assert review(services, project, budget=30, name="Dr Reader").given == 30


@pytest.mark.timeout(1800)  # dozens of processes, each of which imports PyTorch
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_of_a_page_runs(desk: Path, page: Path) -> None:
    """Pages in their order: a guide goes on where the one before it ended."""
    lines = [line for line in commands(page) if not line.startswith("make ")]
    assert lines
    for line in lines:
        if line.startswith("insight up"):
            port = free_port()  # the port of the text may be taken on this machine
            words = [str(port) if word.isdigit() else word for word in shlex.split(line)]
            start_and_stop(words, port, desk, environment())
            continue
        if line.startswith("insight run reweight"):
            review_the_demo(desk)
        done = subprocess.run(
            shlex.split(line), cwd=desk, env=environment(), capture_output=True, text=True
        )
        assert done.returncode in ALLOWED_EXIT, f"{line}\n{done.stdout}\n{done.stderr}"
