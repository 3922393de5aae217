"""How stored text speaks of people: by id, never by name.

Names live in `reviewers` alone, the one table of people that may change: a name can then be
replaced for good (see db.repositories.redactions) while what the person did stays as it was said.
"""

from collections.abc import Iterator, Mapping
from typing import Any

PREFIX = "person:"
PROGRAMS = frozenset({"command line", "engine", "ingest", "insight", "system", "worker"})
"""What does things by itself; no person may sign in under such a name."""


def person_key(reviewer_id: str) -> str:
    """A person as the audit log and frozen content name them.

    >>> person_key("7f3a")
    'person:7f3a'
    """
    return PREFIX + reviewer_id


def person_id(text: object) -> str | None:
    """The id in such a key; None for anything else.

    >>> person_id("person:7f3a"), person_id("worker")
    ('7f3a', None)
    """
    return text[len(PREFIX) :] if isinstance(text, str) and text.startswith(PREFIX) else None


def people_in(value: Any) -> Iterator[str]:
    """Ids of the people that a JSON value names, at any depth."""
    found = person_id(value)
    if found is not None:
        yield found
    elif isinstance(value, dict):
        for each in value.values():
            yield from people_in(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from people_in(each)


def named(value: Any, names: Mapping[str, str]) -> Any:
    """The value with names in the place of keys; a key of nobody known stays.

    >>> named({"by": "person:7f3a", "cases": [3]}, {"7f3a": "Ada"})
    {'by': 'Ada', 'cases': [3]}
    """
    found = person_id(value)
    if found is not None:
        return names.get(found, value)
    if isinstance(value, dict):
        return {key: named(each, names) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(named(each, names) for each in value)
    return value
