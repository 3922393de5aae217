"""Do 25 verdicts repair the shipped demo model? (`python -m benchmarks shortcut --json OUT`)

Per seed, in a fresh workspace: draw phantoms the demo model has never seen (train and test with
each shortcut in 95 % of its class, reversed with 5 %), register the shipped demo model on them,
let a scripted reviewer give 25 verdicts through the review service, reweight by the same steps as
the worker, and read before and after off the run. Training groups come from the verdicts alone.

The reviewer is honest and marks only what ground truth says; see `benchmarks.reviewing`.

The oracle is a head fitted in the same way, on codes of the same dictionary, on as many phantoms
whose artefacts are independent of the class.

Legend: I images; P patches; N concepts; H, W pixels.
"""

from __future__ import annotations

import sys
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.harness import Metric, Result, Target, collect
from benchmarks.reviewing import review
from core.phantoms import generate
from dashboard.bootstrap import Services, build
from dashboard.services.demo import DemoPlan
from dashboard.services.run_work import run_inline
from dashboard.settings import Settings
from dashboard.viewmodels import ProjectView, RunView
from db.migrate import upgrade

if TYPE_CHECKING:
    from core.heads import LinearHead

BUDGET = 25
PLAN = DemoPlan(train=1200, test=400, reversed=400)
QUICK = DemoPlan(train=300, test=100, reversed=100)
# The shipped model's own phantoms have series 7000 and up, the demo project's have series 0.
SERIES, ORACLE_SERIES = 40_000, 50_000
UNITS = {
    "before_reversed": "accuracy", "after_reversed": "accuracy", "oracle_reversed": "accuracy",
    "before_ordinary": "accuracy", "after_ordinary": "accuracy", "oracle_ordinary": "accuracy",
    "verdicts": "verdicts", "spurious_verdicts": "verdicts", "cases_seen": "cases",
    "detectors": "detectors", "detector_auc": "AUC",
}  # fmt: skip


def run(seeds: Sequence[int] = (0, 1, 2), *, quick: bool = False) -> Result:
    """All seeds; `quick` is a small trial whose figures are not the benchmark's."""
    rows = []
    for seed in seeds:
        with tempfile.TemporaryDirectory(prefix="insight-shortcut-") as folder:
            rows.append(_one_seed(Path(folder), seed, QUICK if quick else PLAN))
        _say(f"seed {seed}: " + ", ".join(f"{k} {v:.3f}" for k, v in rows[-1].items()))
    plain = collect(rows, UNITS, {})
    mean = {metric.key: metric.figures()["mean"] for metric in plain}
    metrics = collect(rows, UNITS, _targets(mean))
    return Result("shortcut", tuple(seeds), _gated(metrics, mean), _notes(quick))


def _targets(mean: dict[str, float]) -> dict[str, Target]:
    oracle, before = mean["oracle_reversed"], mean["before_ordinary"]
    return {
        "before_reversed": Target("<", 0.80, text="the gate: no gap, no score"),
        "after_reversed": Target(">=", oracle - 0.03, text="oracle - .03"),
        "after_ordinary": Target(">=", before - 0.03, text="before - .03"),
        "verdicts": Target("<=", BUDGET, of="max"),
    }


def _gated(metrics: tuple[Metric, ...], mean: dict[str, float]) -> tuple[Metric, ...]:
    """Without a gap before, what comes after scores nothing: its target is taken away."""
    if mean["before_reversed"] < 0.80:
        return metrics
    return tuple(
        Metric(m.key, m.values, m.unit, None if m.key.startswith("after") else m.target)
        for m in metrics
    )


def _notes(quick: bool) -> tuple[str, ...]:
    plan = QUICK if quick else PLAN
    sizes = f"{plan.train} train, {plan.test} ordinary, {plan.reversed} reversed phantoms a seed"
    policy = "reviewer: queue order, first spurious and first correct cue of each case"
    return (sizes, policy, *(("QUICK TRIAL: not the benchmark's figures",) if quick else ()))


