"""Commands that ask where something comes from, make it again, and describe it on a card."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dashboard.cli.shared import (
    EXIT_CODES,
    PROBLEMS,
    AsJson,
    ProjectName,
    Workspace,
    app,
    bar,
    guarded,
    open_services,
    plain,
    print_json,
)

if TYPE_CHECKING:
    from dashboard.bootstrap import Services
    from dashboard.viewmodels.reproduce import Reproduction
    from dashboard.viewmodels.trace import TraceNode, TraceView
    from db.records import ReviewerRecord

trace_app = typer.Typer(
    help="From a pixel, a word, a version or a file to all that it rests on, and back.",
    no_args_is_help=True,
)
cards_app = typer.Typer(help="Model card and data card, from the store.", no_args_is_help=True)
app.add_typer(trace_app, name="trace")
app.add_typer(cards_app, name="cards")

Key = Annotated[str, typer.Argument(help="The hash or id, or its first characters (4 or more).")]
Within = Annotated[str | None, typer.Option("--project", help="Look in this project alone.")]
Who = Annotated[
    str | None, typer.Option("--as", help="Your reviewer name; it is written into the audit log.")
]
Out = Annotated[Path, typer.Option(help="File to write.")]
License = Annotated[
    str, typer.Option("--license", help="Licence as the Hub writes it, such as cc-by-4.0.")
]
VersionKey = Annotated[
    str | None, typer.Option("--version", help="Hash or its first characters; else the active one.")
]


@trace_app.command(epilog=EXIT_CODES)
@guarded
def pixel(
    case: Annotated[str, typer.Option(help="Id of the case, or its first characters.")],
    x: Annotated[float, typer.Option(help="Share of the width, from the left, 0..1.")],
    y: Annotated[float, typer.Option(help="Share of the height, from the top, 0..1.")],
    cue: Annotated[str | None, typer.Option(help="Letter of one cue; else all that fire.")] = None,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """From a point of a case's picture: patch, encoder, concept, version, verdicts, people."""
    _show(open_services(workspace).trace.pixel(case, x, y, cue=cue), as_json)


@trace_app.command(epilog=EXIT_CODES)
@guarded
def verdict(key: Key, workspace: Workspace = None, as_json: AsJson = False) -> None:
    """From somebody's word: which snapshots hold it, and which cases changed with it."""
    _show(open_services(workspace).trace.verdict(key), as_json)


@trace_app.command(epilog=EXIT_CODES)
@guarded
def version(
    key: Key, project: Within = None, workspace: Workspace = None, as_json: AsJson = False
) -> None:
    """From a model version: what it came from, which verdicts shaped it, where it is told of."""
    services = open_services(workspace)
    _show(services.trace.version(key, project_id=_within(services, project)), as_json)


@trace_app.command(epilog=EXIT_CODES)
@guarded
def snapshot(
    key: Key, project: Within = None, workspace: Workspace = None, as_json: AsJson = False
) -> None:
    """From frozen verdicts: what they hold, and what was made from them."""
    services = open_services(workspace)
    _show(services.trace.snapshot(key, project_id=_within(services, project)), as_json)


