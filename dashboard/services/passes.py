"""Signed passes for the app's own routes, which stand outside Streamlit's sessions.

A screen that may show a picture signs its address; the route serves what carries a valid pass and
nothing else. A pass is bound to one path and its query, ends after some hours, and is worth nothing
to another process: the secret is made anew with each.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable
from typing import Final
from urllib.parse import quote, urlencode

WINDOW: Final = 6 * 3600  # seconds; a pass lives for one to two windows
EXPIRES: Final = "until"
PASS: Final = "pass"


class Passes:
    """Signs and checks addresses. One per process; safe to share between threads."""

    def __init__(
        self,
        secret: bytes | None = None,
        clock: Callable[[], float] = time.time,
        window: int = WINDOW,
    ) -> None:
        self._secret = secret or secrets.token_bytes(32)
        self._clock = clock
        self._window = window

    def url(self, path: str, **query: str | int) -> str:
        """The address of `path` with a pass in it.

        Within a window it is the same each time, so that the browser's cache finds it again and
        a rerun has nothing new to send.
        """
        until = (int(self._clock()) // self._window + 2) * self._window
        pairs = [(name, str(value)) for name, value in query.items()] + [(EXPIRES, str(until))]
        path = quote(path)
        return f"{path}?{urlencode([*pairs, (PASS, self._sign(path, pairs))])}"

    def allows(self, path: str, query: Iterable[tuple[str, str]]) -> bool:
        """Whether a request for `path` (as it was asked for, percent signs and all) may pass."""
        pairs = list(query)
        given = [value for name, value in pairs if name == PASS]
        until = [value for name, value in pairs if name == EXPIRES]
        if len(given) != 1 or len(until) != 1 or not until[0].isdecimal():
            return False
        signed = self._sign(path, [pair for pair in pairs if pair[0] != PASS])
        if not hmac.compare_digest(signed.encode(), given[0].encode("utf-8", "replace")):
            return False
        return self._clock() < int(until[0])

    def _sign(self, path: str, pairs: list[tuple[str, str]]) -> str:
        message = f"{path}?{urlencode(sorted(pairs))}".encode()
        digest = hmac.new(self._secret, message, hashlib.sha256).digest()
        return urlsafe_b64encode(digest).decode("ascii").rstrip("=")
