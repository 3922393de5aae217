"""Names that people type: trimmed, of bounded length, without control characters."""

from __future__ import annotations

import unicodedata

from core.errors import ConfigError

MAX_NAME = 120  # characters
# Cc control, Cf format (bidirectional overrides, zero-width), Cs surrogate, Co private, Cn unset.
_REFUSED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})


def clean_name(text: str, what: str = "the name", *, limit: int = MAX_NAME) -> str:
    """The name in Unicode NFC with single spaces between words.

    HTML and formulas stay plain text: screens and exports escape them.

    Raises:
        ConfigError: an empty name, one longer than `limit` characters, or one that holds
            control or invisible formatting characters.

    >>> clean_name("  colour   sticker ")
    'colour sticker'
    """
    normal = unicodedata.normalize("NFC", text).strip(" \u00a0\u3000")
    bad = sorted({ch for ch in normal if unicodedata.category(ch) in _REFUSED})
    if bad:
        codes = ", ".join(f"U+{ord(ch):04X}" for ch in bad[:3])
        raise ConfigError(f"{what} holds control or invisible characters ({codes})")
    clean = " ".join(normal.split())
    if not clean:
        raise ConfigError(f"{what} is empty")
    if len(clean) > limit:
        raise ConfigError(f"{what} is longer than {limit} characters")
    return clean
