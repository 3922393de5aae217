"""Zip files whose bytes depend on their content alone, and zip files that nobody has to trust.

What is written has no times, one order and one way of packing. What is read is checked before a
byte of it is used: names, kinds and sizes of all members, and each member's bytes while they are
unpacked, so that a few kilobytes cannot become a full disk.
"""

from __future__ import annotations

import hashlib
import json
import stat
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Final, Self

from core.errors import InputError
from dashboard.services.strict_json import no_constant, unique_keys

PIECE: Final = 2**20  # bytes
MOST_MEMBERS: Final = 2_000_000
MOST_BYTES: Final = 2**40  # unpacked, of all members
FREE_BYTES: Final = 2**26  # unpacked, that a file of any size may hold
RATIO: Final = 250  # unpacked bytes per packed byte, beyond those
LONGEST_LINE: Final = 2**27  # bytes
_BEGINNING: Final = (1980, 1, 1, 0, 0, 0)  # of time, as zip files see it
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@dataclass(frozen=True)
class Member:
    """A file inside a zip file."""

    name: str
    sha256: str
    size: int  # bytes, unpacked


class Packer:
    """Writes a zip file member by member; use it in a `with` block."""

    def __init__(self, path: Path) -> None:
        self._zip = zipfile.ZipFile(path, "w", allowZip64=True)
        self.members: list[Member] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._zip.close()

    def add(self, name: str, pieces: Iterable[bytes], *, squeeze: bool = True) -> Member:
        """Write one member from pieces; `squeeze` False for what is packed already."""
        info = zipfile.ZipInfo(name, _BEGINNING)
        info.compress_type = zipfile.ZIP_DEFLATED if squeeze else zipfile.ZIP_STORED
        info.create_system = 3  # alike on every system
        info.external_attr = (stat.S_IFREG | 0o644) << 16
        digest, size = hashlib.sha256(), 0
        with self._zip.open(info, "w", force_zip64=True) as file:
            for piece in pieces:
                file.write(piece)
                digest.update(piece)
                size += len(piece)
        member = Member(name, digest.hexdigest(), size)
        self.members.append(member)
        return member

    def add_json(self, name: str, content: Any) -> Member:
        """Write a small JSON document."""
        text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
        return self.add(name, [text.encode("utf-8"), b"\n"])


class Unpacker:
    """Reads a zip file from anywhere; use it in a `with` block.

    Raises InputError, naming the file and the member, for one that is damaged, encrypted, too
    large, or has a member that would leave its folder or is no plain file.
    """

    def __init__(self, path: Path) -> None:
        self.file = path.name
        try:
            self._zip = zipfile.ZipFile(path)
        except OSError as error:
            raise InputError(path.name, f"cannot be read ({error.strerror})") from None
        except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError):
            raise InputError(path.name, "is not a zip file, or its end is missing") from None
        try:
            self._members = self._checked(path.stat().st_size)
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._zip.close()

    @property
    def names(self) -> tuple[str, ...]:
        """Every member, in the order of the file."""
        return tuple(self._members)

    def size(self, name: str) -> int:
        """Bytes of a member, unpacked, as the file claims."""
        return self._members[name].file_size

    def blocks(self, name: str) -> Iterator[bytes]:
        """The bytes of a member in pieces."""
        info = self._members.get(name)
        if info is None:
            raise InputError(self.file, f"{name} is missing")
        left = info.file_size
        try:
            with self._zip.open(info) as file:
                while piece := file.read(PIECE):
                    left -= len(piece)
                    if left < 0:
                        raise InputError(self.file, f"{name} is larger than it claims")
                    yield piece
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            NotImplementedError,
            RuntimeError,
            OSError,
        ):
            raise InputError(self.file, f"{name} is damaged") from None
        if left:
            raise InputError(self.file, f"{name} is cut off")

    def lines(self, name: str) -> Iterator[bytes]:
        """The lines of a member, without their ends; the last one need have none."""
        rest = b""
        for block in self.blocks(name):
            *lines, rest = (rest + block).split(b"\n")
            yield from lines
            if len(rest) > LONGEST_LINE:
                raise InputError(self.file, f"{name} has a line that is too long")
        if rest:
            yield rest

    def json(self, name: str, most: int = 2**26) -> Any:
        """A JSON document of at most `most` bytes."""
        if name in self._members and self.size(name) > most:
            raise InputError(self.file, f"{name} is larger than {most // 2**20} MiB")
        return parsed(b"".join(self.blocks(name)), self.file, name)

    def sha256(self, name: str) -> str:
        """Hash of a member's bytes."""
        digest = hashlib.sha256()
        for block in self.blocks(name):
            digest.update(block)
        return digest.hexdigest()

    def extract(self, name: str, target: Path) -> None:
        """Write a member to a file that is not there yet."""
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                for block in self.blocks(name):
                    file.write(block)
        except OSError as error:
            raise InputError(self.file, f"{name} cannot be unpacked ({error.strerror})") from None

    def _checked(self, packed: int) -> dict[str, zipfile.ZipInfo]:
        found: dict[str, zipfile.ZipInfo] = {}
        every = self._zip.infolist()
        if len(every) > MOST_MEMBERS:
            raise InputError(self.file, f"has more than {MOST_MEMBERS} members")
        for info in every:
            if info.is_dir() and info.file_size == 0 and is_plain(info.filename.rstrip("/")):
                continue  # a folder of its own, as other programs write them
            reason = _fault(info)
            if reason is None and info.filename in found:
                reason = "is there twice"
            if reason is not None:
                raise InputError(self.file, f"{info.filename[:200]!r} {reason}")
            found[info.filename] = info
        total = sum(info.file_size for info in found.values())
        if total > min(MOST_BYTES, FREE_BYTES + RATIO * packed):
            raise InputError(self.file, f"would unpack to {total} bytes: refused")
        return found


def is_plain(name: str) -> bool:
    """Whether a member's name is a relative path that stays in its folder on every system.

    >>> is_plain("versions/ab/head.json"), is_plain("../x"), is_plain("C:/x"), is_plain("a//b")
    (True, False, False, False)
    """
    if not name or name.startswith("/") or any(ord(c) < 32 or c in '\\:"<>|?*\x7f' for c in name):
        return False
    return str(PurePosixPath(name)) == name and ".." not in PurePosixPath(name).parts


def parsed(blob: bytes, file: str, where: str) -> Any:
    """JSON without NaN and without the same key twice. Raises InputError naming file and place."""
    try:
        return json.loads(blob, parse_constant=no_constant, object_pairs_hook=unique_keys)
    except UnicodeDecodeError:
        raise InputError(file, f"{where} is not UTF-8 text") from None
    except RecursionError:
        raise InputError(file, f"{where} is nested too deeply") from None
    except ValueError as error:
        raise InputError(file, f"{where} is not valid JSON ({error})") from None


def _fault(info: zipfile.ZipInfo) -> str | None:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if not is_plain(info.filename):
        return "is a name that could leave its folder"
    if kind not in (0, stat.S_IFREG):
        return "is not a plain file"
    if info.flag_bits & 1:
        return "is encrypted"
    return None if info.compress_type in _METHODS else "is packed in an unknown way"
