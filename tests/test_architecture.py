"""The rules of the house that no other tool checks; layers are in pyproject (import-linter)."""

import ast
import re
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("core", "db", "dashboard", "migrations", "benchmarks")
TEXT_SUFFIXES = {".py", ".md", ".toml", ".txt", ".js", ".css", ".ini", ".mako", ".j2", ".json", ""}
MAX_FUNCTION_LINES = 70
P90_FUNCTION_LINES = 30
MAX_FILE_LINES = 400
MAX_FILE_MIB = 15


def tracked_files() -> list[Path]:
    """Files that git tracks or would track; outside a checkout, everything but the environment."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    names = listing.stdout.splitlines() if listing.returncode == 0 else []
    return [path for name in names if (path := ROOT / name).is_file()]


def sources() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{path.relative_to(ROOT)}:{node.name}", (node.end_lineno or 0) - node.lineno + 1


def test_functions_are_short() -> None:
    lengths = {name: lines for path in sources() for name, lines in functions(path)}
    too_long = {name: lines for name, lines in lengths.items() if lines > MAX_FUNCTION_LINES}
    assert not too_long
    assert statistics.quantiles(lengths.values(), n=10)[-1] <= P90_FUNCTION_LINES


def test_files_are_short() -> None:
    lines = {str(p.relative_to(ROOT)): p.read_text("utf-8").count("\n") for p in sources()}
    assert not {name: n for name, n in lines.items() if n > MAX_FILE_LINES}


def test_no_unsafe_loading() -> None:
    """Weights are safetensors, or `torch.load` with `weights_only=True`; nothing is unpickled."""
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert not {alias.name for alias in node.names} & {"pickle", "joblib", "dill"}, path
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                keywords = {k.arg: ast.unparse(k.value) for k in node.keywords}
                assert keywords.get("weights_only") == "True", path
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("np.load"):
                keywords = {k.arg: ast.unparse(k.value) for k in node.keywords}
                assert keywords.get("allow_pickle", "False") == "False", path


@pytest.mark.parametrize(
    "pattern",
    [
        # written in pieces, so that this file does not match itself
        "/work" + "/",
        "/tmp/" + "insight",
        r"py" + r"pi\.org",
        r"files\.python" + "hosted",
        r"registry\.np" + r"mjs",
        r"deb\.deb" + "ian",
    ],
)
def test_no_machine_paths_nor_registry_hosts(pattern: str) -> None:
    found = [
        str(path.relative_to(ROOT))
        for path in tracked_files()
        if path.suffix in TEXT_SUFFIXES
        and path.stat().st_size < 4_000_000
        and re.search(pattern, path.read_text(encoding="utf-8", errors="replace"))
    ]
    assert not found


def test_repository_stays_small() -> None:
    sizes = {str(p.relative_to(ROOT)): p.stat().st_size / 2**20 for p in tracked_files()}
    assert not {name: round(size, 1) for name, size in sizes.items() if size > MAX_FILE_MIB}
    assert sum(sizes.values()) <= 40


def test_decisions_are_numbered_without_gaps() -> None:
    numbers = sorted(int(path.name[:4]) for path in (ROOT / "docs/decisions").glob("[0-9]*.md"))
    assert numbers == list(range(1, len(numbers) + 1))


def test_every_test_asserts_something() -> None:
    """A test that cannot fail is no test."""
    silent = []
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                body = ast.unparse(node)
                if not re.search(r"\bassert|raises|assert_|expect\(", body):
                    silent.append(f"{path.name}:{node.name}")
    assert not silent
