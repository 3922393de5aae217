"""Two model versions beside each other: hash by hash, field by field, and by how much."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from core.manifest import Manifest
from dashboard.services.reproduce_source import stored_hashes
from dashboard.viewmodels.reproduce import Difference, FieldRow, PartRow, SoftwareRow
from db.records import VersionRecord

WHAT = {
    "sae.safetensors": "weights of the concepts (sparse autoencoder)",
    "sae.json": "settings of the sparse autoencoder",
    "head.safetensors": "weights of the head, its bias and the concepts' means",
    "head.json": "settings of the head: classes, pooling, calibration temperature",
    "relations.json": "relations between concepts",
    "names.json": "the model's names for the concepts",
    "extra.safetensors": "further arrays: frequencies, matches with the version before",
}
FIELDS = ("kind", "parent", "dictionary_hash", "classes", "seed", "data_hash", "snapshot_hash")
SHORT = 80  # characters of a value that is shown


def parts(
    version: VersionRecord, recorded: Manifest, rebuilt: Manifest, folder: Path
) -> tuple[PartRow, ...]:
    """Every file of either, in order of name."""
    stored = stored_hashes(version, recorded)
    return tuple(
        PartRow(
            name=name,
            what=WHAT.get(name, name),
            recorded=recorded.files.get(name, ""),
            stored=stored.get(name),
            rebuilt=rebuilt.files.get(name),
            change=_change(name, Path(version.folder), folder)
            if recorded.files.get(name) != rebuilt.files.get(name)
            else "",
        )
        for name in sorted({*recorded.files, *rebuilt.files})
    )


def fields(recorded: Manifest, rebuilt: Manifest) -> tuple[FieldRow, ...]:
    """The fields of the manifest that differ; of the settings and the encoder each one alone."""
    pairs = [(name, getattr(recorded, name), getattr(rebuilt, name)) for name in FIELDS]
    for name in ("spec", "hash", "dim", "grid", "image_size"):
        pairs.append(
            (f"encoder {name}", getattr(recorded.encoder, name), getattr(rebuilt.encoder, name))
        )
    pairs.append(("code version", recorded.code_version, rebuilt.code_version))
    then, now = flat(recorded.config, "settings"), flat(rebuilt.config, "settings")
    pairs += [(name, then.get(name, "-"), now.get(name, "-")) for name in sorted({*then, *now})]
    return tuple(
        FieldRow(name, _text(before), _text(after))
        for name, before, after in pairs
        if _text(before) != _text(after)
    )


def flat(value: Any, name: str) -> dict[str, Any]:
    """Nested settings as "settings.train.steps" -> value; lists stay whole."""
    if not isinstance(value, Mapping):
        return {name: value}
    found: dict[str, Any] = {}
    for key, item in value.items():
        found |= flat(item, f"{name}.{key}")
    return found


def verdict(
    recorded: Manifest, rebuilt: Manifest, rows: tuple[PartRow, ...],
    differences: tuple[Difference, ...],
) -> tuple[bool, str]:  # fmt: skip
    """Whether everything is the same, and the sentence that says what came of it."""
    same_parts = all(row.recorded == row.rebuilt for row in rows)
    wrong = [each for each in differences if each.matters]
    if recorded.version_hash == rebuilt.version_hash:
        if not wrong:
            return True, "The version made again is the same, bit by bit."
        return False, (
            "The version made again has the recorded hash, but not everything it rests on is as it "
            "was."
        )
    if same_parts:
        only_code = recorded.code_version != rebuilt.code_version
        why = " names another version of the code" if only_code else " names other circumstances"
        return False, f"Every file is the same, bit by bit; only the manifest{why}."
    different = [row.what for row in rows if row.recorded != row.rebuilt]
    return False, f"{len(different)} of {len(rows)} parts differ: {'; '.join(different)}."


def software(rows: tuple[SoftwareRow, ...]) -> list[Difference]:
    """A word on every piece that is another one now, or that nobody wrote down."""
    if all(row.then is None for row in rows):
        text = "the software it was made with was not written down when it was published"
        return [Difference("software", text, False)]
    return [
        Difference("software", f"{row.name}: {row.then or 'none'} then, {row.now} now", False)
        for row in rows
        if row.then != row.now
    ]


def _change(name: str, before: Path, after: Path) -> str:
    """How far two files of the same name are apart; nothing where one cannot be read."""
    try:
        if name.endswith(".json"):
            return _changed_json(before / name, after / name)
        return _changed_arrays(before / name, after / name)
    except (OSError, ValueError, KeyError):
        return ""


def _changed_arrays(before: Path, after: Path) -> str:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        first, second = load(before.read_bytes()), load(after.read_bytes())
    except SafetensorError:
        return ""
    said = []
    for name in sorted({*first, *second}):
        a, b = first.get(name), second.get(name)
        if a is None or b is None or a.shape != b.shape:
            said.append(f"{name} has another form")
        elif not np.array_equal(a, b):
            largest = float(np.max(np.abs(a.astype(np.float64) - b.astype(np.float64))))
            said.append(f"{name} by at most {largest:.3g}")
    return ", ".join(said)


def _changed_json(before: Path, after: Path) -> str:
    first, second = (json.loads(path.read_bytes()) for path in (before, after))
    if isinstance(first, list) and isinstance(second, list):
        count = sum(a != b for a, b in zip(first, second, strict=False))
        count += abs(len(first) - len(second))
        return f"{count} of {max(len(first), len(second))} entries"
    names = sorted(key for key in {*first, *second} if first.get(key) != second.get(key))
    return ", ".join(names)


def _text(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        value = list(value)
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= SHORT else f"{text[:SHORT]}..."
