"""From the frozen evidence and cases of a run to the plain data that strategies take.

Legend: I training and validation cases, N concepts, P patches, D embedding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dashboard.services import feedback, run_data
from dashboard.services.engines import Engines
from dashboard.services.filled import Filler
from dashboard.services.run_data import TRAIN, VAL, RunData
from dashboard.services.run_options import CUE_OPTIONS
from db.feedback_records import RunRecord
from db.records import ImageRecord

if TYPE_CHECKING:
    from core.cue_marks import DetectorConfig, MarkedRegion
    from core.strategies import FitData, Notice
    from core.strategies.data import Around


@dataclass(frozen=True)
class Evidence:
    """What the snapshot says of a run's cases."""

    found: feedback.EvidenceSet
    marks: tuple[MarkedRegion, ...]  # rows are those of RunData
    judged: frozenset[int]  # rows of which anybody said anything: never measured on
    rejected: tuple[int, ...]  # concepts that are spurious on the whole
    notices: tuple[Notice, ...]


def read_evidence(payload: Mapping[str, Any], data: RunData) -> Evidence:
    """The evidence of a snapshot, its marks by row; images that are not in the run are left out."""
    from core.cue_marks import MarkedRegion

    found, row_of = feedback.evidence_of(payload), data.row_of()
    marks = tuple(
        MarkedRegion(row_of[m.image_sha256], m.concept, m.region_P, m.value, m.weight)
        for m in found.marks
        if m.image_sha256 in row_of
    )
    spoken = {str(cue["image_sha256"]) for cue in payload["cues"]}
    spoken |= {region.image_sha256 for region in found.regions}
    return Evidence(
        found=found,
        marks=marks,
        judged=frozenset(row_of[sha] for sha in spoken if sha in row_of),
        rejected=feedback.rejected_concepts(payload),
        notices=tuple(found.notices),
    )


@dataclass(frozen=True)
class Columns:
    """Rejected columns as frozen: column -> value of every case; "" where unknown."""

    cases: dict[str, list[str]]  # of RunData.images
    others: dict[str, list[str]]  # of RunData.others

    def as_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"cases": self.cases, "others": self.others}


def columns_of(
    data: RunData, evidence: Evidence, values: Mapping[str, Mapping[str, str]]
) -> Columns:
    """The rejected columns of a run; one that no case has any more is left out.

    Args:
        values: image id -> column -> value.
    """

    def of(images: Sequence[ImageRecord], name: str) -> list[str]:
        return [values.get(image.id, {}).get(name, "") for image in images]

    names = sorted(evidence.found.rejected_columns())
    cases = {name: found for name in names if any(found := of(data.images, name))}
    return Columns(cases, {name: of(data.others, name) for name in cases})


def fit_data(
    run: RunRecord,
    data: RunData,
    evidence: Evidence,
    engines: Engines,
    columns: Columns,
    *,
    filler: Filler | None = None,
    **more: Any,
) -> FitData:
    """What a strategy is given: train and validation cases with all that is known of them.

    Args:
        columns: the rejected ones.
        filler: fills regions in pixels and encodes again; None leaves strategies a stand-in.
        more: further fields of FitData, such as `cues`.
    """
    from core.strategies import FitData

    train, val = data.rows(TRAIN), data.rows(VAL)
    rows_I = np.concatenate([train, val])
    head, found = data.bundle.head, evidence.found
    rejected = found.rejected_columns()
    return FitData(
        pooled_IN=run_data.pooled(data, engines, rows_I),
        labels_I=data.labels_I[rows_I],
        classes=head.classes,
        rows=tuple(int(row) for row in rows_I),
        tokens_of=data.tokens_of,
        grid=data.bundle.manifest.encoder.grid,
        validation_I=np.arange(len(rows_I)) >= len(train),
        marks=evidence.marks,
        concepts=dict(found.everywhere()),
        concepts_of_class=dict(found.of_classes(head.classes)),
        columns={
            name: [values[int(row)] for row in rows_I] for name, values in columns.cases.items()
        },
        rejected_columns={name: rejected[name] for name in columns.cases if name in rejected},
        around=_around(data, engines, columns),
        filled_tokens_of=filler.filled if filler is not None else None,
        codes_of=codes_of(data),
        names=data.names,
        base=head,
        detector=_detector(run),
        pooling=head.pooling,
        seed=run.seed,
        **more,
    )


def _around(data: RunData, engines: Engines, columns: Columns) -> Around | None:
    """Codes and rejected columns of every image that may be trained on, labelled or not."""
    from scipy.sparse import vstack

    from core.strategies.data import Around

    if not columns.cases:
        return None
    train = data.rows(TRAIN)
    codes = [
        run_data.pooled(data, engines, train),
        run_data.pooled_images(data, engines, data.others),
    ]
    values = {
        name: [columns.cases[name][int(row)] for row in train] + columns.others[name]
        for name in columns.cases
    }
    return Around(vstack(codes, format="csr"), values)


def _detector(run: RunRecord) -> DetectorConfig | None:
    """How cues are learnt where the run asks something of it; None leaves it to the engine."""
    from core.strategies.cues import default_detector

    asked = run.config.get("options", {})
    given = {field.key: asked[field.key] for field in CUE_OPTIONS if field.key in asked}
    return replace(default_detector(run.seed), **given) if given else None


def codes_of(data: RunData) -> Any:
    """Tokens float32 [P, D] -> pooled codes float32 [N] under the run's dictionary."""
    import torch

    from core.heads import pool

    sae, how = data.bundle.sae, data.bundle.head.pooling

    def pooled(tokens_PD: Any) -> Any:
        with torch.no_grad():
            acts_PN = sae.encode_dense(torch.from_numpy(np.ascontiguousarray(tokens_PD)))
            return pool(acts_PN, how).numpy().astype(np.float32)

    return pooled
