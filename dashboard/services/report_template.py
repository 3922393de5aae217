"""The template and the logo of a project's reports: the standard ones, or the project's own.

A project's own template is untrusted: it is rendered in Jinja2's sandbox, may not switch escaping
off, and is taken only after an example that holds everything was rendered with it and the page was
found to stand by itself: no script, nothing fetched from elsewhere, the notice and the hash of the
version on it. Former templates stay in the workspace, named by their hash, so that a report can be
made again as it was.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final

from jinja2 import BaseLoader, Environment, FileSystemLoader, StrictUndefined, Template, nodes
from jinja2 import TemplateError as JinjaError
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

from core.errors import InputError
from core.files import sync, write_json
from core.images import SafeLimits, load_image, png_bytes, thumbnail
from dashboard.services.report_filters import FILTERS, printable
from dashboard.services.settings_of import require
from dashboard.settings import Settings
from db.people import person_key
from db.records import new_id
from db.unit_of_work import UnitOfWorkFactory

TEMPLATES: Final = Path(__file__).parent / "templates"
STANDARD: Final = "report.html.j2"
MAX_TEMPLATE: Final = 500_000  # bytes
LOGO_LIMITS: Final = SafeLimits(max_pixels=16_000_000, max_bytes=4 * 2**20)
LOGO_KINDS: Final = {b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8\xff": "JPEG", b"RIFF": "WebP"}
LOGO_SIDE: Final = 600  # pixels
ACTIVE_TAGS: Final = frozenset(
    {"script", "iframe", "object", "embed", "link", "base", "form", "input", "button", "frame",
     "applet", "audio", "video", "foreignobject"}
)  # fmt: skip
POINTING: Final = frozenset(
    {"src", "href", "srcset", "action", "data", "poster", "background", "xlink:href", "formaction"}
)
CSS_POINTS: Final = re.compile(r"@import|url\(\s*['\"]?(?!data:|#)", re.IGNORECASE)


@dataclass(frozen=True)
class Look:
    """How a project's reports look: what stands in the files and in the record of the export."""

    source: str | None  # of the project's own template; None: the standard one
    template_sha256: str
    logo: bytes | None  # PNG
    logo_sha256: str | None

    def stamp(self) -> dict[str, str]:
        """The hashes, for the record of an export."""
        found = {"template": self.template_sha256}
        return found if self.logo_sha256 is None else {**found, "logo": self.logo_sha256}


