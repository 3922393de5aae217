"""Where a workspace lies and how it is reached: read once from the environment, then frozen."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.errors import ConfigError

DEFAULT_PORT = 8501
TUNED = "tuned:"  # spec of an encoder that a run has tuned, followed by the start of its hash
TUNED_HASH = 16  # characters of the hash
Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class Settings:
    """One workspace.

    workspace     folder that holds projects (INSIGHT_HOME, default ./workspace), absolute
    database_url  SQLAlchemy URL of the store (INSIGHT_DATABASE_URL, default SQLite in workspace)
    worker_url    SQLAlchemy URL of the worker's own tables (INSIGHT_WORKER_DATABASE_URL)
    port          TCP port of the app on 127.0.0.1 (INSIGHT_PORT), 1..65535
    device        torch device of the encoder and its fine-tuning (INSIGHT_DEVICE): "auto" (a GPU
                  when there is one), "cpu", "cuda", ..
    precision     of the encoder's weights (INSIGHT_PRECISION), "fp32" or the faster "bf16"
    """

    workspace: Path
    database_url: str
    worker_url: str
    port: int = DEFAULT_PORT
    device: str = "auto"
    precision: Precision = "fp32"

    @classmethod
    def load(
        cls,
        workspace: Path | None = None,
        *,
        port: int | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Settings:
        """Settings from arguments first, then `environ` (os.environ), then defaults.

        Raises ConfigError for a port that is not a number in 1..65535.
        """
        env = os.environ if environ is None else environ
        home = workspace or Path(env.get("INSIGHT_HOME") or "workspace")
        home = home.expanduser().absolute()
        return cls(
            workspace=home,
            database_url=env.get("INSIGHT_DATABASE_URL") or sqlite_url(home / "insight.sqlite"),
            worker_url=env.get("INSIGHT_WORKER_DATABASE_URL") or sqlite_url(home / "worker.sqlite"),
            port=_port(port if port is not None else env.get("INSIGHT_PORT")),
            device=env.get("INSIGHT_DEVICE") or "auto",
            precision=_precision(env.get("INSIGHT_PRECISION") or "fp32"),
        )

    def environment(self) -> dict[str, str]:
        """Variables that make a child process load these same settings."""
        return {
            "INSIGHT_HOME": str(self.workspace),
            "INSIGHT_DATABASE_URL": self.database_url,
            "INSIGHT_WORKER_DATABASE_URL": self.worker_url,
            "INSIGHT_PORT": str(self.port),
            "INSIGHT_DEVICE": self.device,
            "INSIGHT_PRECISION": self.precision,
        }

    def project_folder(self, project_id: str) -> Path:
        """Folder of what is computed for a project; its images stay where they are."""
        return self.workspace / "projects" / project_id

    def tokens_folder(self, project_id: str, encoder_hash: str) -> Path:
        """Folder of the dense tokens of a project's images under one encoder.

        Tokens of the two precisions differ by about 1 %, so they are kept apart.
        """
        kind = "" if self.precision == "fp32" else f"-{self.precision}"
        return self.project_folder(project_id) / "tokens" / f"{encoder_hash[:16]}{kind}"

    def pooled_folder(self, project_id: str, dictionary_hash: str, pooling: str = "max") -> Path:
        """Folder of a project's codes under one dictionary, pooled over patches in one way."""
        tail = "" if pooling == "max" else f"-{pooling}"
        return self.project_folder(project_id) / "pooled" / f"{dictionary_hash[:16]}{tail}"

    @property
    def encoders_folder(self) -> Path:
        """Folder of the encoders that runs have tuned, one folder per hash."""
        return self.workspace / "encoders"

    def tuned_folder(self, base: str) -> Path | None:
        """Folder of a tuned encoder, "tuned:HASH"; None for an encoder of another kind."""
        name = base.removeprefix(TUNED)
        is_hash = len(name) == TUNED_HASH and set(name) <= set("0123456789abcdef")
        return self.encoders_folder / name if base.startswith(TUNED) and is_hash else None

    def versions_folder(self, project_id: str) -> Path:
        """Folder of the project's model bundles, one folder per version hash."""
        return self.project_folder(project_id) / "versions"


def sqlite_url(path: Path) -> str:
    """SQLAlchemy URL of a SQLite file."""
    return f"sqlite:///{path.as_posix()}"


def _precision(value: str) -> Precision:
    if value == "fp32":
        return "fp32"
    if value == "bf16":
        return "bf16"
    raise ConfigError(f"INSIGHT_PRECISION must be fp32 or bf16, not {value!r}")


def _port(value: str | int | None) -> int:
    if value is None or value == "":
        return DEFAULT_PORT
    try:
        port = int(value)
    except ValueError:
        port = 0
    if not 1 <= port <= 65535:
        raise ConfigError(f"port must be a number from 1 to 65535, not {value!r}")
    return port
