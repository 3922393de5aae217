"""The command that matches concepts to recorded attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dashboard.cli.shared import (
    EXIT_CODES,
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
    from core.attributes import AttributeMatch
    from dashboard.services.known_attributes import AttributesFound


@app.command(epilog=EXIT_CODES)
@guarded
def attributes(
    project: ProjectName,
    column: Annotated[
        list[str] | None,
        typer.Option(help="A column of the table; give it several times. Default: all of them."),
    ] = None,
    masks: Annotated[bool, typer.Option("--masks", help="Match to the masks instead.")] = False,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Which concepts follow the recorded attributes (camera, site, defect mask, ...)?

    Half of the images chooses the concept of each attribute, the other half scores it.
    """
    services = open_services(workspace)
    with bar() as report:
        service = services.attributes
        if masks:
            found = service.match_masks(project, progress=report)
        else:
            found = service.match_columns(project, column or (), progress=report)
    if as_json:
        print_json({"project": project, "version": found.version, "images": found.images,
                    "names": found.names, "left_out": found.left_out,
                    **found.report.as_json()})  # fmt: skip
        return
    for line in _told(found):
        typer.echo(plain(line))


def _told(found: AttributesFound) -> list[str]:
    """The report for people, one line each."""
    lines = [f"{found.images} images; attribute, its best concept, area under the ROC curve (AUC)"]
    lines += [_line(match, found) for match in found.report.matches]
    for mix in found.report.entanglements:
        if mix.entangled:
            one, other = mix.attributes
            lines.append(f"  mixed up in {found.name(mix.concept)}: {one} and {other}")
    return [*lines, *(f"  left out  {reason}" for reason in found.left_out)]


def _line(match: AttributeMatch, found: AttributesFound) -> str:
    if match.concept is None or match.auc is None:
        return f"  {match.attribute}: no concept fires"
    told = "more than chance" if match.significant else "not more than chance"
    chance = "" if match.chance_auc is None else f", chance reaches {match.chance_auc:.2f}"
    return (
        f"  {match.attribute}: {found.name(match.concept)} (number {match.concept}), "
        f"AUC {match.auc:.2f}{chance}: {told}; purity {match.purity:.2f}, recall {match.recall:.2f}"
    )
