"""Explain one decision: of a stored case, once and for ever, or of any image file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.types import ClassSet, Counterfactual, Cue, Explanation, FloatArray, HierarchyNode
from dashboard.services.active import active_version
from dashboard.services.engines import Engines, read_verified
from db.records import CaseRecord, ConceptRecord, ImageRecord, NewCue, RegionRecord, VersionRecord
from db.unit_of_work import UnitOfWorkFactory

if TYPE_CHECKING:
    from torch import Tensor

CUES = 8  # cues kept per case


class ExplainService:
    """Turns cases into cues that can be judged."""

    def __init__(self, uow_factory: UnitOfWorkFactory, engines: Engines) -> None:
        self._uow = uow_factory
        self._engines = engines

    def explain_case(self, case_id: str) -> None:
        """Persist the cues and the explanation of a case; harmless when it has them already.

        Raises NotFound, ImageError where the image has gone or was altered, BundleError and
        EncoderError where the version cannot be used.
        """
        with self._uow(read_only=True) as uow:
            case = uow.cases.get(case_id)
            if case.explanation is not None:
                return
            version = uow.versions.get(case.version_id)
            root = Path(uow.projects.get(case.project_id).root)
            concepts = uow.concepts.by_number(case.project_id, version.dictionary_hash)
        explanation = self._explain(case, version, root, concepts)
        with self._uow() as uow:
            if uow.cases.set_explanation(case_id, as_stored(explanation)):
                uow.cues.add_many(case_id, new_cues(explanation.cues, concepts))
            uow.commit()

    def explain_image(self, path: Path, project: str, *, regions: bool = False) -> Explanation:
        """Explain what the project's active version says of an image file; nothing is stored.

        Args:
            regions: also fill each cue's region in the picture and encode it anew, to see whether
                the marked place carries the effect (about 40 encodings, core.region_effects).

        Raises ImageError for a bad file, InsightError where the project has no version yet.
        """
        from core.images import load_image

        with self._uow(read_only=True) as uow:
            version = active_version(uow, project)
            given = uow.concepts.names(
                version.project_id, version.dictionary_hash, person_only=True
            )
        loaded = load_image(path)
        encoder = self._engines.encoder(version.encoder_spec, version.encoder_hash)
        tokens_PD = encoder.encode_images([loaded.rgb]).tokens_BPD[0]
        told = self._run(version, tokens_PD, loaded.sha256, given)
        if not regions:
            return told
        from core.region_effects import region_effects, with_regions

        bundle = self._engines.bundle(version.folder)
        found = region_effects(encoder, bundle, loaded.rgb, told.cues, told.class_index)
        return with_regions(told, found)

    def _explain(
        self,
        case: CaseRecord,
        version: VersionRecord,
        root: Path,
        concepts: Mapping[int, ConceptRecord],
    ) -> Explanation:
        given = {n: c.name for n, c in concepts.items() if c.revision > 0 and c.name is not None}
        tokens_PD = self._tokens(case.project_id, version, root, case.image)
        return self._run(version, tokens_PD, case.image.sha256, given)

    def _tokens(
        self, project_id: str, version: VersionRecord, root: Path, image: ImageRecord
    ) -> Tensor:
        """The image's tokens from the store, else encoded now, rounded as the store rounds."""
        stored = self._engines.tokens_of(project_id, version.encoder_hash, image.sha256)
        if stored is not None:
            return stored
        encoder = self._engines.encoder(version.encoder_spec, version.encoder_hash)
        return encoder.encode_images([read_verified(root, image)]).tokens_BPD[0]

    def _run(
        self, version: VersionRecord, tokens_PD: Tensor, sha: str, names: Mapping[int, str]
    ) -> Explanation:
        from core.explanation import explain

        bundle = self._engines.bundle(version.folder)
        # Through fp16, as stored tokens are: a case and its file give the same figures.
        rounded_PD = tokens_PD.half().float()
        return explain(bundle, rounded_PD, image_sha256=sha, names=names, top=CUES)


def as_stored(explanation: Explanation) -> dict[str, Any]:
    """What the store keeps of an explanation beside its cues; concepts by number, JSON-ready."""
    shown = {cue.concept for cue in explanation.cues}
    other = sum(c.value for c in explanation.contributions if c.concept not in shown)
    return {
        "narrative": explanation.narrative,
        "reconstruction": explanation.reconstruction,
        "other": float(other),
        "explained": explanation.probabilities[explanation.class_index][0],
        "tree": _tree(explanation.hierarchy),
        "class_set": _class_set(explanation.class_set),
        "counterfactual": _counterfactual(explanation.counterfactual),
        "rank_agreement": explanation.rank_agreement,
        "doubts": {str(cue.concept): list(cue.doubts) for cue in explanation.cues if cue.doubts},
    }


def _class_set(found: ClassSet | None) -> dict[str, Any] | None:
    return None if found is None else {**asdict(found), "classes": list(found.classes)}


def _counterfactual(found: Counterfactual | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {**asdict(found), "changes": [asdict(change) for change in found.changes]}


def new_cues(cues: Sequence[Cue], concepts: Mapping[int, ConceptRecord]) -> tuple[NewCue, ...]:
    """Cues as the store takes them, ranked in the order given."""
    return tuple(
        NewCue(
            concept_id=concepts[cue.concept].id,
            rank=rank,
            activation=cue.activation,
            contribution=cue.contribution,
            causal_effect=cue.causal_effect,
            grid_rows=cue.map_GV.shape[0],
            grid_cols=cue.map_GV.shape[1],
            map_u8=map_bytes(cue.map_GV),
            region_bits=np.packbits(cue.region_GV.ravel()).tobytes(),
            regions=tuple(RegionRecord(r.x0, r.y0, r.x1, r.y1, r.area) for r in cue.regions),
        )
        for rank, cue in enumerate(cues)
    )


def map_bytes(map_GV: FloatArray) -> bytes:
    """A map as rows*columns bytes, 0..255 of its own maximum."""
    top = float(map_GV.max(initial=0.0))
    scaled = map_GV / top if top > 0 else map_GV
    return np.rint(255 * scaled).astype(np.uint8).tobytes()


def _tree(nodes: Sequence[HierarchyNode]) -> list[dict[str, Any]]:
    return [
        {
            "concept": node.concept,
            "kind": node.kind,
            "contribution": node.contribution,
            "total": node.total,
            "children": _tree(node.children),
        }
        for node in nodes
    ]
