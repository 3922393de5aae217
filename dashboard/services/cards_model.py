"""The model card of a version: README.md as the Hugging Face Hub reads it.

Every figure is the report's own; a card names no person, only how many spoke and in which role.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.manifest import Manifest
from dashboard.services.cards_text import code, front_matter, inline, slug, table
from dashboard.services.reproduce_compare import flat
from dashboard.viewmodels.agreement import CoefficientView
from dashboard.viewmodels.judgement import Estimate
from dashboard.viewmodels.report_content import Figure, ReportContent
from db.records import VersionRecord

LIBRARY = "insight-review"
TASK = {"type": "image-classification", "name": "Image classification"}
MADE = {
    "discover": "Concepts were discovered in the project's images and a linear head was fitted.",
    "reweight": "The head of the version before was refitted on what people said of its cues; "
    "encoder and concepts are those of the version before.",
    "finetune": "The last blocks of the encoder were tuned on what people rejected; concepts and "
    "head were carried over and refitted.",
}
LONG = 2000  # characters of a sentence of the program
CONCEPTS = 10  # spurious concepts and groups that are listed
NO_CASES = "There are no labelled held-out cases, so nothing was measured."


@dataclass(frozen=True)
class Facts:
    """What the card is written from."""

    content: ReportContent  # of this version
    review: ReportContent  # of the whole project: a new version does not undo a review
    version: VersionRecord
    manifest: Manifest | None  # None: its folder cannot be read
    roles: Mapping[str, int]  # role -> people
    license: str
    notice: str


def model_card(facts: Facts) -> str:
    """The whole file."""
    content = facts.content
    lines = [
        f"# {inline(content.cover.project)}, model version {code(facts.version.hash[:12])}",
        "",
        f"> **{inline(facts.notice)}**" if facts.notice else "",
        "",
        *_intended(facts),
        *_training(facts),
        *_evaluation(content),
        *_groups(content),
        *_review(facts),
        *_runs(facts.review),
        *_limits(content),
        *_provenance(content),
    ]
    return front_matter(metadata(facts)) + "\n" + "\n".join(lines).rstrip() + "\n"


def metadata(facts: Facts) -> dict[str, Any]:
    """The front matter."""
    content, version = facts.content, facts.version
    name = slug(content.cover.project)
    found: dict[str, Any] = {
        **license_of(facts.license),
        "library_name": LIBRARY,
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "interpretability", "concepts", "sparse-autoencoder",
                 "human-feedback"],
        "datasets": [name],
        "metrics": ["accuracy"],
        "model_name": f"{content.cover.project} {version.hash[:12]}",
    }  # fmt: skip
    results = [
        {
            "task": TASK,
            "dataset": {"name": content.cover.project, "type": name, "split": part.split or "all"},
            "metrics": _metrics(part.accuracy),
        }
        for part in content.splits
        if part.held_out and part.accuracy.value is not None
    ]
    if results:
        found["model-index"] = [{"name": f"{name}-{version.hash[:12]}", "results": results}]
    return found


def license_of(license: str) -> dict[str, str]:
    """The Hub's fields for a licence; one that nobody stated is said to be that."""
    if license:
        return {"license": license}
    return {"license": "other", "license_name": "not-stated"}


def _metrics(figure: Figure) -> list[dict[str, Any]]:
    rows = [{"type": "accuracy", "name": "Accuracy", "value": _rounded(figure.value)}]
    for name, value in (("lower", figure.low), ("upper", figure.high)):
        if value is not None:
            said = f"Accuracy, {name} end of the 95 % interval"
            rows.append({"type": "accuracy", "name": said, "value": _rounded(value)})
    return rows


def _intended(facts: Facts) -> list[str]:
    classes = ", ".join(inline(name) for name in facts.version.classes)
    return [
        "## Intended use",
        "",
        f"The model decides which of these classes an image shows: {classes}. Each decision comes "
        "with the named, located concepts that it rests on, for review by people who know the "
        "field. It was made to be reviewed with Insight Review, on images like those of the "
        "project.",
        "",
        "Not intended: decisions without a person, images of another kind, source or preparation "
        "than those it was measured on, and any use that the project's notice rules out.",
        "",
    ]


