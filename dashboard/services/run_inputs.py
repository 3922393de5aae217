"""What a run works on, frozen when it begins: its verdicts, its base version and its cases.

Everything a run computes follows from these, its kind, its seed and its settings. So their hash
names the folder in which its steps keep their results: an attempt that finds the same inputs goes
on where the former one stopped, and one with other inputs never meets its files. Cases are frozen
as a list, so that images that are ingested while the run works change nothing in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.errors import InsightError
from dashboard.services import run_data
from dashboard.services.engines import Engines
from dashboard.services.run_data import RunData
from dashboard.services.run_scratch import Scratch
from db.feedback_records import RunRecord
from db.unit_of_work import UnitOfWorkFactory

INPUTS = "inputs.json"
KEY = 16  # hexadecimal characters of a folder's name


@dataclass(frozen=True)
class Inputs:
    """A run's frozen inputs; plain JSON."""

    snapshot: str  # hash
    base: str  # hash of the version
    cases: tuple[tuple[str, str, int, str], ...]  # image id, sha256, label index, split
    others: tuple[tuple[str, str], ...] = ()  # image id, sha256: without a label

    @property
    def data_hash(self) -> str:
        """Hash of the cases with labels and splits; their order and ids do not matter."""
        from core.artifacts import canonical_hash

        cases: list[list[Any]] = [[sha, label, split] for _, sha, label, split in self.cases]
        return canonical_hash(sorted(cases) + sorted([sha] for _, sha in self.others))

    def key(self, run: RunRecord) -> str:
        """Name of the folder for the work of `run` on these inputs."""
        from core.artifacts import canonical_hash, code_version

        asked = [run.kind, run.seed, run.config, self.snapshot, self.base, code_version()]
        lists = [list(map(list, self.cases)), list(map(list, self.others))]
        return canonical_hash([*asked, *lists])[:KEY]

    def as_json(self) -> dict[str, Any]:
        """JSON-ready; `from_json` restores it."""
        return {
            "snapshot": self.snapshot,
            "base": self.base,
            "cases": [list(case) for case in self.cases],
            "others": [list(other) for other in self.others],
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Inputs:
        """Restore what `as_json` gave."""
        cases = tuple((str(i), str(s), int(k), str(p)) for i, s, k, p in raw["cases"])
        others = tuple((str(i), str(s)) for i, s in raw["others"])
        return cls(str(raw["snapshot"]), str(raw["base"]), cases, others)


def freeze(data: RunData, snapshot_hash: str) -> Inputs:
    """The inputs of a run that begins now."""
    rows = zip(data.images, data.labels_I, data.splits_I, strict=True)
    cases = tuple((image.id, image.sha256, int(label), split) for image, label, split in rows)
    others = tuple((image.id, image.sha256) for image in data.others)
    return Inputs(snapshot_hash, data.version.hash, cases, others)


def keep(scratch: Scratch, inputs: Inputs) -> None:
    """Write the inputs beside what will be made of them."""
    scratch.write_json(INPUTS, inputs.as_json())


def restore(uow: UnitOfWorkFactory, engines: Engines, run: RunRecord, inputs: Inputs) -> RunData:
    """The data of a run exactly as frozen.

    Raises InsightError where an image or its tokens have gone since.
    """
    with uow(read_only=True) as opened:
        version = opened.versions.get(run.base_version_id or "")
        known = {image.id: image for image in opened.images.list(run.project_id)}
        names = opened.concepts.names(run.project_id, version.dictionary_hash)
    tokens = engines.tokens(run.project_id, version.encoder_hash)
    tokens.refresh()
    wanted = [(case[0], case[1]) for case in inputs.cases] + list(inputs.others)
    gone = [sha for image, sha in wanted if image not in known or sha not in tokens]
    if gone:
        raise InsightError(
            f"{len(gone)} of the run's images or their tokens have gone since it began; "
            "start the run anew"
        )
    return RunData(
        version=version,
        bundle=engines.bundle(version.folder),
        tokens=tokens,
        images=tuple(known[case[0]] for case in inputs.cases),
        labels_I=np.array([case[2] for case in inputs.cases], dtype=np.int64),
        splits_I=tuple(case[3] for case in inputs.cases),
        names=names,
        others=tuple(known[image] for image, _ in inputs.others),
    )


def present(uow: UnitOfWorkFactory, engines: Engines, run: RunRecord) -> RunData:
    """The data as they stand now. Raises InsightError where nothing can be learnt from."""
    return run_data.load(uow, engines, run)
