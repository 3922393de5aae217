"""Commands about runs: reweight, finetune, strategies, list, show, cancel, resume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import typer

from dashboard.cli.shared import (
    EXIT_CODES,
    REFUSED,
    AsJson,
    ProjectName,
    Workspace,
    bar,
    guarded,
    open_services,
    plain,
    print_json,
    run_app,
)
from dashboard.viewmodels import RunView

if TYPE_CHECKING:
    from dashboard.bootstrap import Services

Seed = Annotated[int, typer.Option(min=0, help="Seed of every random choice.")]
Option = Annotated[
    list[str] | None, typer.Option("--option", help="KEY=VALUE; may be given several times.")
]
NoWait = Annotated[
    bool, typer.Option("--no-wait", help="Leave it to a worker that is running elsewhere.")
]
RunId = Annotated[
    str, typer.Argument(metavar="RUN", help="Id of the run, or its first characters.")
]


@run_app.command("reweight", epilog=EXIT_CODES)
@guarded
def reweight(
    project: ProjectName,
    seed: Seed = 0,
    strategy: Annotated[
        str, typer.Option(help='See `insight run strategies`; "auto" chooses.')
    ] = "auto",
    option: Option = None,
    no_wait: NoWait = False,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Refit the head as the verdicts ask, and wait for the result."""
    services = open_services(workspace)
    view = services.runs.start_reweight(
        id=str(uuid4()), project_id=services.projects.get(project).id, reviewer_id=None,
        seed=seed, strategy=strategy, options=_options(option),
    )  # fmt: skip
    _watch(services, view, no_wait, as_json)