def _training(facts: Facts) -> list[str]:
    version, manifest = facts.version, facts.manifest
    rows = [
        ("Made by", f"{version.kind}, seed {version.seed}"),
        ("Encoder (frozen tokens)", code(version.encoder_spec)),
        ("Encoder hash", code(version.encoder_hash)),
        ("Concepts (dictionary)", code(version.dictionary_hash)),
        ("Version before", code(version.parent_hash or "")),
        ("Code", code(version.code_version)),
    ]
    if manifest is not None:
        rows += [("Data", code(manifest.data_hash))]
        rows += [
            (inline(name), inline(str(value)))
            for name, value in flat(_settings(manifest.config), "").items()
        ]
    return [
        "## How it was made",
        "",
        MADE.get(version.kind, ""),
        "",
        *table(("What", "Value"), rows),
    ]


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings a reader looks for: the autoencoder, its training, what a run was asked."""
    first = config
    while isinstance(first.get("base"), Mapping):  # of a version that was made from another
        first = first["base"]
    found = {"autoencoder": first.get("sae", {}), "training": first.get("train", {})}
    if "asked" in config:
        found["run"] = config["asked"]
    return {name: value for name, value in found.items() if value}


def _evaluation(content: ReportContent) -> list[str]:
    rows = [
        (
            inline(part.split or "no split"), "yes" if part.held_out else "no",
            _figure(part.accuracy), str(part.accuracy.n), str(part.left_out),
        )
        for part in content.splits
    ]  # fmt: skip
    lines = ["## Evaluation", ""]
    if rows:
        titles = ("Split", "Held out", "Accuracy", "Labelled cases", "Left out")
        lines += table(titles, rows)
        lines += [
            "Left out are cases whose verdicts taught the version. Intervals are Wilson's, 95 %.",
            "",
        ]
    else:
        lines += [NO_CASES, ""]
    for each in content.calibration:
        lines += [f"Calibration error on {inline(each.cases)}: {_figure(each.ece)}.", ""]
    lines += [f"- {inline(each.label)}: {_figure(each)}" for each in content.headline]
    return [*lines, ""]


def _groups(content: ReportContent) -> list[str]:
    lines = ["## Groups", ""]
    if not content.groups:
        return [*lines, inline(content.groups_note or "No column makes groups."), ""]
    for view in content.groups:
        rows = [
            (inline(row.value), str(row.n), _estimate(row.accuracy), "yes" if row.differs else "no")
            for row in view.rows[:CONCEPTS]
        ]
        lines += [f"### {inline(view.column.label)}", ""]
        lines += table(("Value", "Cases", "Accuracy", "Differs from the others"), rows)
        lines += [inline(view.multiplicity, LONG), ""]
    return lines


def _review(facts: Facts) -> list[str]:
    content = facts.review
    people = content.people
    verdicts = sum(person.verdicts for person in people)
    words = sum(person.assessments for person in people)
    roles = ", ".join(f"{count} as {role}" for role, count in sorted(facts.roles.items()))
    lines = [
        "## Review by people",
        "",
        f"{len(people)} people gave {verdicts} verdicts on cues and {words} words on whole cases"
        f"{f' ({roles})' if roles else ''}, under this version and others.",
        "",
        inline(content.coverage.sentence, LONG),
        "",
    ]
    for part, what in ((content.agreement.cues, "cues"), (content.agreement.cases, "cases")):
        if part is not None and part.items:
            said = "; ".join(_coefficient(each) for each in part.overall)
            lines += [
                f"Agreement on {part.items} {what} that two or more people judged: {inline(said)}. "
                f"{part.disputed} are disputed, {part.open} of them undecided.",
                "",
            ]
    if content.agreement.note:
        lines += [inline(content.agreement.note, LONG), ""]
    rows = [
        (inline(each.name), str(each.concept), _figure(each.share), str(each.people),
         f"{each.mean_causal_effect:+.2f} logit")
        for each in content.spurious[:CONCEPTS]
        if each.spurious
    ]  # fmt: skip
    if rows:
        titles = ("Concept", "Number", "Called spurious", "People", "Mean effect of taking it out")
        lines += ["Concepts that people call spurious, the surest first:", "", *table(titles, rows)]
    else:
        lines += ["Nobody called a concept spurious.", ""]
    return lines


def _runs(content: ReportContent) -> list[str]:
    lines = ["## Runs: before and after", ""]
    told = [run for run in content.runs if run.result_version]
    if not told:
        return [*lines, "No run has made a version.", ""]
    for run in told[:CONCEPTS]:
        title = f"{run.kind} {run.strategy}".strip()
        lines += [
            f"- {inline(title)}, seed {run.seed}, {code((run.base_version or '')[:12])} to "
            f"{code((run.result_version or '')[:12])}: {inline(run.sentence, LONG)}"
        ]
        lines += [
            f"  - {inline(split.split)}: {inline(split.sentence, LONG)}" for split in run.splits
        ]
    return [*lines, ""]


def _limits(content: ReportContent) -> list[str]:
    return ["## Limits", "", *(f"- {inline(each, LONG)}" for each in content.limits), ""]


def _provenance(content: ReportContent) -> list[str]:
    rows = [
        (inline(row.section), inline(row.label), inline(row.value)) for row in content.provenance
    ]
    again = (
        "Make the version again with `insight reproduce`, and ask where anything comes from with "
        "`insight trace`."
    )
    return ["## Provenance", "", *table(("Part", "What", "Value"), rows), again]


def _coefficient(found: CoefficientView) -> str:
    if found.value is None:
        return f"{found.name} not defined"
    if found.bootstrap is None:
        return f"{found.name} {found.value:.2f}"
    low, high = found.bootstrap
    return f"{found.name} {found.value:.2f} (95 % interval {low:.2f} to {high:.2f})"


def _figure(figure: Figure) -> str:
    return inline(figure.text)


def _estimate(found: Estimate) -> str:
    if found.value is None:
        return "not measured"
    said = f"{100 * found.value:.1f} %"
    if found.low is None or found.high is None:
        return said
    return f"{said} ({100 * found.low:.1f} to {100 * found.high:.1f})"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