def _one_seed(folder: Path, seed: int, plan: DemoPlan) -> dict[str, float]:
    settings = Settings.load(folder / "workspace", environ={})
    upgrade(settings.database_url)
    sized = DemoPlan(plan.train, plan.test, plan.reversed, seed=SERIES + seed, size=plan.size)
    services = build(settings, plan=sized)
    project = services.demo.build(False, _progress(seed))
    verdicts = review(services, project, budget=BUDGET)
    run_view = _reweight(services, project, seed)
    oracle = _oracle(services, project, seed, sized)
    figures = {(row.split, row.key): row for row in run_view.metrics}
    before_after: dict[str, float] = {}
    for name, split in (("reversed", "reversed"), ("ordinary", "test")):
        row = figures[split, "accuracy"]
        before_after[f"before_{name}"] = row.before if row.before is not None else float("nan")
        before_after[f"after_{name}"] = row.after if row.after is not None else float("nan")
        before_after[f"oracle_{name}"] = oracle[split]
    cues = run_view.details["cues"]
    return {
        **before_after,
        "verdicts": verdicts.given,
        "spurious_verdicts": verdicts.spurious,
        "cases_seen": verdicts.cases,
        "detectors": len(cues),
        "detector_auc": min(cue["heldback_auc"] for cue in cues),
    }


def _reweight(services: Services, project: ProjectView, seed: int) -> RunView:
    run_id = str(uuid.uuid4())
    services.runs.start_reweight(id=run_id, project_id=project.id, reviewer_id=None, seed=seed)
    ended = run_inline(services, run_id)
    if ended.state != "succeeded":
        raise RuntimeError(f"the run ended as {ended.state}: {ended.message}")
    return ended


def _oracle(
    services: Services, project: ProjectView, seed: int, plan: DemoPlan
) -> dict[str, float]:
    """Accuracy by split of a head fitted on shortcut-free phantoms with the same dictionary."""
    from core.heads import fit_head

    with services.uow(read_only=True) as uow:
        version = uow.versions.active(project.id)
        if version is None:
            raise RuntimeError("the demo has no active version")
        images = uow.images.list(project.id)
    bundle = services.engines.bundle(version.folder)
    encoder = services.engines.encoder(version.encoder_spec, version.encoder_hash)
    codes, labels = [], []
    for pixels, names in _shortcut_free(seed, plan):
        tokens_IPD = encoder.encode_images(pixels).tokens_BPD
        codes += [bundle.sae.encode(tokens_PD.half().float()).pooled() for tokens_PD in tokens_IPD]
        labels += [bundle.head.classes.index(name) for name in names]
    head = fit_head(np.stack(codes), np.array(labels), bundle.head.classes, seed=seed)
    tokens = services.engines.tokens(project.id, version.encoder_hash)
    scores = {}
    for split in ("test", "reversed"):
        part = [image for image in images if image.split == split]
        pooled_IN = services.engines.pooled(
            project.id, bundle, tokens, [image.sha256 for image in part]
        )
        scores[split] = _accuracy(head, pooled_IN, [image.label or "" for image in part])
    return scores


def _shortcut_free(seed: int, plan: DemoPlan) -> Iterator[tuple[list[Any], list[str]]]:
    """Pixels and labels of plan.train phantoms, in chunks."""
    for start in range(0, plan.train, 32):
        phantoms = [
            generate(index, seed=ORACLE_SERIES + seed, size=plan.size, strength=None)
            for index in range(start, min(start + 32, plan.train))
        ]
        yield [p.image for p in phantoms], [p.label for p in phantoms]


def _accuracy(head: LinearHead, pooled_IN: Any, labels: Sequence[str]) -> float:
    predicted = head.logits(pooled_IN).argmax(axis=1)
    right = [head.classes[k] == name for k, name in zip(predicted, labels, strict=True)]
    return float(np.mean(right))


def _progress(seed: int) -> Any:
    shown = [-1]

    def report(fraction: float, stage: str) -> None:
        step = int(10 * fraction)
        if step != shown[0]:
            shown[0] = step
            _say(f"seed {seed}: {stage} {fraction:.0%}")

    return report


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
