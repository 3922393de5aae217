"""What came of a file of words."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ImportView:
    """What a data file held and what of it was taken."""

    form: str  # "json", "csv", "parquet", "coco"
    added: tuple[tuple[str, int], ...]  # what ("class verdicts"), how many; none that are zero
    unchanged: int  # known before
    refused: int
    problems: tuple[str, ...]  # "verdicts.csv line 3: reason"; the first ones
    wrote: bool  # False: only looked
