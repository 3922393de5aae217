"""Something that people must be told: one sentence, and what to do about it."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["info", "warning"]


@dataclass(frozen=True)
class Notice:
    """Something that the people who started a run must know; text and advice fit to be shown."""

    level: Level
    text: str
    advice: str = ""
