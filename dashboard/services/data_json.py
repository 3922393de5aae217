"""A large JSON document read piece by piece: one element of a list at a time is in memory."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

from core.errors import InputError
from dashboard.services.strict_json import no_constant, unique_keys

PIECE: Final = 2**18  # bytes read at a time
LARGEST: Final = 2**26  # characters of one element
_SPACE: Final = " \t\n\r"


class JsonDocument:
    """An object in a file, whose lists may be longer than memory.

    Every method raises InputError naming the file for what is not UTF-8 or no valid JSON.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def keys(self) -> tuple[str, ...]:
        """The keys of the object, in the order of the file."""
        with self._open() as cursor:
            found: list[str] = []
            if not cursor.at_object():
                return ()
            for key in cursor.keys():  # noqa: SIM118  not a mapping
                found.append(key)
                cursor.skip()
            return tuple(found)

    def value(self, key: str) -> Any:
        """The (small) value of a key; None where it is missing, or the file is no object."""
        with self._open() as cursor:
            return cursor.value() if cursor.seek(key) else None

    def items(self, *path: str) -> Iterator[Any]:
        """The elements of the list under a key, or under a key of an object; empty if missing."""
        with self._open() as cursor:
            if all(cursor.seek(key) for key in path):
                yield from cursor.elements()

    def _open(self) -> _Cursor:
        return _Cursor(self._path)


class _Cursor:
    """A place in the text of a file; goes only forwards."""

    def __init__(self, path: Path) -> None:
        self._name = path.name
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self._read = json.JSONDecoder(
            parse_constant=no_constant, object_pairs_hook=unique_keys
        ).raw_decode
        self._text, self._at, self._ended = "", 0, False
        try:
            self._file: IO[bytes] = path.open("rb")
        except OSError as error:
            raise InputError(path.name, f"cannot be read ({error.strerror})") from None

    def __enter__(self) -> _Cursor:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def keys(self) -> Iterator[str]:
        """Each key of the object that begins here; the caller takes or skips its value."""
        self._take("{")
        if self._peek() == "}":
            self._at += 1
            return
        while True:
            key = self.value()
            if not isinstance(key, str):
                raise self._broken("a key is no text")
            self._take(":")
            yield key
            if self._take(",}") == "}":
                return

    def at_object(self) -> bool:
        """Whether an object begins here."""
        return self._peek() == "{"

    def seek(self, key: str) -> bool:
        """Go to the value of that key of the object that begins here; whether there is one."""
        if not self.at_object():
            return False
        for found in self.keys():
            if found == key:
                return True
            self.skip()
        return False

    def elements(self) -> Iterator[Any]:
        """The elements of the list that begins here."""
        self._take("[")
        if self._peek() == "]":
            self._at += 1
            return
        while True:
            yield self.value()
            if self._take(",]") == "]":
                return

    def skip(self) -> None:
        """Pass over the value that begins here; only lists are passed over bit by bit."""
        start = self._peek()
        if start == "[":
            for _ in self.elements():
                pass
        elif start == "{":
            for _ in self.keys():
                self.skip()
        else:
            self.value()

    def value(self) -> Any:
        """The whole value that begins here."""
        self._peek()
        while True:
            try:
                value, end = self._read(self._text, self._at)
                if end < len(self._text) or self._ended:  # a number may go on
                    self._at = end
                    return value
            except RecursionError:
                raise self._broken("it is nested too deeply") from None
            except json.JSONDecodeError as error:
                if self._ended:
                    raise self._broken(error.msg) from None
            except ValueError as error:
                raise self._broken(str(error)) from None
            if len(self._text) - self._at > LARGEST:
                raise self._broken("one element is too large")
            self._more(len(self._text) - self._at)

    def _peek(self) -> str:
        """The next character that is no space."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in _SPACE:
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if self._ended:
                raise self._broken("it ends too early")
            self._more()

    def _take(self, allowed: str) -> str:
        found = self._peek()
        if found not in allowed:
            raise self._broken(f"found {found!r} instead of {' or '.join(allowed)}")
        self._at += 1
        return found

    def _more(self, least: int = 0) -> None:
        """Read on; what was passed is forgotten."""
        block = self._file.read(max(PIECE, least))
        self._ended = not block
        try:
            fresh = self._decode(block, self._ended)
        except UnicodeDecodeError:
            raise InputError(self._name, "is not UTF-8 text") from None
        self._text, self._at = self._text[self._at :] + fresh, 0

    def _broken(self, why: str) -> InputError:
        return InputError(self._name, f"is not valid JSON: {why}")
