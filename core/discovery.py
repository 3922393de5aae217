"""From dense tokens to a first model version: concepts, relations, names and a head.

The chain is tokens -> sparse autoencoder -> codes -> relations -> names -> linear head ->
calibration -> evaluation. It is deterministic for one seed and does not depend on the order in
which the images are given.

Shape legend: I images, P patches of one image, M patches, N concepts, D embedding, C classes.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from core.artifacts import canonical_hash, save_bundle
from core.codes import Codes, CodeStore
from core.encoder import Encoder
from core.errors import ConfigError
from core.first_head import DiscoverItem, fit_calibrated, split_metrics
from core.heads import LinearHead
from core.naming import NamingConfig, kinds_by_name, mixing_weights, name_concepts, unit
from core.pacing import Progress, paced, part
from core.relations import RelationConfig, RelationGraph, cooccurrence, relation_graph
from core.sae import SAEConfig, SparseAutoencoder, TrainConfig
from core.sae.train import train_sae
from core.splits import TRAIN, UNUSED, resolve_splits
from core.tokens import TokenStore
from core.types import ConceptName, EncoderInfo
from core.vocabulary import Vocabulary

__all__ = [
    "DiscoverConfig",
    "DiscoverItem",
    "Discovery",
    "Example",
    "default_sizes",
    "discover",
    "effective_dimension",
    "frequency",
    "top_examples",
]

_HELD_OUT_TOKENS = 20_000  # for the autoencoder's figures
_SAMPLE_IMAGES = 200  # for the mean and the effective dimension of the tokens


@dataclass(frozen=True)
class DiscoverConfig:
    """Settings of a discovery; None leaves a size to the amount of data."""

    sae: SAEConfig | None = None
    train: TrainConfig | None = None  # its seed is replaced by the run's
    relations: RelationConfig = field(default_factory=RelationConfig)
    naming: NamingConfig = field(default_factory=NamingConfig)
    head_c: float | None = None  # inverse penalty; None: by cross-validation
    shares: tuple[float, float] = (0.15, 0.15)  # validation and test, where no split is given
    held_back: float = 0.2  # share of train for the temperature, where there is no validation
    relation_images: int = 4000  # at most so many train images for relations and names

    def __post_init__(self) -> None:
        inside = all(0.0 <= share < 0.5 for share in (*self.shares, self.held_back))
        if not inside or self.relation_images < 1:
            raise ConfigError("shares lie in [0, 0.5) and relation_images is at least 1")


@dataclass(frozen=True, eq=False)
class Discovery:
    """What a discovery found; rows of [I, ...] are in the order of the items given."""

    sae: SparseAutoencoder
    head: LinearHead
    graph: RelationGraph
    names: tuple[ConceptName, ...]
    pooled_IN: sparse.csr_matrix  # float32, maximum over the patches
    logits_IC: NDArray[np.float64]
    probabilities_IC: NDArray[np.float64]  # calibrated
    splits: tuple[str, ...]  # "train", "val", "test", ... or "" where unused
    frequency_N: NDArray[np.float64]  # share of the images in which a concept fires
    metrics: Mapping[str, Any]
    config: Mapping[str, Any]
    data_hash: str
    seed: int

    @property
    def predictions_I(self) -> NDArray[np.int64]:
        """Class index with the largest logit."""
        return np.asarray(self.logits_IC.argmax(axis=1), np.int64)

    def save(self, root: Path, encoder: EncoderInfo) -> Path:
        """Publish as a model version; see `core.artifacts.save_bundle`."""
        return save_bundle(
            root, sae=self.sae, head=self.head, relations=self.graph.relations, names=self.names,
            encoder=encoder, seed=self.seed, config=self.config, data_hash=self.data_hash,
            metrics=self.metrics, extra={"frequency_N": self.frequency_N.astype(np.float32)},
        )  # fmt: skip


@dataclass(frozen=True)
class Example:
    """An image in which a concept fires strongly."""

    row: int  # into the items
    activation: float  # maximum over its patches, > 0


def discover(
    tokens: TokenStore,
    items: Sequence[DiscoverItem],
    encoder: Encoder,
    vocabulary: Vocabulary,
    classes: Sequence[str],
    *,
    config: DiscoverConfig | None = None,
    seed: int = 0,
    codes_folder: Path | None = None,
    progress: Progress | None = None,
) -> Discovery:
    """Find concepts in images and fit a first model on them.

    Args:
        tokens: dense tokens of every item.
        items: the images, without repeats. Unlabelled ones take part in finding concepts and
            get predictions, but do not train or test the head.
        encoder: gives the text embeddings for names, and the grid.
        vocabulary: candidate names.
        classes: names of the labels; each needs a labelled train image.
        config: sizes and thresholds.
        seed: decides split, autoencoder and folds.
        codes_folder: where to keep the codes of all patches; None drops them.
        progress: called with the share done and the stage, some times a second at most; an
            exception that it raises ends the run.

    Raises:
        ConfigError: items, classes or settings that cannot work, in plain words.
    """
    config = config or DiscoverConfig()
    tell = paced(progress)
    _check_items(tokens, items, classes)
    order = sorted(range(len(items)), key=lambda row: items[row].sha256)
    cases = [items[row] for row in order]  # so that the result does not depend on the order given
    splits = resolve_splits([i.label for i in cases], [i.split for i in cases], seed, config.shares)
    setup = _setup(tokens, cases, splits, encoder.info, config, seed)
    found = _find_concepts(tokens, cases, splits, encoder, vocabulary, setup, codes_folder, tell)
    tell(0.93, "fitting the classifier")
    head = fit_calibrated(
        found.pooled_IN, cases, splits, classes, c=config.head_c, apart=config.held_back, seed=seed
    )
    back = np.argsort(order)
    pooled_IN = found.pooled_IN[back]
    tell(1.0, "done")
    return Discovery(
        sae=found.sae, head=head, graph=found.graph, names=found.names, pooled_IN=pooled_IN,
        logits_IC=head.logits(pooled_IN), probabilities_IC=head.probabilities(pooled_IN),
        splits=tuple(splits[row] for row in back), frequency_N=frequency(pooled_IN),
        metrics=_metrics(found, head, cases, splits), config=_record(setup, vocabulary),
        data_hash=_data_hash(cases, splits), seed=seed,
    )  # fmt: skip


def frequency(pooled_IN: sparse.csr_matrix) -> NDArray[np.float64]:
    """Share of the images in which each concept fires, [N] in [0, 1]."""
    fired_N = np.bincount(pooled_IN.tocoo().col, minlength=pooled_IN.shape[1])
    return np.asarray(fired_N / max(pooled_IN.shape[0], 1), np.float64)


def top_examples(pooled_IN: sparse.csr_matrix, count: int = 12) -> tuple[tuple[Example, ...], ...]:
    """For each concept the images in which it fires most, strongest first."""
    by_concept = pooled_IN.tocsc()
    by_concept.sort_indices()
    found = []
    for start, stop in zip(by_concept.indptr[:-1], by_concept.indptr[1:], strict=True):
        rows, values = by_concept.indices[start:stop], by_concept.data[start:stop]
        order = np.argsort(-values, kind="stable")[:count]
        found.append(tuple(Example(int(rows[i]), float(values[i])) for i in order))
    return tuple(found)


def default_sizes(tokens: int, d: int, dimensions: float) -> tuple[SAEConfig, TrainConfig]:
    """Dictionary and training length that suit the data.

    The width follows the amount of data (512 concepts under 100,000 tokens, 1024 up to a million,
    else 8192), but is not much wider than what the tokens vary in. Too many active concepts per
    token split one thing into pieces that mean nothing by themselves: on 320 phantoms (effective
    dimension 7 to 8) the best concept per cue had a mean average precision of .66 at n = 128 and
    k = 3, of .51 at n = 512 and k = 8. So k is two fifths of the effective dimension, at most the
    paper's 12. Every token is seen about 20 times, but 1 to 8 million are seen in all.

    Args:
        tokens: training tokens.
        d: their dimension.
        dimensions: their effective dimension, see `effective_dimension`.
    """
    wanted = 512 if tokens < 100_000 else 1024 if tokens <= 1_000_000 else 8192
    spread = 64 * max(1, round(dimensions / 4)) * (1 if tokens <= 1_000_000 else 4)
    n = max(8, min(wanted, spread, 16 * d))
    k = max(2, min(12, round(dimensions / 2.5), n // 4))
    batch = 2048 if tokens <= 1_000_000 else 4096
    seen = min(max(20 * tokens, 1_000_000), 8_000_000)
    return SAEConfig(d, n=n, k=k), TrainConfig(steps=math.ceil(seen / batch), batch=batch)


def effective_dimension(tokens_MD: Tensor) -> float:
    """Participation ratio (sum l)^2 / sum l^2 of the covariance's eigenvalues, [1, D]."""
    centred_MD = tokens_MD.double() - tokens_MD.double().mean(0)
    covariance_DD = centred_MD.T @ centred_MD
    square = float(covariance_DD.square().sum())
    return float(covariance_DD.trace()) ** 2 / square if square > 0 else 1.0


