"""Commands about model versions and groups: what became better, which one decides, for whom."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from dashboard.cli.shared import (
    EXIT_CODES,
    AsJson,
    ProjectName,
    Who,
    Workspace,
    app,
    guarded,
    open_services,
    plain,
    print_json,
)

if TYPE_CHECKING:
    from dashboard.viewmodels.groups import GroupsView
    from dashboard.viewmodels.judgement import Estimate, JudgementView
    from dashboard.viewmodels.versions import VersionRow

versions_app = typer.Typer(help="List, compare and activate model versions.", no_args_is_help=True)
app.add_typer(versions_app, name="versions")

Reason = Annotated[str, typer.Option(help="Why; needed where the version loses too much.")]
Version = Annotated[str, typer.Argument(help="Hash of the version, or its first 6 characters.")]


@versions_app.command("list", epilog=EXIT_CODES)
@guarded
def list_versions(
    project: ProjectName, workspace: Workspace = None, as_json: AsJson = False
) -> None:
    """List the versions of a project, newest first."""
    services = open_services(workspace)
    rows = services.versions.list(services.projects.get(project).id)
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    for row in rows:
        typer.echo(plain(_line(row)))


@versions_app.command(epilog=EXIT_CODES)
@guarded
def compare(
    before: Version,
    after: Version,
    project: ProjectName,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Set two versions side by side on the same held-out cases."""
    services = open_services(workspace)
    view = services.versions.compare(services.projects.get(project).id, before, after)
    if as_json:
        print_json(asdict(view))
        return
    _print_judgement(view)


@versions_app.command(epilog=EXIT_CODES)
@guarded
def activate(
    version: Version,
    project: ProjectName,
    reviewer: Who,
    reason: Reason = "",
    workspace: Workspace = None,
) -> None:
    """Make a version the one that decides."""
    from db.records import new_id

    services = open_services(workspace)
    row = services.versions.find(services.projects.get(project).id, version)
    row = services.versions.activate(
        id=new_id(), version_id=row.id, reviewer_id=services.review.sign_in(reviewer),
        reason=reason,
    )  # fmt: skip
    typer.echo(f"{row.hash[:12]} is active")


@versions_app.command(epilog=EXIT_CODES)
@guarded
def rollback(
    project: ProjectName, reviewer: Who, reason: Reason = "", workspace: Workspace = None
) -> None:
    """Go back to the version that was active before."""
    from db.records import new_id

    services = open_services(workspace)
    row = services.versions.rollback(
        id=new_id(), project_id=services.projects.get(project).id,
        reviewer_id=services.review.sign_in(reviewer), reason=reason,
    )  # fmt: skip
    typer.echo(f"{row.hash[:12]} is active")


@versions_app.command(epilog=EXIT_CODES)
@guarded
def discard(
    version: Version,
    project: ProjectName,
    reviewer: Who,
    reason: Annotated[str, typer.Option(help="Why, for those who ask later.")] = "",
    workspace: Workspace = None,
) -> None:
    """Set a version aside for good."""
    from db.records import new_id

    services = open_services(workspace)
    row = services.versions.find(services.projects.get(project).id, version)
    services.versions.discard(
        id=new_id(), version_id=row.id, reviewer_id=services.review.sign_in(reviewer),
        reason=reason,
    )  # fmt: skip
    typer.echo(f"{row.hash[:12]} is discarded")


@versions_app.command(epilog=EXIT_CODES)
@guarded
def lineage(project: ProjectName, workspace: Workspace = None, as_json: AsJson = False) -> None:
    """Say where every version comes from: data, verdicts, run, former version."""
    services = open_services(workspace)
    view = services.versions.lineage(services.projects.get(project).id)
    if as_json:
        print_json(asdict(view))
        return
    for line in view.text:
        typer.echo(plain(line))


@app.command(epilog=EXIT_CODES)
@guarded
def groups(
    project: ProjectName,
    column: Annotated[
        str | None, typer.Argument(help="A column of the table, or label, group, mask.")
    ] = None,
    version: Annotated[str | None, typer.Option(help="Hash of a version; else the active.")] = None,
    split: Annotated[list[str] | None, typer.Option(help="Splits; else the held-out ones.")] = None,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Accuracy, calibration and reliance on rejected concepts by a column; without one, all."""
    services = open_services(workspace)
    project_id = services.projects.get(project).id
    chosen = services.versions.find(project_id, version).id if version else None
    if column is None:
        scans = services.groups.scan(project_id, version_id=chosen)
        if as_json:
            print_json([asdict(scan) for scan in scans])
            return
        for scan in scans:
            share = f"{_percent(scan.lowest_accuracy)} ({scan.lowest}) to " \
                f"{_percent(scan.highest_accuracy)} ({scan.highest})"  # fmt: skip
            p = "" if scan.p_adjusted is None else f"  p {scan.p_adjusted:.3f} adjusted"
            typer.echo(plain(f"{scan.column.label:24s} {share}{p}"))
        return
    view = services.groups.of(project_id, column, version_id=chosen, splits=split)
    if as_json:
        print_json(asdict(view))
        return
    _print_groups(view)


def _line(row: VersionRow) -> str:
    made = row.created_at.strftime("%Y-%m-%d %H:%M")
    accuracy = (
        f"  when made: {_interval(row.accuracy)} right of {row.cases} ({row.split})"
        if row.cases
        else ""
    )
    by = f", {row.by}" if row.by else ""
    until = f", in use until {row.used_until:%Y-%m-%d %H:%M} UTC" if row.used_until else ""
    return (
        f"{row.hash[:12]}  {row.state:9s} {row.kind}, seed {row.seed}, {made}{by}{until}{accuracy}"
    )


def _print_judgement(view: JudgementView) -> None:
    for split in view.splits:
        typer.echo(plain(split.sentence))
        for figure in split.figures:
            typer.echo(plain(f"  {figure.label:26s} {figure.sentence}"))
        for note in split.notes:
            typer.echo(plain(f"  note     {note}"))
    typer.echo(plain(f"{view.guard.sentence} {view.guard.asks}".rstrip()))
    for text in view.guard.breaches:
        typer.echo(plain(f"  {text}"))
    for change in view.concepts[:10]:
        mark = ", rejected" if change.rejected else ""
        typer.echo(
            plain(f"  {change.effect:+8.3f} logit  {change.name} for {change.class_name}{mark}")
        )
    for note in view.notes:
        typer.echo(plain(f"  note     {note}"))


def _print_groups(view: GroupsView) -> None:
    typer.echo(plain(view.sentence))
    for row in (*view.rows, view.overall):
        share = "" if row.reliance.value is None else f"  rejected {_percent(row.reliance.value)}"
        differs = "  differs" if row.differs else "  few cases" if row.small else ""
        typer.echo(
            plain(
                f"  {row.value:24s} {row.n:6d}  {_interval(row.accuracy)}  calibration error "
                f"{_percent(row.ece.value)}{share}{differs}"
            )
        )
    typer.echo(plain(view.multiplicity))
    for note in view.notes:
        typer.echo(plain(f"  note     {note}"))


def _interval(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return _percent(estimate.value)
    return f"{_percent(estimate.value)} ({_percent(estimate.low)} to {_percent(estimate.high)})"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"
