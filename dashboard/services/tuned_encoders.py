"""Encoders that runs have tuned: folders of the workspace, named by the hash of what they hold."""

from __future__ import annotations

import shutil
import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import EncoderError
from dashboard.settings import TUNED, TUNED_HASH, Settings

if TYPE_CHECKING:
    from core.types import EncoderInfo


def keep_encoder(settings: Settings, folder: Path, info: EncoderInfo) -> EncoderInfo:
    """Copies a tuned encoder into the workspace, whole or not at all; harmless when repeated.

    Args:
        folder: in open_clip's local layout.
        info: of the encoder loaded from there; its hash covers configuration and weights.

    Returns:
        The same with the spec under which the workspace finds it.
    """
    from core.encoders.spec import split_spec

    options = split_spec(info.spec)[1]
    base = f"{TUNED}{info.hash[:TUNED_HASH]}"
    target = settings.tuned_folder(base)
    if target is None:
        raise EncoderError(f"the tuned encoder has no proper hash ({info.hash[:TUNED_HASH]!r})")
    if not target.exists():
        settings.encoders_folder.mkdir(parents=True, exist_ok=True)
        draft = settings.encoders_folder / f".draft-{uuid.uuid4().hex}"
        try:
            shutil.copytree(folder, draft, ignore=shutil.ignore_patterns("*.tmp"))
            draft.rename(target)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return replace(info, spec=f"{base}{options}")
