"""What a phantom can show: classes, cues, their true hierarchy and the naming vocabulary.

Everything here is data. The generator draws it, the captions put it into words, the benchmarks
compare what was discovered against it.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Relation = Literal["is-a", "part-of"]

NOTICE = "synthetic phantom, not for clinical use"
CLASSES: tuple[str, ...] = ("naevus", "melanoma", "seborrhoeic keratosis")
CLASS_SYNONYMS: dict[str, tuple[str, ...]] = {
    "naevus": ("benign naevus", "mole"),
    "melanoma": ("malignant melanoma", "skin cancer"),
    "seborrhoeic keratosis": ("seborrhoeic wart", "benign keratosis"),
}


@dataclass(frozen=True)
class CueSpec:
    """One visible sign with a pixel mask.

    name     unique key; also the first phrase a text tower should know it by
    kind     relation to `parent`
    parent   the more general word ("lesion structure", "artefact", "pigment network", "image")
    phrases  region phrases; phrases[0] is the name itself
    """

    name: str
    kind: Relation
    parent: str
    phrases: tuple[str, ...]


def _cue(name: str, parent: str, *synonyms: str, kind: Relation = "is-a") -> CueSpec:
    return CueSpec(name, kind, parent, (name, *synonyms))


CUES: tuple[CueSpec, ...] = (
    _cue("skin", "image", "healthy skin", "background skin", kind="part-of"),
    _cue("lesion", "image", "skin lesion", "pigmented lesion", kind="part-of"),
    _cue("regular border", "lesion border", "smooth border", "even edge"),
    _cue("irregular border", "lesion border", "jagged border", "uneven edge"),
    _cue("typical network", "pigment network", "regular network", "honeycomb network"),
    _cue("atypical network", "pigment network", "irregular network", "broken network"),
    _cue("globules", "lesion structure", "brown globules", "round dots"),
    _cue("streaks", "lesion structure", "radial streaks", "pseudopods"),
    _cue("blue-white veil", "lesion structure", "blue veil", "blue-grey haze"),
    _cue("regression", "lesion structure", "white scar", "regression area"),
    _cue("milia-like cysts", "lesion structure", "milia", "white cysts"),
    _cue("comedo-like openings", "lesion structure", "comedones", "dark plugs"),
    _cue("hair", "artefact", "hairs", "dark hair strands"),
    _cue("ruler", "artefact", "measuring scale", "ruler ticks"),
    _cue("colour sticker", "artefact", "coloured patch", "sticker"),
    _cue("ink marking", "artefact", "pen mark", "surgical ink"),
    _cue("dark vignette", "artefact", "dark corner", "black frame"),
)
CUE_NAMES: tuple[str, ...] = tuple(cue.name for cue in CUES)
ARTEFACTS: tuple[str, ...] = tuple(cue.name for cue in CUES if cue.parent == "artefact")
# Signs inside the lesion's outline: all are parts of the lesion as well as kinds of their parent.
LESION_PARTS: tuple[str, ...] = CUE_NAMES[2:12]

HIERARCHY: tuple[tuple[str, str, Relation], ...] = (
    *((cue.name, cue.parent, cue.kind) for cue in CUES),
    ("pigment network", "lesion structure", "is-a"),
    ("lesion structure", "lesion", "part-of"),
    ("lesion border", "lesion", "part-of"),
    ("pigment network", "lesion", "part-of"),
    *((name, "lesion", "part-of") for name in LESION_PARTS),
    ("artefact", "image", "part-of"),
)
"""(child, parent, relation) edges of the true hierarchy, is-a and part-of."""


@dataclass(frozen=True)
class VocabularyRow:
    """One word the project may use as a concept's name."""

    name: str
    synonyms: tuple[str, ...]
    parent: str


GENERAL_TERMS: tuple[VocabularyRow, ...] = (
    VocabularyRow("artefact", ("imaging artefact",), "image"),
    VocabularyRow("lesion structure", ("dermoscopic structure",), "lesion"),
    VocabularyRow("lesion border", ("lesion edge",), "lesion"),
    VocabularyRow("pigment network", ("network",), "lesion structure"),
)
GENERAL_MEMBERS: dict[str, tuple[str, ...]] = {
    "artefact": ARTEFACTS,
    "lesion structure": LESION_PARTS[2:],
    "lesion border": LESION_PARTS[:2],
    "pigment network": LESION_PARTS[2:4],
}
"""General term -> the cues it covers (its region is the union of theirs)."""

VOCABULARY: tuple[VocabularyRow, ...] = (
    *(VocabularyRow(cue.name, cue.phrases[1:], cue.parent) for cue in CUES),
    *GENERAL_TERMS,
    *(VocabularyRow(name, CLASS_SYNONYMS[name], "diagnosis") for name in CLASSES),
)


@dataclass(frozen=True)
class Shortcut:
    """An artefact planted so that it predicts a label: `cue` comes with `label`."""

    cue: str
    label: str

    def __post_init__(self) -> None:
        if self.cue not in ARTEFACTS:
            raise ValueError(f"{self.cue!r} is not an artefact; choose one of {ARTEFACTS}")
        if self.label not in CLASSES:
            raise ValueError(f"{self.label!r} is not a class; choose one of {CLASSES}")


PLANTED: tuple[Shortcut, ...] = (
    Shortcut("ruler", "melanoma"),
    Shortcut("colour sticker", "naevus"),
)
"""The shortcuts of the embedded demo."""


def write_vocabulary(path: Path) -> None:
    """Write VOCABULARY as CSV with columns name, synonyms (joined by "|") and parent."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(("name", "synonyms", "parent"))
        for row in VOCABULARY:
            writer.writerow((row.name, "|".join(row.synonyms), row.parent))
