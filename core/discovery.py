"""From dense tokens to a first model version: concepts, relations, names and a head.

The chain is tokens -> sparse autoencoder -> codes -> relations -> names -> linear head ->
calibration -> evaluation. It is deterministic for one seed and does not depend on the order in
which the images are given.

Shape legend: I images, P patches of one image, M patches, N concepts, D embedding, C classes.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
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

from core.artifacts import canonical_hash, dictionary_hash, save_bundle
from core.codes import Codes, CodeStore
from core.cooccurrence import cooccurrence
from core.encoder import Encoder
from core.errors import ConfigError
from core.examples import Example, top_examples
from core.first_head import DiscoverItem, fit_calibrated, split_metrics
from core.fuzziness import FUZZY, fuzziness, sharpness_prior
from core.heads import LinearHead, Pooling
from core.naming import NamingConfig, kinds_by_name, mixing_weights, name_concepts, unit
from core.pacing import Progress, paced, part
from core.reconstruction import removal_costs
from core.relations import LEAST, RelationConfig, RelationGraph, relations
from core.sae import SAEConfig, SparseAutoencoder, TrainConfig
from core.sae.checkpoint import Checkpoints
from core.sae.metrics import evaluate_sae
from core.sae.train import TrainedSAE, train_sae
from core.sizes import default_sizes, effective_dimension
from core.splits import TRAIN, UNUSED, resolve_splits
from core.streaming import ShuffledStream, StoreSource
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
    pooling: Pooling = "max"  # how an image's codes are summed up for the head
    concepts_per_class: int | None = None  # at most so many in the head; None: as many as help
    fuzzy: float | None = FUZZY  # from which the head avoids a concept; None: it does not care
    alpha: float = 0.1  # share of cases whose conformal set may miss the true class, (0, 1)

    def __post_init__(self) -> None:
        inside = all(0.0 <= share < 0.5 for share in (*self.shares, self.held_back))
        if not inside or self.relation_images < 1 or not 0 < self.alpha < 1:
            raise ConfigError("shares: [0, 0.5); alpha: (0, 1); relation_images: at least 1")
        if self.concepts_per_class is not None and self.concepts_per_class < 1:
            raise ConfigError("concepts_per_class is at least 1")
        if self.fuzzy is not None and not self.fuzzy > 0:
            raise ConfigError("fuzzy is above 0")


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


def discover(
    tokens: TokenStore,
    items: Sequence[DiscoverItem],
    encoder: Encoder,
    vocabulary: Vocabulary,
    classes: Sequence[str],
    *,
    config: DiscoverConfig | None = None,
    seed: int = 0,
    dictionary: SparseAutoencoder | None = None,
    codes_folder: Path | None = None,
    checkpoints: Checkpoints | None = None,
    metrics_file: Path | None = None,
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
        dictionary: concepts found before on these tokens, to be related, named and given a head
            anew (with other words, say); `config.sae` and `config.train` do not count then.
        codes_folder: where to keep the codes of all patches; None drops them.
        checkpoints: where to save the training, to go on from there after a kill.
        metrics_file: figures as the training goes, one JSON object per line.
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
    setup = replace(
        _setup(tokens, cases, splits, encoder.info, config, seed, dictionary),
        checkpoints=checkpoints, metrics_file=metrics_file,
    )  # fmt: skip
    found = _find_concepts(tokens, cases, splits, encoder, vocabulary, setup, codes_folder, tell)
    tell(0.93, "fitting the classifier")
    head = fit_calibrated(
        found.pooled_IN, cases, splits, classes,
        c=config.head_c, apart=config.held_back, pooling=config.pooling,
        concepts_per_class=config.concepts_per_class, alpha=config.alpha, seed=seed,
        prior_N=None if config.fuzzy is None else sharpness_prior(found.fuzziness_N, config.fuzzy),
    )  # fmt: skip
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


@dataclass(frozen=True)
class _Setup:
    """What a run settled on before it starts."""

    config: DiscoverConfig
    sae: SAEConfig
    train: TrainConfig
    patches: int  # P
    keys: tuple[str, ...]  # of the train images, sorted
    seed: int
    dictionary: SparseAutoencoder | None  # where it was found before
    checkpoints: Checkpoints | None = None
    metrics_file: Path | None = None


@dataclass(frozen=True, eq=False)
class _Concepts:
    """What is known before any label is looked at."""

    sae: SparseAutoencoder
    metrics: Mapping[str, Any]
    pooled_IN: sparse.csr_matrix
    fuzziness_N: NDArray[np.float64]
    graph: RelationGraph
    names: tuple[ConceptName, ...]


def _find_concepts(
    tokens: TokenStore, items: Sequence[DiscoverItem], splits: Sequence[str], encoder: Encoder,
    vocabulary: Vocabulary, setup: _Setup, codes_folder: Path | None, tell: Progress,
) -> _Concepts:  # fmt: skip
    held_out = _held_out_tokens(tokens, items, splits, setup.seed)
    trained = _dictionary(tokens, setup, held_out, part(tell, 0.0, 0.6, "finding concepts"))
    sae, keys = trained.model, [item.sha256 for item in items]
    with ExitStack() as stack:
        store = _open_codes(stack, codes_folder)
        store.write(_encoded(sae, tokens, keys, part(tell, 0.6, 0.8, "reading all images")), sae.n)
        pooled_IN = store.pooled(setup.config.pooling)
        codes_MN = _related_codes(store, setup)
    tell(0.8, "relating concepts")
    related = (tokens.get(key).float().numpy() for key in _related_keys(setup))
    decoder_ND, bias_D = sae.decoder_ND.numpy(), sae.b_dec.detach().numpy()
    removal = removal_costs(codes_MN, related, decoder_ND, bias_D)
    graph = relations(codes_MN, decoder_ND, setup.patches, setup.config.relations, removal)
    tell(0.87, "naming concepts")
    naming = setup.config.naming
    # For names a glimmer of a general concept says something; for relations it does not.
    counts = cooccurrence(codes_MN, setup.patches, least=min(LEAST, naming.tau))
    names = name_concepts(
        decoder_ND, bias_D, vocabulary, encoder.encode_texts,
        image_mean_D=_image_mean(tokens, setup.keys),
        mixing_NN=mixing_weights(codes_MN, counts.conditional_NN, naming),
        relations=graph.relations,
        alive_N=counts.patches_N > 0,
        config=naming,
    )  # fmt: skip
    graph = replace(graph, relations=kinds_by_name(graph.relations, names, vocabulary))
    fuzziness_N = fuzziness(codes_MN, setup.patches)
    return _Concepts(sae, trained.metrics, pooled_IN, fuzziness_N, graph, names)


def _dictionary(
    tokens: TokenStore, setup: _Setup, held_out: Tensor | None, tell: Progress
) -> TrainedSAE:
    """The dictionary of this run: trained now, or the one given with its figures."""
    if setup.dictionary is None:
        stream = ShuffledStream(StoreSource(tokens, setup.keys), setup.train.batch, setup.seed)
        return train_sae(
            stream, setup.sae, setup.train, tell, held_out=held_out,
            checkpoints=setup.checkpoints, metrics_file=setup.metrics_file,
        )  # fmt: skip
    known_MD = torch.cat([tokens.get(key) for key in _spread(setup.keys, _SAMPLE_IMAGES)])
    figures = evaluate_sae(setup.dictionary, known_MD if held_out is None else held_out)
    return TrainedSAE(setup.dictionary, {**figures, "held_out": held_out is not None})


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
        "relations_left_out": dict(Counter(edge.reason for edge in found.graph.dropped)),
    }


def _setup(
    tokens: TokenStore, items: Sequence[DiscoverItem], splits: Sequence[str],
    info: EncoderInfo, config: DiscoverConfig, seed: int, dictionary: SparseAutoencoder | None,
) -> _Setup:  # fmt: skip
    keys = tuple(i.sha256 for i, split in zip(items, splits, strict=True) if split == TRAIN)
    patches, dim = tokens.get(keys[0]).shape
    if dim != info.dim or patches != info.grid[0] * info.grid[1]:
        raise ConfigError("the tokens are not those of this encoder")
    sample_MD = torch.cat([tokens.get(key) for key in _spread(keys, _SAMPLE_IMAGES)])
    sizes, length = default_sizes(len(keys) * patches, dim, effective_dimension(sample_MD))
    sae = dictionary.config if dictionary is not None else config.sae or sizes
    if sae.d != dim:
        raise ConfigError(f"a dictionary of dimension {sae.d} for tokens of {dim}")
    train = replace(config.train or length, seed=seed)
    return _Setup(config, sae, train, patches, keys, seed, dictionary)


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


def _related_keys(setup: _Setup) -> tuple[str, ...]:
    """The train images, or a sample of them, on which concepts are related and named."""
    keys, most = setup.keys, setup.config.relation_images
    if len(keys) <= most:
        return keys
    drawn = np.random.default_rng(setup.seed).permutation(len(keys))[:most]
    return tuple(setup.keys[i] for i in sorted(drawn))


def _related_codes(store: CodeStore, setup: _Setup) -> sparse.csr_matrix:
    """Codes of all patches of `_related_keys`."""
    keys = _related_keys(setup)
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
    """Everything that was set, JSON-ready; a dictionary given is known by its hash."""
    given = setup.dictionary
    return {
        **asdict(setup.config),
        "sae": setup.sae.to_json(),
        "train": setup.train.to_json() if given is None else {"dictionary": dictionary_hash(given)},
        "vocabulary": canonical_hash(vocabulary.as_json()),
    }


def _data_hash(items: Sequence[DiscoverItem], splits: Sequence[str]) -> str:
    rows = zip(items, splits, strict=True)
    return canonical_hash(sorted([i.sha256, repr(i.label), s, i.group or ""] for i, s in rows))