@dataclass(frozen=True)
class _Setup:
    """What a run settled on before it starts."""

    config: DiscoverConfig
    sae: SAEConfig
    train: TrainConfig
    patches: int  # P
    keys: tuple[str, ...]  # of the train images, sorted
    seed: int


@dataclass(frozen=True, eq=False)
class _Concepts:
    """What is known before any label is looked at."""

    sae: SparseAutoencoder
    metrics: Mapping[str, Any]
    pooled_IN: sparse.csr_matrix
    graph: RelationGraph
    names: tuple[ConceptName, ...]


def _find_concepts(
    tokens: TokenStore, items: Sequence[DiscoverItem], splits: Sequence[str], encoder: Encoder,
    vocabulary: Vocabulary, setup: _Setup, codes_folder: Path | None, tell: Progress,
) -> _Concepts:  # fmt: skip
    trained = train_sae(
        _stream(tokens, setup), setup.sae, setup.train, part(tell, 0.0, 0.6, "finding concepts"),
        held_out=_held_out_tokens(tokens, items, splits, setup.seed),
    )  # fmt: skip
    sae, keys = trained.model, [item.sha256 for item in items]
    with ExitStack() as stack:
        store = _open_codes(stack, codes_folder)
        store.write(_encoded(sae, tokens, keys, part(tell, 0.6, 0.8, "reading all images")), sae.n)
        pooled_IN = store.pooled()
        codes_MN = _related_codes(store, setup)
    tell(0.8, "relating concepts")
    counts = cooccurrence(codes_MN, setup.patches, setup.config.relations.presence)
    graph = relation_graph(counts, sae.decoder_ND.numpy(), setup.config.relations)
    tell(0.87, "naming concepts")
    naming = setup.config.naming
    # For names a glimmer of a general concept says something; for relations it does not.
    beside_NN = cooccurrence(codes_MN, setup.patches).conditional_NN
    names = name_concepts(
        sae.decoder_ND.numpy(),
        sae.b_dec.detach().numpy(),
        vocabulary,
        encoder.encode_texts,
        image_mean_D=_image_mean(tokens, setup.keys),
        mixing_NN=mixing_weights(codes_MN, beside_NN, naming),
        relations=graph.relations,
        alive_N=counts.patches_N > 0,
        config=naming,
    )
    graph = replace(graph, relations=kinds_by_name(graph.relations, names, vocabulary))
    return _Concepts(sae, trained.metrics, pooled_IN, graph, names)


