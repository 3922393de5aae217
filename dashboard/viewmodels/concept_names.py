"""What concepts are called in a list: by name, with the number where two of them share one.

A dictionary often has several concepts for one thing, and they bear one name. On the desk their
place in the picture tells them apart; in a list of concepts, their number does.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

SHOWN: Final = 6  # hexadecimal characters of a dictionary's hash
NUMBER: Final = " · no. "  # as the desk writes it


def told_apart(names: Mapping[int, str]) -> dict[int, str]:
    """Names to show by number: those that several concepts bear, in capitals or not, get it.

    >>> told_apart({1: "ruler", 2: "hair", 7: "Ruler"})
    {1: 'ruler · no. 1', 2: 'hair', 7: 'Ruler · no. 7'}
    """
    often = Counter(name.casefold() for name in names.values())
    return {n: numbered(name, n) if often[name.casefold()] > 1 else name
            for n, name in names.items()}  # fmt: skip


def numbered(name: str, number: int | str) -> str:
    """A name with its concept's number (or numbers), as on the desk.

    >>> numbered("ruler", 29)
    'ruler · no. 29'
    """
    return f"{name}{NUMBER}{number}"


def cut(name: str, most: int) -> str:
    """A name of at most about `most` characters; its number is never cut off.

    >>> cut("seborrhoeic keratosis, upper rim · no. 29", 12), cut("hair", 12)
    ('seborrhoeic… · no. 29', 'hair')
    """
    if len(name) <= most:
        return name
    head, mark, number = name.rpartition(NUMBER)
    if not mark:
        return f"{name[: most - 1]}…"
    return f"{head if len(head) <= most else f'{head[: most - 1]}…'}{mark}{number}"


def by_id(concepts: Iterable[tuple[str, int, str, str]]) -> dict[str, str]:
    """Names to show by the concept's id, for concepts of one dictionary or of several.

    Numbers begin anew in each dictionary: where name and number are shared, its hash is added.

    Args:
        concepts: (id, number, hash of the dictionary, name) of each.

    >>> by_id([("a", 1, "3fa2c15b", "ruler"), ("b", 7, "3fa2c15b", "ruler")])
    {'a': 'ruler · no. 1', 'b': 'ruler · no. 7'}
    >>> by_id([("a", 1, "3fa2c15b", "ruler"), ("b", 1, "77e0d2c4", "ruler")])
    {'a': 'ruler · no. 1 of 3fa2c1', 'b': 'ruler · no. 1 of 77e0d2'}
    """
    listed = {each[0]: each for each in concepts}
    often = Counter(name.casefold() for _, _, _, name in listed.values())
    twice = Counter((name.casefold(), number) for _, number, _, name in listed.values())
    found = {}
    for key, (_, number, dictionary, name) in listed.items():
        shown = numbered(name, number) if often[name.casefold()] > 1 else name
        again = twice[name.casefold(), number] > 1
        found[key] = f"{shown} of {dictionary[:SHOWN]}" if again else shown
    return found
