"""Words that a project may use as names of concepts.

A vocabulary is untrusted input: a text file with one word per line, or a CSV table with the
columns name, synonyms and parent. What cannot be read safely is refused with file and line. Words
stay the text they are: markup or a formula is no danger here, and screens and exports escape it.
"""

import csv
import io
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import TableError
from core.words import GENERAL_WORDS

MAX_BYTES = 4_000_000
MAX_TERMS = 20_000
MAX_LENGTH = 80  # characters of a name or synonym
MAX_SYNONYMS = 32  # of one term
MAX_PHRASES = 50_000  # names and synonyms: each is encoded once per prompt template
MAX_LEVELS = 32  # of the tree of parents
DIAGNOSIS = "diagnosis"  # the root of words for what is decided, not for what is seen
ROOTS = frozenset({"image", DIAGNOSIS})  # parents that group terms but name no concept
_COLUMNS = ("name", "synonyms", "parent")
_DELIMITERS = ",;\t"  # spreadsheets write ";" where the comma separates decimals
_FORBIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")  # control, invisible, unassigned
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")  # letters and symbols that show nothing


@dataclass(frozen=True)
class Term:
    """One word; `parent` is the name of a more general term, or one of ROOTS."""

    name: str
    synonyms: tuple[str, ...] = ()
    parent: str | None = None

    @property
    def phrases(self) -> tuple[str, ...]:
        """The name itself, then its synonyms."""
        return (self.name, *self.synonyms)


