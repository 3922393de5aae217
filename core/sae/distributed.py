"""Training in several processes: one model each, gradients averaged, replicas bit-identical.

    torchrun --standalone --nproc-per-node 2 -m core.sae.distributed \\
        --tokens FOLDER --out FOLDER [--settings FILE]

What differs from one process with the same total batch: each process selects the k*M largest
activations of its own batch (not of all batches together), loss and spread are per process, and
the threshold follows the mean of the processes' smallest kept activations. Latents count as
silent only where no process selected them.

Legend: N latents.
"""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import torch.distributed as dist
from torch import Tensor

from core.errors import ConfigError
from core.files import write_json


class Replicas:
    """The processes that train together: all of torch.distributed's, or this one alone.

    Args:
        device: where tensors of collective operations must be ("cuda" for NCCL).
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        together = dist.is_available() and dist.is_initialized()
        self.world = dist.get_world_size() if together else 1
        self.rank = dist.get_rank() if together else 0
        self._device = torch.device(device)

    @property
    def first(self) -> bool:
        """Whether this is the process that reports and saves."""
        return self.rank == 0

    def mean_(self, values: Tensor) -> None:
        """Replace a float tensor by its mean over the processes."""
        if self.world > 1:
            dist.all_reduce(values)
            values.div_(self.world)

    def share(
        self, fired_N: Tensor, tokens: int, smallest: float | None
    ) -> tuple[Tensor, int, float | None]:
        """What the processes tell each other after a step, in one exchange.

        Args:
            fired_N: bool, latents that this process selected.
            tokens: of its batch.
            smallest: its smallest kept activation; None where nothing fired.

        Returns:
            whether any process selected each latent; all tokens; the mean of the smallest kept
            activations that are known, or None.
        """
        if self.world == 1:
            return fired_N, tokens, smallest
        known = [float(tokens), float(smallest is not None), smallest or 0.0]
        extra = torch.tensor(known, dtype=torch.float64, device=self._device)
        told = torch.cat([fired_N.to(self._device, torch.float64), extra])
        dist.all_reduce(told)
        total, count, summed = told[-3:].tolist()
        fired = (told[:-3] > 0).to(fired_N.device)
        return fired, round(total), summed / count if count else None

    def from_first(self, values: Tensor) -> Tensor:
        """The first process's tensor (any shape, same count of dimensions and dtype)."""
        if self.world == 1:
            return values
        shape = torch.tensor(values.shape, dtype=torch.int64, device=self._device)
        dist.broadcast(shape, 0)
        out = values.to(self._device, copy=True)
        if not self.first:
            out = torch.empty(shape.tolist(), dtype=values.dtype, device=self._device)
        dist.broadcast(out, 0)
        return out.to(values.device)

    def gather_json(self, value: Any) -> list[Any]:
        """JSON-ready values of all processes, by rank."""
        if self.world == 1:
            return [value]
        raw = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)
        sizes = [torch.zeros(1, dtype=torch.int64, device=self._device) for _ in range(self.world)]
        dist.all_gather(sizes, torch.tensor([len(raw)], device=self._device))
        longest = max(int(size) for size in sizes)
        padded = torch.zeros(longest, dtype=torch.uint8, device=self._device)
        padded[: len(raw)] = raw.to(self._device)
        all_raw = [torch.zeros_like(padded) for _ in range(self.world)]
        dist.all_gather(all_raw, padded)
        texts = zip(all_raw, sizes, strict=True)
        return [json.loads(bytes(t[: int(size)].cpu().numpy())) for t, size in texts]

    def barrier(self) -> None:
        """Wait for all processes."""
        if self.world > 1:
            dist.all_reduce(torch.zeros(1, device=self._device))


def main(arguments: Sequence[str] | None = None) -> None:
    """Train on a folder of tokens (a `TokenStore`), alone or under torchrun.

    Writes OUT/sae.json, OUT/sae.safetensors, OUT/metrics.json and OUT/metrics.jsonl; goes on from
    OUT/checkpoints where it was interrupted. The settings file is JSON:
    {"sae": {"n": ..., "k": ...}, "train": {"steps": ..., "batch": ...}, "buffer": ...}; batch is
    per process.

    Raises:
        ConfigError: settings or tokens that cannot work.
        RuntimeError: the processes' weights differ in the end (faulty hardware or a fault here).
    """
    parser = argparse.ArgumentParser(prog="python -m core.sae.distributed")
    parser.add_argument("--tokens", type=Path, required=True, help="folder of token shards")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--settings", type=Path, help="JSON file")
    parser.add_argument("--held-out", type=int, default=0, help="images kept apart for figures")
    parser.add_argument("--checkpoint-every", type=int, default=500, help="steps")
    options = parser.parse_args(arguments)
    together = "RANK" in os.environ
    if together:
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        _train(options)
    finally:
        if together:
            dist.destroy_process_group()


def _train(options: argparse.Namespace) -> None:
    # here, not above: the trainer itself needs this module
    from core.sae.checkpoint import Checkpoints, tensors_hash
    from core.sae.config import PAPER_FRACTIONS, SAEConfig, TrainConfig
    from core.sae.train import train_sae
    from core.streaming import ShuffledStream, StoreSource
    from core.tokens import TokenStore

    raw = json.loads(options.settings.read_text("utf-8")) if options.settings else {}
    store = TokenStore(options.tokens)
    keys = sorted(store.shas())
    if len(keys) <= options.held_out:
        raise ConfigError(f"{len(keys)} images in the folder of tokens, {options.held_out} of them"
                          " to be kept apart")  # fmt: skip
    device = _device()
    replicas = Replicas(device)
    apart, keys = keys[: options.held_out], keys[options.held_out :]
    train = TrainConfig.from_json({"device": str(device), **raw.get("train", {})})
    shape = {"d": store.get(keys[0]).shape[1], "group_fractions": PAPER_FRACTIONS}
    sae = SAEConfig.from_json({**shape, **raw.get("sae", {})})
    stream = ShuffledStream(
        StoreSource(store, keys), train.batch, train.seed,
        buffer=raw.get("buffer", 131_072), rank=replicas.rank, world=replicas.world,
    )  # fmt: skip
    options.out.mkdir(parents=True, exist_ok=True)
    trained = train_sae(
        stream, sae, train,
        held_out=store.rows(apart).flatten(0, 1) if apart else None,
        checkpoints=Checkpoints(options.out / "checkpoints", options.checkpoint_every),
        metrics_file=options.out / "metrics.jsonl", replicas=replicas,
    )  # fmt: skip
    state = {name: value.contiguous() for name, value in trained.model.state_dict().items()}
    hashes = replicas.gather_json(tensors_hash(state))
    if len(set(hashes)) > 1:
        raise RuntimeError("the processes ended with different weights")
    if replicas.first:
        safetensors.torch.save_file(state, options.out / "sae.safetensors")
        write_json(options.out / "sae.json", sae.to_json())
        figures = {**trained.metrics, "processes": replicas.world, "replica_hashes": hashes}
        write_json(options.out / "metrics.json", figures)


def _device() -> torch.device:
    """The GPU of this process under torchrun, or the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(device)
    return device


if __name__ == "__main__":
    main()