@run_app.command("finetune", epilog=EXIT_CODES)
@guarded
def finetune(
    project: ProjectName,
    seed: Seed = 0,
    option: Option = None,
    no_wait: NoWait = False,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Tune the encoder itself away from what was rejected, and wait for the result."""
    services = open_services(workspace)
    view = services.runs.start_finetune(
        id=str(uuid4()), project_id=services.projects.get(project).id, reviewer_id=None,
        seed=seed, options=_options(option),
    )  # fmt: skip
    _watch(services, view, no_wait, as_json)


@run_app.command("strategies", epilog=EXIT_CODES)
@guarded
def strategies(project: ProjectName, workspace: Workspace = None, as_json: AsJson = False) -> None:
    """List the strategies of reweighting, and which of them the present feedback can feed."""
    services = open_services(workspace)
    found = services.runs.strategies(services.projects.get(project).id)
    if as_json:
        print_json([asdict(each) for each in found])
        return
    for each in found:
        typer.echo(f"{'ok  ' if each.available else '-   '} {each.key:<24} {plain(each.line)}")
        if each.why_not:
            typer.echo(f"     -> {plain(each.why_not)}")


@run_app.command("list", epilog=EXIT_CODES)
@guarded
def list_runs(project: ProjectName, workspace: Workspace = None, as_json: AsJson = False) -> None:
    """List the runs of a project, newest first."""
    services = open_services(workspace)
    found = services.runs.list(services.projects.get(project).id)
    if as_json:
        print_json([_short_json(view) for view in found])
        return
    for view in found:
        made = (
            f" -> {view.result_version[:12]} ({view.result_state})" if view.result_version else ""
        )
        what = " ".join(part for part in (view.kind, view.strategy or view.task) if part)
        typer.echo(
            f"{view.id}  {view.created_at:%Y-%m-%d %H:%M}  {what:<28} {view.state} "
            f"{100 * view.progress:.0f} %{made if view.result_version else ''}"
        )


@run_app.command("show", epilog=EXIT_CODES)
@guarded
def show(
    run: RunId, project: ProjectName, workspace: Workspace = None, as_json: AsJson = False
) -> None:
    """Show one run: its state, its figures before and after, and what it has to say."""
    services = open_services(workspace)
    _print(_find(services, project, run), as_json)


@run_app.command("cancel", epilog=EXIT_CODES)
@guarded
def cancel(run: RunId, project: ProjectName, workspace: Workspace = None) -> None:
    """Stop a run; it can be resumed from where it stopped."""
    services = open_services(workspace)
    view = services.runs.cancel(_find(services, project, run).id)
    typer.echo(f"run {view.id}: {view.state}")


@run_app.command("resume", epilog=EXIT_CODES)
@guarded
def resume(
    run: RunId,
    project: ProjectName,
    anew: Annotated[
        bool, typer.Option("--anew", help="Begin anew, with the verdicts as they stand now.")
    ] = False,
    no_wait: NoWait = False,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Go on with a stopped run where it stopped; a run that is under way is watched."""
    services = open_services(workspace)
    view = _find(services, project, run)
    if view.state not in ("queued", "running"):
        view = services.runs.restart(view.id, anew=anew)
    _watch(services, view, no_wait, as_json)


def _find(services: Services, project: str, run: str) -> RunView:
    """The run of a project whose id begins like this. Raises InsightError where not exactly one."""
    from core.errors import InsightError

    every = services.runs.list(services.projects.get(project).id)
    found = [view for view in every if view.id.startswith(run)]
    if len(found) != 1:
        count = "no run has" if not found else f"{len(found)} runs have"
        raise InsightError(f"{count} an id that begins with {run!r}; see: insight run list")
    return found[0]


def _options(pairs: Sequence[str] | None) -> dict[str, Any]:
    """KEY=VALUE pairs; a value that looks like a number or a switch becomes one."""
    found: dict[str, Any] = {}
    for pair in pairs or ():
        key, sign, value = pair.partition("=")
        if not key or not sign:
            raise typer.BadParameter(f"options are KEY=VALUE, not {pair!r}")
        found[key.strip()] = _value(value.strip())
    return found


def _value(text: str) -> Any:
    if text in ("true", "false"):
        return text == "true"
    try:
        return float(text)
    except ValueError:
        return text


def _watch(services: Services, view: RunView, no_wait: bool, as_json: bool) -> None:
    """Waits for the end, unless told not to, and prints it; leaves with 4 where it did not work."""
    from dashboard.services.waiting import wait

    if no_wait:
        _print(view, as_json)
        return
    try:
        with bar() as report:
            view = wait(services.runs, services.settings, view, report)
    except KeyboardInterrupt:
        typer.echo(f"the run is kept; go on with: insight run resume {view.id}", err=True)
        raise
    _print(view, as_json)
    if view.state != "succeeded":
        raise typer.Exit(REFUSED)


def _print(view: RunView, as_json: bool) -> None:
    if as_json:
        print_json(_json(view))
        return
    typer.echo(f"run {view.id}: {view.state}. {plain(view.message)}".rstrip())
    if view.strategy:
        used = str(view.details.get("strategy", ""))
        typer.echo(f"  strategy {view.strategy}" + (f", chose {used}" if used else ""))
    for each in view.notices:
        typer.echo(f"  {each.level:<8} {plain(each.text)} {plain(each.advice)}".rstrip())
    for score in view.scores:
        mark = "*" if score.chosen else " "
        typer.echo(f" {mark}{score.title:<40} {_figure(score.score)}  {plain(score.why)}")
    for row in view.metrics:
        typer.echo(f"  {row.split:<10} {row.label:<40} {_figure(row.before)} -> "
                   f"{_figure(row.after)} {row.unit}")  # fmt: skip
    if view.resumable:
        typer.echo(f"  {plain(view.checkpoint)}: insight run resume {view.id}")


def _json(view: RunView) -> dict[str, Any]:
    return {
        **_short_json(view),
        "message": view.message,
        "verdicts": view.verdicts,
        "snapshot": view.snapshot_hash,
        "notices": [asdict(each) for each in view.notices],
        "scores": [asdict(each) for each in view.scores],
        "metrics": [asdict(row) for row in view.metrics],
        "details": view.details,
    }


def _short_json(view: RunView) -> dict[str, Any]:
    return {
        "id": view.id, "kind": view.kind, "strategy": view.strategy, "task": view.task,
        "state": view.state, "progress": view.progress, "stage": view.stage, "seed": view.seed,
        "options": view.options, "created_at": view.created_at.isoformat(),
        "base": view.base_version, "version": view.result_version,
        "version_state": view.result_state, "resumable": view.resumable,
    }  # fmt: skip


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
