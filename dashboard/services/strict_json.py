"""What JSON from elsewhere must not hold: NaN and infinities, and a key twice in one object.

For `parse_constant` and `object_pairs_hook` of the standard library's decoder.
"""

from typing import Any


def no_constant(word: str) -> Any:
    """Refuses NaN, Infinity and -Infinity with a ValueError."""
    raise ValueError(f"{word} is no JSON")


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these pairs. Raises ValueError where a key is there twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found
