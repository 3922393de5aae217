"""Pages made of HTML, each part of a report in a process of its own, and the parts joined.

A process that ends gives all its memory back, so that a report of any length needs that of one
part. It also keeps what WeasyPrint does on import (it changes a setting of Pillow for the whole
process, after which damaged images are read as if nothing were wrong) away from everything else.

    python -m dashboard.services.report_pdf check
    python -m dashboard.services.report_pdf render PART.html PART.pdf FIRST_PAGE TAGGED
    python -m dashboard.services.report_pdf join WHOLE.pdf PLAN.json

Each prints one line of JSON. Nothing is fetched from anywhere: only data URIs are followed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from core.errors import InsightError

TO_INSTALL: Final = "libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-liberation"
ROOT: Final = Path(__file__).resolve().parents[2]
NO_LIBRARY, NO_FONT = 11, 12  # exit codes of the process of a part
TAGGED: Final = "pdf/ua-1"
LONGEST_REASON = 300  # characters


class PdfUnavailable(InsightError):
    """This machine cannot make PDF; every other form is made as ever."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"PDF cannot be made on this machine: {why}. Install the system packages {TO_INSTALL} "
            "(names as in Debian and Ubuntu), or make the report as HTML and print it"
        )


class PdfFailed(InsightError):
    """A part of a report could not be laid out."""


@dataclass(frozen=True)
class Part:
    """A part of a report that was laid out."""

    path: Path
    pages: int
    title: str  # for the bookmarks
    keeps_bookmarks: bool = False


def check() -> None:
    """Raises PdfUnavailable where PDF cannot be made here; says in a second what hours would."""
    _child("check")


def render(html: Path, pdf: Path, *, first_page: int = 1, tagged: bool = False) -> int:
    """Lay a file of HTML out as PDF; returns how many pages it has.

    Args:
        first_page: number printed on the first page.
        tagged: with the structure that screen readers use (PDF/UA-1).

    Raises PdfUnavailable, PdfFailed.
    """
    found = _child("render", str(html), str(pdf), str(first_page), "yes" if tagged else "no")
    return int(found["pages"])


def join(parts: Sequence[Part], target: Path, about: Mapping[str, str]) -> int:
    """Write the parts one behind the other; returns how many pages there are.

    Args:
        about: entries of the document's information, e.g. {"/Title": ..}.
    """
    plan = target.with_name(target.name + ".plan.json")
    rows = [{"path": str(p.path), "title": p.title, "bookmarks": p.keeps_bookmarks} for p in parts]
    plan.write_text(json.dumps({"parts": rows, "about": dict(about)}), encoding="utf-8")
    try:
        return int(_child("join", str(target), str(plan))["pages"])
    finally:
        plan.unlink()


def _child(*words: str) -> dict[str, Any]:
    """Run this module in a process of its own and read the line that it prints."""
    path = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH", ""), str(ROOT))))
    done = subprocess.run(
        [sys.executable, "-m", "dashboard.services.report_pdf", *words],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": path},
        encoding="utf-8", errors="replace",
    )  # fmt: skip
    if done.returncode == 0:
        found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        return found
    said = (done.stderr.strip().splitlines() or ["no word"])[-1][:LONGEST_REASON]
    match done.returncode:
        case code if code == NO_LIBRARY:
            raise PdfUnavailable(f"a library is missing ({said})")
        case code if code == NO_FONT:
            raise PdfUnavailable("it has no font that the report could be set in")
    raise PdfFailed(f"a part of the PDF could not be laid out ({said})")


def _weasyprint() -> Any:
    """WeasyPrint; what its import changes in Pillow is put back at once."""
    from PIL import ImageFile

    before = ImageFile.LOAD_TRUNCATED_IMAGES
    try:
        import weasyprint
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before
    return weasyprint


def _require() -> Any:
    try:
        return _weasyprint()
    except (OSError, ImportError) as error:  # a system library, or the package itself
        sys.stderr.write(f"{' '.join(str(error).split())[:LONGEST_REASON]}\n")
        raise SystemExit(NO_LIBRARY) from None


def _render(html: str, pdf: str, first_page: str, tagged: str) -> dict[str, Any]:
    weasyprint = _require()
    fetcher = weasyprint.urls.URLFetcher(allowed_protocols=("data",))
    number = weasyprint.CSS(string=f"@page :first {{ counter-reset: page {int(first_page)} }}")
    text = Path(html).read_text(encoding="utf-8")
    options = {"pdf_variant": TAGGED} if tagged == "yes" else {}
    laid_out = weasyprint.HTML(string=text, url_fetcher=fetcher, base_url="data:,").render(
        stylesheets=[number], **options
    )
    laid_out.write_pdf(pdf, **options)
    if not laid_out.fonts:
        raise SystemExit(NO_FONT)
    return {"pages": len(laid_out.pages)}


def _check() -> dict[str, Any]:
    """Libraries are there, and so is a font: a letter is set."""
    weasyprint = _require()
    laid_out = weasyprint.HTML(string="<p>A</p>").render()
    laid_out.write_pdf()
    if not laid_out.fonts:
        raise SystemExit(NO_FONT)
    return {"pages": len(laid_out.pages)}


def _join(target: str, plan: str) -> dict[str, Any]:
    from pypdf import PdfReader, PdfWriter

    asked = json.loads(Path(plan).read_text(encoding="utf-8"))
    writer = PdfWriter()
    for part in asked["parts"]:
        keeps = bool(part["bookmarks"])
        title = None if keeps else str(part["title"])
        writer.append(PdfReader(part["path"]), outline_item=title, import_outline=keeps)
    writer.add_metadata(asked["about"])
    with Path(target).open("wb") as file:
        writer.write(file)
    return {"pages": len(writer.pages)}


def main(words: Sequence[str]) -> int:
    """What the process of a part does; see the module's docstring."""
    acts: dict[str, Callable[..., dict[str, Any]]] = {
        "check": _check, "render": _render, "join": _join,
    }  # fmt: skip
    found = acts[words[0]](*words[1:])
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
