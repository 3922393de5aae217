"""The docs cannot drift: links lead somewhere, and every command of the README is run.

Blocks marked ```sh in README.md are the commands; tests/integration/test_readme.py runs them.
"""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\[[^\]]*\]\((?!https?:|mailto:|#)([^)#\s]+)")


def commands(page: Path) -> list[str]:
    """The lines of all ```sh blocks of a page."""
    blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not [link for link in LINK.findall(text) if not (page.parent / link).exists()]


def test_the_set_up_is_two_commands() -> None:
    made = [line for line in commands(ROOT / "README.md") if line.startswith("make ")]
    assert made == ["make run", "make test"]
    for line in made:
        planned = subprocess.run(
            ["make", "-n", *shlex.split(line)[1:]], cwd=ROOT, capture_output=True, text=True
        )
        assert planned.returncode == 0, planned.stderr


def test_the_changelog_names_this_version_or_what_comes() -> None:
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
