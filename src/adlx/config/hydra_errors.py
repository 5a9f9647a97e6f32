"""Turns exceptions of Hydra and OmegaConf into one-line errors."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from adlx.config.catalog import GROUPS, ROOT_KEYS, config_folders, options
from adlx.config.nearest import nearest
from adlx.errors import UserError


@contextmanager
def readable_errors(words: Sequence[str], folders: Sequence[Path] = ()) -> Iterator[None]:
    """Turns Hydra's and OmegaConf's exceptions into one line each; `folders` hold further config files."""
    try:
        yield
    except MissingConfigException as error:
        raise UserError(_unknown_choice(error, [*config_folders(), *folders])) from None
    except OverrideParseException as error:
        word = str(error.override).removeprefix("++")
        raise UserError(f"{word}: cannot be read; write key=value, and quote special characters") from None
    except (ConfigCompositionException, HydraException, OmegaConfBaseException) as error:
        raise UserError(_explain(error, words)) from None


def _unknown_choice(error: MissingConfigException, folders: list[Path]) -> str:
    missing = error.missing_cfg_file
    group, _, name = str(missing).rpartition("/") if missing else ("", "", "")
    if group not in GROUPS:
        return f"unknown {group}={name}: is the plugin of Hydra installed?" if group else _first_line(error)
    known = options(group, folders)
    return f"unknown {group}={name}{nearest(name, known)}; one of {', '.join(known)}"


def _explain(error: Exception, words: Sequence[str]) -> str:
    causes = [cause for cause in (error, error.__cause__) if cause is not None]
    text = " ".join(str(cause) for cause in causes)
    if match := re.search(r"You must specify '([\w/]+)'", text):
        group = match[1]
        return f"{group} is not chosen: add {group}=NAME, one of {', '.join(options(group))}"
    if match := re.search(r"Could not delete from config\. '([^']+)'", text):
        return f"~{match[1]}: there is no such key or choice to leave out{nearest(match[1], [*ROOT_KEYS, *GROUPS])}"
    if match := re.search(r"Key '(\w+)' (?:not in|is not in)", text) or re.search(r"override '([\w./@]+)'", text):
        key = match[1]
        where = next((f"on the command line ({word})" for word in words if key in word), "")
        full = getattr(error.__cause__ or error, "full_key", None) or key
        return f"unknown key {full} {where or _file_with(key)}{nearest(key, [*ROOT_KEYS, *GROUPS])}"
    reason = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    full = getattr(reason, "full_key", None)
    if match := re.search(r"Interpolation key '([^']+)' not found", str(reason)):
        return f"{full or 'the config'}: there is no key {match[1]} that ${{{match[1]}}} could refer to"
    return f"{full}: {_first_line(reason)}" if full else _first_line(reason)


def _file_with(key: str) -> str:
    for folder in config_folders():
        for path in sorted(folder.rglob("*.yaml")):
            if re.search(rf"^\s*{re.escape(key)}:", path.read_text(encoding="utf-8"), re.MULTILINE):
                return f"in {path.relative_to(folder)}"
    return "in a config file"


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
