"""Projects, as picked and as headed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ProjectView:
    """A project as listed in the project picker."""

    id: str
    name: str
    classes: tuple[str, ...]
    notice: str | None  # "synthetic phantom, not for clinical use" on the demo
    active_version: str | None  # model version hash
    cases: int
    reviewed: int | None  # cases with anyone's verdict or assessment; None where not tallied
