"""Where a run comes from: the commit, the versions of its libraries, the machine."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from typing import Any

LIBRARIES = ("adlx", "torch", "pytorch-lightning", "hydra-core", "omegaconf", "numpy", "pandas", "torchmetrics")


def git_commit() -> str | None:
    """The commit of the working folder, with `-dirty` where it has changes; None outside git."""
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        process = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return process.stdout.strip() or None


def versions() -> dict[str, str]:
    """The installed version of each library that a result may depend on."""
    installed = {}
    for library in LIBRARIES:
        try:
            installed[library] = version(library)
        except PackageNotFoundError:
            continue
    return installed


def machine() -> dict[str, Any]:
    return {"python": platform.python_version(), "platform": platform.platform(), "cpus": os.cpu_count()}
