"""The docs cannot drift: links lead somewhere, and every command of the README is run.

Blocks marked ```sh in README.md are the commands; tests/integration/test_readme.py runs them.
"""

import importlib
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


NAMED = re.compile(r"`((?:core|benchmarks|dashboard|db)(?:\.\w+)+)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_function_that_a_page_names_exists(page: Path) -> None:
    """`core.relations.cooccurrence` and the like: modules, classes, functions, methods."""
    missing = [name for name in NAMED.findall(page.read_text("utf-8")) if not _exists(name)]
    assert not missing


def _exists(dotted: str) -> bool:
    """Whether a dotted name is a file, a module or an attribute of one."""
    parts = dotted.split(".")
    if parts[-1] in ("py", "md", "json", "csv"):
        return (ROOT / ("/".join(parts[:-1]) + "." + parts[-1])).exists()
    for cut in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for name in parts[cut:]:
            if not hasattr(found, name) and name not in getattr(found, "__annotations__", {}):
                return False
            found = getattr(found, name, None)
        return True
    return False


def test_the_method_page_covers_every_public_engine_module() -> None:
    """Each module of the engine that computes something is named on the page of the method."""
    page = (ROOT / "docs/method.md").read_text(encoding="utf-8")
    plumbing = {"__init__", "errors", "types", "files", "pacing", "images", "words"}
    plumbing |= {"manifest", "bundle_parts", "splits"}
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / "core").rglob("*.py")
        if "phantoms" not in path.parts and path.stem not in plumbing
    }
    assert not sorted(name for name in modules if f"`{name}" not in page)
