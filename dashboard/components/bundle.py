"""Puts the viewer's ES modules together into the one script that Streamlit takes inline.

Streamlit finds packaged assets through the distribution's metadata, which an editable install
does not carry when distribution and package have different names (ours do). Reading the files
ourselves works for wheels, editable installs and a plain checkout alike; see decision 0009.
"""

import re
from importlib import resources

MODULES = (
    "dom",
    "packet",
    "palette",
    "maps",
    "stage",
    "controls",
    "cues",
    "tree",
    "panels",
    "head",
    "keys",
    "outbox",
    "main",
)
_IMPORT = re.compile(r'^import \{[^}]*\} from "\./[a-z]+\.js"\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?!default)", re.MULTILINE)


def asset(name: str) -> str:
    """The text of one file of the viewer's assets."""
    return (resources.files("dashboard.components") / "viewer_assets" / name).read_text("utf-8")


def bundle(modules: tuple[str, ...] = MODULES) -> str:
    """One script out of the modules, in the given order, dependencies first.

    Each module keeps its top-level names, so these must differ between modules; a test
    holds them to it.
    """
    parts = []
    for name in modules:
        source = _EXPORT.sub("", _IMPORT.sub("", asset(f"{name}.js")))
        parts.append(f"// ---- {name}.js\n{source}")
    return "\n".join(parts)
