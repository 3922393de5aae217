"""The command line `insight`.

Exit codes: 0 done; 1 an unexpected error; 2 wrong usage; 3 done, but some of the input was
refused (each part is named); 4 the request cannot be carried out (the reason is one line);
130 interrupted. Heavy libraries are imported inside the commands, so that --help is quick.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, ParamSpec, TypeVar

import typer

from dashboard.services.progress import Progress
from dashboard.settings import Settings

if TYPE_CHECKING:
    from dashboard.bootstrap import Services

PROBLEMS, REFUSED, INTERRUPTED = 3, 4, 130
EXIT_CODES = (
    "Exit codes: 0 done · 1 unexpected error · 2 wrong usage · "
    "3 done, but some of the input was refused · 4 the request cannot be carried out"
)
P = ParamSpec("P")
R = TypeVar("R")

app = typer.Typer(
    name="insight",
    help=f"See why a vision model decides as it does, judge its cues, mend it.\n\n{EXIT_CODES}",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
verdicts_app = typer.Typer(help="Carry verdicts in and out as CSV.", no_args_is_help=True)
run_app = typer.Typer(help="Start a run and wait for its end.", no_args_is_help=True)
app.add_typer(verdicts_app, name="verdicts")
app.add_typer(run_app, name="run")

Workspace = Annotated[
    Path | None,
    typer.Option("--workspace", envvar="INSIGHT_HOME", help="Folder that holds the projects."),
]
ProjectName = Annotated[str, typer.Option("--project", help="Name of the project.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def main() -> None:
    """Entry point of the `insight` script."""
    app()


def guarded(command: Callable[P, R]) -> Callable[P, R]:
    """Show a foreseen error as one line and end with its exit code; let others through."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except KeyboardInterrupt:
            typer.echo("interrupted", err=True)
            raise typer.Exit(INTERRUPTED) from None
        except Exception as error:
            if os.environ.get("INSIGHT_DEBUG") or not _foreseen(error):
                raise
            typer.echo(f"error: {plain(_first_line(error))}", err=True)
            raise typer.Exit(REFUSED) from None

    return run


def _foreseen(error: Exception) -> bool:
    from sqlalchemy.exc import OperationalError

    from core.errors import InsightError
    from db.errors import StoreError

    return isinstance(error, (InsightError, StoreError, OperationalError, PermissionError))


def _first_line(error: Exception) -> str:
    from sqlalchemy.exc import OperationalError

    if isinstance(error, OperationalError):
        return f"the database cannot be used ({error.orig}); `insight doctor` says more"
    return str(error)


def plain(text: str) -> str:
    """Text fit for a terminal: control characters of untrusted names become "?"."""
    return "".join("?" if unicodedata.category(char) in ("Cc", "Cs") else char for char in text)


def _open(workspace: Path | None, port: int | None = None) -> Services:
    """The services of a workspace, with its database migrated."""
    from dashboard.bootstrap import build
    from db.migrate import upgrade

    settings = Settings.load(workspace, port=port)
    settings.workspace.mkdir(parents=True, exist_ok=True)
    upgrade(settings.database_url)
    return build(settings)


@contextmanager
def _bar(quiet: bool = False) -> Iterator[Progress]:
    """A progress bar on standard error, only where that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=console, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task("starting", total=1.0)

        def report(fraction: float, stage: str) -> None:
            bar.update(task, completed=fraction, description=plain(stage))

        yield report


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def _print_problems(problems: Any, notices: Any = ()) -> None:
    for problem in problems:
        line = f" (line {problem.row})" if problem.row is not None else ""
        typer.echo(f"  refused  {plain(f'{problem.file}{line}: {problem.reason}')}")
    for notice in notices:
        typer.echo(f"  note     {plain(notice)}")


@app.command(epilog=EXIT_CODES)
@guarded
def demo(
    workspace: Workspace = None,
    quick: Annotated[bool, typer.Option("--quick", help="Only the first cases.")] = False,
    as_json: AsJson = False,
) -> None:
    """Build the demo project of synthetic dermoscopy phantoms; a second call changes nothing."""
    services = _open(workspace)
    with _bar() as report:
        project = services.demo.build(quick=quick, progress=report)
    if as_json:
        _print_json({"project": project.name, "id": project.id, "cases": project.cases,
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
    services = _open(workspace, port)
    if not services.projects.list():
        typer.echo("the workspace is empty: making the first cases of the demo")
        with _bar() as report:
            services.demo.build(quick=True, progress=report)
    if services.demo.incomplete():
        services.runs.ensure_demo_run()
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
    services = _open(workspace)
    with _bar() as report:
        result = services.ingest.ingest(
            folder, project, labels=labels, file_column=file_column, label_column=label_column,
            mask_column=mask_column, split_column=split_column, group_column=group_column,
            progress=report,
        )  # fmt: skip
    if as_json:
        from dataclasses import asdict

        _print_json(asdict(result))
    else:
        typer.echo(
            f"{plain(result.project)}: {result.added} added, {result.unchanged} unchanged, "
            f"{result.updated} updated; {result.labelled} labelled, {result.unlabelled} "
            f"unlabelled; {len(result.problems)} refused"
        )
        _print_problems(result.problems, result.notices)
    if result.problems:
        raise typer.Exit(PROBLEMS)


@app.command(epilog=EXIT_CODES)
@guarded
def discover(
    project: ProjectName,
    encoder: Annotated[
        str,
        typer.Option(help="demo, an open_clip NAME/PRETRAINED_TAG, or an open_clip folder."),
    ] = "demo",
    vocabulary: Annotated[
        Path | None, typer.Option(help="Words for concepts: .txt, one a line, or .csv.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of every random choice.")] = 0,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Find concepts, relations, names and a head: a first model version of the project."""
    services = _open(workspace)
    with _bar() as report:
        result = services.discovery.discover(
            project, encoder=encoder, vocabulary=vocabulary, seed=seed, progress=report
        )
    if as_json:
        _print_json({"project": project, "version": result.version, "state": result.state,
                     "cases": result.cases, "metrics": result.metrics,
                     "problems": [vars(problem) for problem in result.problems]})  # fmt: skip
    else:
        typer.echo(f"version {result.version[:12]} ({result.state}), {result.cases} cases")
        for name, value in sorted(result.metrics.items()):
            if isinstance(value, (int, float)):
                typer.echo(f"  {name}: {value:.4g}")
        _print_problems(result.problems)
    if result.problems:
        raise typer.Exit(PROBLEMS)


