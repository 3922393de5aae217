"""With which software and on which machine something was computed: what the last bits depend on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

LIBRARIES = (
    "torch", "torchvision", "open_clip_torch", "numpy", "scipy", "scikit-learn", "numba", "pillow",
    "safetensors",
)  # fmt: skip


def surroundings() -> dict[str, str]:
    """Name -> value, all plain text; nothing in it names the machine or the person."""
    import torch

    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found | {
        "threads": str(torch.get_num_threads()),
        "processors": str(os.cpu_count() or 1),
        "vector instructions": str(torch.backends.cpu.get_cpu_capability()),
        "machine": platform.machine(),
        "system": platform.system(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
    }
