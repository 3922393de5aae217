"""Which service makes which format of an export run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from dashboard.services.export_steps import Maker, Order
from dashboard.services.made import MadeFile
from dashboard.services.progress import Progress
from dashboard.services.report_scope import ReportScope
from db.records import ReviewerRecord

REPORTS: Final = ("html", "pdf")
DATA: Final[Mapping[str, str]] = {
    "json": "report.json", "csv": "report.csv.zip", "parquet": "report.parquet.zip",
    "coco": "report.coco.json",
}  # fmt: skip


class MakesReports(Protocol):
    """What is needed of ReportFiles."""

    def make(
        self, project_id: str, scope: ReportScope, formats: Sequence[str], folder: Path,
        person: ReviewerRecord | None, progress: Progress,
    ) -> tuple[MadeFile, ...]: ...  # fmt: skip


class WritesData(Protocol):
    """What is needed of DataService."""

    def write(
        self, project_id: str, scope: ReportScope, fmt: str, target: Path,
        person: ReviewerRecord | None, progress: Progress,
    ) -> MadeFile: ...  # fmt: skip


class WritesArchives(Protocol):
    """What is needed of ArchiveService."""

    def write(
        self, project_id: str, target: Path, person: ReviewerRecord | None = ..., *,
        with_images: bool = ..., progress: Progress = ...,
    ) -> MadeFile: ...  # fmt: skip


class TellsCards(Protocol):
    """What is needed of CardService."""

    def model_text(
        self, project_id: str, *, version: str | None = ..., person: ReviewerRecord | None = ...
    ) -> tuple[str, str]: ...

    def data_text(self, project_id: str, *, person: ReviewerRecord | None = ...) -> str: ...


def makers(
    reports: MakesReports | None = None, data: WritesData | None = None,
    archive: WritesArchives | None = None, cards: TellsCards | None = None,
) -> dict[str, Maker]:  # fmt: skip
    """The maker of each format, by the format's name, in the order in which they are offered."""
    found: dict[str, Maker] = {}
    if reports is not None:
        found |= {name: _report(reports) for name in REPORTS}
    if data is not None:
        found |= {name: _data(data) for name in DATA}
    if archive is not None:
        found["archive"] = _archive(archive)
    if cards is not None:
        found["cards"] = _cards(cards)
    return found


def _report(service: MakesReports) -> Maker:
    def make(order: Order) -> tuple[MadeFile, ...]:
        return service.make(
            order.project_id, order.scope, (order.format,), order.folder, order.person,
            order.progress,
        )  # fmt: skip

    return make


def _data(service: WritesData) -> Maker:
    def make(order: Order) -> tuple[MadeFile, ...]:
        target = order.folder / DATA[order.format]
        made = service.write(
            order.project_id, order.scope, order.format, target, order.person, order.progress
        )
        return (made,)

    return make


def _archive(service: WritesArchives) -> Maker:
    def make(order: Order) -> tuple[MadeFile, ...]:
        target = order.folder / "project.zip"
        return (service.write(order.project_id, target, order.person, progress=order.progress),)

    return make


def _cards(service: TellsCards) -> Maker:
    """Both cards, each in a folder of its own as the Hub wants them."""

    def make(order: Order) -> tuple[MadeFile, ...]:
        model, _ = service.model_text(
            order.project_id, version=order.scope.version, person=order.person
        )
        texts = {
            "model-card": model,
            "data-card": service.data_text(order.project_id, person=order.person),
        }
        made = []
        for name, text in texts.items():
            path = order.folder / name / "README.md"
            path.parent.mkdir(parents=True)
            path.write_text(text, encoding="utf-8")
            made.append(MadeFile.of(path, "cards"))
        return tuple(made)

    return make
