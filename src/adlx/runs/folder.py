"""The run folder: created once, never overwritten, readable by anyone who finds it."""

import json
import os
import platform
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from adlx.atomic import replacing
from adlx.config.catalog import NODES
from adlx.errors import UserError

if TYPE_CHECKING:
    from adlx.config.compose import Composition

LIBRARIES = ("adlx", "torch", "pytorch-lightning", "hydra-core", "omegaconf", "numpy", "pandas", "torchmetrics")


class Run:
    """A run on disk.

    Attributes:
        path: its folder.
        info: `run.json`: status, command, seed, commit, versions, machine, data.
    """

    def __init__(self, path: Path, info: dict[str, Any]) -> None:
        self.path, self.info = path, info

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, {self.status})"

    @classmethod
    def create(cls, composition: "Composition", data: dict[str, Any]) -> "Run":
        """Makes a new folder `output_dir/<model>-<data>/<date>_<time>_<id>` with `config.yaml` and `run.json` in it."""
        config = composition.config
        path = new_folder(Path(config["output_dir"]) / composition.name)
        info = {
            "status": "running",
            "command": composition.command,
            "choices": composition.choices,
            "seed": config["seed"],
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "git_commit": git_commit(),
            "versions": versions(),
            "machine": {"python": platform.python_version(), "platform": platform.platform(), "cpus": os.cpu_count()},
            "data": data,
        }
        run = cls(path, info)
        run.store(config)
        run.update()
        return run

    @classmethod
    def open(cls, path: str | Path) -> "Run":
        """Opens a run folder.

        Raises:
            UserError: there is none, or its `run.json` cannot be read.
        """
        path = Path(path)
        if not path.is_dir():
            raise UserError(f"no run folder {path}")
        try:
            return cls(path, json.loads((path / "run.json").read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise UserError(f"{path} is not a run folder: it has no run.json") from None
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise UserError(f"{path}/run.json cannot be read: {error}") from None

    def update(self, **facts: Any) -> None:
        """Adds facts to `run.json`; of several processes of one run, the first one writes."""
        self.info.update(facts)
        if is_main_process():
            write_json(self.path / "run.json", self.info)

    def store(self, config: dict[str, Any]) -> None:
        """Writes `config.yaml`; again where a resume changed it, so that the next one goes on from there."""
        if is_main_process():
            write_yaml(self.path / "config.yaml", config)
        self.__dict__.pop("config", None)

    @cached_property
    def config(self) -> dict[str, Any]:
        """The resolved config of the run; not trusted until checked."""
        try:
            node = OmegaConf.load(self.path / "config.yaml")
            tree = OmegaConf.to_container(node, resolve=False)
        except (OSError, OmegaConfBaseException, ValueError) as error:
            raise UserError(f"{self.path}/config.yaml cannot be read: {str(error).splitlines()[0]}") from None
        except Exception as error:  # PyYAML's own
            raise UserError(f"{self.path}/config.yaml is no YAML: {str(error).splitlines()[0]}") from None
        if not isinstance(tree, dict) or "${" in json.dumps(tree, default=str):
            raise UserError(f"{self.path}/config.yaml is not a resolved config")
        tree.setdefault("finetune", {})  # a run of before there was any
        if lacking := [node for node in NODES if node not in tree]:
            raise UserError(f"{self.path}/config.yaml is not a config of adlx: it lacks {', '.join(lacking)}")
        return {str(key): value for key, value in tree.items()}

    @property
    def status(self) -> str:
        return self.info["status"]

    @property
    def name(self) -> str:
        return f"{self.info['choices']['model']}-{self.info['choices']['data']}"

    @property
    def metrics(self) -> dict[str, float]:
        """The final numbers; empty before the run has finished."""
        path = self.path / "metrics.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    @property
    def best(self) -> Path:
        return self.path / "checkpoints" / "best.ckpt"

    @property
    def last(self) -> Path:
        return self.path / "checkpoints" / "last.ckpt"

    @property
    def title(self) -> str:
        """Model and data for a figure, and `simulated` where they are."""
        simulated = " (simulated)" if self.info["data"].get("simulated") else ""
        return f"{self.info['choices']['model']} on {self.info['choices']['data']}{simulated}"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the folder for writing, so that no second process trains into it."""
        lock = FileLock(self.path / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise UserError(f"{self.path} is in use: another process is training it") from None
        try:
            yield
        finally:
            lock.release()

    def discard(self) -> None:
        """Removes the folder of a run that never began, and the one above it if it was made for this run."""
        shutil.rmtree(self.path)
        with suppress(OSError):
            self.path.parent.rmdir()

    # The verbs, for notebooks; each is a function of its own module.

    def resume(self, overrides: Sequence[str] = ()) -> "Run":
        from adlx.runs.resume import resume

        return resume(self, overrides)

    def evaluate(self, overrides: Sequence[str] = ()) -> dict[str, float]:
        from adlx.runs.evaluate import evaluate

        return evaluate(self, overrides).metrics

    def predict(self, overrides: Sequence[str] = ()) -> Any:
        from adlx.runs.predict import predict

        return predict(self, overrides).product


def is_main_process() -> bool:
    """Whether this is the process the user started, not one that Lightning started for another device."""
    return all(os.environ.get(name, "0") == "0" for name in ("LOCAL_RANK", "NODE_RANK"))


def new_folder(parent: Path) -> Path:
    """A folder that no other process got, even one started in the same instant."""
    parent.mkdir(parents=True, exist_ok=True)
    while True:
        path = parent / f"{datetime.now():%Y-%m-%d_%H-%M-%S}_{secrets.token_hex(3)}"
        try:
            path.mkdir()
        except FileExistsError:
            continue
        return path


def write_yaml(path: Path, config: dict[str, Any]) -> None:
    with replacing(path) as file:
        file.write(OmegaConf.to_yaml(OmegaConf.create(config)).encode())


def write_json(path: Path, content: Any) -> None:
    with replacing(path) as file:
        file.write((json.dumps(content, indent=2) + "\n").encode())


def git_commit() -> str | None:
    """The commit of the working folder, with `-dirty` where it has changes; None outside git."""
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def versions() -> dict[str, str]:
    found = {}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found
