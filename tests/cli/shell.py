"""Runs commands in separate processes."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import adlx

CLEAN = ("ADLX_DEBUG", "ADLX_RUN_FOLDER", "LOCAL_RANK", "NODE_RANK")
SOURCE = str(Path(adlx.__file__).parents[1])


def environment(**more: str) -> dict[str, str]:
    """The variables of a fresh shell, in which `adlx` imports the same source as this process."""
    kept = {key: value for key, value in os.environ.items() if key not in CLEAN and not key.startswith("PYTEST")}
    return {**kept, "PYTHONUNBUFFERED": "1", "COLUMNS": "160", "PYTHONPATH": SOURCE, **more}


COMMAND = [str(Path(sys.executable).with_name("adlx"))]  # the console script of the tested environment
TIMEOUT = 120


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def run(self) -> Path:
        """The folder named in the last line of the output."""
        assert self.code == 0, self.err
        match = re.fullmatch(r"(run|multirun|evaluation|predict): (.+)", self.lines[-1])
        assert match, self.out
        return Path(match[2])


class Shell:
    """Runs commands in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def start(self, *words: str, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*COMMAND, *words],
            cwd=self.folder,
            env=environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @staticmethod
    def wait(process: subprocess.Popen[str]) -> Ended:
        out, err = process.communicate(timeout=TIMEOUT)
        return Ended(process.returncode, out, err)

    def __call__(self, *words: str, **variables: str) -> Ended:
        return self.wait(self.start(*words, **variables))