def _metrics(
    found: _Concepts, head: LinearHead, items: Sequence[DiscoverItem], splits: Sequence[str]
) -> dict[str, Any]:
    return {
        "splits": split_metrics(head, found.pooled_IN, items, splits),
        "images": {split or "unused": splits.count(split) for split in sorted(set(splits))},
        "sae": found.metrics,
        "temperature": head.temperature,
        "concepts": found.sae.n,
        "named": sum(name.name is not None for name in found.names),
        "relations": len(found.graph.relations),
    }


def _setup(
    tokens: TokenStore, items: Sequence[DiscoverItem], splits: Sequence[str],
    info: EncoderInfo, config: DiscoverConfig, seed: int,
) -> _Setup:  # fmt: skip
    keys = tuple(i.sha256 for i, split in zip(items, splits, strict=True) if split == TRAIN)
    patches, dim = tokens.get(keys[0]).shape
    if dim != info.dim or patches != info.grid[0] * info.grid[1]:
        raise ConfigError("the tokens are not those of this encoder")
    sample_MD = torch.cat([tokens.get(key) for key in _spread(keys, _SAMPLE_IMAGES)])
    sizes, length = default_sizes(len(keys) * patches, dim, effective_dimension(sample_MD))
    sae = config.sae or sizes
    if sae.d != dim:
        raise ConfigError(f"a dictionary of dimension {sae.d} for tokens of {dim}")
    return _Setup(config, sae, replace(config.train or length, seed=seed), patches, keys, seed)


