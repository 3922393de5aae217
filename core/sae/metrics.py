"""How well a sparse autoencoder rebuilds tokens, with its inference activations, and the journal
of a training.

Legend: M tokens, D dimension, N latents.
"""

import json
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor

from core.sae.config import TrainConfig
from core.sae.model import SparseAutoencoder
from core.sae.step import StepReport

Progress = Callable[[float, str], None]
CHUNK: Final = 8192
SAMPLE: Final = 2048
"""Held-out tokens for the figures during a training; the final ones use all."""
_LOG = logging.getLogger(__name__)


def evaluate_sae(model: SparseAutoencoder, tokens_MD: Tensor) -> dict[str, Any]:
    """Figures on held-out tokens (at least two that differ).

    Returns:
        fvu: fraction of variance unexplained, sum ||x - x^||^2 / sum ||x - mean||^2, [0, inf).
        cosine: mean cosine between token and reconstruction, [-1, 1].
        l0: mean count of active latents per token.
        dead: share of latents that fire on none of the tokens, [0, 1].
        per_prefix_fvu: fvu of every nested prefix, general to specific; the last equals fvu.
        tokens: M.

    Raises:
        ValueError: no tokens.
    """
    if not len(tokens_MD):
        raise ValueError("no tokens to evaluate on")
    tokens_MD = tokens_MD.to(model.W_dec.device).float()
    mean_D = tokens_MD.mean(0)
    spread = 0.0
    cosine = 0.0
    active = 0
    errors = torch.zeros(len(model.groups), dtype=torch.float64)
    fired_N = torch.zeros(model.n, dtype=torch.bool, device=tokens_MD.device)
    for block_MD in torch.split(tokens_MD, CHUNK):
        acts_MN = model.encode_dense(block_MD)
        rebuilt = prefix_reconstructions(model, acts_MN)
        spread += float((block_MD - mean_D).double().square().sum())
        errors += torch.stack([(block_MD - r).double().square().sum() for r in rebuilt]).cpu()
        cosine += float(F.cosine_similarity(block_MD, rebuilt[-1]).sum())
        active += int(torch.count_nonzero(acts_MN))
        fired_N |= (acts_MN > 0).any(0)
    per_prefix = (errors / max(spread, 1e-12)).tolist()
    return {
        "fvu": per_prefix[-1],
        "cosine": cosine / len(tokens_MD),
        "l0": active / len(tokens_MD),
        "dead": 1.0 - float(fired_N.float().mean()),
        "per_prefix_fvu": per_prefix,
        "tokens": len(tokens_MD),
    }


def prefix_reconstructions(model: SparseAutoencoder, acts_MN: Tensor) -> list[Tensor]:
    """Tokens rebuilt from each nested prefix of the dictionary: [M, D] per prefix."""
    out = []
    with torch.no_grad():
        rebuilt_MD = model.b_dec.expand(len(acts_MN), -1)
        start = 0
        for stop in model.groups:
            rebuilt_MD = rebuilt_MD + acts_MN[:, start:stop] @ model.W_dec[start:stop]
            out.append(rebuilt_MD)
            start = stop
    return out


class Journal:
    """Tells how a training goes: to a progress callback, the log and a file of JSON lines.

    About a hundred times the figures of the training batch; ten times (and after the last step)
    those of `evaluate_sae` on held-out tokens too. A line of the file holds

        step, tokens (seen, all processes), seconds, tokens_per_s, lr, loss, reconstruction (mean
        fraction of variance unexplained over the nested losses), levels (of each), auxiliary,
        dead_in_training (share of latents silent for so long that they count as dead), threshold,
        and where evaluated: fvu, cosine, l0, dead, per_prefix_fvu.

    The model stays as it is; times appear nowhere but here.

    Args:
        train: length and batch.
        progress: may raise to stop the training.
        path: of the file; what an interrupted run wrote up to `done` steps is kept.
        held_out: raw tokens [M, D], of which the first SAMPLE are used.
        done: steps of an earlier, interrupted run.
        quiet: tell nothing (a process that is not the first).
    """

    def __init__(
        self,
        train: TrainConfig,
        progress: Progress | None,
        path: Path | None,
        held_out: Tensor,
        done: int = 0,
        *,
        quiet: bool = False,
    ) -> None:
        self._train, self._quiet = train, quiet
        self._progress = None if quiet else progress
        self._path = None if quiet else path
        self._held_out = held_out[:SAMPLE]
        self._last: Mapping[str, Any] = {}  # the latest evaluation
        self._clock = time.monotonic()
        self._start: tuple[float, int] | None = None  # seconds and tokens of this process's start
        self._evaluating = 0.0  # seconds, which are not the training's
        if self._path is not None:
            _keep_until(self._path, done)

    def note(self, model: SparseAutoencoder, report: StepReport, figures: dict[str, Any]) -> None:
        """Take note of a step (`model` works on tokens * figures["scale"])."""
        step, steps = figures["step"], self._train.steps
        evaluate = step == steps or step % max(1, steps // 10) == 0
        if self._quiet or not (evaluate or (step - 1) % max(1, steps // 100) == 0):
            return
        now = time.monotonic() - self._evaluating
        if self._start is None:
            self._start = (now, figures["tokens"])
        seconds, tokens = now - self._start[0], figures["tokens"] - self._start[1]
        scale = figures.pop("scale")
        record = {
            **figures,
            "seconds": round(now - self._clock, 3),
            "tokens_per_s": round(tokens / seconds) if tokens and seconds > 0 else None,
            "loss": report.loss,
            "reconstruction": report.reconstruction,
            "levels": list(report.levels),
            "auxiliary": report.auxiliary,
        }
        if evaluate:
            before = time.monotonic()
            self._last = evaluate_sae(model, self._held_out * scale)
            self._evaluating += time.monotonic() - before
            record.update({k: v for k, v in self._last.items() if k != "tokens"})
        self._tell((step - 1) / steps, record)

    def done(self, metrics: Mapping[str, Any]) -> None:
        """The training is over; `metrics` are those of the finished model."""
        text = f"trained, {metrics['fvu']:.3f} of the variance unexplained"
        if not self._quiet:
            _LOG.info("%s", text)
        if self._progress is not None:
            self._progress(1.0, text)

    def _tell(self, share: float, record: Mapping[str, Any]) -> None:
        text = self._text(record)
        _LOG.info("%s", text)
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as handle:
                handle.write(json.dumps(record) + "\n")
        if self._progress is not None:
            self._progress(share, text)

    def _text(self, record: Mapping[str, Any]) -> str:
        parts = [
            f"step {record['step']} of {self._train.steps}",
            f"loss {record['reconstruction']:.3f}",
        ]
        if self._last:
            prefixes = " ".join(f"{value:.2f}" for value in self._last["per_prefix_fvu"])
            parts += [
                f"unexplained {self._last['fvu']:.3f} (by prefix {prefixes})",
                f"cosine {self._last['cosine']:.3f}",
                f"L0 {self._last['l0']:.1f}",
                f"dead {self._last['dead']:.0%}",
            ]
        if record["tokens_per_s"]:
            parts.append(f"{record['tokens_per_s']:,} tokens/s")
        return ", ".join(parts)


def _keep_until(path: Path, done: int) -> None:
    """Start a file anew, but for whole lines of the first `done` steps of an earlier run."""
    kept = []
    if done and path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                if json.loads(line)["step"] <= done:
                    kept.append(line)
            except (ValueError, KeyError):  # a kill cut it
                continue
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
    temporary.replace(path)
