"""Command that asks whether new images differ from those that a model knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, cast
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
    from dashboard.bootstrap import Services
    from dashboard.viewmodels.drift import DriftView, ImageSet, Within

ALERT = 3  # exit code of --fail-on-alert
SETS = "split=NAME, since=DAY (2026-11-20) or COLUMN=VALUE; several of one key are joined."


@app.command("drift", epilog=EXIT_CODES)
@guarded
def drift(
    project: ProjectName,
    new: Annotated[
        list[str] | None, typer.Option("--new", help=f"Which images are in question: {SETS}")
    ] = None,
    reference: Annotated[
        list[str] | None,
        typer.Option("--reference", help="What they are compared with; else all that is known."),
    ] = None,
    within: Annotated[
        str, typer.Option(help="Compare within: nothing, label or prediction.")
    ] = "nothing",
    level: Annotated[float, typer.Option(help="Chance of a false alert, at most.")] = 0.05,
    seed: Annotated[int, typer.Option(min=0, help="Seed of every random choice.")] = 0,
    listed: Annotated[bool, typer.Option("--list", help="List the checks made so far.")] = False,
    fail_on_alert: Annotated[
        bool, typer.Option("--fail-on-alert", help="End with exit code 3 where there is an alert.")
    ] = False,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Compare the concepts of new images with those of the images that the model knows."""
    services = open_services(workspace)
    project_id = services.projects.get(project).id
    if listed:
        _print_list(services, project_id, as_json)
        return
    row = services.drift.start(
        id=str(uuid4()), project_id=project_id, reviewer_id=None, new=_wanted(services, project_id,
        new), reference=_set(reference), within=cast("Within", within), level=level, seed=seed,
    )  # fmt: skip
    view = _waited(services, row.run_id)
    _print(view, as_json)
    if view.state != "succeeded":
        raise typer.Exit(REFUSED)
    if view.alert and fail_on_alert:
        raise typer.Exit(ALERT)


def _waited(services: Services, run_id: str) -> DriftView:
    from dashboard.services.waiting import wait

    with bar() as report:
        wait(services.runs, services.settings, services.runs.get(run_id), report)
    return services.drift.view(run_id, pictures=False)


def _wanted(services: Services, project_id: str, pairs: Sequence[str] | None) -> ImageSet:
    """The set that was asked for, else the one that the project proposes."""
    from core.errors import ConfigError

    asked = _set(pairs)
    if asked is not None:
        return asked
    form = services.drift.form(project_id)
    if form.new is None:
        raise ConfigError(form.why_not or "say which images are new: --new COLUMN=VALUE")
    return form.new


def _set(pairs: Sequence[str] | None) -> ImageSet | None:
    """KEY=VALUE pairs of one key. Raises typer.BadParameter for anything else."""
    from dashboard.viewmodels.drift import ImageSet

    if not pairs:
        return None
    split = [pair.partition("=") for pair in pairs]
    keys = {key.strip() for key, _, _ in split}
    values = tuple(value.strip() for _, _, value in split)
    if len(keys) != 1 or not all(sign for _, sign, _ in split) or not all(values):
        raise typer.BadParameter(f"images are chosen by {SETS}")
    key = keys.pop()
    if key in ("split", "since"):
        return ImageSet(cast("Any", key), values)
    return ImageSet("column", values, key)


def _print_list(services: Services, project_id: str, as_json: bool) -> None:
    rows = services.drift.list(project_id)
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    for row in rows:
        mark = "ALERT" if row.alert else "-"
        typer.echo(
            f"{row.run_id[:8]}  {row.at:%Y-%m-%d %H:%M}  {row.state:<11} {mark:<5}  "
            f"{plain(row.new)}: {plain(row.sentence)}"
        )


def _print(view: DriftView, as_json: bool) -> None:
    if as_json:
        print_json(_json(view))
        return
    typer.echo(f"{plain(view.new)} ({view.n_new}) against {plain(view.reference)} "
               f"({view.n_reference})")  # fmt: skip
    typer.echo(plain(view.sentence or view.message or view.state))
    for concept in view.concepts:
        mark = "!" if concept.alert else " "
        typer.echo(
            f" {mark} {plain(concept.name):<28} q {concept.q:8.2g}  "
            f"P(new stronger) {concept.superiority:.2f}  {plain(concept.sentence)}"
        )
    if view.done:
        typer.echo(f"   as a whole: told apart {view.told_apart:.2f} (0.5 is chance), "
                   f"p {view.whole_p:.3f}; {view.tested} concepts tested")  # fmt: skip
        typer.echo(f"   {plain(view.decisions_sentence)}")
        typer.echo(f"-> {plain(view.advice)}")
    for each in view.notices:
        typer.echo(f"   {each.level:<8} {plain(each.text)} {plain(each.advice)}".rstrip())


def _json(view: DriftView) -> dict[str, Any]:
    found = asdict(view)
    found.pop("cases")
    for concept in found["concepts"]:
        concept.pop("pictures")
    return found
