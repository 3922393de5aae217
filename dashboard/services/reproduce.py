"""Make a model version again from its manifest, and say what differs when it is not the same.

The work is done by the code that made the version (discovery, the steps of reweighting and of
fine-tuning, the demo's builder), in a workspace of its own. Nothing is written to the store but a
line of the audit log.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import ConfigError, EncoderError, InputError, InsightError
from core.manifest import Manifest, canonical_hash, read_manifest
from dashboard.services import reproduce_bench, reproduce_compare, reproduce_source
from dashboard.services.comparing import find_version
from dashboard.services.discovery import vocabulary_of
from dashboard.services.engines import Engines, read_verified
from dashboard.services.progress import Progress, part, silent
from dashboard.services.reproduce_bench import Bench
from dashboard.services.reproduce_source import Source
from dashboard.services.surroundings import surroundings
from dashboard.settings import Settings
from dashboard.viewmodels.reproduce import Difference, Reproduction
from db.records import ReviewerRecord
from db.unit_of_work import UnitOfWorkFactory

if TYPE_CHECKING:
    from core.discovery import DiscoverConfig
    from core.encoder import Encoder
    from core.phantoms.dataset import Split

CHECKED = 4  # images that are encoded again to see whether the kept tokens are still right
TOKEN_STEP = 2e-3  # difference that rounding to half precision explains, in units of the largest
BEFORE: Mapping[str, Any] = {"fuzzy": None}  # settings that came later -> what was done before
WORKERS = 2  # processes that draw the demo's phantoms


class CannotReproduce(InsightError):
    """A version cannot be made again; the text says why."""


@dataclass(frozen=True)
class _Made:
    """A version made again."""

    manifest: Manifest
    folder: Path
    data: list[Difference]  # where it was not made from the same data


class ReproduceService:
    """Makes versions again."""

    def __init__(
        self, uow_factory: UnitOfWorkFactory, settings: Settings, engines: Engines,
        demo_bundle: Path,
    ) -> None:  # fmt: skip
        self._uow = uow_factory
        self._settings = settings
        self._engines = engines
        self._demo_bundle = demo_bundle

    def reproduce(
        self,
        project_id: str,
        version: str,
        *,
        person: ReviewerRecord | None = None,
        from_pixels: bool = False,
        keep: Path | None = None,
        progress: Progress = silent,
    ) -> Reproduction:
        """Make a version again and compare.

        Args:
            version: id, hash, or the beginning of the hash.
            person: who asked, for the audit log; None: the command line itself.
            from_pixels: encode every image again instead of taking the tokens that the workspace
                keeps. The last bits of tokens depend on which images were encoded together, so the
                result may differ in them where images came in several times.
            keep: a folder that does not exist yet, for the version made now.

        Raises:
            CannotReproduce: what it was made from is not known or damaged, or the work failed.
            BundleError: the version's manifest is missing or altered. NotFound.
        """
        if keep is not None and keep.exists():
            raise InputError(str(keep), "exists already; name a folder that does not")
        with self._uow(read_only=True) as uow:
            source = reproduce_source.load(uow, find_version(uow, project_id, version))
        try:
            found = self._compared(source, from_pixels, keep, progress)
        except InsightError as error:
            self._note(source, person, {"outcome": "cannot", "why": str(error)})
            if isinstance(error, CannotReproduce):
                raise
            raise CannotReproduce(str(error)) from error
        self._note(source, person, {"outcome": found.outcome, "rebuilt": found.rebuilt})
        return found

    def _compared(
        self, source: Source, from_pixels: bool, keep: Path | None, progress: Progress
    ) -> Reproduction:
        started = time.monotonic()
        self._refuse(source)
        with tempfile.TemporaryDirectory(prefix="insight-reproduce-") as scratch:
            made, source = self._make(source, Path(scratch), from_pixels, part(progress, 0, 0.9))
            found = self._differences(source, made, from_pixels, part(progress, 0.9, 1.0))
            if keep is not None:
                shutil.copytree(made.folder, keep)
            version, manifest = source.version, source.manifest
            rows = reproduce_compare.parts(version, manifest, made.manifest, made.folder)
        here = reproduce_source.software_rows(source.software, surroundings())
        differences = (*found, *reproduce_compare.software(here))
        same, sentence = reproduce_compare.verdict(manifest, made.manifest, rows, differences)
        return Reproduction(
            project=source.project.name,
            version=version.hash,
            kind=version.kind,
            outcome="same" if same else "differs",
            sentence=sentence,
            rebuilt=made.manifest.version_hash,
            parts=rows,
            fields=reproduce_compare.fields(manifest, made.manifest),
            differences=differences,
            software=here,
            seconds=time.monotonic() - started,
            kept=None if keep is None else str(keep),
        )

    def _refuse(self, source: Source) -> None:
        """Raises CannotReproduce where something that the work needs is missing or damaged."""
        manifest = source.manifest
        if manifest.parent is not None:
            if not source.parents:
                raise CannotReproduce(
                    f"the version it started from ({manifest.parent[:12]}) is not in the store"
                )
            parent = source.parents[0]
            broken = reproduce_source.altered_files(parent, read_manifest(Path(parent.folder)))
            if broken:
                raise CannotReproduce(f"the version it started from is damaged: {broken[0]}")
        if manifest.snapshot_hash is not None and source.snapshot is None:
            raise CannotReproduce(
                f"the frozen verdicts it learnt from ({manifest.snapshot_hash[:12]}) are not in "
                "the store"
            )
        if manifest.kind != "discover" and manifest.snapshot_hash is None:
            raise CannotReproduce("its manifest names no frozen verdicts")

    def _make(
        self, source: Source, scratch: Path, from_pixels: bool, progress: Progress
    ) -> tuple[_Made, Source]:
        if self._shipped(source):
            return self._demo(source, scratch, progress), replace(source, images=())
        if source.manifest.kind == "discover":
            return self._discover(source, scratch, from_pixels, progress)
        return self._learn(source, scratch, from_pixels, progress)

    def _shipped(self, source: Source) -> bool:
        """Whether it is the demo's version, which was not made from the project's images."""
        if not (self._demo_bundle / "manifest.json").is_file():
            return False
        return read_manifest(self._demo_bundle).version_hash == source.version.hash

    def _demo(self, source: Source, scratch: Path, progress: Progress) -> _Made:
        """The demo's version, from phantoms that are drawn again; a given dictionary is kept."""
        progress(0.02, "drawing and encoding the phantoms (minutes)")
        encoder = self._engines.encoder(source.manifest.encoder.spec)
        folder = rebuilt_demo(source.manifest, Path(source.version.folder), encoder, scratch)
        return _Made(read_manifest(folder), folder, [])

    def _discover(
        self, source: Source, scratch: Path, from_pixels: bool, progress: Progress
    ) -> tuple[_Made, Source]:
        config = recorded_config(source.manifest.config)
        chosen, same = source, False
        for each in reproduce_source.candidates(source):
            chosen = each if chosen is source else chosen
            if reproduce_source.discovered_data(each) == source.manifest.data_hash:
                chosen, same = each, True
                break
        with reproduce_bench.opened(
            chosen, self._settings, scratch, kept_tokens=not from_pixels
        ) as bench:
            found = bench.discovery().discover(
                chosen.project.id, encoder=chosen.manifest.encoder.spec,
                seed=chosen.manifest.seed, config=config, progress=progress,
            )  # fmt: skip
            return _made(bench, found.version, same), chosen

    def _learn(
        self, source: Source, scratch: Path, from_pixels: bool, progress: Progress
    ) -> tuple[_Made, Source]:
        tried = list(reproduce_source.candidates(source))
        for at, each in enumerate(tried):
            with reproduce_bench.opened(
                each, self._settings, scratch / str(at), kept_tokens=not from_pixels
            ) as bench:
                if from_pixels:
                    _encode(bench, part(progress, 0.0, 0.3))
                run, inputs = reproduce_bench.ask_run(bench, each.manifest.kind)
                same = inputs.data_hash == each.manifest.data_hash
                if not same and at < len(tried) - 1:
                    continue
                made = reproduce_bench.work(bench, run, inputs, part(progress, 0.3, 1.0))
                return _made(bench, made, same), each
        raise CannotReproduce("the project has no images")

    def _differences(
        self, source: Source, made: _Made, from_pixels: bool, progress: Progress
    ) -> list[Difference]:
        """Everything that is not as it was, with or without consequence."""
        manifest = source.manifest
        broken = reproduce_source.altered_files(source.version, manifest)
        found = reproduce_source.named("stored", broken, "files")
        found += reproduce_source.changed_images(source, progress)
        found += [*made.data, *reproduce_source.snapshot_differences(source)]
        found += _code(manifest, made.manifest) + self._encoder(source, from_pixels)
        found += _words(source)
        if manifest.metrics.get("splits") != made.manifest.metrics.get("splits"):
            text = "the figures measured when it was made differ (they are no part of the hash)"
            found.append(Difference("figures", text, False))
        return found

    def _encoder(self, source: Source, from_pixels: bool) -> list[Difference]:
        """Whether encoder and kept tokens are still those that the version was made with."""
        info = source.manifest.encoder
        try:
            encoder = self._engines.encoder(info.spec)
        except EncoderError as error:
            return [Difference("encoder", f"the encoder cannot be loaded: {error}", False)]
        if encoder.info.hash != info.hash:
            text = (
                f"the files of encoder {info.spec} are others (hash {encoder.info.hash[:12]} "
                f"instead of {info.hash[:12]})"
            )
            return [Difference("encoder", text, False)]
        if from_pixels or not source.images:
            return []
        return self._tokens(source, encoder)

    def _tokens(self, source: Source, encoder: Any) -> list[Difference]:
        """A few images encoded again beside their kept tokens."""
        store = self._engines.tokens(source.project.id, encoder.info.hash)
        store.refresh()
        root, far = Path(source.project.root), []
        for image in [i for i in source.images if i.sha256 in store][:CHECKED]:
            try:
                fresh_PD = encoder.encode_images([read_verified(root, image)]).tokens_BPD[0]
            except InputError:
                continue  # told among the images
            kept_PD = store.get(image.sha256).numpy()
            apart = float(np.abs(fresh_PD.numpy() - kept_PD).max())
            if apart > TOKEN_STEP * max(float(np.abs(kept_PD).max()), 1.0):
                far.append(
                    f"the kept tokens of {image.relpath} are not those of its pixels: they differ "
                    f"by {apart:.3g}"
                )
        return reproduce_source.named("tokens", far, "images")

    def _note(
        self, source: Source, person: ReviewerRecord | None, detail: Mapping[str, Any]
    ) -> None:
        with self._uow() as uow:
            uow.audit.append(
                actor="command line" if person is None else person.name,
                action="version.reproduce", entity="version", entity_id=source.version.id,
                detail={"hash": source.version.hash, **detail}, project_id=source.project.id,
            )  # fmt: skip
            uow.commit()


