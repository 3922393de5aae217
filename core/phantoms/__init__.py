"""Dermoscopy phantoms: a seeded generator with exact ground truth, and the demo encoder.

Synthetic phantoms, not for clinical use. Importing this package loads numpy and Pillow only;
the encoder's training and evaluation (torch, open_clip) live in `core.phantoms.training` and
`core.phantoms.evaluation`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from core.phantoms.captions import caption_for, class_prompts, phrases_for, region_prompts
from core.phantoms.dataset import (
    DEMO_SPLITS,
    Split,
    group_of,
    read_cue_masks,
    write_dataset,
)
from core.phantoms.generator import Phantom, generate
from core.phantoms.spec import (
    ARTEFACTS,
    CLASSES,
    CUE_NAMES,
    CUES,
    HIERARCHY,
    LESION_PARTS,
    NOTICE,
    PLANTED,
    VOCABULARY,
    CueSpec,
    Shortcut,
    VocabularyRow,
    write_vocabulary,
)

ENCODER_DIR: Final = Path(__file__).with_name("encoder")
"""The shipped demo encoder: an open_clip folder (use "local-dir:" + str(ENCODER_DIR))."""

__all__ = [
    "ARTEFACTS",
    "CLASSES",
    "CUES",
    "CUE_NAMES",
    "DEMO_SPLITS",
    "ENCODER_DIR",
    "HIERARCHY",
    "LESION_PARTS",
    "NOTICE",
    "PLANTED",
    "VOCABULARY",
    "CueSpec",
    "Phantom",
    "Shortcut",
    "Split",
    "VocabularyRow",
    "caption_for",
    "class_prompts",
    "generate",
    "group_of",
    "phrases_for",
    "read_cue_masks",
    "region_prompts",
    "write_dataset",
    "write_vocabulary",
]
