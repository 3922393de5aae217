"""Commands that make reports and say how they look: report, report template, report logo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dashboard.cli.shared import (
    EXIT_CODES,
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
    from dashboard.bootstrap import Services
    from dashboard.services.made import MadeFile
    from dashboard.services.report_scope import ReportScope
    from db.records import ReviewerRecord

READ = ("html", "pdf")
DATA = ("json", "csv", "parquet", "coco")
FORMATS = (*READ, *DATA)
report_app = typer.Typer(help="Make a report, and say how reports look.")
template_app = typer.Typer(help="The template of a project's reports.", no_args_is_help=True)
logo_app = typer.Typer(help="The logo on a project's reports.", no_args_is_help=True)
report_app.add_typer(template_app, name="template")
report_app.add_typer(logo_app, name="logo")
app.add_typer(report_app, name="report")


@report_app.callback(invoke_without_command=True, epilog=EXIT_CODES)
@guarded
def report(
    context: typer.Context,
    project: Annotated[str | None, typer.Option(help="Name of the project.")] = None,
    form: Annotated[
        str, typer.Option("--format", help=f"One or more, with commas, of {', '.join(FORMATS)}.")
    ] = "html",
    out: Annotated[
        Path, typer.Option(help="Folder for the files; with one format it may be a file.")
    ] = Path(),
    reviewer: Annotated[
        str | None, typer.Option("--as", help="Your reviewer name, as you sign in with it.")
    ] = None,
    version: Annotated[
        str | None, typer.Option(help="Start of a version's hash; else the active one.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Words of this day (UTC) or later, 2026-03-01.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Words of this day (UTC) or before.")] = None,
    class_name: Annotated[
        str | None, typer.Option("--class", help="Cases labelled or decided as this class.")
    ] = None,
    of: Annotated[str | None, typer.Option("--reviewer", help="Words of this person.")] = None,
    case: Annotated[str | None, typer.Option(help="One case, by its id.")] = None,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Make the review report of a project: to be read (html, pdf) and as data (the others)."""
    if context.invoked_subcommand is not None:
        return
    formats = _formats(form)
    if project is None:
        raise typer.BadParameter("name the project", param_hint="--project")
    if reviewer is None:
        raise typer.BadParameter("say who makes the report", param_hint="--as")
    from dashboard.services.report_scope import ReportScope

    scope = ReportScope.parse({
        "version": version, "since": since, "until": until, "class_name": class_name,
        "reviewer": of, "case_id": case,
    })  # fmt: skip
    services = open_services(workspace)
    person = signed_in(services, reviewer)
    project_id = services.projects.get(project).id
    with bar(quiet=as_json) as progress:
        made = _make(services, project_id, scope, formats, out, person, progress)
    if as_json:
        print_json([{"path": str(m.path), "format": m.fmt, "sha256": m.sha256, "size": m.size}
                    for m in made])  # fmt: skip
        return
    for each in made:
        told = f"{each.path} ({each.size / 2**20:.2f} MiB, sha256 {each.sha256[:12]}...)"
        typer.echo(f"report written to {plain(told)}")


def _formats(text: str) -> tuple[str, ...]:
    asked = tuple(dict.fromkeys(each.strip() for each in text.split(",") if each.strip()))
    strange = [each for each in asked if each not in FORMATS]
    if strange or not asked:
        raise typer.BadParameter(
            f"{strange[0] if strange else text!r} is none of {', '.join(FORMATS)}",
            param_hint="--format",
        )
    return asked


def _make(
    services: Services, project_id: str, scope: ReportScope, formats: tuple[str, ...], out: Path,
    person: ReviewerRecord, progress: Any,
) -> list[MadeFile]:  # fmt: skip
    """Make every format and write down that it left."""
    from dashboard.services.data_forms import SUFFIX
    from dashboard.services.progress import part
    from dashboard.services.report_render import file_name

    one_file = len(formats) == 1 and out.suffix != "" and not out.is_dir()
    folder = out.parent if one_file else out
    folder.mkdir(parents=True, exist_ok=True)
    stem = file_name(services.projects.get(project_id).name)
    found = []
    for at, fmt in enumerate(formats):
        told = part(progress, at / len(formats), (at + 1) / len(formats))
        if fmt in READ:
            target = out if one_file else None
            found.append(_to_read(services, project_id, scope, fmt, folder, person, told, target))
            continue
        suffix = {str(name): end for name, end in SUFFIX.items()}[fmt]
        target = out if one_file else folder / f"{stem}-report{suffix}"
        made = services.data.write(project_id, scope, fmt, target, person, told)
        services.data.record(project_id, scope, made, person)
        found.append(made)
    return found


