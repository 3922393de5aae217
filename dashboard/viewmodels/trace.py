"""A trace: from a place in a picture, a word, a version or a file to what it rests on, and back.

A tree of small cards. The first level is the chain in reading order; what is told of a card stands
below it. Every card that can be asked for itself carries its id or hash.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

NodeKind = Literal[
    "place", "image", "case", "encoder", "cue", "concept", "name", "version", "run", "snapshot",
    "evidence", "word", "person", "effect", "changed", "export", "decision",
]  # fmt: skip


@dataclass(frozen=True)
class TraceNode:
    """One card."""

    kind: NodeKind
    title: str
    ref: str = ""  # id or hash, to ask for it; "" where it cannot be asked for
    facts: tuple[tuple[str, str], ...] = ()  # label, value
    note: str = ""  # one sentence
    children: tuple[TraceNode, ...] = ()
    more: int = 0  # how many further children there are that are not listed


@dataclass(frozen=True)
class TraceView:
    """What a question came to."""

    asked: str
    sentence: str
    nodes: tuple[TraceNode, ...]


@dataclass(frozen=True)
class TraceMatch:
    """One of several things that begin with what was asked for."""

    kind: str
    project: str  # "" for a person
    ref: str
    title: str


@dataclass(frozen=True)
class TracePlace:
    """A case to point into: its picture, its patches and its cues."""

    case_id: str
    image_id: str
    image_name: str
    width: int  # pixels
    height: int
    rows: int  # of patches
    columns: int
    cues: tuple[tuple[str, str], ...]  # letter, shown name
    maps: tuple[bytes, ...]  # of each cue, rows * columns bytes
    shut: str = ""  # why it is not shown; "" where it is
