"""The arguments of a verb. The file of each verb has a `parser()`, which `--help` and completion read."""

import argparse
import re
import textwrap
from collections.abc import Mapping
from functools import partial
from typing import NoReturn

from adlx.cli.examples import examples
from adlx.config.config_dirs import config_dir_words, split_config_dirs

WIDTH = 100

SETTINGS = {
    "data=NAME": "other data; `adlx list data` shows the names",
    "data.KEY=VALUE": "other settings of the data, such as data.path=new.csv",
    "trainer.KEY=VALUE": "other settings of the trainer, such as trainer.accelerator=cpu",
    "finetune.run=RUN": "the folder of the base run, if it has moved",
    "allow=[PACKAGE]": "trust a package of your own; once on a machine is enough",
}
"""Settings that several verbs accept, each with its meaning."""


def settings(*names: str) -> dict[str, str]:
    """The entries of `SETTINGS` with these names."""
    return {name: SETTINGS[name] for name in names}


def columns(name: str, text: str) -> list[str]:
    """Lines with a name on the left and its meaning, wrapped, on the right."""
    return textwrap.wrap(f"  {name:<23} {text}", WIDTH, subsequent_indent=26 * " ", break_on_hyphens=False)


class Parser(argparse.ArgumentParser):
    """The parser of a verb: its help ends in examples, and a mistake is one line.

    Args:
        verb: the word after `adlx`.
        description: what the verb does.
        accepted: the settings that the verb accepts, such as `data.KEY=VALUE`, each with its meaning.
        epilog: the end of the help; by default the examples in `configs/help/`.
    """

    def __init__(
        self, verb: str, description: str, accepted: Mapping[str, str] | None = None, epilog: str | None = None
    ) -> None:
        self.accepted = dict(accepted or {})
        super().__init__(
            prog=f"adlx {verb}",
            description=textwrap.fill(description, WIDTH) + self._accepted_lines(),
            epilog=examples(verb) if epilog is None else epilog,
            formatter_class=partial(argparse.RawDescriptionHelpFormatter, width=WIDTH),
        )

    def _accepted_lines(self) -> str:
        lines = [line for name, text in self.accepted.items() for line in columns(name, text)]
        return "\n".join(["\n\nsettings:", *lines]) if lines else ""

    @property
    def prefixes(self) -> tuple[str, ...]:
        """The beginnings of the settings that the verb accepts, such as `data.`."""
        return tuple(re.match(r"[a-z_/.]*=?", name)[0] for name in self.accepted)  # type: ignore[index]

    @property
    def arguments(self) -> list[argparse.Action]:
        """All flags and positional arguments."""
        return self._actions

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n")

    def add_run(self, text: str = "run folder") -> None:
        """Adds the run that the verb works with, and the settings after it if the verb accepts any."""
        self.add_argument("run", metavar="RUN", help=text)
        if self.accepted:
            self.add_argument("settings", nargs="*", default=[], metavar="KEY=VALUE", help="settings, as above")

    def add_config_dir(self) -> None:
        """Adds `--config-dir` to the help; `split_config_dirs` reads it."""
        self.add_argument("--config-dir", metavar="DIR", help="a folder with config files of your own")

    def read_run(self, words: list[str]) -> tuple[str, list[str]]:
        """The run folder of a command, and its other words: settings and folders of config files."""
        others, folders = split_config_dirs(words)
        given = self.parse_args(others)
        return given.run, [*config_dir_words(folders), *given.settings]