@dataclass(frozen=True)
class Vocabulary:
    """The terms of a project, in the order in which they were given."""

    terms: tuple[Term, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all terms, without synonyms."""
        return tuple(term.name for term in self.terms)

    def as_json(self) -> list[dict[str, Any]]:
        """A JSON-ready list, read back by `Vocabulary.from_json`."""
        return [
            {"name": t.name, "synonyms": list(t.synonyms), "parent": t.parent} for t in self.terms
        ]

    @staticmethod
    def from_json(rows: Iterable[Mapping[str, Any]], file: str = "vocabulary") -> "Vocabulary":
        """The vocabulary of `as_json`, checked as a file is. Raises TableError."""
        return _checked([_json_row(number, row, file) for number, row in enumerate(rows, 1)], file)


@dataclass(frozen=True)
class _Draft:
    """A row as read, before it is checked."""

    line: int
    name: str
    synonyms: Sequence[str]
    parent: str | None


def load_vocabulary(path: Path) -> Vocabulary:
    """Read a vocabulary from a file in UTF-8 (a byte order mark is fine).

    Args:
        path: a .txt file with one word per line ("#" starts a comment), or a .csv file with the
            column name and, if wanted, synonyms (separated by ";") and parent.

    Raises:
        TableError: naming the file and the line of the first thing that is wrong.
    """
    text = _decode(path)
    if path.suffix.lower() == ".csv":
        return _checked(_csv_rows(text, path.name), path.name)
    if path.suffix.lower() == ".txt":
        return _checked(_txt_rows(text), path.name)
    raise TableError(path.name, "a vocabulary is a .txt or a .csv file")


def default_vocabulary(classes: Sequence[str] = ()) -> Vocabulary:
    """About 150 general visual words and the class names, for a project without its own list."""
    given = [_tidy(name) for name in classes]
    known = {name.casefold() for name in given}
    terms = [Term(name) for name in dict.fromkeys(given) if name]
    terms += [Term(word) for word in GENERAL_WORDS if word.casefold() not in known]
    return Vocabulary(tuple(terms))


def _decode(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():  # a pipe or a device may never end
            raise TableError(path.name, "is not a file")
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise TableError(path.name, f"cannot be read ({error.strerror})") from error
    if len(raw) > MAX_BYTES:
        raise TableError(path.name, f"larger than {MAX_BYTES // 1_000_000} MB")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        reason = f"line {line}: not in UTF-8; save it again with that encoding"
        raise TableError(path.name, reason) from error


def _txt_rows(text: str) -> list[_Draft]:
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        word = line.split("#", 1)[0].strip(" \t\r")
        if word:
            rows.append(_Draft(number, word, (), None))
    return rows


def _delimiter(text: str) -> str:
    """The one by which the first line has a column "name"; a comma where there is none."""
    first = text.split("\n", 1)[0].casefold()
    for delimiter in _DELIMITERS:
        if "name" in (cell.strip(' \r"') for cell in first.split(delimiter)):
            return delimiter
    return ","


def _csv_rows(text: str, file: str) -> list[_Draft]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    try:
        header = [cell.strip().casefold() for cell in next(reader, [])]
        if "name" not in header:
            raise TableError(file, 'line 1: there is no column "name"')
        unknown = sorted(set(header) - set(_COLUMNS))
        if unknown or len(set(header)) < len(header):
            what = ", ".join(unknown) or "a column given twice"
            reason = f"line 1: columns are name, synonyms and parent, found {what}"
            raise TableError(file, reason)
        return [_csv_row(header, cells, reader.line_num, file) for cells in reader if any(cells)]
    except csv.Error as error:
        raise TableError(file, f"line {reader.line_num}: not a CSV row ({error})") from error


def _csv_row(header: list[str], cells: list[str], line: int, file: str) -> _Draft:
    if len(cells) > len(header):
        reason = f"line {line}: {len(cells)} cells but {len(header)} columns"
        raise TableError(file, reason)
    row = dict(zip(header, cells, strict=False))
    listed = row.get("synonyms", "").replace("|", ";").split(";")
    synonyms = [word for word in listed if word.strip()]
    return _Draft(line, row["name"], synonyms, row.get("parent", "").strip() or None)


def _json_row(number: int, row: Any, file: str) -> _Draft:
    """A row of `Vocabulary.as_json`; anything else is refused."""
    if isinstance(row, Mapping):
        name, synonyms, parent = row.get("name"), row.get("synonyms") or [], row.get("parent")
        listed = isinstance(synonyms, list) and all(isinstance(word, str) for word in synonyms)
        if isinstance(name, str) and listed and (parent is None or isinstance(parent, str)):
            return _Draft(number, name, synonyms, parent or None)
    raise TableError(file, f"line {number}: not a name with a list of synonyms and a parent")


def _tidy(word: str) -> str:
    """One spelling for what looks the same: composed characters, single spaces."""
    return " ".join(unicodedata.normalize("NFC", word).split(" ")).strip()


def _checked(drafts: Sequence[_Draft], file: str) -> Vocabulary:
    if not drafts:
        raise TableError(file, "no words in it")
    if len(drafts) > MAX_TERMS:
        raise TableError(file, f"more than {MAX_TERMS} words")
    terms = [_term(draft, file) for draft in drafts]
    lines = [draft.line for draft in drafts]
    if sum(len(term.phrases) for term in terms) > MAX_PHRASES:
        raise TableError(file, f"more than {MAX_PHRASES} names and synonyms")
    _refuse_duplicates(terms, lines, file)
    terms = _resolve_parents(terms, lines, file)
    return Vocabulary(tuple(terms))


def _term(draft: _Draft, file: str) -> Term:
    name = _word(draft.name, draft.line, file)
    synonyms = [_word(word, draft.line, file) for word in draft.synonyms]
    if len(synonyms) > MAX_SYNONYMS:
        raise TableError(file, f"line {draft.line}: more than {MAX_SYNONYMS} synonyms")
    others = dict.fromkeys(word for word in synonyms if word.casefold() != name.casefold())
    parent = None if draft.parent is None else _word(draft.parent, draft.line, file)
    return Term(name, tuple(others), parent)


def _word(raw: str, line: int, file: str) -> str:
    bad = next((c for c in raw if c in _BLANK or unicodedata.category(c) in _FORBIDDEN), None)
    if bad is not None:
        reason = f"line {line}: control or invisible character U+{ord(bad):04X}"
        raise TableError(file, reason)
    word = " ".join(_tidy(raw).split())
    if not word:
        raise TableError(file, f"line {line}: empty name")
    if all(unicodedata.category(c)[0] in "MZ" for c in word):
        raise TableError(file, f"line {line}: a name of accents alone")
    if len(word) > MAX_LENGTH:
        reason = f"line {line}: {word[:20]!r}... has more than {MAX_LENGTH} characters"
        raise TableError(file, reason)
    return word


def _refuse_duplicates(terms: Sequence[Term], lines: Sequence[int], file: str) -> None:
    seen: dict[str, int] = {}
    for term, line in zip(terms, lines, strict=True):
        for phrase in dict.fromkeys(word.casefold() for word in term.phrases):
            if phrase in seen:
                reason = f"line {line}: {phrase!r} stands already in line {seen[phrase]}"
                raise TableError(file, reason)
            seen[phrase] = line


def _resolve_parents(terms: Sequence[Term], lines: Sequence[int], file: str) -> list[Term]:
    spelling = {term.name.casefold(): term.name for term in terms}
    spelling = {root: root for root in ROOTS} | spelling
    resolved = []
    for term, line in zip(terms, lines, strict=True):
        parent = None if term.parent is None else spelling.get(term.parent.casefold())
        if term.parent is not None and parent is None:
            reason = f"line {line}: the parent {term.parent!r} is not a name in this file"
            raise TableError(file, reason)
        resolved.append(Term(term.name, term.synonyms, parent))
    _refuse_circles(resolved, lines, file)
    return resolved


def _refuse_circles(terms: Sequence[Term], lines: Sequence[int], file: str) -> None:
    """No term may be its own ancestor, nor have more than MAX_LEVELS - 1 ancestors."""
    parents = {term.name: term.parent for term in terms}
    depth: dict[str, int] = {}  # of terms known to be sound
    for term, line in zip(terms, lines, strict=True):
        path: dict[str, None] = {}
        at: str | None = term.name
        while at is not None and at not in depth:
            if at in path:
                raise TableError(file, f"line {line}: {at!r} is its own ancestor")
            path[at] = None
            at = parents.get(at)
        base = 0 if at is None else depth[at]
        depth |= {name: base + step for step, name in enumerate(reversed(path), 1)}
        if depth[term.name] > MAX_LEVELS:
            raise TableError(file, f"line {line}: more than {MAX_LEVELS} levels of parents")