def _check_items(tokens: TokenStore, items: Sequence[DiscoverItem], classes: Sequence[str]) -> None:
    if not items:
        raise ConfigError("there are no images")
    keys = [item.sha256 for item in items]
    if len(set(keys)) < len(keys):
        raise ConfigError("an image is listed twice")
    missing = tokens.missing(keys)
    if missing:
        raise ConfigError(f"{len(missing)} images have no tokens yet, such as {missing[0][:12]}")
    if any(i.label is not None and not 0 <= i.label < len(classes) for i in items):
        raise ConfigError("a label is not one of the classes")


def _stream(tokens: TokenStore, setup: _Setup) -> Callable[[int], Iterator[Tensor]]:
    def epoch(number: int) -> Iterator[Tensor]:
        seed = setup.train.seed * 100_003 + number
        return tokens.shuffled_batches(setup.keys, setup.train.batch, seed)

    return epoch


def _held_out_tokens(
    tokens: TokenStore, items: Sequence[DiscoverItem], splits: Sequence[str], seed: int
) -> Tensor | None:
    """Tokens of images outside train, as far as there are any."""
    keys = sorted(i.sha256 for i, s in zip(items, splits, strict=True) if s not in (TRAIN, UNUSED))
    if not keys:
        return None
    gathered, held = [], 0
    for position in np.random.default_rng(seed).permutation(len(keys)):
        gathered.append(tokens.get(keys[position]))
        held += len(gathered[-1])
        if held >= _HELD_OUT_TOKENS:
            break
    return torch.cat(gathered)


def _open_codes(stack: ExitStack, folder: Path | None) -> CodeStore:
    if folder is not None:
        return CodeStore(folder)
    return CodeStore(Path(stack.enter_context(TemporaryDirectory(prefix="insight-codes-"))))


def _encoded(
    sae: SparseAutoencoder, tokens: TokenStore, keys: Sequence[str], progress: Progress
) -> Iterator[tuple[str, Codes]]:
    for done, key in enumerate(keys):
        progress(done / len(keys), f"{done} of {len(keys)}")
        yield key, sae.encode(tokens.get(key))


def _related_codes(store: CodeStore, setup: _Setup) -> sparse.csr_matrix:
    """Codes of all patches of (a sample of) the train images."""
    keys, most = setup.keys, setup.config.relation_images
    if len(keys) > most:
        drawn = np.random.default_rng(setup.seed).permutation(len(keys))[:most]
        keys = tuple(setup.keys[i] for i in sorted(drawn))
    return Codes.concat((store.image(store.row_of(key)) for key in keys), store.n).csr()


def _image_mean(tokens: TokenStore, keys: Sequence[str]) -> NDArray[np.float64]:
    """Mean of the unit tokens over evenly spaced train images."""
    spread = _spread(keys, _SAMPLE_IMAGES)
    means = [unit(tokens.get(key).double().numpy()).mean(axis=0) for key in spread]
    return np.asarray(np.mean(means, axis=0), np.float64)


def _spread(keys: Sequence[str], most: int) -> Sequence[str]:
    """At most `most` keys, evenly spaced."""
    return keys[:: math.ceil(len(keys) / most)]


def _record(setup: _Setup, vocabulary: Vocabulary) -> dict[str, Any]:
    """Everything that was set, JSON-ready."""
    return {
        **asdict(setup.config),
        "sae": setup.sae.to_json(),
        "train": setup.train.to_json(),
        "vocabulary": canonical_hash(vocabulary.as_json()),
    }


def _data_hash(items: Sequence[DiscoverItem], splits: Sequence[str]) -> str:
    rows = zip(items, splits, strict=True)
    return canonical_hash(sorted([i.sha256, repr(i.label), s, i.group or ""] for i, s in rows))