def rebuilt_demo(
    manifest: Manifest, stored: Path, encoder: Encoder, scratch: Path,
    splits: Sequence[Split] | None = None,
) -> Path:  # fmt: skip
    """The demo's version from phantoms that are drawn again, under its recorded settings.

    Args:
        stored: folder of the version; a dictionary that was given is taken from there.
        splits: what is drawn; None: what the shipped version was made from.

    Returns the folder of the version made now.
    """
    from core.artifacts import load_bundle
    from core.discovery import DiscoverItem, discover
    from core.phantoms.build_demo import SPLITS, demo_vocabulary, encode_phantoms
    from core.phantoms.spec import CLASSES
    from core.tokens import TokenStore

    given = "dictionary" in manifest.config.get("train", {})
    config = recorded_config(manifest.config, may_be_given=True)
    items: list[DiscoverItem] = []
    store = TokenStore(scratch / "tokens")
    store.write(encode_phantoms(encoder, splits or SPLITS, manifest.seed, WORKERS, items))
    found = discover(
        store, items, encoder, demo_vocabulary(), CLASSES, config=config, seed=manifest.seed,
        dictionary=load_bundle(stored).sae if given else None,
    )  # fmt: skip
    return found.save(scratch / "versions", encoder.info)


def recorded_config(config: Mapping[str, Any], *, may_be_given: bool = False) -> DiscoverConfig:
    """The settings of a discovery, from a manifest.

    What the manifest does not name was made before there was such a setting: it is what was done
    then (BEFORE), else today's default, and the comparison says so.

    Args:
        may_be_given: whether the dictionary may be one that was not learnt here.

    Raises CannotReproduce for what is no such settings.
    """
    from core.discovery import DiscoverConfig
    from core.naming import NamingConfig
    from core.relations import RelationConfig
    from core.sae import SAEConfig, TrainConfig

    if not {"sae", "train", "naming", "relations"} <= config.keys():
        raise CannotReproduce("its manifest does not hold the settings of a discovery")
    given = "dictionary" in config["train"]
    if given and not may_be_given:
        raise CannotReproduce("its dictionary was given, not learnt from the project's images")
    try:
        naming = {**config["naming"], "templates": tuple(config["naming"]["templates"])}
        known = {each.name for each in fields(DiscoverConfig)}
        plain = {name: value for name, value in {**BEFORE, **config}.items() if name in known}
        return DiscoverConfig(
            **{
                **plain,
                "sae": SAEConfig.from_json(config["sae"]),
                "train": None if given else TrainConfig.from_json(config["train"]),
                "relations": RelationConfig(**config["relations"]),
                "naming": NamingConfig(**naming),
                "shares": tuple(config.get("shares", DiscoverConfig.shares)),
            }
        )
    except (TypeError, KeyError, ConfigError) as error:
        raise CannotReproduce(f"this release does not know its settings: {error}") from error


