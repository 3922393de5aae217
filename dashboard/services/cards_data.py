"""The data card of a project: which images there are, and how they are labelled and split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dashboard.services.cards_model import LIBRARY, license_of
from dashboard.services.cards_text import code, front_matter, inline, slug, table
from dashboard.viewmodels.report_content import ReportContent
from db.trace_records import ImageTally

SIZES = (
    (1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"),
)  # fmt: skip
VALUES = 12  # of a column that are listed
WORDS = 60  # of the vocabulary


@dataclass(frozen=True)
class Data:
    """What the card is written from."""

    name: str
    notice: str
    classes: tuple[str, ...]
    tallies: Sequence[ImageTally]  # per label, split and group
    sides: tuple[int, int, int, int]  # least and most width, least and most height, pixels
    columns: Mapping[str, Mapping[str, int]]  # metadata column -> value -> images
    words: tuple[str, ...]  # of the vocabulary
    images_hash: str
    content: ReportContent
    license: str

    @property
    def total(self) -> int:
        """All images."""
        return sum(each.count for each in self.tallies)


def data_card(data: Data) -> str:
    """The whole file."""
    lines = [
        f"# {inline(data.name)}",
        "",
        f"> **{inline(data.notice)}**" if data.notice else "",
        "",
        *_summary(data),
        *_labels(data),
        *_by("Groups", "Group", data, lambda each: each.group_name),
        *_columns(data),
        *_words(data),
        *_review(data),
        *_provenance(data),
    ]
    return front_matter(metadata(data)) + "\n" + "\n".join(lines).rstrip() + "\n"


def metadata(data: Data) -> dict[str, Any]:
    """The front matter of a dataset."""
    splits = _sum(data, lambda each: each.split)
    names = {str(at): name for at, name in enumerate(data.classes)}
    return {
        **license_of(data.license),
        "pretty_name": data.name,
        "task_categories": ["image-classification"],
        "size_categories": [_size(data.total)],
        "tags": [LIBRARY, "image"],
        "dataset_info": {
            "features": [
                {"name": "image", "dtype": "image"},
                {"name": "label", "dtype": {"class_label": {"names": names}}},
            ],
            "splits": [
                {"name": slug(split or "unsplit"), "num_examples": count}
                for split, count in splits.items()
            ],
        },
    }


def _summary(data: Data) -> list[str]:
    narrow, wide, low, high = data.sides
    return [
        "## What is in it",
        "",
        f"{data.total} images, {narrow} to {wide} pixels wide and {low} to {high} high, of "
        f"{len(data.classes)} classes: {', '.join(inline(name) for name in data.classes)}.",
        "",
        "The images themselves stay where they are; a project keeps their paths, SHA-256 hashes, "
        "labels, splits, groups and further columns of the table they came with.",
        "",
    ]


def _labels(data: Data) -> list[str]:
    splits = list(_sum(data, lambda each: each.split))
    labels = list(_sum(data, lambda each: each.label))
    cells = {
        (label, split): sum(
            each.count for each in data.tallies if (each.label, each.split) == (label, split)
        )
        for label in labels
        for split in splits
    }
    rows = [
        (inline(label or "no label"), *(str(cells[label, split]) for split in splits),
         str(sum(cells[label, split] for split in splits)))
        for label in labels
    ]  # fmt: skip
    titles = ("Label", *(inline(split or "no split") for split in splits), "All")
    return ["## Labels and splits", "", *table(titles, rows)]


def _by(title: str, what: str, data: Data, of: Any) -> list[str]:
    found = _sum(data, of)
    if set(found) <= {None}:
        return []
    rows = [(inline(name or "none"), str(count)) for name, count in list(found.items())[:VALUES]]
    rest = [f"and {len(found) - VALUES} more.", ""] if len(found) > VALUES else []
    return [f"## {title}", "", *table((what, "Images"), rows), *rest]


def _columns(data: Data) -> list[str]:
    if not data.columns:
        return []
    rows = []
    for name, values in data.columns.items():
        few = ", ".join(
            f"{inline(value, 60)}: {count}" for value, count in list(values.items())[:VALUES]
        )
        more = f", and {len(values) - VALUES} more values" if len(values) > VALUES else ""
        rows.append((inline(name), str(sum(values.values())), few + more))
    return ["## Further columns", "", *table(("Column", "Images with a value", "Values"), rows)]


def _words(data: Data) -> list[str]:
    if not data.words:
        return []
    few = ", ".join(inline(word, 80) for word in data.words[:WORDS])
    more = f" and {len(data.words) - WORDS} more" if len(data.words) > WORDS else ""
    return ["## Vocabulary", "", f"Words that concepts may be named with: {few}{more}.", ""]


def _review(data: Data) -> list[str]:
    content = data.content
    spurious = [each for each in content.spurious if each.spurious][:VALUES]
    lines = ["## What people found in it", "", inline(content.coverage.sentence, 2000), ""]
    if spurious:
        names = ", ".join(f"{inline(each.name)} ({inline(each.share.text)})" for each in spurious)
        lines += [
            f"Called spurious for the question at hand: {names}. A model trained on these images "
            "may learn them instead of what the labels mean.",
            "",
        ]
    limits = [f"- {inline(each, 2000)}" for each in content.limits]
    return [*lines, "## Limits", "", *limits, ""]


def _provenance(data: Data) -> list[str]:
    at = data.content.cover.generated_at
    return [
        "## Provenance",
        "",
        f"Image set: {code(data.images_hash)} (SHA-256 over the sorted SHA-256 hashes of all "
        f"files, one a line). Written {at:%Y-%m-%d %H:%M} UTC by Insight Review.",
    ]


def _sum(data: Data, of: Any) -> dict[str | None, int]:
    """Value -> images, by name, those without one last."""
    found: dict[str | None, int] = {}
    for each in data.tallies:
        found[of(each)] = found.get(of(each), 0) + each.count
    return dict(sorted(found.items(), key=lambda item: (item[0] is None, item[0] or "")))


def _size(total: int) -> str:
    return next((name for most, name in SIZES if total < most), "n>1M")
