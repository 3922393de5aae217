"""Commands of a team lead: success criteria, decisions and schedules."""

from __future__ import annotations

from dataclasses import asdict
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

if TYPE_CHECKING:
    from dashboard.bootstrap import Services
    from dashboard.viewmodels.schedules import ScheduleView
    from dashboard.viewmodels.success import CriterionOutcome

FAILED = 3  # exit code of `criteria check` where a criterion fails
criteria_app = typer.Typer(help="What a project is to reach, and does it.", no_args_is_help=True)
decisions_app = typer.Typer(help="What was decided, and why.", no_args_is_help=True)
schedule_app = typer.Typer(help="Exports by the clock.", no_args_is_help=True)
app.add_typer(criteria_app, name="criteria")
app.add_typer(decisions_app, name="decisions")
app.add_typer(schedule_app, name="schedule")

Why = Annotated[str, typer.Option("--why", help="The reason; it is kept for good.")]
Key = Annotated[str, typer.Argument(help="Name of the schedule, or the beginning of its id.")]


@criteria_app.command("list", epilog=EXIT_CODES)
@guarded
def list_criteria(
    project: ProjectName,
    measures: Annotated[
        bool, typer.Option("--measures", help="List what a criterion can be put on instead.")
    ] = False,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """List the success criteria that stand, or everything that one can be put on."""
    services = open_services(workspace)
    project_id = services.projects.get(project).id
    if measures:
        known = services.success.measures()
        if as_json:
            print_json([asdict(each) for each in known])
            return
        for each in known:
            typer.echo(f"{each.key:<22} {each.comparator} {each.unit:<7} {each.about}")
        for preset in services.success.presets():
            typer.echo(f"preset {preset.key}: {preset.about}")
        return
    rows = services.success.standing(project_id)
    if as_json:
        print_json([asdict(each) for each in rows])
        return
    for row in rows:
        typer.echo(plain(f"{row.text}  ({row.by}, {row.at:%Y-%m-%d}: {row.reason})"))
    if not rows:
        typer.echo("no criterion stands; `insight criteria list --measures` says what there is")


@criteria_app.command("set", epilog=EXIT_CODES)
@guarded
def set_criterion(
    project: ProjectName,
    reviewer: Who,
    why: Why,
    criterion: Annotated[
        str, typer.Argument(help="MEASURE>=THRESHOLD or MEASURE<=THRESHOLD: coverage>=80%")
    ] = "",
    preset: Annotated[
        str | None, typer.Option(help="Set the criteria of a preset: review, shortcut, release.")
    ] = None,
    workspace: Workspace = None,
) -> None:
    """Ask for something from now on. Leads only; earlier words on the measure stay readable."""
    from core.errors import ConfigError
    from dashboard.services import success_measures as rules

    if bool(criterion) == (preset is not None):
        raise ConfigError("give one criterion, or --preset")
    services = open_services(workspace)
    project_id, me = services.projects.get(project).id, services.review.sign_in(reviewer)
    wanted = rules.preset(preset).criteria if preset else (_criterion(criterion),)
    for measure, comparator, threshold in wanted:
        typer.echo(plain(_set(services, project_id, me, measure, comparator, threshold, why)))


@criteria_app.command(epilog=EXIT_CODES)
@guarded
def withdraw(
    project: ProjectName,
    reviewer: Who,
    why: Why,
    measure: Annotated[str, typer.Argument(help="Key of the measure.")],
    workspace: Workspace = None,
) -> None:
    """Ask for it no longer. Leads only; what was asked before stays readable."""
    from db.records import new_id

    services = open_services(workspace)
    project_id, me = services.projects.get(project).id, services.review.sign_in(reviewer)
    found = services.success.withdraw(
        id=new_id(), project_id=project_id, reviewer_id=me, measure=measure, reason=why,
        based_on=services.success.revision(project_id, measure),
    )  # fmt: skip
    typer.echo(plain(found.text))


@criteria_app.command(
    epilog="Exit codes: 0 every criterion passes · 3 some fail · 4 the request cannot be carried "
    "out. What cannot be said is no pass: with --strict it counts as a failure."
)
@guarded
def check(
    project: ProjectName,
    version: Annotated[
        str | None, typer.Option(help="Hash of the model version; default: the active one.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="End with 3 also where something cannot be said.")
    ] = False,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Say of each criterion whether it is met, with the evidence."""
    services = open_services(workspace)
    found = services.success.outcomes(services.projects.get(project).id, version)
    if as_json:
        print_json([{**asdict(each), "verdict": each.verdict} for each in found])
    else:
        _print_outcomes(found)
    failed = any(each.passed is False or (strict and each.passed is None) for each in found)
    if failed:
        raise typer.Exit(FAILED)


@decisions_app.command("list", epilog=EXIT_CODES)
@guarded
def list_decisions(
    project: ProjectName,
    subject: Annotated[str, typer.Option(help="threshold, criterion, version, run, ...")] = "",
    search: Annotated[str, typer.Option(help="Part of the title, choice, reason or name.")] = "",
    standing: Annotated[
        bool, typer.Option("--standing", help="Leave out what was superseded.")
    ] = False,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """List what was decided, newest first: written decisions, versions, criteria, rules."""
    from dashboard.viewmodels.decisions import DecisionFilter

    services = open_services(workspace)
    wanted = DecisionFilter(subject=subject, search=search, standing=standing)
    rows = services.decision_log.list(services.projects.get(project).id, wanted)
    if as_json:
        print_json([asdict(each) for each in rows])
        return
    for row in rows:
        gone = " (superseded)" if row.superseded_by else ""
        reason = f" Why: {row.reason}" if row.reason else ""
        typer.echo(
            plain(
                f"{row.id[:8]}  {row.at:%Y-%m-%d %H:%M}  {row.subject:<9}  "
                f"{row.by or 'the program'}: {row.title}: {row.choice}{gone}{reason}"
            )
        )
        for link in row.evidence:
            typer.echo(plain(f"          {link.kind}  {link.label}"))


@decisions_app.command(epilog=EXIT_CODES)
@guarded
def add(
    project: ProjectName,
    reviewer: Who,
    why: Why,
    title: Annotated[str, typer.Argument(help="What was decided on, in a few words.")],
    choice: Annotated[str, typer.Option(help="What was chosen.")],
    subject: Annotated[
        str, typer.Option(help="threshold, criterion, version, run, report, drift or other.")
    ] = "other",
    alternatives: Annotated[str, typer.Option(help="What else was possible.")] = "",
    evidence: Annotated[
        list[str] | None,
        typer.Option(help="KIND:ID, kind one of run, version, criterion, export, case, address."),
    ] = None,
    supersedes: Annotated[
        str | None, typer.Option(help="Id of the decision that no longer holds.")
    ] = None,
    workspace: Workspace = None,
) -> None:
    """Write a decision down, with its reason and what it rests on. Leads and annotators."""
    from db.records import new_id

    services = open_services(workspace)
    project_id, me = services.projects.get(project).id, services.review.sign_in(reviewer)
    former = services.decision_log.find(project_id, supersedes).id if supersedes else None
    row = services.decision_log.add(
        id=new_id(), project_id=project_id, reviewer_id=me, subject=subject, title=title,
        choice=choice, reason=why, alternatives=alternatives,
        evidence=[_evidence(each) for each in evidence or ()], supersedes=former,
    )  # fmt: skip
    typer.echo(plain(f"{row.id[:8]}  {row.title}: {row.choice}"))


@schedule_app.command("add", epilog=EXIT_CODES)
@guarded
def add_schedule(
    project: ProjectName,
    reviewer: Who,
    every: Annotated[str, typer.Option(help="day, week or month.")],
    formats: Annotated[str, typer.Option("--format", help="html,pdf,json,csv,... in one list.")],
    at: Annotated[str, typer.Option(help="Time of day, 24 hours: 06:00.")] = "06:00",
    on: Annotated[
        str | None, typer.Option(help="Day of the week (Monday) or of the month (1 to 31).")
    ] = None,
    tz: Annotated[str, typer.Option(help="Time zone of that time: UTC, Europe/Berlin.")] = "UTC",
    name: Annotated[str, typer.Option(help="What to call it.")] = "",
    scope: Annotated[
        list[str] | None,
        typer.Option(help="KEY=VALUE: version, since, until, class_name, reviewer, case_id."),
    ] = None,
    workspace: Workspace = None,
) -> None:
    """Have the worker make a report or its data at set times. Leads only."""
    from dashboard.services.schedule_times import parse_day
    from db.records import new_id

    services = open_services(workspace)
    spec = {
        "every": every, "at": at, "tz": tz, "formats": formats.split(","),
        "scope": dict(_pair(each) for each in scope or ()), **parse_day(every, on),
    }  # fmt: skip
    row = services.schedules.add(
        id=new_id(), project_id=services.projects.get(project).id,
        reviewer_id=services.review.sign_in(reviewer), spec=spec, name=name,
    )  # fmt: skip
    _print_schedule(row)


@schedule_app.command("list", epilog=EXIT_CODES)
@guarded
def list_schedules(
    project: ProjectName, workspace: Workspace = None, as_json: AsJson = False
) -> None:
    """List the schedules with their next due time and what came of them."""
    services = open_services(workspace)
    rows = services.schedules.list(services.projects.get(project).id)
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    for row in rows:
        _print_schedule(row)
    if not rows:
        typer.echo("no schedule yet")


@schedule_app.command(epilog=EXIT_CODES)
@guarded
def pause(project: ProjectName, reviewer: Who, key: Key, workspace: Workspace = None) -> None:
    """Make nothing until it is resumed. Leads only."""
    _change(open_services(workspace), project, reviewer, key, "pause")


@schedule_app.command(epilog=EXIT_CODES)
@guarded
def resume(project: ProjectName, reviewer: Who, key: Key, workspace: Workspace = None) -> None:
    """Go on with the next due time. Leads only."""
    _change(open_services(workspace), project, reviewer, key, "resume")


@schedule_app.command(epilog=EXIT_CODES)
@guarded
def remove(project: ProjectName, reviewer: Who, key: Key, workspace: Workspace = None) -> None:
    """End a schedule for good; what it made stays. Leads only."""
    _change(open_services(workspace), project, reviewer, key, "remove")


@schedule_app.command("run-now", epilog=EXIT_CODES)
@guarded
def run_now(
    project: ProjectName,
    reviewer: Who,
    key: Key,
    wait: Annotated[bool, typer.Option(help="Make it here and now, without the worker.")] = True,
    workspace: Workspace = None,
) -> None:
    """Make now what a schedule makes. Leads only."""
    from core.errors import InsightError
    from dashboard.services.run_work import run_inline
    from db.records import new_id

    services = open_services(workspace)
    project_id, me = services.projects.get(project).id, services.review.sign_in(reviewer)
    schedule = services.schedules.find(project_id, key)
    started = services.schedules.run_now(
        id=new_id(), project_id=project_id, reviewer_id=me, schedule_id=schedule.id
    )
    if not wait:
        typer.echo(f"{started.run_id}  asked for; the worker makes it")
        return
    run = run_inline(services, started.run_id)
    if run.state != "succeeded":
        raise InsightError(run.message or f"the export {run.state}")
    for made in run.details.get("files", ()):
        typer.echo(plain(f"{made['format']:<8} {made['size']:>12,} bytes  {made['path']}"))


def _set(
    services: Services, project_id: str, me: str, measure: str, comparator: str,
    threshold: float, why: str,
) -> str:  # fmt: skip
    from db.records import new_id

    found = services.success.set(
        id=new_id(), project_id=project_id, reviewer_id=me, measure=measure,
        comparator=comparator, threshold=threshold, reason=why,
        based_on=services.success.revision(project_id, measure),
    )  # fmt: skip
    return f"{found.text} (revision {found.revision})"


def _criterion(text: str) -> tuple[str, str, float]:
    from core.errors import ConfigError
    from dashboard.services import success_measures as rules

    for sign in (">=", "<="):
        name, found, threshold = text.partition(sign)
        if found:
            measure = rules.find(name)
            return measure.key, sign, rules.parse_threshold(measure, threshold)
    raise ConfigError(f"{text!r} is no criterion; write coverage>=80% or shortcut_gap<=2points")


def _print_outcomes(found: tuple[CriterionOutcome, ...]) -> None:
    marks = {"pass": "PASS", "fail": "FAIL", "cannot be said": "?"}
    for each in found:
        typer.echo(plain(f"{marks[each.verdict]:<5} {each.sentence}"))
    counts = {word: sum(each.verdict == word for each in found) for word in marks}
    typer.echo(", ".join(f"{count} {word}" for word, count in counts.items()))


def _evidence(text: str) -> tuple[str, str]:
    kind, colon, key = text.partition(":")
    if not colon:
        raise typer.BadParameter(f"{text!r} is not KIND:ID")
    return kind.strip(), key.strip()


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"{text!r} is not KEY=VALUE")
    return key.strip(), value.strip()


def _change(services: Services, project: str, reviewer: str, key: str, act: str) -> None:
    from db.records import new_id

    project_id, me = services.projects.get(project).id, services.review.sign_in(reviewer)
    row = services.schedules.find(project_id, key)
    asked: dict[str, Any] = {
        "id": new_id(), "project_id": project_id, "reviewer_id": me, "schedule_id": row.id,
        "based_on": row.revision,
    }  # fmt: skip
    after = getattr(services.schedules, act)(**asked)
    if after is None:
        typer.echo(plain(f"{row.name}: removed"))
    else:
        _print_schedule(after)


def _print_schedule(row: ScheduleView) -> None:
    state = f"next {row.next_due:%Y-%m-%d %H:%M} UTC" if row.next_due else "paused"
    typer.echo(plain(f"{row.id[:8]}  {row.name}: {row.words}; {state}; {row.scope}"))
    for run in row.runs:
        due = f"due {run.due:%Y-%m-%d %H:%M}" if run.due else "by hand"
        said = run.message or ", ".join(path for _, path, _ in run.files)
        typer.echo(plain(f"          {run.state:<11} {due}  {said}"))
