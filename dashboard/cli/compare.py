"""The command that compares attribution methods on one image."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dashboard.cli.shared import (
    EXIT_CODES,
    AsJson,
    ProjectName,
    Workspace,
    app,
    guarded,
    open_services,
    plain,
    print_json,
)


@app.command(epilog=EXIT_CODES)
@guarded
def compare(
    image: Annotated[Path, typer.Argument(help="An image file, of the project or new.")],
    project: ProjectName,
    method: Annotated[
        list[str] | None, typer.Option(help="A method; give it several times. Default: all.")
    ] = None,
    class_name: Annotated[
        str | None, typer.Option("--class", help="The class to explain. Default: the predicted.")
    ] = None,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Show where different attribution methods see the evidence for a class in one image."""
    found = open_services(workspace).attribute.compare(image, project, method or (), class_name)
    if as_json:
        print_json({"project": project, "class": found.class_name, "logit": found.score,
                    "methods": [vars(row) for row in found.rows]})  # fmt: skip
        return
    typer.echo(f"{plain(found.class_name)}: logit {found.score:.3f}")
    typer.echo(f"{'method':<22}{'sum':>9}{'missing':>9}{'like concepts':>15}   strongest patch")
    for row in found.rows:
        if row.values is None:
            typer.echo(f"{row.method:<22}{plain(row.problem or '')}")
            continue
        missing = "" if row.gap is None else f"{row.gap:.3f}"
        place = "row {}, column {}".format(*row.strongest)
        typer.echo(f"{row.method:<22}{row.total:>9.3f}{missing:>9}{row.likeness:>15.2f}   {place}")
