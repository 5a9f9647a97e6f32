"""The run folder: created once, never overwritten, and readable without the program that wrote it."""

import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from filelock import FileLock, Timeout
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from adlx.atomic import replacing
from adlx.config.stored import check_stored_config
from adlx.errors import UserError, WriteFailed
from adlx.runs.info import check_info, check_metrics
from adlx.runs.provenance import git_commit, machine, versions

if TYPE_CHECKING:
    from adlx.config.compose import Composition


class RunFolder:
    """A run on disk.

    Attributes:
        path: its folder, absolute, so that it stays correct when the program changes its working folder.
        info: `run.json`: status, command, seed, commit, versions, machine, data.
    """

    def __init__(self, path: Path, info: dict[str, Any]) -> None:
        self.path, self.info = path.absolute(), info

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r}, {self.status})"

    @classmethod
    def create(cls, composition: "Composition", config: dict[str, Any], data: dict[str, Any], result: str) -> Self:
        """Makes a new folder `output_dir/<model>-<data>/<date>_<time>_<id>` with `config.yaml` and `run.json` in it.

        Args:
            composition: the words of the command, and the choices in them.
            config: the resolved config.
            data: facts about the data.
            result: the dotted name of the class of the test result, which declares the metrics.
        """
        path = new_folder(Path(config["output_dir"]) / composition.name)
        info = {
            "status": "running",
            "command": composition.command,
            "choices": composition.choices,
            "seed": config["seed"],
            "created": datetime.now(UTC).isoformat(),  # to the microsecond: runs of a sweep begin within one second
            "git_commit": git_commit(),
            "versions": versions(),
            "machine": machine(),
            "data": data,
            "result": result,
            "config_folders": [str(folder) for folder in composition.user_folders],
        }
        run = cls(path, info)
        try:
            run.store(config)
            run.update()
        except WriteFailed:
            run.discard()
            raise
        return run

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Opens a run folder.

        Raises:
            UserError: there is none, or its `run.json` cannot be read.
        """
        path = Path(path)
        if not path.is_dir():
            raise UserError(f"no run folder {path}")
        if not (path / "run.json").exists():
            raise UserError(f"{path} is not a run folder: it has no run.json")
        return cls(path, check_info(read_json(path / "run.json"), f"{path}/run.json"))

    def update(self, **facts: Any) -> None:
        """Adds facts to `run.json`; of several processes of one run, only the first one writes."""
        self.info.update(facts)
        if is_main_process():
            write_json(self.path / "run.json", self.info)

    @property
    def config_folders(self) -> list[Path]:
        """The user's folders of config files that commands on this run have named, if they still exist."""
        return [folder for folder in map(Path, self.info.get("config_folders", ())) if folder.is_dir()]

    def remember_config_folders(self, folders: Sequence[Path]) -> None:
        """Adds folders to `run.json`, so that later commands on this run do not have to name them."""
        known = self.info.get("config_folders", [])
        if new := [str(folder) for folder in folders if str(folder) not in known]:
            self.update(config_folders=[*new, *known])

    def store(self, config: dict[str, Any]) -> None:
        """Writes `config.yaml`; a resume with overrides writes it again, for the next resume."""
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
        except Exception as error:  # an error of PyYAML
            raise UserError(f"{self.path}/config.yaml is not YAML: {str(error).splitlines()[0]}") from None
        if "${" in json.dumps(tree, default=str, skipkeys=True):
            raise UserError(f"{self.path}/config.yaml is not a resolved config: it contains ${{")
        return check_stored_config(tree, f"{self.path}/config.yaml")

    @property
    def status(self) -> str:
        return self.info["status"]

    def require_finished(self, name: str = "") -> None:
        """Raises UserError if the run has not finished; `name` is the setting that names the run."""
        if self.status != "finished":
            named = f"{name}={self.path}" if name else str(self.path)
            raise UserError(f"{named} is {self.status}, not finished: adlx resume {self.path}")

    @property
    def name(self) -> str:
        return f"{self.info['choices']['model']}-{self.info['choices']['data']}"

    @property
    def metrics(self) -> dict[str, float]:
        """The final numbers; empty before the run has finished."""
        path = self.path / "metrics.json"
        return check_metrics(read_json(path), str(path)) if path.is_file() else {}

    @property
    def checkpoint(self) -> Path:
        """The best checkpoint, or the last one if there is no best one yet."""
        return self.best if self.best.is_file() else self.last

    @property
    def best(self) -> Path:
        return self.path / "checkpoints" / "best.ckpt"

    @property
    def last(self) -> Path:
        return self.path / "checkpoints" / "last.ckpt"

    @property
    def title(self) -> str:
        """The title of a figure: model and data, with `simulated` for simulated data."""
        simulated = " (simulated)" if self.info["data"].get("simulated") else ""
        return f"{self.info['choices']['model']} on {self.info['choices']['data']}{simulated}"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Locks the folder, so that no second process trains the same run."""
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
        """Removes the folder of a run that did not start, and the folder above it if that is empty."""
        shutil.rmtree(self.path)
        with suppress(OSError):
            self.path.parent.rmdir()


def is_main_process() -> bool:
    """Whether this is the process the user started, not one that Lightning started for another device."""
    return all(os.environ.get(name, "0") == "0" for name in ("LOCAL_RANK", "NODE_RANK"))


def check_output_dir(path: str) -> None:
    """Checks whether folders can be made in `output_dir`, and leaves no folder there.

    Raises:
        UserError: the path is empty, names a file, or lies in a folder that cannot be written.
    """
    if not path:
        raise UserError("output_dir is empty: give the folder in which run folders are made, such as outputs")
    folder = Path(path)
    try:
        folder.lstat()
        existing = folder
    except (FileNotFoundError, NotADirectoryError):
        existing = next(parent for parent in folder.parents if parent.exists())
    except (OSError, ValueError) as error:
        raise UserError(f"output_dir={path} is not the path of a folder: {_reason(error)}") from None
    if not existing.is_dir():
        where = f"{existing} is" if existing != folder else "it is"
        raise UserError(f"output_dir={path} cannot be used: {where} not a folder; choose another output_dir")
    try:
        Path(tempfile.mkdtemp(prefix=".adlx-", dir=existing)).rmdir()
    except OSError as error:
        reason = f"no folder can be made in {existing} ({_reason(error)})"
        raise UserError(f"output_dir={path} cannot be used: {reason}; choose another one") from None


def new_folder(parent: Path, advice: str = "choose another output_dir") -> Path:
    """Makes a folder with a unique name, even if several processes start at the same instant.

    Args:
        parent: the folder to make it in.
        advice: what the user can do if the folder cannot be made.
    """
    while True:
        path = parent / f"{datetime.now():%Y-%m-%d_%H-%M-%S}_{secrets.token_hex(3)}"
        try:
            parent.mkdir(parents=True, exist_ok=True)
            path.mkdir()
        except FileExistsError:
            if parent.is_dir():
                continue
            raise UserError(f"cannot make the folder {parent}: it is a file; {advice}") from None
        except OSError as error:
            raise UserError(f"cannot make the folder {parent}: {_reason(error)}; {advice}") from None
        return path


def new_folder_in_run(run: RunFolder, name: str) -> Path:
    """Makes a new folder for a product of a run, in the subfolder `name` of the run."""
    return new_folder(run.path / name, "copy the run to a folder that you can write")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def write_yaml(path: Path, config: dict[str, Any]) -> None:
    with replacing(path) as file:
        file.write(OmegaConf.to_yaml(OmegaConf.create(config)).encode())


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None


def write_json(path: Path, content: Any) -> None:
    with replacing(path) as file:
        file.write((json.dumps(content, indent=2) + "\n").encode())
