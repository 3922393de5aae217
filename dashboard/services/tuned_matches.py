"""What became of each concept when an encoder was tuned: kept with the version, read again.

Two dictionaries of one encoder are compared by their directions (core.name_matching). Those of two
encoders cannot be: their spaces differ. A fine-tuning run knows the answer, because it sees the
same patches under both, and keeps it in its bundle. Names and verdicts follow it.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from db.unit_of_work import UnitOfWork

if TYPE_CHECKING:
    from core.artifacts import ModelBundle
    from core.name_matching import ConceptMatch

EXTRA = "extra.safetensors"  # as core.manifest calls it


def matches_of(bundle: ModelBundle) -> dict[int, ConceptMatch] | None:
    """Former concept -> match, as the bundle keeps them; None for one that was not tuned."""
    from core.finetuning.matching import carried_of
    from core.name_matching import ConceptMatch

    if bundle.manifest.kind != "finetune":
        return None
    return {
        old: ConceptMatch(old, new, score, score, None)
        for old, (new, score) in carried_of(bundle.extra).items()
    }


def onward(bundle: ModelBundle) -> dict[int, int]:
    """Former concept -> tuned concept; empty for a version that was not tuned."""
    found = matches_of(bundle) or {}
    return {old: match.new for old, match in found.items() if match.new is not None}


def carried(uow: UnitOfWork, project_id: str, dictionary_hash: str) -> dict[str, dict[int, int]]:
    """Earlier dictionary -> its concept -> the concept it became, through every tuning between.

    Oldest dictionary first; empty for a dictionary that no tuning made. A tuned version whose
    files have gone carries nothing: what it was tuned from stays behind.
    """
    versions = uow.versions.list(project_id)
    by_hash = {version.hash: version for version in versions}
    tuned = {v.dictionary_hash: v for v in versions if v.kind == "finetune"}
    found: dict[str, dict[int, int]] = {}
    further: dict[int, int] | None = None  # concept of the dictionary at hand -> the one asked for
    while dictionary_hash in tuned:
        version = tuned.pop(dictionary_hash)
        parent = by_hash.get(version.parent_hash or "")
        if parent is None:
            break
        here = _kept(version.folder)
        if further is not None:
            here = {old: further[new] for old, new in here.items() if new in further}
        further = here
        found[parent.dictionary_hash] = here
        dictionary_hash = parent.dictionary_hash
    return dict(reversed(found.items()))


@lru_cache(maxsize=64)
def _kept(folder: str) -> dict[int, int]:
    """Former concept -> tuned concept, read from a version's folder, which never changes."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    from core.finetuning.matching import carried_of

    try:
        extra = load_file(Path(folder) / EXTRA)
    except (OSError, SafetensorError):
        return {}
    return {old: new for old, (new, _) in carried_of(extra).items()}
