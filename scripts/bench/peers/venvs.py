"""Virtual environments of other libraries: made once with pip, and kept until their requirements change."""

import shutil
import subprocess
import sys
import venv
from importlib.metadata import version
from pathlib import Path


class NoEnvironment(Exception):
    """A peer's virtual environment could not be made; the message says why."""


def requirements(peer: str) -> list[str]:
    """The packages that pip installs, in this order. Libraries on PyTorch get the PyTorch and Lightning of adlx."""
    if peer == "keras":
        return ["keras==3.15.1", "tensorflow-cpu==2.21.0"]
    if peer == "hpelm":  # the last version of NumPy that it works with
        return ["numpy==1.23.5", "scipy==1.10.1", "hpelm==1.0.10"]
    if peer == "scikit-elm":  # with requirements that it does not declare
        frames = ["pandas==3.1.1", "dask[dataframe,distributed]==2026.8.0"]
        return ["scikit-learn==1.9.1", *frames, "scikit-elm==0.21a0"]
    # First, and without the local part of the version: otherwise pip would install another build.
    torch = f"torch=={version('torch').split('+')[0]}"
    if peer == "lora":
        return [torch, "peft==0.21.2", "loralib==0.1.2"]
    if peer == "denoising-diffusion-pytorch":
        return [torch, "denoising-diffusion-pytorch==2.3.4"]
    return [torch, f"pytorch-lightning=={version('pytorch-lightning')}", "neuralforecast==3.3.0"]


def python_of(peer: str, root: Path) -> str:
    """The interpreter of the virtual environment of a library; makes the environment if it does not exist."""
    folder = root / peer
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    wanted = requirements(peer)
    stamp = folder / "requirements.txt"  # written last: an environment without it is incomplete
    if stamp.is_file() and stamp.read_text().split() == wanted and python.exists():
        return str(python)
    print(f"making a virtual environment for {peer} in {folder}", file=sys.stderr, flush=True)
    try:
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        for count in range(1, len(wanted) + 1):  # with all packages before it, so that pip does not change them
            _run([str(python), "-m", "pip", "install", "--quiet", *wanted[:count]])
        stamp.write_text("\n".join(wanted) + "\n")
    except (OSError, subprocess.SubprocessError) as error:
        output = getattr(error, "stderr", None) or str(error)
        lines = [line for line in output.strip().splitlines() if "WARNING" not in line] or ["no output"]
        raise NoEnvironment(f"no virtual environment for {peer}: {lines[-1]}") from None
    return str(python)


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
