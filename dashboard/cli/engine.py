"""Commands that use the engine: discover, explain, rules, heads, segment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dashboard.cli.shared import (
    EXIT_CODES,
    PROBLEMS,
    AsJson,
    ProjectName,
    Workspace,
    app,
    bar,
    guarded,
    open_services,
    plain,
    print_json,
    print_problems,
)

if TYPE_CHECKING:
    from dashboard.services.carrying import NamesKept


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
    settings: Annotated[
        Path | None, typer.Option(help="TOML file with further settings of the engine.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of every random choice.")] = 0,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Find concepts, relations, names and a head: a first model version of the project."""
    from dashboard.services.discover_settings import read_settings

    options = read_settings(settings) if settings is not None else None
    services = open_services(workspace)
    with bar() as report:
        result = services.discovery.discover(
            project, encoder=encoder, vocabulary=vocabulary, options=options, seed=seed,
            progress=report,
        )  # fmt: skip
    if as_json:
        print_json({"project": project, "version": result.version, "state": result.state,
                     "cases": result.cases, "metrics": result.metrics,
                     "problems": [vars(problem) for problem in result.problems],
                     "names_carried": [vars(name) for name in result.names.carried],
                     "names_lost": [vars(name) for name in result.names.lost]})  # fmt: skip
    else:
        typer.echo(f"version {result.version[:12]} ({result.state}), {result.cases} cases")
        for name, value in sorted(result.metrics.items()):
            if isinstance(value, (int, float)):
                typer.echo(f"  {name}: {value:.4g}")
        _print_names(result.names)
        print_problems(result.problems)
    if result.problems:
        raise typer.Exit(PROBLEMS)


def _print_names(names: NamesKept) -> None:
    """What became of the names that people gave on a former dictionary."""
    for kept in names.carried:
        by = plain(kept.reviewer or "someone")
        typer.echo(f"  name kept  {plain(kept.name)!r} by {by}, match {kept.score:.2f}")
    for lost in names.lost:
        by = plain(lost.reviewer or "someone")
        typer.echo(f"  name lost  {plain(lost.name)!r} by {by}: {plain(lost.why)}")


@app.command(epilog=EXIT_CODES)
@guarded
def explain(
    image: Annotated[Path, typer.Argument(help="An image file, of the project or new.")],
    project: ProjectName,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all of it here.")] = None,
    png_file: Annotated[Path | None, typer.Option("--png", help="Draw the cues here.")] = None,
    regions: Annotated[
        bool, typer.Option("--regions", help="Also fill each cue's region in and look again.")
    ] = False,
    workspace: Workspace = None,
) -> None:
    """Explain what the project's active version says of one image, and why."""
    from core.types import as_json

    services = open_services(workspace)
    result = services.explain.explain_image(image, project, regions=regions)
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


@app.command(epilog=EXIT_CODES)
@guarded
def rules(
    project: ProjectName,
    depth: Annotated[int, typer.Option(min=1, max=6, help="Conditions of a rule, at most.")] = 3,
    cases: Annotated[int, typer.Option(min=1, help="Training cases of a rule, at least.")] = 10,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Put the project's active version into a short list of rules over named concepts."""
    from core.rules import RuleConfig

    config = RuleConfig(max_depth=depth, min_cases=cases)
    with bar() as report:
        found = open_services(workspace).tasks.rules(project, config=config, progress=report)
    if as_json:
        from dataclasses import asdict

        print_json({"project": project, "version": found.version, **asdict(found.rules)})
        return
    for sentence in found.rules.read_aloud():
        typer.echo(plain(sentence))


@app.command(epilog=EXIT_CODES)
@guarded
def heads(project: ProjectName, workspace: Workspace = None, as_json: AsJson = False) -> None:
    """Show how accuracy on held-out images grows with the number of concepts per class.

    To use a sparse head, give concepts_per_class in the settings file of `insight discover`.
    """
    from dashboard.services.tasks import table_of

    with bar() as report:
        found = open_services(workspace).tasks.head_path(project, progress=report)
    rows = table_of(found)
    if as_json:
        names = ("concepts_per_class", "concepts", "accuracy")
        print_json({"project": project, "version": found.version,
                    "heads": [dict(zip(names, row, strict=True)) for row in rows],
                    "own": {"concepts": found.own_concepts, "accuracy": found.own_accuracy},
                    "held_out": found.path.held_out})  # fmt: skip
        return
    typer.echo(f"accuracy on {found.path.held_out} held-out images")
    typer.echo("concepts per class   concepts in all   accuracy")
    for per_class, used, accuracy in rows:
        typer.echo(f"{per_class:>18}   {used:>15}   {accuracy:>8.3f}")
    typer.echo(f"{'this version':>18}   {found.own_concepts:>15}   {found.own_accuracy:>8.3f}")


@app.command(epilog=EXIT_CODES)
@guarded
def segment(
    image: Annotated[Path, typer.Argument(help="An image file, of the project or new.")],
    project: ProjectName,
    word: Annotated[list[str], typer.Option(help="What to look for; give it several times.")],
    out: Annotated[Path, typer.Option(help="Folder for the masks.")],
    background: Annotated[
        list[str] | None, typer.Option(help="Words that stand for nothing of interest.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Least cosine of a pixel with its word, -1 to 1.")
    ] = None,
    workspace: Workspace = None,
) -> None:
    """Find words in an image and write one mask for each, with run lengths as JSON."""
    files = open_services(workspace).tasks.segment(
        image, project, word, out, background=background or (), threshold=threshold
    )
    for file in files:
        typer.echo(plain(str(file)))
