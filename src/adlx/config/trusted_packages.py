"""Stores which packages of the user configs may name: the user types `allow=[my_pkg]` once on a machine.

A run folder never gives trust: the `allow` in its `config.yaml`, or in the plan of a sweep, does not count. The name of
the package is stored with its folder, so that no other package of the same name is trusted.
"""

import importlib.util
import json
import logging
import os
import sys
from pathlib import Path

from adlx.atomic import replacing

log = logging.getLogger("adlx.trust")  # its own logger, which is not disabled when a command disables "adlx"


def trust_file() -> Path:
    """`trusted.json` in `$ADLX_CONFIG`, else in the user's configuration folder."""
    from platformdirs import user_config_dir

    return Path(os.environ.get("ADLX_CONFIG") or user_config_dir("adlx")).expanduser() / "trusted.json"


def stored_trust() -> dict[str, list[str]]:
    """The folders from which each package is trusted on this machine, by name; empty if nothing is stored."""
    try:
        content = json.loads(trust_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(content, dict):
        return {}
    return {name: folders for name, folders in content.items() if isinstance(folders, list)}


def store_trust(package: str) -> None:
    """Stores that a package is trusted in its present folder, and logs it; does nothing if that is stored already."""
    trusted, here = stored_trust(), package_folders(package)
    known = trusted.get(package, [])
    if not here or set(here) <= set(known):
        return
    trusted[package] = sorted({*known, *here})
    file = trust_file()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as stream:
            stream.write((json.dumps(trusted, indent=2) + "\n").encode())
    except OSError as error:
        log.info("allow: %s is trusted for this command only; %s cannot be written (%s)", package, file, error.strerror)
        return
    log.info("allow: %s in %s is trusted on this machine from now on (stored in %s)", package, ", ".join(here), file)


def is_trust_stored(package: str) -> bool:
    """Whether a package is trusted on this machine, and would be imported from a folder that was trusted.

    If the package cannot be imported otherwise, its trusted folder is added to the import path.
    """
    folders = stored_trust().get(package, [])
    if folders and not package_folders(package):
        sys.path.extend(folder for folder in folders if folder not in sys.path)
    here = package_folders(package)
    return bool(here) and set(here) <= set(folders)


def package_folders(package: str) -> list[str]:
    """The folders that contain a package: several for a namespace package, none if there is no such package."""
    name = package.split(".")[0]
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return []
    if spec is None:
        return []
    files = list(spec.submodule_search_locations or ()) or [spec.origin or name]
    return sorted({str(Path(file).resolve().parent) for file in files})
