"""Which images a drift check compares: said by split, by any column of the images, or by day.

Free of the engine. Days are those of the ingest, in UTC.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, Final, cast, get_args

from core.errors import ConfigError
from dashboard.services.compared import splits_of
from dashboard.services.run_data import TRAIN, VAL
from dashboard.viewmodels.drift import ImageSet, SetChoice, SetKind
from db.image_columns import columns_of
from db.records import ImageRecord, VersionRecord
from db.unit_of_work import UnitOfWork

LEAST: Final = 20  # images that each side needs
MOST_VALUES: Final = 60  # of a column that can be chosen from
DEVELOPMENT: Final = frozenset({TRAIN, VAL, ""})
LABELS: Final = {"split": "Split", "since": "Ingested since", "group": "Group", "mask": "Mask"}


@dataclass(frozen=True)
class Seen:
    """One image with what it can be chosen by."""

    image: ImageRecord
    split: str  # as runs resolve it; "" for an image that has none
    cells: Mapping[str, str]  # column -> value

    @property
    def day(self) -> str:
        """Day of the ingest, "2026-11-20"."""
        return self.image.created_at.date().isoformat()


@dataclass(frozen=True)
class Sides:
    """The two sets of images, by path."""

    new: tuple[Seen, ...]
    reference: tuple[Seen, ...]
    reference_words: str


def seen(uow: UnitOfWork, version: VersionRecord) -> tuple[Seen, ...]:
    """Every image of a version's project, by path."""
    splits = splits_of(uow, version, {r.image_id: r for r in uow.cases.predictions(version.id)})
    return tuple(
        Seen(
            image, splits.get(image.id, image.split or ""),
            columns_of(image.meta, image.group_name, image.mask_path),
        )
        for image in uow.images.list(version.project_id)
    )  # fmt: skip


def chosen(images: Sequence[Seen], wanted: ImageSet) -> tuple[Seen, ...]:
    """The images that are meant. Raises ConfigError for a set that cannot be understood."""
    checked = check(wanted)
    return tuple(each for each in images if _is_in(each, checked))


def sides(images: Sequence[Seen], new: ImageSet, reference: ImageSet | None) -> Sides:
    """New images and what they are compared with.

    Without a reference of its own: every other image that the model may learn from (split train or
    val, or none), and where those are fewer than LEAST, every other image.

    Raises ConfigError where a set cannot be understood or a side has fewer than LEAST images.
    """
    fresh = chosen(images, new)
    inside = {each.image.id for each in fresh}
    others = tuple(each for each in images if each.image.id not in inside)
    if reference is not None:
        known, words = chosen(others, reference), in_words(reference)
    else:
        known = tuple(each for each in others if each.split in DEVELOPMENT)
        words = "all other images that the model may learn from"
        if len(known) < LEAST:
            known, words = others, "all other images"
    for what, found in ((in_words(new), fresh), (words, known)):
        if len(found) < LEAST:
            raise ConfigError(
                f"only {len(found)} images are in the set {what!r}; at least {LEAST} are needed "
                "on each side: choose a wider set"
            )
    return Sides(fresh, known, words)


def in_words(wanted: ImageSet) -> str:
    """A set as shown.

    >>> in_words(ImageSet("column", ("B", "C"), "camera"))
    'camera = B or C'
    """
    values = " or ".join(wanted.values)
    match wanted.kind:
        case "split":
            return f"split {values}"
        case "since":
            return f"ingested on {values} or later"
        case "column":
            return f"{wanted.column} = {values}"


def check(wanted: ImageSet) -> ImageSet:
    """The set itself. Raises ConfigError where it cannot be understood."""
    if wanted.kind not in get_args(SetKind):
        raise ConfigError(f"images are chosen by {', '.join(get_args(SetKind))}")
    if not wanted.values or not all(wanted.values):
        raise ConfigError("say which value the images have")
    if (wanted.kind == "column") != bool(wanted.column):
        raise ConfigError("a column is named where images are chosen by column, and only there")
    if wanted.kind == "since":
        if len(wanted.values) != 1:
            raise ConfigError("one day says since when")
        try:
            date.fromisoformat(wanted.values[0])
        except ValueError:
            raise ConfigError(
                f"{wanted.values[0]!r} is not a day: write it as 2026-11-20"
            ) from None
    return wanted


def as_json(wanted: ImageSet | None) -> dict[str, Any] | None:
    """Plain JSON; `from_json` restores it."""
    return None if wanted is None else {**asdict(wanted), "values": list(wanted.values)}


def from_json(raw: Mapping[str, Any] | None) -> ImageSet | None:
    """Restore what `as_json` gave."""
    if raw is None:
        return None
    values = tuple(str(value) for value in raw["values"])
    return check(ImageSet(cast("SetKind", str(raw["kind"])), values, str(raw.get("column", ""))))


def choices(images: Sequence[Seen]) -> tuple[SetChoice, ...]:
    """Everything that new images can be told by, usable ones first."""
    columns = sorted({name for each in images for name in each.cells})
    found = [
        _days(images),
        _choice("split", "", [each.split for each in images]),
        *(_choice("column", name, [each.cells.get(name, "") for each in images])
          for name in columns),
    ]  # fmt: skip
    return tuple(sorted(found, key=lambda choice: not choice.usable))


def proposed(images: Sequence[Seen], version: VersionRecord) -> ImageSet | None:
    """What is most likely meant: images that came after the version, else a held-out split."""
    made = version.created_at.date().isoformat()
    later = sorted({each.day for each in images if each.day > made})
    sets = [ImageSet("since", (day,)) for day in later[:1]]
    held = Counter(each.split for each in images if each.split not in DEVELOPMENT)
    sets += [ImageSet("split", (name,)) for name, _ in held.most_common()]
    for wanted in sets:
        try:
            sides(images, wanted, None)
        except ConfigError:
            continue
        return wanted
    return None


def _is_in(each: Seen, wanted: ImageSet) -> bool:
    match wanted.kind:
        case "split":
            return each.split in wanted.values
        case "since":
            return each.day >= wanted.values[0]
        case "column":
            return each.cells.get(wanted.column) in wanted.values


def _choice(kind: SetKind, column: str, values: Sequence[str]) -> SetChoice:
    counts = Counter(value for value in values if value)
    listed = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    why = ""
    if len(counts) < 2 and len(values) - counts.total() < LEAST:
        why = "all images have the same value"
    elif len(counts) > MOST_VALUES:
        why = f"it has {len(counts)} values, too many to choose from"
    elif not any(LEAST <= n <= len(values) - LEAST for n in counts.values()):
        why = f"no value leaves {LEAST} images on each side"
    label = LABELS.get(column or kind, column)
    return SetChoice(kind, column, label, () if why else tuple(listed), not why, why)


def _days(images: Sequence[Seen]) -> SetChoice:
    """Days on which images came, latest first, each with the images of that day or later."""
    counts = Counter(each.day for each in images)
    found, total = [], 0
    for day in sorted(counts, reverse=True):
        total += counts[day]
        if LEAST <= total <= len(images) - LEAST:
            found.append((day, total))
    why = "" if found else f"no day leaves {LEAST} images before it and as many since"
    return SetChoice("since", "", LABELS["since"], tuple(found), not why, why)