def _made(bench: Bench, version_hash: str, same_data: bool) -> _Made:
    folder = bench.version(version_hash)
    data = []
    if not same_data:
        text = (
            "the project's images, labels, splits or groups are not those that the version was "
            "made from"
        )
        data.append(Difference("data", text, True))
    return _Made(read_manifest(folder), folder, data)


def _encode(bench: Bench, progress: Progress) -> None:
    """Tokens of all images of the version before, from their pixels."""
    parent = bench.source.parents[0]
    encoder = bench.engines.encoder(parent.encoder_spec, parent.encoder_hash)
    project = bench.source.project
    bench.engines.ensure_tokens(
        project.id, Path(project.root), bench.source.images, encoder, progress
    )


def _code(recorded: Manifest, rebuilt: Manifest) -> list[Difference]:
    if recorded.code_version == rebuilt.code_version:
        return []
    text = f"the engine's code is {rebuilt.code_version}; it was {recorded.code_version}"
    return [Difference("code", text, False)]


def _words(source: Source) -> list[Difference]:
    """Whether the project's vocabulary is still the one that the concepts were named with."""
    then = source.manifest.config.get("vocabulary")
    if source.manifest.kind != "discover" or then is None or not source.images:
        return []
    if canonical_hash(vocabulary_of(source.project).as_json()) == then:
        return []
    return [Difference("names", "the project's vocabulary is another one now", True)]