def _to_read(
    services: Services, project_id: str, scope: ReportScope, fmt: str, folder: Path,
    person: ReviewerRecord, progress: Any, target: Path | None,
) -> MadeFile:  # fmt: skip
    from dataclasses import replace

    from dashboard.services.exported import record_export
    from db.records import new_id

    made = services.report_files.make(project_id, scope, (fmt,), folder, person, progress)[0]
    if target is not None:
        made.path.replace(target)
        made = replace(made, path=target)
    resolved = services.reports.resolve(project_id, scope, person)
    with services.uow() as uow:
        record_export(
            uow, export_id=new_id(), project_id=project_id, person=person, kind="report",
            format=fmt,
            scope={**resolved.as_record(), **services.report_files.stamp(project_id)},
            content=made.path,
            version_hash=resolved.version.hash if resolved.version else None,
        )  # fmt: skip
        uow.commit()
    return made


@template_app.command("set", epilog=EXIT_CODES)
@guarded
def set_template(
    file: Annotated[Path, typer.Argument(help="Jinja2 template, UTF-8; see docs/reporting.md.")],
    project: ProjectName,
    reviewer: Who,
    workspace: Workspace = None,
) -> None:
    """Use a template of the project's own; it is tried with an example first. Leads only."""
    services, project_id, person = _found(workspace, project, reviewer)
    digest = services.report_files.templates.set_template(project_id, person.id, file)
    typer.echo(f"template set, sha256 {digest}")


@template_app.command("show", epilog=EXIT_CODES)
@guarded
def show_template(project: ProjectName, workspace: Workspace = None) -> None:
    """Print the template that stands, to start one's own from."""
    from dashboard.services.report_template import STANDARD, TEMPLATES

    services = open_services(workspace)
    look = services.report_files.templates.of(services.projects.get(project).id)
    standard = (TEMPLATES / STANDARD).read_text(encoding="utf-8")
    typer.echo(look.source if look.source is not None else standard)


@template_app.command("reset", epilog=EXIT_CODES)
@guarded
def reset_template(project: ProjectName, reviewer: Who, workspace: Workspace = None) -> None:
    """Go back to the standard template. Leads only."""
    services, project_id, person = _found(workspace, project, reviewer)
    services.report_files.templates.reset(project_id, person.id, "template")
    typer.echo("the standard template stands")


@logo_app.command("set", epilog=EXIT_CODES)
@guarded
def set_logo(
    file: Annotated[Path, typer.Argument(help="PNG, JPEG or WebP picture.")],
    project: ProjectName,
    reviewer: Who,
    workspace: Workspace = None,
) -> None:
    """Put a logo on the project's reports. Leads only."""
    services, project_id, person = _found(workspace, project, reviewer)
    digest = services.report_files.templates.set_logo(project_id, person.id, file)
    typer.echo(f"logo set, sha256 {digest}")


@logo_app.command("show", epilog=EXIT_CODES)
@guarded
def show_logo(project: ProjectName, workspace: Workspace = None) -> None:
    """Say which logo stands."""
    services = open_services(workspace)
    look = services.report_files.templates.of(services.projects.get(project).id)
    typer.echo(f"sha256 {look.logo_sha256}" if look.logo_sha256 else "no logo")


@logo_app.command("reset", epilog=EXIT_CODES)
@guarded
def reset_logo(project: ProjectName, reviewer: Who, workspace: Workspace = None) -> None:
    """Take the logo away. Leads only."""
    services, project_id, person = _found(workspace, project, reviewer)
    services.report_files.templates.reset(project_id, person.id, "logo")
    typer.echo("no logo")


def _found(
    workspace: Path | None, project: str, reviewer: str
) -> tuple[Services, str, ReviewerRecord]:
    services = open_services(workspace)
    return services, services.projects.get(project).id, signed_in(services, reviewer)
