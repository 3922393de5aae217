"""Commands about who reviews what, and by which rules: queue, settings, members."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

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
from dashboard.services.roles import ROLES
from dashboard.viewmodels.queue import PlanView, QueueFilter, QueueRow

if TYPE_CHECKING:
    from dashboard.bootstrap import Services

queue_app = typer.Typer(help="Plan, show and assign the review queue.", no_args_is_help=True)
settings_app = typer.Typer(help="Show or set a project's rules of review.", no_args_is_help=True)
app.add_typer(queue_app, name="queue")
app.add_typer(settings_app, name="settings")


@queue_app.command(epilog=EXIT_CODES)
@guarded
def plan(
    project: ProjectName, reviewer: Who, workspace: Workspace = None, as_json: AsJson = False
) -> None:
    """Order the queue anew by the project's stated priority (its weights, shares and seed)."""
    services = open_services(workspace)
    view = services.queue.plan(services.projects.get(project).id, services.review.sign_in(reviewer))
    _print_plan(view, as_json)


@queue_app.command(epilog=EXIT_CODES)
@guarded
def show(
    project: ProjectName,
    reviewer: Who,
    status: Annotated[str, typer.Option(help="all, open, mine, assigned, held, ...")] = "open",
    page: Annotated[int, typer.Option(help="Page of 25 cases, from 1.", min=1)] = 1,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """List cases in the order in which a reviewer meets them, with the reason for each."""
    services = open_services(workspace)
    project_id, me = services.projects.get(project).id, services.review.sign_in(reviewer)
    shown = services.queue.page(project_id, me, QueueFilter(status=_status(status), page=page))
    done = services.queue.progress(project_id, me)
    if as_json:
        print_json({"total": shown.total, "page": shown.page, "pages": shown.pages,
                    "mine": done.mine, "team": done.team, "cases": done.total,
                    "rows": [vars(row) for row in shown.rows]})  # fmt: skip
        return
    typer.echo(f"you {done.mine} of {done.total} cases, the team {done.team}")
    for row in shown.rows:
        typer.echo(_line(row))
    typer.echo(f"page {shown.page} of {shown.pages}, {shown.total} cases match")


@queue_app.command(epilog=EXIT_CODES)
@guarded
def assign(
    project: ProjectName,
    reviewer: Who,
    to: Annotated[str, typer.Option(help="Reviewer name of whoever gets the cases.")],
    count: Annotated[int, typer.Option(help="How many cases, from the front.", min=1)] = 20,
    workspace: Workspace = None,
) -> None:
    """Give the next open cases to one person; others then pass them by."""
    from db.records import new_id

    services = open_services(workspace)
    given = services.queue.assign_next(
        id=new_id(), project_id=services.projects.get(project).id,
        assignee_id=_known(services, to), by_id=services.review.sign_in(reviewer), count=count,
    )  # fmt: skip
    typer.echo(f"{given} cases assigned to {plain(to)}")


@settings_app.command("show", epilog=EXIT_CODES)
@guarded
def show_settings(project: ProjectName, workspace: Workspace = None) -> None:
    """Print the rules that stand, as JSON."""
    services = open_services(workspace)
    print_json(services.settings_of.of(services.projects.get(project).id).as_json())


@settings_app.command("set", epilog=EXIT_CODES)
@guarded
def set_settings(
    project: ProjectName,
    reviewer: Who,
    values: Annotated[
        list[str], typer.Argument(help="NAME=VALUE, values as JSON: seed=7 blind='[\"labels\"]'")
    ],
    workspace: Workspace = None,
) -> None:
    """Set some of the rules; the others stay. Leads only where the project has a lead."""
    from db.records import new_id

    services = open_services(workspace)
    project_id = services.projects.get(project).id
    stands = services.settings_of.view(project_id)
    after = services.settings_of.save(
        id=new_id(), project_id=project_id, reviewer_id=services.review.sign_in(reviewer),
        changes=dict(_pair(value) for value in values), based_on=stands.revision,
    )  # fmt: skip
    typer.echo(f"saved as revision {after.revision}")


@app.command(epilog=EXIT_CODES)
@guarded
def members(
    project: ProjectName,
    reviewer: Who,
    give: Annotated[
        str | None, typer.Option(help=f"NAME=ROLE, role one of {', '.join(ROLES)}, removed.")
    ] = None,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Show who may do what in a project, or give somebody a role."""
    from db.records import new_id

    services = open_services(workspace)
    project_id, me = services.projects.get(project).id, services.review.sign_in(reviewer)
    if give is not None:
        name, _, role = give.partition("=")
        person = _known(services, name)
        stands = {each.reviewer_id: each.revision for each in
                  services.settings_of.members(project_id, me).members}  # fmt: skip
        services.settings_of.set_role(
            id=new_id(), project_id=project_id, reviewer_id=person, role=role, by_id=me,
            based_on=stands.get(person, 0),
        )  # fmt: skip
    found = services.settings_of.members(project_id, me)
    if as_json:
        print_json({"open": found.open, "members": [vars(each) for each in found.members]})
        return
    if found.open:
        typer.echo("nobody is lead: everybody may do everything")
    for each in found.members:
        typer.echo(f"{each.role:10s} {plain(each.name)}")


def _known(services: Services, name: str) -> str:
    """The id of somebody who signed in before. Raises NotFound: a typo must not make a person."""
    from db.errors import NotFound

    with services.uow(read_only=True) as uow:
        found = uow.reviewers.by_name(name.strip())
    if found is None:
        raise NotFound("reviewer", name)
    return found.id


def _status(word: str) -> Any:
    from typing import get_args

    from core.errors import ConfigError
    from dashboard.viewmodels.queue import QueueStatus

    if word not in get_args(QueueStatus):
        raise ConfigError(f"status is one of {', '.join(get_args(QueueStatus))}, not {word!r}")
    return word


def _pair(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"{text!r} is not NAME=VALUE")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value  # a bare word, such as order=random


def _print_plan(view: PlanView, as_json: bool) -> None:
    if as_json:
        print_json({"total": view.total, "seed": view.seed, "notes": view.notes,
                    "counts": {key: count for key, _, count in view.counts}})  # fmt: skip
        return
    typer.echo(f"{view.total} cases planned, seed {view.seed}")
    for key, meaning, count in view.counts:
        typer.echo(f"  {count:7d}  {key}: {meaning}")
    for note in view.notes:
        typer.echo(f"  note     {plain(note)}")


def _line(row: QueueRow) -> str:
    sure = f"{row.prediction} {100 * row.confidence:.0f} %" if row.prediction else "hidden"
    state = ", ".join(
        [*(["yours"] if row.done else []), *row.marks]
        + ([f"open at {row.held_by}"] if row.held_by else [])
        + [f"for {name}" for name in row.assigned_to]
    )
    people = f"{row.reviewers}/{row.wanted}"
    return plain(
        f"{row.position:6d}  {row.image_name}  {sure}  {people}  {row.reason}  {state}".rstrip()
    )