@app.command(epilog=EXIT_CODES)
@guarded
def explain(
    image: Annotated[Path, typer.Argument(help="An image file, of the project or new.")],
    project: ProjectName,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all of it here.")] = None,
    png_file: Annotated[Path | None, typer.Option("--png", help="Draw the cues here.")] = None,
    workspace: Workspace = None,
) -> None:
    """Explain what the project's active version says of one image, and why."""
    from core.types import as_json

    services = _open(workspace)
    result = services.explain.explain_image(image, project)
    notice = services.projects.get(project).notice
    typer.echo(plain(result.narrative))
    if notice:
        typer.echo(notice)
    if json_file is not None:
        body = {**as_json(result), "image": image.name, "project": project, "notice": notice}
        json_file.write_text(json.dumps(body, indent=2, ensure_ascii=False), encoding="utf-8")
    if png_file is not None:
        from dashboard.services.card import draw_card

        png_file.write_bytes(draw_card(image, result, notice))


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
    body = _open(workspace).verdicts.export_csv(project)
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
    result = _open(workspace).verdicts.import_csv(file, project)
    counts = f"{result.added} added, {result.unchanged} unchanged"
    typer.echo(f"{counts}, {len(result.problems)} refused")
    for problem in result.problems:
        typer.echo(f"  refused  line {problem.row}: {plain(problem.reason)}")
    if result.problems:
        raise typer.Exit(PROBLEMS)


@run_app.command("reweight", epilog=EXIT_CODES)
@guarded
def reweight(
    project: ProjectName,
    seed: Annotated[int, typer.Option(min=0, help="Seed of every random choice.")] = 0,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Refit the head on balanced groups that the verdicts define, and wait for the result."""
    from dashboard.services.waiting import run_and_wait

    services = _open(workspace)
    with _bar() as report:
        project_id = services.projects.get(project).id
        view = run_and_wait(services.runs, services.settings, project_id, seed, report)
    if as_json:
        _print_json({"id": view.id, "state": view.state, "message": view.message,
                     "version": view.result_version, "verdicts": view.verdicts,
                     "metrics": [vars(row) for row in view.metrics]})  # fmt: skip
    else:
        typer.echo(f"run {view.id}: {view.state}. {plain(view.message)}")
        for row in view.metrics:
            typer.echo(f"  {row.split:<10} {row.label:<40} {_figure(row.before)} -> "
                       f"{_figure(row.after)} {row.unit}")  # fmt: skip
    if view.state != "succeeded":
        raise typer.Exit(REFUSED)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


@app.command(epilog=EXIT_CODES)
@guarded
def report(
    project: ProjectName,
    out: Annotated[Path, typer.Option(help="File to write.")],
    form: Annotated[
        Literal["html", "csv", "json"], typer.Option("--format", help="Kind of file.")
    ] = "html",
    workspace: Workspace = None,
) -> None:
    """Write the report of a project: verdicts, concepts, runs, versions."""
    services = _open(workspace)
    out.write_bytes(services.reports.export(services.projects.get(project).id, form))
    typer.echo(f"report written to {plain(str(out))}")


@app.command(epilog=EXIT_CODES)
@guarded
def doctor(workspace: Workspace = None, as_json: AsJson = False) -> None:
    """Check versions, database, worker, encoder, disk and images; say how to mend what is wrong."""
    from dashboard.bootstrap import build

    settings = Settings.load(workspace)
    checks = build(settings).doctor.check()
    if as_json:
        _print_json([vars(check) for check in checks])
    else:
        for check in checks:
            typer.echo(f"{'ok  ' if check.ok else 'BAD '} {check.name}: {plain(check.detail)}")
            if not check.ok and check.remedy:
                typer.echo(f"     -> {plain(check.remedy)}")
    if not all(check.ok for check in checks):
        raise typer.Exit(PROBLEMS)


if __name__ == "__main__":
    sys.exit(app())
