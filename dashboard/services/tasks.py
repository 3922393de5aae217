"""What else a project's concepts can do: rules to read aloud, heads with few concepts, masks.

Nothing here is stored: each answer is computed from the active version and the project's images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core.errors import ConfigError
from dashboard.services.active import active_version
from dashboard.services.engines import Engines
from dashboard.services.progress import Progress, silent
from dashboard.services.run_data import load_version, pooled
from db.records import VersionRecord
from db.unit_of_work import UnitOfWorkFactory

if TYPE_CHECKING:
    from core.head_path import HeadPath
    from core.rules import RuleConfig, RuleHead

MEAN_IMAGES = 200  # images whose tokens give the mean that corrects the modality gap


@dataclass(frozen=True)
class RulesFound:
    """A version's rules and the names of its classes."""

    version: str  # hash
    rules: RuleHead


@dataclass(frozen=True)
class PathFound:
    """Heads with few to many concepts per class beside the version's own head."""

    version: str  # hash
    path: HeadPath
    own_accuracy: float  # of the version's head on the same held-out cases
    own_concepts: int  # concepts that it uses


class TaskService:
    """Rules, sparse heads and segmentation on the active version of a project."""

    def __init__(self, uow_factory: UnitOfWorkFactory, engines: Engines) -> None:
        self._uow = uow_factory
        self._engines = engines

    def rules(
        self, project: str, *, config: RuleConfig | None = None, progress: Progress = silent
    ) -> RulesFound:
        """Rules over named concepts that imitate the head, fitted on train, tried on held-out.

        Raises InsightError without a version or labelled images, ConfigError where no concept
        has a name.
        """
        from core.rules import fit_rules, measured

        version = self._version(project)
        data = load_version(self._uow, self._engines, version)
        head, train, held = data.bundle.head, data.rows("train"), data.rows(*data.held_out())
        train_IN = pooled(data, self._engines, train, progress)
        held_IN = pooled(data, self._engines, held, progress)
        names = [data.names.get(concept) for concept in range(head.n)]
        answer_I = head.logits(train_IN).argmax(1)
        found = fit_rules(
            train_IN, answer_I, head.classes, names, config=config, pooling=head.pooling,
            seed=version.seed,
        )  # fmt: skip
        return RulesFound(version.hash, measured(found, held_IN, data.labels_I[held], head))

    def head_path(self, project: str, *, progress: Progress = silent) -> PathFound:
        """Heads from one to many concepts per class, measured on the held-out images.

        Raises InsightError without a version, ConfigError where a class has no training image.
        """
        from core.head_path import APART, fit_path
        from core.splits import held_back

        version = self._version(project)
        data = load_version(self._uow, self._engines, version)
        head = data.bundle.head
        train, held = data.rows("train"), data.rows(*data.held_out())
        rows, held_out_I = train, held_back(data.labels_I[train], APART, version.seed)
        if data.held_out() != ("train",):
            rows = np.concatenate((train, held))
            held_out_I = np.arange(len(rows)) >= len(train)
        pooled_IN = pooled(data, self._engines, rows, progress)
        labels_I = data.labels_I[rows]
        path = fit_path(
            pooled_IN, labels_I, head.classes, held_out_I=held_out_I, pooling=head.pooling,
            seed=version.seed,
        )  # fmt: skip
        right_I = head.logits(pooled_IN).argmax(1) == labels_I
        used = int((head.weight_CN != 0).any(0).sum())
        return PathFound(version.hash, path, float(right_I[held_out_I].mean()), used)

    def segment(
        self,
        image: Path,
        project: str,
        terms: Sequence[str],
        out: Path,
        *,
        background: Sequence[str] = (),
        threshold: float | None = None,
    ) -> tuple[Path, ...]:
        """Masks of an image for any words, written to a folder; returns the files.

        Args:
            terms: what to look for, at least two words (`background` among them counts).
            background: words that stand for "nothing of interest".
            threshold: least cosine of a pixel with its word; below it is background.

        Raises ImageError for a bad file, ConfigError for too few words, InputError for a folder
        or file name that is not safe.
        """
        from core.images import load_image
        from core.mask_files import save_masks, slug
        from core.segmentation import TextSegmenter, segment
        from core.zero_shot import class_texts, prompts_of

        words = list(dict.fromkeys((*terms, *background)))
        if len(words) < 2 and threshold is None:
            raise ConfigError("give two words or more, or a threshold: one word fits everywhere")
        version = self._version(project)
        loaded = load_image(image)
        bundle = self._engines.bundle(version.folder)
        encoder = self._engines.encoder(version.encoder_spec, version.encoder_hash)
        tokens_PD = encoder.encode_images([loaded.rgb]).tokens_BPD[0].half().float()
        texts = class_texts(prompts_of(dict.fromkeys(words, ())), encoder.encode_texts)
        segmenter = TextSegmenter(
            bundle.sae.decoder_ND.numpy(), bundle.sae.b_dec.detach().numpy(), texts
        )
        logits = segmenter.logits(bundle.sae.encode_dense(tokens_PD))
        size_HW = (loaded.height, loaded.width)
        found = segment(
            logits, encoder.info.grid, size_HW, threshold=threshold, background=background
        )
        return save_masks(out, slug(image.stem), found)

    def _version(self, project: str) -> VersionRecord:
        with self._uow(read_only=True) as uow:
            return active_version(uow, project)


def table_of(found: PathFound) -> tuple[tuple[int, int, float], ...]:
    """Rows (concepts per class at most, concepts used in all, accuracy) of a path of heads."""
    return tuple((p.concepts_per_class, len(p.concepts), p.accuracy) for p in found.path.points)
