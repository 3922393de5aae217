"""Commands that carry a project's review out as data, and whole projects as archives."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dashboard.cli.shared import (
    EXIT_CODES,
    PROBLEMS,
    AsJson,
    ProjectName,
    Who,
    Workspace,
    app,
    bar,
    guarded,
    open_services,
    plain,
    print_json,
    signed_in,
)

if TYPE_CHECKING:
    from dashboard.services.data_import import ImportReport

data_app = typer.Typer(
    help="Carry a review out as JSON, CSV, Parquet or COCO, and in again.", no_args_is_help=True
)
archive_app = typer.Typer(
    help="Carry a whole project out as one file, and in again.", no_args_is_help=True
)
app.add_typer(data_app, name="data")
app.add_typer(archive_app, name="archive")

Narrow = Annotated[str | None, typer.Option(help="Narrow to this.")]
Form = Literal["json", "csv", "parquet", "coco"]


@data_app.command("export", epilog=EXIT_CODES)
@guarded
def export_data(
    file: Annotated[Path, typer.Argument(help="File to write; csv and parquet are zip files.")],
    project: ProjectName,
    reviewer: Who,
    form: Annotated[Form, typer.Option("--format", help="Kind of file.")] = "json",
    version: Annotated[str | None, typer.Option(help="Only this version (hash).")] = None,
    since: Annotated[str | None, typer.Option(help="Words from this day on, YYYY-MM-DD.")] = None,
    until: Annotated[str | None, typer.Option(help="Words until this day, YYYY-MM-DD.")] = None,
    class_name: Annotated[str | None, typer.Option("--class", help="Only this class.")] = None,
    person: Annotated[str | None, typer.Option("--reviewer", help="Only their words.")] = None,
    case: Annotated[str | None, typer.Option(help="Only this case (id).")] = None,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Write what was reviewed and said, with the cases and concepts it was said of."""
    from dashboard.services.report_scope import ReportScope

    scope = ReportScope.parse({
        "version": version, "since": since, "until": until, "class_name": class_name,
        "reviewer": person, "case_id": case,
    })  # fmt: skip
    services = open_services(workspace)
    found, me = services.projects.get(project), signed_in(services, reviewer)
    with bar(as_json) as progress:
        made = services.data.write(found.id, scope, form, file, me, progress)
    kept = services.data.record(found.id, scope, made, me)
    if as_json:
        print_json({"file": str(file), "format": form, "sha256": made.sha256, "size": made.size,
                    "export": kept.id})  # fmt: skip
        return
    typer.echo(f"{plain(str(file))}: {form}, {_size(made.size)}, sha256 {made.sha256}")


@data_app.command("import", epilog=EXIT_CODES)
@guarded
def import_data(
    file: Annotated[Path, typer.Argument(help="File as `export` writes it, or its folder.")],
    project: ProjectName,
    reviewer: Who,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only look.")] = False,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Take in what people said; rows that do not fit are named (exit code 3).

    Images are found by their hash, concepts by dictionary and number. A second import of the same
    file changes nothing.
    """
    services = open_services(workspace)
    found, me = services.projects.get(project), signed_in(services, reviewer)
    with bar(as_json) as progress:
        report = services.data.read(found.id, file, me, progress, write=not dry_run)
    _tell(report, as_json, "could be added" if dry_run else "added")


@data_app.command("check", epilog=EXIT_CODES)
@guarded
def check_data(
    file: Annotated[Path, typer.Argument(help="File as `export` writes it, or its folder.")],
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Look whether every row of a data file can be read (exit code 3 where one cannot)."""
    _tell(open_services(workspace).data.check(file), as_json, "read")


@data_app.command("schema", epilog=EXIT_CODES)
@guarded
def schema() -> None:
    """Print the JSON Schema (2020-12) of the JSON form."""
    from dashboard.services.data_schema import shipped

    typer.echo(shipped())


@archive_app.command("export", epilog=EXIT_CODES)
@guarded
def export_archive(
    file: Annotated[Path, typer.Argument(help="Zip file to write.")],
    project: ProjectName,
    reviewer: Who,
    with_images: Annotated[bool, typer.Option("--with-images", help="Images too.")] = False,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Write a whole project into one file: rows, model versions, words, people, audit chain."""
    services = open_services(workspace)
    found, me = services.projects.get(project), signed_in(services, reviewer)
    with bar(as_json) as progress:
        packed = services.archive.packed(
            found.id, file, me, with_images=with_images, progress=progress
        )
    kept = services.archive.record(found.id, packed.file, me, with_images=with_images)
    made = packed.file
    if as_json:
        print_json({"file": str(file), "sha256": made.sha256, "size": made.size,
                    "export": kept.id, "left_out": packed.notices})  # fmt: skip
        return
    typer.echo(f"{plain(str(file))}: {_size(made.size)}, sha256 {made.sha256}")
    for notice in packed.notices:
        typer.echo(f"  left out  {plain(notice)}")


@archive_app.command("import", epilog=EXIT_CODES)
@guarded
def import_archive(
    file: Annotated[Path, typer.Argument(help="Archive as `export` writes it.")],
    name: Annotated[str | None, typer.Option(help="Name of the project here.")] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of the images, where the archive has none.")
    ] = None,
    reviewer: Annotated[str | None, typer.Option("--as", help="Your reviewer name.")] = None,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Take in a whole project, or nothing of it: every hash is checked first."""
    services = open_services(workspace)
    me = None if reviewer is None else signed_in(services, reviewer)
    with bar(as_json) as progress:
        taken = services.archive.read(file, name=name, images=images, person=me, progress=progress)
    if as_json:
        print_json(vars(taken))
        return
    typer.echo(f"project {taken.project!r}: {taken.rows} rows, verified")
    for person_id, here in taken.renamed:
        typer.echo(f"  person    {plain(here)} (id {person_id}): the name was taken")
    for notice in taken.notices:
        typer.echo(f"  missing   {plain(notice)}")


@archive_app.command("check", epilog=EXIT_CODES)
@guarded
def check_archive(
    file: Annotated[Path, typer.Argument(help="Archive as `export` writes it.")],
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Verify every hash of an archive without taking it in."""
    with bar(as_json) as progress:
        manifest = open_services(workspace).archive.check(file, progress)
    if as_json:
        print_json({"project": manifest.project, "id": manifest.project_id,
                    "rows": manifest.rows, "members": len(manifest.members)})  # fmt: skip
        return
    typer.echo(f"whole: project {manifest.project!r}, {len(manifest.members)} members, "
               f"{sum(manifest.rows.values())} rows")  # fmt: skip


def _tell(report: ImportReport, as_json: bool, done: str) -> None:
    if as_json:
        body: dict[str, Any] = dict(vars(report))
        print_json(body)
    else:
        counts = ", ".join(f"{count} {table.replace('_', ' ')}" for table, count in
                           report.added.items())  # fmt: skip
        typer.echo(f"{report.form}: {done}: {counts or 'nothing'}; "
                   f"{report.unchanged} unchanged, {report.refused} refused")  # fmt: skip
        for problem in report.problems:
            typer.echo(f"  refused  {plain(problem)}")
        if report.refused > len(report.problems):
            typer.echo(f"  ... and {report.refused - len(report.problems)} more")
    if report.refused:
        raise typer.Exit(PROBLEMS)


def _size(size: int) -> str:
    return f"{size / 2**20:.1f} MiB" if size >= 2**20 else f"{size / 2**10:.1f} KiB"
