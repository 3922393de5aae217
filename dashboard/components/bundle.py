"""Puts the viewer's ES modules together into the one script that Streamlit takes inline.

Streamlit finds packaged assets through the distribution's metadata, which an editable install
does not carry when distribution and package have different names (ours do). Reading the files
ourselves works for wheels, editable installs and a plain checkout alike; see decision 0009.
"""

import re
from importlib import resources

FIRST = "main"
_IMPORT = re.compile(r'^import \{[^}]*\} from "\./([a-z_]+)\.js"\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?!default)", re.MULTILINE)


def asset(name: str) -> str:
    """The text of one file of the viewer's assets."""
    return (resources.files("dashboard.components") / "viewer_assets" / name).read_text("utf-8")


def modules(start: str = FIRST) -> tuple[str, ...]:
    """`start` and all that it imports, dependencies first.

    Raises ValueError for modules that import each other in a circle: put together in one script,
    one of them would be used before it is there.
    """
    order: list[str] = []

    def visit(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            raise ValueError("modules import each other: " + " -> ".join((*above, name)))
        if name in order:
            return
        for needed in _IMPORT.findall(asset(f"{name}.js")):
            visit(needed, (*above, name))
        order.append(name)

    visit(start, ())
    return tuple(order)


def bundle(names: tuple[str, ...] | None = None) -> str:
    """One script out of the modules, in the given order, dependencies first.

    Each module keeps its top-level names, so these must differ between modules; a test
    holds them to it.
    """
    parts = []
    for name in MODULES if names is None else names:
        source = _EXPORT.sub("", _IMPORT.sub("", asset(f"{name}.js")))
        parts.append(f"// ---- {name}.js\n{source}")
    return "\n".join(parts)


MODULES = modules()
