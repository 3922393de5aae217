"""A model version made again: the same or not, part by part, and what may be the reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["same", "differs"]
Topic = Literal[
    "stored", "parent", "images", "data", "snapshot", "settings", "encoder", "tokens", "code",
    "software", "names", "figures",
]  # fmt: skip


@dataclass(frozen=True)
class PartRow:
    """One file of a version, by its SHA-256 (hex) in three places."""

    name: str
    what: str  # in words, such as "weights of the concepts"
    recorded: str  # in the manifest
    stored: str | None  # of the file that lies there now; None: missing
    rebuilt: str | None  # None: the version made now has no such file
    change: str = ""  # how far the numbers differ, where both can be read


@dataclass(frozen=True)
class FieldRow:
    """One field of the manifest that is not the same."""

    name: str
    recorded: str
    rebuilt: str


@dataclass(frozen=True)
class Difference:
    """Something that is not as it was."""

    topic: Topic
    text: str  # one sentence
    matters: bool  # False: worth knowing, but the result does not depend on it alone


@dataclass(frozen=True)
class SoftwareRow:
    """One piece of software or hardware, then and now."""

    name: str
    then: str | None  # None: was not written down
    now: str


@dataclass(frozen=True)
class Reproduction:
    """What came of making a version again."""

    project: str
    version: str  # hash
    kind: str
    outcome: Outcome
    sentence: str
    rebuilt: str  # hash of the version made now
    parts: tuple[PartRow, ...]
    fields: tuple[FieldRow, ...]
    differences: tuple[Difference, ...]
    software: tuple[SoftwareRow, ...]
    seconds: float
    kept: str | None = None  # folder of the result, where it was to be kept