class ReportTemplates:
    """Reads and changes how a project's reports look. Changes: leads only, with an audit line."""

    def __init__(self, uow: UnitOfWorkFactory, settings: Settings) -> None:
        self._uow = uow
        self._settings = settings

    def of(self, project_id: str) -> Look:
        """What stands. Raises InputError where a kept file was altered or is gone."""
        folder, now = self._folder(project_id), self._standing(project_id)
        template, logo = now.get("template"), now.get("logo")
        source = None if template is None else _kept(folder / f"{template}.html.j2", template)
        drawn = None if logo is None else _kept(folder / f"{logo}.png", logo)
        return Look(
            source.decode("utf-8") if source is not None else None,
            template or standard_sha256(), drawn, logo,
        )  # fmt: skip

    def set_template(self, project_id: str, reviewer_id: str, file: Path) -> str:
        """Take a template; returns its hash. Raises InputError naming what is wrong, Forbidden."""
        source = _read_text(file)
        checked(source, file.name)
        content = source.encode("utf-8")
        return self._take(project_id, reviewer_id, "template", "html.j2", content)

    def set_logo(self, project_id: str, reviewer_id: str, file: Path) -> str:
        """Take a logo (PNG, JPEG or WebP), drawn anew; returns its hash.

        Raises ImageError, InputError, Forbidden.
        """
        try:
            with file.open("rb") as handle:
                start = handle.read(16)
        except OSError as error:
            raise InputError(file.name, f"cannot be read ({error.strerror})") from None
        if not any(start.startswith(magic) for magic in LOGO_KINDS):
            raise InputError(file.name, "a logo is a PNG, JPEG or WebP picture")
        small = thumbnail(load_image(file, LOGO_LIMITS).rgb, LOGO_SIDE)
        return self._take(project_id, reviewer_id, "logo", "png", png_bytes(small))

    def reset(self, project_id: str, reviewer_id: str, what: str) -> None:
        """Go back to the standard template ("template") or to no logo ("logo")."""
        self._point(project_id, reviewer_id, what, None)

    def _take(
        self, project_id: str, reviewer_id: str, what: str, suffix: str, content: bytes
    ) -> str:
        with self._uow(read_only=True) as uow:
            require(uow, project_id, reviewer_id, "lead")
        digest = hashlib.sha256(content).hexdigest()
        folder = self._folder(project_id)
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"{digest}.{suffix}"
        temporary = target.with_name(f"{target.name}.{new_id()[:8]}.tmp")
        temporary.write_bytes(content)
        sync(temporary)
        temporary.replace(target)
        self._point(project_id, reviewer_id, what, digest)
        return digest

    def _point(self, project_id: str, reviewer_id: str, what: str, digest: str | None) -> None:
        """Write down which one stands; with the audit line or not at all."""
        with self._uow() as uow:
            require(uow, project_id, reviewer_id, "lead")
            before = self._standing(project_id)
            after = {key: value for key, value in before.items() if key != what}
            if digest is not None:
                after[what] = digest
            uow.audit.append(
                actor=uow.reviewers.get(reviewer_id).name,
                action=f"report.{what}",
                entity="project",
                entity_id=project_id,
                detail={"sha256": digest, "former": before.get(what),
                        "by": person_key(reviewer_id)},
                project_id=project_id,
            )  # fmt: skip
            self._folder(project_id).mkdir(parents=True, exist_ok=True)
            write_json(self._folder(project_id) / "look.json", after)
            uow.commit()

    def _standing(self, project_id: str) -> dict[str, str]:
        path = self._folder(project_id) / "look.json"
        if not path.exists():
            return {}
        found = json.loads(path.read_text(encoding="utf-8"))
        known = {key: str(found[key]) for key in ("template", "logo") if key in found}
        if not all(re.fullmatch(r"[0-9a-f]{64}", value) for value in known.values()):
            raise InputError("look.json", "it names a file in a way that no hash is written")
        return known

    def _folder(self, project_id: str) -> Path:
        return self._settings.project_folder(project_id) / "report"


def standard_sha256() -> str:
    """Hash of the standard template, all its files one behind the other."""
    found = hashlib.sha256()
    for path in sorted(TEMPLATES.glob("report*.j2")):
        found.update(path.read_bytes())
    return found.hexdigest()


def template_of(source: str | None) -> Template:
    """A template ready to be rendered; None gives the standard one. Raises JinjaError."""
    made = environment()
    return made.get_template(STANDARD) if source is None else made.from_string(source)


