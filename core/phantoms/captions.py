"""Phantoms in words: captions, class prompts and region phrases.

A caption names the class and some visible signs; it is true of every phantom that shows them.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from core.phantoms.spec import (
    CLASS_SYNONYMS,
    CLASSES,
    CUES,
    GENERAL_TERMS,
)

IMAGE_TEMPLATES: tuple[str, ...] = (
    "{}",
    "a {}",
    "a photo of a {}",
    "a dermoscopy image of a {}",
    "dermoscopy of a {}",
)
REGION_TEMPLATES: tuple[str, ...] = ("{}", "a photo of {}", "a region with {}", "{} in a lesion")
BORING = frozenset({"skin", "lesion"})
_PHRASES: dict[str, tuple[str, ...]] = {
    **{cue.name: cue.phrases for cue in CUES},
    **{row.name: (row.name, *row.synonyms) for row in GENERAL_TERMS},
    **{name: (name, *CLASS_SYNONYMS[name]) for name in CLASSES},
}


def phrases_for(term: str) -> tuple[str, ...]:
    """The term and its synonyms. Raises KeyError for a term outside the vocabulary."""
    return _PHRASES[term]


def class_prompts(label: str) -> tuple[str, ...]:
    """Every class prompt of one label: names times templates, for a prompt ensemble."""
    return tuple(t.format(word) for word in phrases_for(label)[:1] for t in IMAGE_TEMPLATES)


def region_prompts(term: str) -> tuple[str, ...]:
    """Every region prompt of one term's own name, for a prompt ensemble."""
    return tuple(t.format(term) for t in REGION_TEMPLATES)


def caption_for(label: str, cues: Iterable[str]) -> str:
    """The full, plain caption of a phantom."""
    return compose(label, [cue for cue in cues if cue not in BORING])


def compose(words: str, signs: list[str], template: str = "a dermoscopy image of a {}") -> str:
    """Join class words and signs into one sentence."""
    head = template.format(words)
    if not signs:
        return head
    listed = signs[0] if len(signs) == 1 else ", ".join(signs[:-1]) + " and " + signs[-1]
    return f"{head} with {listed}"


def sample_caption(
    rng: np.random.Generator, label: str, cues: Iterable[str], most: int = 3
) -> tuple[str, tuple[str, ...]]:
    """A random true caption and the cues it names (at most `most`), synonyms drawn at random."""
    pool = [cue for cue in cues if cue not in BORING]
    count = int(rng.integers(0, min(most, len(pool)) + 1))
    named = tuple(str(c) for c in rng.permutation(pool)[:count]) if count else ()
    signs = [sample_phrase(rng, cue) for cue in named]
    template = IMAGE_TEMPLATES[int(rng.integers(len(IMAGE_TEMPLATES)))]
    return compose(sample_phrase(rng, label), signs, template), named


def sample_phrase(rng: np.random.Generator, term: str) -> str:
    """The term's name half of the time, else one of its synonyms."""
    phrases = _PHRASES[term]
    if rng.uniform() < 0.5 or len(phrases) == 1:
        return phrases[0]
    return phrases[int(rng.integers(1, len(phrases)))]


def sample_region_prompt(rng: np.random.Generator, term: str) -> str:
    """A random region prompt of a term."""
    template = REGION_TEMPLATES[int(rng.integers(len(REGION_TEMPLATES)))]
    return template.format(sample_phrase(rng, term))


def sample_class_prompt(rng: np.random.Generator, label: str) -> str:
    """A random class prompt."""
    template = IMAGE_TEMPLATES[int(rng.integers(len(IMAGE_TEMPLATES)))]
    return template.format(sample_phrase(rng, label))
