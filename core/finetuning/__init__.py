"""Fine-tuning: change the weights of a model so that it no longer leans on what people rejected.

`train` tunes any torch module; `core.finetuning.encoder` tunes the last blocks of an encoder.
"""

from core.finetuning.config import Fill, Losses, TuneConfig
from core.finetuning.examples import Batch, Examples, Source
from core.finetuning.loop import SERIES, OnPoint, Trained, train

__all__ = [
    "SERIES",
    "Batch",
    "Examples",
    "Fill",
    "Losses",
    "OnPoint",
    "Source",
    "Trained",
    "TuneConfig",
    "train",
]