def environment(loader: BaseLoader | None = None) -> Environment:
    """Jinja2's sandbox with escaping on for everything; a project's template may extend ours."""
    made = ImmutableSandboxedEnvironment(
        loader=loader or FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(FILTERS)
    del made.filters["safe"]
    return made


def checked(source: str, name: str) -> None:
    """Raises InputError naming the line, or what the page lacks, for a template that is refused."""
    from dashboard.services import report_example

    made = environment()
    try:
        _no_unescaped(made, source, name)
        template = made.from_string(source)
        for form in ("html", "pdf"):
            for part in report_example.contexts(form):
                page = "".join(template.generate(**part))
                _says_what_it_must(_stands_by_itself(page, name), part, name)
    except (JinjaError, SecurityError) as error:
        number = getattr(error, "lineno", None)
        line = f"line {number}: " if number else ""
        raise InputError(name, f"{line}{_short(error.message or str(error))}") from None
    except (TypeError, ValueError, ArithmeticError, LookupError, RecursionError) as error:
        raise InputError(name, f"it cannot be rendered ({_short(str(error))})") from None


def _no_unescaped(made: Environment, source: str, name: str) -> None:
    tree = made.parse(source)
    bad = (nodes.ScopedEvalContextModifier, nodes.EvalContextModifier, nodes.MarkSafe,
           nodes.MarkSafeIfAutoescape)  # fmt: skip
    for node in tree.find_all(bad):
        raise InputError(name, f"line {node.lineno}: escaping must stay on")
    for call in tree.find_all(nodes.Filter):
        if call.name == "safe":
            raise InputError(
                name, f"line {call.lineno}: the filter safe would let text act as HTML"
            )


class _Page(HTMLParser):
    """What a page holds that acts by itself or points elsewhere."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.faults: list[str] = []
        self.guarded = False
        self.words: list[str] = []  # what can be read on it
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ACTIVE_TAGS:
            self.faults.append(f"it holds a {tag} element")
        if tag in ("style", "title"):
            self._inside = tag
        given = {key: value or "" for key, value in attrs}
        if tag == "meta" and "http-equiv" in given:
            if given["http-equiv"].casefold() == "content-security-policy":
                self.guarded = "default-src 'none'" in given.get("content", "")
            else:
                self.faults.append(f"its head says {given['http-equiv']!r} to the browser")
        for key, value in given.items():
            if key.startswith("on"):
                self.faults.append(f"it holds the handler {key}")
            if key in POINTING and not value.startswith(("#", "data:image/")):
                self.faults.append(f"{key} points out of the file ({value[:60]!r})")
            if key == "style" and CSS_POINTS.search(value):
                self.faults.append("a style points out of the file")

    def handle_endtag(self, tag: str) -> None:
        if tag == self._inside:
            self._inside = ""

    def handle_data(self, data: str) -> None:
        if not self._inside:
            self.words.append(data)
        elif self._inside == "style" and CSS_POINTS.search(data):
            self.faults.append("its style sheet points out of the file")


def _stands_by_itself(page: str, name: str) -> str:
    """What can be read on a page that holds nothing active. Raises InputError."""
    parser = _Page()
    parser.feed(page)
    parser.close()
    if parser.faults:
        raise InputError(name, f"a report stands by itself: {parser.faults[0]}")
    if not parser.guarded:
        raise InputError(name, "the head needs a Content-Security-Policy with default-src 'none'")
    return "".join(parser.words)


def _says_what_it_must(words: str, part: dict[str, Any], name: str) -> None:
    report = part["report"]
    front = ((str(report.cover.notice), "the project's notice (report.cover.notice)"),
             (str(report.cover.version), "the hash of the version (report.cover.version)"),
             (str(part["look"].template_sha256), "its own hash (provenance)"))  # fmt: skip
    for needed, what in front if part["shows_front"] else ():
        if needed not in words:
            raise InputError(name, f"a page made with it does not say {what}")
    if part["shows_cases"] and part["example_case"] not in words:
        raise InputError(name, "a page made with it leaves the cases out (cases, when shows_cases)")


def _read_text(file: Path) -> str:
    try:
        if file.stat().st_size > MAX_TEMPLATE:
            raise InputError(file.name, f"a template has at most {MAX_TEMPLATE} bytes")
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(file.name, f"cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise InputError(file.name, "it is not text in UTF-8") from None


def _kept(path: Path, digest: str) -> bytes:
    """A kept file, which is what its name says. Raises InputError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(path.name, f"cannot be read ({error.strerror})") from None
    if hashlib.sha256(content).hexdigest() != digest:
        raise InputError(path.name, "it was altered since it was set; set it again, or reset it")
    return content


def _short(text: str) -> str:
    return " ".join(text.split())[:300]


def streamed(template: Template, context: dict[str, Any], size: int = 64) -> Iterator[str]:
    """The rendered text in pieces of some kilobytes, as the cases come in."""
    waiting: list[str] = []
    for piece in template.generate(**context):
        waiting.append(piece)
        if len(waiting) >= size:
            yield "".join(waiting)
            waiting.clear()
    yield "".join(waiting)


def joined(pieces: Iterable[Markup]) -> Markup:
    """Safe pieces, one behind the other."""
    return Markup("").join(pieces)
