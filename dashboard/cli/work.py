"""Commands that carry work in and out: demo, up, ingest, verdicts, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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
    print_problems,
    verdicts_app,
)
from dashboard.settings import Settings


@app.command(epilog=EXIT_CODES)
@guarded
def demo(
    workspace: Workspace = None,
    quick: Annotated[bool, typer.Option("--quick", help="Only the first cases.")] = False,
    as_json: AsJson = False,
) -> None:
    """Build the demo project of synthetic dermoscopy phantoms; a second call changes nothing."""
    services = open_services(workspace)
    with bar() as report:
        project = services.demo.build(quick=quick, progress=report)
    if as_json:
        print_json({"project": project.name, "id": project.id, "cases": project.cases,
                     "version": project.active_version, "notice": project.notice})  # fmt: skip
        return
    typer.echo(f"project {project.name!r}: {project.cases} cases ({project.notice})")
    typer.echo("open it with: insight up")


@app.command(epilog=EXIT_CODES)
@guarded
def up(
    workspace: Workspace = None,
    port: Annotated[
        int | None, typer.Option(help="Port on 127.0.0.1 (default 8501 or INSIGHT_PORT).")
    ] = None,
) -> None:
    """Start the app and its worker on this machine; Ctrl-C ends both.

    An empty workspace gets the demo first.
    """
    from dashboard.services.supervise import keep_up, require_free_port

    settings = Settings.load(workspace, port=port)
    require_free_port(settings.port)
    services = open_services(workspace, port)
    if not services.projects.list():
        typer.echo("the workspace is empty: making the first cases of the demo")
        with bar() as report:
            services.demo.build(quick=True, progress=report)
    if services.demo.incomplete():
        services.runs.ensure_demo_run()
    for project in services.projects.list():
        if services.queue.catch_up(project.id):
            typer.echo(f"planned the queue of {plain(project.name)}")
    raise typer.Exit(keep_up(settings, typer.echo))


@app.command(epilog=EXIT_CODES)
@guarded
def ingest(
    folder: Annotated[Path, typer.Argument(help="Folder of images; they stay where they are.")],
    project: ProjectName,
    labels: Annotated[Path | None, typer.Option(help="CSV table, UTF-8, with a header.")] = None,
    file_column: Annotated[str, typer.Option(help="Column of file names.")] = "file",
    label_column: Annotated[str, typer.Option(help="Column of labels.")] = "label",
    mask_column: Annotated[str | None, typer.Option(help="Column of mask files.")] = None,
    split_column: Annotated[str | None, typer.Option(help="Column of train/val/test.")] = None,
    group_column: Annotated[str | None, typer.Option(help="Column of groups.")] = None,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Read a folder of images, and a table of labels, into a project.

    Bad files and rows are reported by name and reason, and the rest is taken in (exit code 3).
    """
    services = open_services(workspace)
    with bar() as report:
        result = services.ingest.ingest(
            folder, project, labels=labels, file_column=file_column, label_column=label_column,
            mask_column=mask_column, split_column=split_column, group_column=group_column,
            progress=report,
        )  # fmt: skip
    if as_json:
        from dataclasses import asdict

        print_json(asdict(result))
    else:
        typer.echo(
            f"{plain(result.project)}: {result.added} added, {result.unchanged} unchanged, "
            f"{result.updated} updated; {result.labelled} labelled, {result.unlabelled} "
            f"unlabelled; {len(result.problems)} refused"
        )
        print_problems(result.problems, result.notices)
    if result.problems:
        raise typer.Exit(PROBLEMS)


@verdicts_app.command("export", epilog=EXIT_CODES)
@guarded
def export_verdicts(
    file: Annotated[Path, typer.Argument(help="CSV file to write.")],
    project: Annotated[
        str | None, typer.Option(help="Only this project; else all of them.")
    ] = None,
    workspace: Workspace = None,
) -> None:
    """Write every standing verdict to a CSV file."""
    body = open_services(workspace).verdicts.export_csv(project)
    file.write_bytes(body)
    lines = max(0, body.count(b"\n") - 1)
    typer.echo(f"{lines} lines written to {plain(str(file))}")


@verdicts_app.command("import", epilog=EXIT_CODES)
@guarded
def import_verdicts(
    file: Annotated[Path, typer.Argument(help="CSV file as `export` writes it.")],
    project: Annotated[
        str | None, typer.Option(help="Only this project; else as the file says.")
    ] = None,
    workspace: Workspace = None,
) -> None:
    """Take in verdicts from a CSV file; rows that do not fit are named (exit code 3)."""
    result = open_services(workspace).verdicts.import_csv(file, project)
    counts = f"{result.added} added, {result.unchanged} unchanged"
    typer.echo(f"{counts}, {len(result.problems)} refused")
    for problem in result.problems:
        typer.echo(f"  refused  line {problem.row}: {plain(problem.reason)}")
    if result.problems:
        raise typer.Exit(PROBLEMS)


@app.command(epilog=EXIT_CODES)
@guarded
def doctor(workspace: Workspace = None, as_json: AsJson = False) -> None:
    """Check versions, database, worker, encoder, disk and images; say how to mend what is wrong."""
    from dashboard.bootstrap import build

    settings = Settings.load(workspace)
    checks = build(settings).doctor.check()
    if as_json:
        print_json([vars(check) for check in checks])
    else:
        for check in checks:
            typer.echo(f"{'ok  ' if check.ok else 'BAD '} {check.name}: {plain(check.detail)}")
            if not check.ok and check.remedy:
                typer.echo(f"     -> {plain(check.remedy)}")
    if not all(check.ok for check in checks):
        raise typer.Exit(PROBLEMS)
