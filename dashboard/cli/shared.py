"""What every command of `insight` shares: options, exit codes, output for people and scripts."""

from __future__ import annotations

import functools
import json
import os
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec, TypeVar

import typer

from dashboard.services.progress import Progress
from dashboard.settings import Settings

if TYPE_CHECKING:
    from dashboard.bootstrap import Services
    from db.records import ReviewerRecord

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
run_app = typer.Typer(help="Start, list, show, cancel and resume runs.", no_args_is_help=True)
app.add_typer(verdicts_app, name="verdicts")
app.add_typer(run_app, name="run")

Workspace = Annotated[
    Path | None,
    typer.Option("--workspace", envvar="INSIGHT_HOME", help="Folder that holds the projects."),
]
ProjectName = Annotated[str, typer.Option("--project", help="Name of the project.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Who = Annotated[str, typer.Option("--as", help="Your reviewer name, as you sign in with it.")]


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


def open_services(workspace: Path | None, port: int | None = None) -> Services:
    """The services of a workspace, with its database migrated."""
    from dashboard.bootstrap import build
    from db.migrate import upgrade

    settings = Settings.load(workspace, port=port)
    settings.workspace.mkdir(parents=True, exist_ok=True)
    upgrade(settings.database_url)
    return build(settings)


def signed_in(services: Services, name: str) -> ReviewerRecord:
    """Whoever signs in under that name."""
    reviewer_id = services.review.sign_in(name)
    with services.uow(read_only=True) as uow:
        return uow.reviewers.get(reviewer_id)


@contextmanager
def bar(quiet: bool = False) -> Iterator[Progress]:
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


def print_json(value: Any) -> None:
    """Print a value for a script."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_problems(problems: Any, notices: Any = ()) -> None:
    """Print what was refused, and what is worth a note, one a line."""
    for problem in problems:
        line = f" (line {problem.row})" if problem.row is not None else ""
        typer.echo(f"  refused  {plain(f'{problem.file}{line}: {problem.reason}')}")
    for notice in notices:
        typer.echo(f"  note     {plain(notice)}")
