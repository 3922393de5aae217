"""Commands about the audit log: is it whole, what was done, a verifiable part of it; forgetting."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import typer

from dashboard.cli.shared import (
    EXIT_CODES,
    REFUSED,
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
    from dashboard.viewmodels.audit import ChainView

audit_app = typer.Typer(
    help="Check the log of all that was said and done, read it, take a part out.",
    no_args_is_help=True,
)
app.add_typer(audit_app, name="audit")

BROKEN = REFUSED  # exit code where something was changed: the log cannot be vouched for
SAID = "{} Exit code 4 also where something was changed."
Who = Annotated[str, typer.Option("--as", help="Your reviewer name; a lead of the project.")]
Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="A day (UTC), inclusive.")]
Person = Annotated[str, typer.Option(help="Only what this person did.")]
Reason = Annotated[str, typer.Option(help="Why; kept for ever, so without the name.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")]


@audit_app.command(epilog=SAID.format(EXIT_CODES))
@guarded
def verify(
    project: Annotated[str | None, typer.Option(help="Name of a project; else all.")] = None,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Find every row that was edited, removed, put in, moved or cut off, and name it."""
    services = open_services(workspace)
    chosen = services.projects.get(project).id if project else None
    with bar(as_json) as report:
        chains = services.audit.verify(chosen, report)
    whole = all(chain.is_whole for chain in chains)
    if as_json:
        print_json({"whole": whole, "chains": [asdict(chain) for chain in chains]})
    else:
        for chain in chains:
            _print_chain(chain)
    if not whole:
        raise typer.Exit(BROKEN)


@audit_app.command(epilog=EXIT_CODES)
@guarded
def log(
    project: ProjectName,
    person: Person = "",
    action: Annotated[str, typer.Option(help="Such as verdict.given, or verdict. for all.")] = "",
    about: Annotated[str, typer.Option(help="What it speaks of: verdict, version ...")] = "",
    since: Day = None,
    until: Day = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Lines, newest first.")] = 50,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Print who did what to what, newest first."""
    from dashboard.viewmodels.audit import LineFilter

    services = open_services(workspace)
    asked = LineFilter(person, action, about, _day(since), _day(until))
    page = services.audit.lines(services.projects.get(project).id, asked, limit=limit)
    if as_json:
        print_json([asdict(line) for line in page.lines])
        return
    for line in page.lines:
        text = f"{line.at:%Y-%m-%d %H:%M:%S}  {line.who:20s} {line.action:22s} {line.what}"
        typer.echo(plain(f"{text}  {line.detail}".rstrip()))
    if page.more:
        typer.echo(f"(older lines are left out: --limit {limit})")


@audit_app.command(epilog=EXIT_CODES)
@guarded
def extract(
    out: Annotated[Path, typer.Argument(help="The file to write (JSON lines).")],
    project: ProjectName,
    reviewer: Who,
    person: Person = "",
    since: Day = None,
    until: Day = None,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Write a part of the log that anybody can verify; rows outside it as hashes only."""
    services = open_services(workspace)
    project_id = services.projects.get(project).id
    with bar(as_json) as report:
        made = services.audit.extract(
            id=str(uuid4()), project_id=project_id, reviewer_id=services.review.sign_in(reviewer),
            target=out, since=_day(since), until=_day(until), person=person, progress=report,
        )  # fmt: skip
    if as_json:
        print_json(asdict(made))
        return
    typer.echo(f"wrote {plain(str(out))}")
    typer.echo(made.sentence)
    typer.echo(f"SHA-256 of the file: {made.sha256}")


@audit_app.command(epilog=SAID.format(EXIT_CODES))
@guarded
def check(
    file: Annotated[Path, typer.Argument(help="An extract, from any workspace.")],
    as_json: AsJson = False,
) -> None:
    """Verify an extract by itself, without the database."""
    from dashboard.services import audit_extract

    with bar(as_json) as report:
        found = audit_extract.check(file, report)
    if as_json:
        print_json({"whole": found.is_whole, **asdict(found)})
    else:
        typer.echo(plain(f"{found.project}: {found.sentence}"))
        for problem in found.problems:
            typer.echo(f"  {plain(problem)}")
    if not found.is_whole:
        raise typer.Exit(BROKEN)


@audit_app.command(epilog=EXIT_CODES)
@guarded
def redact(
    person: Annotated[str, typer.Argument(help="Name of the person to forget.")],
    project: ProjectName,
    reviewer: Who,
    reason: Reason,
    pseudonym: Annotated[str, typer.Option(help='Else one like "Person 7f3a".')] = "",
    dry_run: DryRun = False,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Replace a person's name by a pseudonym everywhere, for good; the chain stays whole."""
    services = open_services(workspace)
    view = services.forgetting.redact(
        id=str(uuid4()), project_id=services.projects.get(project).id,
        reviewer_id=services.review.sign_in(reviewer), person=person, reason=reason,
        pseudonym=pseudonym, dry_run=dry_run,
    )  # fmt: skip
    if as_json:
        print_json(asdict(view))
        return
    typer.echo(plain(view.sentence))
    for row in view.mentions:
        more = "" if len(row.rows) == row.count else " ..."
        typer.echo(f"  {row.table}.{row.column}: {row.count} ({', '.join(row.rows)}{more})")


@audit_app.command(epilog=EXIT_CODES)
@guarded
def retain(
    reviewer: Who,
    reason: Reason,
    days: Annotated[int, typer.Option(min=1, help="Audit lines of so many days are kept.")],
    project: Annotated[
        str | None, typer.Option(help="Name of a project; else lines of none (sign-ins).")
    ] = None,
    dry_run: DryRun = False,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Remove audit lines older than a number of days; verdicts and all that was said stay."""
    services = open_services(workspace)
    view = services.forgetting.retain(
        id=str(uuid4()), project_id=services.projects.get(project).id if project else None,
        reviewer_id=services.review.sign_in(reviewer), days=days, reason=reason, dry_run=dry_run,
    )  # fmt: skip
    if as_json:
        print_json(asdict(view))
        return
    typer.echo(view.sentence)


def _day(moment: datetime | None) -> date | None:
    return None if moment is None else moment.date()


def _print_chain(chain: ChainView) -> None:
    typer.echo(plain(chain.sentence))
    if chain.place:
        typer.echo(f"  ends at place {chain.place} with {chain.hash}")
    for row in chain.findings:
        typer.echo(plain(f"  {row.kind}: {row.sentence}"))
    if chain.found > len(chain.findings):
        typer.echo(f"  ... and {chain.found - len(chain.findings)} more")
