"""Further versions of the tiny world, made by hand: the same concepts under another head."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from core.artifacts import load_bundle, save_bundle
from core.heads import LinearHead
from db.feedback_records import SnapshotRecord
from db.records import VersionRecord
from tests.integration.services.world import RULER, World


def base(world: World) -> VersionRecord:
    """The first version."""
    with world.services.uow(read_only=True) as uow:
        found = uow.versions.by_hash(world.project_id, world.version_hash)
    assert found is not None
    return found


def child(
    world: World, head: LinearHead, *, seed: int = 1, parent: VersionRecord | None = None,
    run_id: str | None = None, snapshot: SnapshotRecord | None = None,
) -> VersionRecord:  # fmt: skip
    """A candidate with another head."""
    former = parent or base(world)
    bundle = load_bundle(Path(former.folder))
    folder = save_bundle(
        world.settings.versions_folder(world.project_id), sae=bundle.sae, head=head,
        relations=bundle.relations, names=bundle.names, encoder=bundle.manifest.encoder,
        seed=seed, config={}, data_hash=bundle.manifest.data_hash, metrics={}, kind="reweight",
        parent=former.hash, snapshot_hash=snapshot.hash if snapshot else None,
    )  # fmt: skip
    return world.services.publisher.publish(
        world.project_id, folder, state="candidate", run_id=run_id,
        snapshot_id=snapshot.id if snapshot else None,
    )  # fmt: skip


def head_of(version: VersionRecord) -> LinearHead:
    """Its head."""
    return load_bundle(Path(version.folder)).head


def without_ruler(version: VersionRecord) -> LinearHead:
    """A head that looks at the two true signs alone: better where the ruler misleads."""
    head = head_of(version)
    weight = np.zeros_like(head.weight_CN)
    weight[:, :2] = np.array([[3.0, -3.0], [-3.0, 3.0]], dtype=np.float32)
    return replace(head, weight_CN=weight, bias_C=np.zeros(2, np.float32))


def ruler_alone(version: VersionRecord) -> LinearHead:
    """A head that looks at nothing but the ruler."""
    head = head_of(version)
    weight = np.zeros_like(head.weight_CN)
    weight[:, RULER] = np.array([-2.0, 2.0], dtype=np.float32)
    return replace(head, weight_CN=weight, bias_C=np.array([1.0, -1.0], np.float32))


def always(version: VersionRecord, class_index: int) -> LinearHead:
    """A head that says one class whatever it sees."""
    head = head_of(version)
    bias = np.full(2, -2.0, np.float32)
    bias[class_index] = 2.0
    return replace(head, weight_CN=np.zeros_like(head.weight_CN), bias_C=bias)
