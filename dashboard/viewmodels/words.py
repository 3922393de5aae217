"""Words that the screens and the browser share."""

from typing import Literal

VerdictValue = Literal["correct", "spurious", "unsure", "withdrawn"]
Scope = Literal["here", "class", "everywhere"]
RunState = Literal["queued", "running", "succeeded", "failed", "cancelled", "interrupted"]

REASONS: tuple[str, ...] = (
    "artefact",
    "background",
    "acquisition",
    "leakage",
    "wrong region",
    "wrong name",
)
