"""What tells things of one name apart, as an addition that never becomes part of the name.

A dictionary often has several concepts for one thing: three that fire on rulers, each on another
part or in another place. They bear one name, and rightly so. Where they stand side by side, each
gets a qualifier: the first of its hints (its place in the picture, say) that no namesake shares,
else its number. A thing whose name is unique gets none.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Namesake:
    """Something with a name that others may have too."""

    number: int  # unique among those compared
    name: str
    hints: tuple[str, ...] = ()  # what may tell it apart, best first; "" says nothing


def qualifiers(things: Iterable[Namesake]) -> dict[int, str]:
    """Number -> qualifier, for the things whose name another one bears, in capitals or not.

    Qualifiers differ among things of one name, and do not depend on the order given.

    >>> three = [Namesake(4, "ruler", ("upper left",)), Namesake(9, "ruler", ("centre",))]
    >>> qualifiers([*three, Namesake(2, "hair", ("centre",)), Namesake(7, "Ruler", ("centre",))])
    {4: 'upper left', 7: 'no. 7', 9: 'no. 9'}
    """
    groups: dict[str, list[Namesake]] = defaultdict(list)
    for thing in sorted(things, key=lambda each: each.number):
        groups[thing.name.casefold()].append(thing)
    found: dict[int, str] = {}
    for group in groups.values():
        if len(group) > 1:
            shared = Counter(hint for thing in group for hint in {*thing.hints})
            found |= {thing.number: _qualifier(thing, shared) for thing in group}
    return dict(sorted(found.items()))


def _qualifier(thing: Namesake, shared: Counter[str]) -> str:
    alone = (hint for hint in thing.hints if hint and shared[hint] == 1)
    return next(alone, f"no. {thing.number}")
