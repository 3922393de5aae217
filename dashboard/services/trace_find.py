"""What a hash, an id, the beginning of one, a name or a file stands for."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from core.errors import InputError, InsightError
from dashboard.viewmodels.trace import TraceMatch
from db.errors import NotFound
from db.trace_records import Match, TracedKind
from db.unit_of_work import UnitOfWork

LEAST = 4  # characters of a hash or id
MOST = 10  # things that an unclear beginning is said to fit
_START = re.compile(r"[0-9a-f][0-9a-f-]{3,63}")


SEARCHED: tuple[TracedKind, ...] = tuple(kind for kind in get_args(TracedKind) if kind != "person")


class Ambiguous(InsightError):
    """A beginning fits several things.

    Args:
        matches: some of them.
    """

    def __init__(self, asked: str, matches: tuple[TraceMatch, ...]) -> None:
        named = "; ".join(
            f"{each.kind} {each.ref[:16]} ({each.title}, project {each.project})"
            for each in matches
        )
        super().__init__(f"{asked!r} fits several: {named}. Give more characters")
        self.asked = asked
        self.matches = matches

    def __reduce__(self) -> tuple[type[Ambiguous], tuple[str, tuple[TraceMatch, ...]]]:
        return type(self), (self.asked, self.matches)


def one(uow: UnitOfWork, kinds: Sequence[TracedKind], key: str, project_id: str | None) -> Match:
    """The one thing of those kinds that begins so. Raises NotFound, Ambiguous."""
    start = key.strip().lower()
    if not _START.fullmatch(start):
        raise NotFound(f"{' or '.join(kinds)} (at least {LEAST} hexadecimal characters)", key)
    found = [
        match
        for kind in kinds
        for match in uow.trace.matches(kind, start, project_id=project_id, limit=MOST)
    ]
    exact = [match for match in found if start in (match.ref, match.id)]
    if len(exact) == 1:
        found = exact
    if len({(match.kind, match.ref, match.project_id) for match in found}) > 1:
        names = {each.id: each.name for each in uow.projects.list()}
        raise Ambiguous(
            key,
            tuple(
                TraceMatch(m.kind, names.get(m.project_id or "", ""), m.ref, m.title)
                for m in found[:MOST]
            ),
        )
    if not found:
        raise NotFound(" or ".join(kinds), key)
    return found[0]


def anything(uow: UnitOfWork, key: str, project_id: str | None) -> Match:
    """The one thing that a text stands for; a run is its version, a case its image.

    Raises NotFound, Ambiguous, InsightError for a run that has made no version.
    """
    text = key.strip()
    if uow.reviewers.by_name(text) is not None:
        return Match("person", None, text, text, text)
    if (word := uow.trace.word(text.lower())) is not None:
        return Match("verdict", word.project_id, word.id, word.id, word.value)
    match = one(uow, SEARCHED, text, project_id)
    if match.kind == "run":
        return of_run(uow, match)
    if match.kind == "case":
        case = uow.cases.get(match.id)
        return Match("image", case.project_id, case.image_id, case.image.sha256, "")
    return match


def of_run(uow: UnitOfWork, match: Match) -> Match:
    """The version that a run made. Raises InsightError where it made none."""
    run = uow.runs.get(match.id)
    if run.result_version_id is None:
        raise InsightError(f"run {match.id[:8]} ({run.kind}, {run.state}) has made no version")
    made = uow.versions.get(run.result_version_id)
    return Match("version", made.project_id, made.id, made.hash, made.kind)


def file_sha(text: str) -> str | None:
    """SHA-256 of a file of that path; None where the text is no path of a file.

    Raises InputError for a file that cannot be read.
    """
    if _START.fullmatch(text.strip().lower()):
        return None
    path = Path(text).expanduser()
    try:
        if not path.is_file():
            return None
        with path.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        raise InputError(path.name, "cannot be read") from error