@trace_app.command(epilog=EXIT_CODES)
@guarded
def image(
    key: Annotated[str, typer.Argument(help="SHA-256 of the file, its beginning, or the file.")],
    project: Within = None,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """From an image: every decision on it, the words about it, and the files that hold it."""
    services = open_services(workspace)
    _show(services.trace.image(key, project_id=_within(services, project)), as_json)


@trace_app.command(epilog=EXIT_CODES)
@guarded
def person(
    name: Annotated[str, typer.Argument(help="Reviewer name.")],
    project: Within = None,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """From a person: how much they said, and which versions it shaped."""
    services = open_services(workspace)
    _show(services.trace.person(name, project_id=_within(services, project)), as_json)


@trace_app.command(epilog=EXIT_CODES)
@guarded
def export(
    key: Annotated[str, typer.Argument(help="SHA-256 of a file that left the app, or the file.")],
    project: Within = None,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """From a report or another file that left the app: who took it, and what it tells of."""
    services = open_services(workspace)
    _show(services.trace.export(key, project_id=_within(services, project)), as_json)


@trace_app.command(epilog=EXIT_CODES)
@guarded
def find(
    key: Key, project: Within = None, workspace: Workspace = None, as_json: AsJson = False
) -> None:
    """From any hash, id or person's name: whatever it stands for."""
    services = open_services(workspace)
    _show(services.trace.find(key, project_id=_within(services, project)), as_json)


@app.command(
    epilog="Exit codes: 0 the same · 3 something differs, and is named · 4 it cannot be made again"
)
@guarded
def reproduce(
    version: Annotated[str, typer.Argument(help="Hash of the version, or its first characters.")],
    project: ProjectName,
    from_pixels: Annotated[
        bool,
        typer.Option("--from-pixels", help="Encode every image again; kept tokens are not used."),
    ] = False,
    keep: Annotated[
        Path | None, typer.Option(help="New folder for the version that is made now.")
    ] = None,
    who: Who = None,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Make a model version again from its manifest, compare every hash, name what differs."""
    services = open_services(workspace)
    with bar(quiet=as_json) as progress:
        found = services.reproduce.reproduce(
            services.projects.get(project).id, version, person=_person(services, who),
            from_pixels=from_pixels, keep=keep, progress=progress,
        )  # fmt: skip
    if as_json:
        print_json(asdict(found))
    else:
        for line in reproduction_lines(found):
            typer.echo(plain(line))
    if found.outcome != "same":
        raise typer.Exit(PROBLEMS)


@cards_app.command(epilog=EXIT_CODES)
@guarded
def model(
    project: ProjectName,
    out: Out,
    version: VersionKey = None,
    license: License = "",
    who: Who = None,
    workspace: Workspace = None,
) -> None:
    """Write a model card: README.md with the front matter that the Hugging Face Hub reads."""
    services = open_services(workspace)
    found = services.cards.model(
        services.projects.get(project).id, out, version=version, license=license,
        person=_person(services, who),
    )  # fmt: skip
    typer.echo(f"{found.path} (sha256 {found.sha256[:12]})")


@cards_app.command(epilog=EXIT_CODES)
@guarded
def data(
    project: ProjectName,
    out: Out,
    license: License = "",
    who: Who = None,
    workspace: Workspace = None,
) -> None:
    """Write a data card: what images there are, with labels, splits and groups."""
    services = open_services(workspace)
    found = services.cards.data(
        services.projects.get(project).id, out, license=license, person=_person(services, who)
    )
    typer.echo(f"{found.path} (sha256 {found.sha256[:12]})")


def _within(services: Services, project: str | None) -> str | None:
    return None if project is None else services.projects.get(project).id


def _person(services: Services, name: str | None) -> ReviewerRecord | None:
    """Who asks. Raises NotFound for a name that nobody signed in with."""
    if name is None:
        return None
    from db.errors import NotFound

    with services.uow(read_only=True) as uow:
        found = uow.reviewers.by_name(name)
    if found is None:
        raise NotFound("reviewer", name)
    return found


def _show(view: TraceView, as_json: bool) -> None:
    if as_json:
        print_json(asdict(view))
        return
    typer.echo(plain(view.sentence))
    for line in tree(view.nodes):
        typer.echo(plain(line))


def tree(nodes: Sequence[TraceNode], before: str = "") -> Iterator[str]:
    """The cards as an indented tree, one line each, their facts below them."""
    for at, node in enumerate(nodes):
        last = at == len(nodes) - 1
        yield f"{before}{'└─' if last else '├─'} {node.title}"
        inner = before + ("   " if last else "│  ")
        stem = inner + ("│  " if node.children else "   ")
        for label, value in node.facts:
            yield f"{stem}{label}: {value}"
        if node.note:
            yield f"{stem}{node.note}"
        yield from tree(node.children, inner)
        if node.more:
            yield f"{inner}   ... and {node.more} more"


def reproduction_lines(found: Reproduction) -> Iterator[str]:
    """What came of making a version again, for people."""
    yield f"{found.version[:12]} ({found.kind}) of {found.project}: {found.sentence}"
    for row in found.parts:
        same = "same" if row.recorded == row.rebuilt else "DIFFERS"
        stored = "" if row.stored == row.recorded else ", and the stored file was altered"
        change = f": {row.change}" if row.change else ""
        yield f"  {same:8} {row.name} ({row.what}){stored}{change}"
    for field in found.fields:
        yield f"  DIFFERS  {field.name}: {field.recorded} -> {field.rebuilt}"
    for each in found.differences:
        yield f"  {'NOTE' if not each.matters else 'CHANGED':8} {each.topic}: {each.text}"
    yield f"  version hash now {found.rebuilt[:12]}, recorded {found.version[:12]}"
    yield f"  took {found.seconds:.1f} s" + (f", kept in {found.kept}" if found.kept else "")
