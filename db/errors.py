"""What the store may refuse.

StoreError
|-- NotFound            no row of that id
|-- StaleWrite          the writer had not seen the latest revision (lost update refused)
|-- Conflict            an id was used again with other content, or a unique name is taken
|   `-- IllegalTransition   a run or version cannot go from its state to that one
|-- InvalidValue        a value that no back end may keep (bad id, empty name, unknown word)
`-- Busy                another writer held the database for too long; try again
"""


class StoreError(Exception):
    """Base of every refusal of the store; its text is fit to be shown."""


class NotFound(StoreError):
    """There is no such row.

    Args:
        entity: what was looked for, in the words of the design ("case", "run").
        key: the id or name that was looked for.
    """

    def __init__(self, entity: str, key: object) -> None:
        super().__init__(f"no {entity} {key}")
        self.entity = entity
        self.key = key

    def __reduce__(self) -> tuple[type["NotFound"], tuple[str, object]]:
        return type(self), (self.entity, self.key)


class StaleWrite(StoreError):
    """Something newer was written since the writer looked; nothing was changed.

    Args:
        entity: "verdict", "assessment" or "concept name".
        based_on: the revision the writer had seen (0 = none).
        current: the revision that stands now.
    """

    def __init__(self, entity: str, based_on: int, current: int) -> None:
        super().__init__(
            f"this {entity} was changed meanwhile (you saw revision {based_on}, "
            f"revision {current} stands): look again before you write"
        )
        self.entity = entity
        self.based_on = based_on
        self.current = current

    def __reduce__(self) -> tuple[type["StaleWrite"], tuple[str, int, int]]:
        return type(self), (self.entity, self.based_on, self.current)


class Conflict(StoreError):
    """The same id came with other content, or a name that must be unique is taken."""


class IllegalTransition(Conflict):
    """A run or a model version cannot go from its present state to the one asked for."""


class InvalidValue(StoreError):
    """A value that may not be stored: a malformed id, an empty name, an unknown word."""


class Busy(StoreError):
    """Another program held the write lock for longer than the busy timeout; nothing changed."""
