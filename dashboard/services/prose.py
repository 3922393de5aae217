"""Free text that people type: reasons, notes, descriptions."""

from __future__ import annotations

from core.errors import ConfigError

MAX_PROSE = 4000  # characters


def clean_prose(text: str, what: str, *, limit: int = MAX_PROSE) -> str:
    """Line ends unified and control characters dropped; HTML stays text (screens escape it).

    Raises ConfigError for a text that is longer than `limit` characters.

    >>> clean_prose(" a\\r\\nb\\x00 ", "the note")
    'a\\nb'
    """
    clean = text.replace("\r\n", "\n").replace("\r", "\n")
    clean = "".join(ch for ch in clean if ch in "\n\t" or (ord(ch) >= 32 and ord(ch) != 127))
    clean = clean.strip()
    if len(clean) > limit:
        raise ConfigError(f"{what} is longer than {limit} characters")
    return clean
