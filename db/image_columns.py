"""The metadata columns of images: what a table of labels said beside label and split.

Columns are the keys of `meta`, the group ("group") and whether there is a mask ("mask"). Every
value is text; an empty cell is no value.
"""

from collections.abc import Mapping
from typing import Any

GROUP, MASK = "group", "mask"


def columns_of(
    meta: Mapping[str, Any], group_name: str | None, mask_path: str | None
) -> dict[str, str]:
    """Column -> value of one image.

    Args:
        meta: cells of the table by column; a key "group" or "mask" yields to the built-in one.
        group_name, mask_path: of the image.

    >>> columns_of({"site": "B", "age": 61, "note": ""}, "naevus, ruler", None)
    {'site': 'B', 'age': '61', 'group': 'naevus, ruler', 'mask': 'no'}
    """
    found = {name: text for name, value in meta.items() if (text := as_text(value)) is not None}
    group = as_text(group_name)
    if group is not None:
        found[GROUP] = group
    return found | {MASK: "no" if mask_path is None else "yes"}


def as_text(value: Any) -> str | None:
    """A cell as text; None where it holds nothing.

    >>> as_text(True), as_text(2.5), as_text("  "), as_text(None)
    ('yes', '2.5', None, None)
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = "" if value is None else str(value).strip()
    return text or None
