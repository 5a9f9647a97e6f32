"""Finds the words that can end a command line, for the completion of a shell. Imports neither torch nor Hydra."""

import argparse
import importlib
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress

from adlx.cli.arguments import Parser
from adlx.cli.predict import product_options
from adlx.cli.run_folders import config_folders_of, folders_starting_with, metric_keys, stored_choices
from adlx.config.catalog import GROUPS, NODES, config_folders, options
from adlx.config.config_dirs import split_config_dirs
from adlx.config.file_settings import listed_values, node_settings, read_config_file, resolved_choices
from adlx.config.source_values import values_of
from adlx.errors import UserError

TRAINER = "pytorch_lightning.Trainer"
"""The class of the node `trainer`, whose config has no `_target_`."""

PRODUCT = "predict."
"""The beginning of the keys that are options of a product."""


def complete(line: str, verbs: Sequence[str]) -> list[str]:
    """Returns the words that can end a command line. If there are none, the shell offers files.

    Args:
        line: the command line up to the cursor.
        verbs: the words that can follow `adlx`.
    """
    words = [word.replace("\\ ", " ") for word in re.split(r"(?<!\\) +", line)]
    *before, current = words
    if len(before) < 2:
        offers = ["--help", "--version"] if current.startswith("-") else [*verbs]
    elif before[1] not in verbs:
        return []
    else:
        parser: Parser = importlib.import_module(f"adlx.cli.{before[1]}").parser()
        offers = list(Command(parser, before[2:]).offers(current))
    return [word.replace(" ", "\\ ") for word in dict.fromkeys(offers) if word.startswith(current)]


class Command:
    """A verb and the words after it.

    Args:
        parser: the parser of the verb.
        words: the words before the one at the cursor.
    """

    def __init__(self, parser: Parser, words: list[str]) -> None:
        self.parser = parser
        self.flags = {flag: action for action in parser.arguments for flag in action.option_strings}
        self.positional = [action for action in parser.arguments if not action.option_strings]
        self.words, folders = words, []
        with suppress(UserError):
            self.words, folders = split_config_dirs(words)
        self.pending = self.flags.get(words[-1]) if words else None  # a flag whose value is at the cursor
        plain = [word for number, word in enumerate(self.words) if not self._belongs_to_flag(number)]
        self.settings = dict(word.split("=", 1) for word in plain if "=" in word)
        self.runs = [word for word in plain if "=" not in word]
        self.folders = [*config_folders(), *folders, *(f for run in self.runs for f in config_folders_of(run))]

    def _belongs_to_flag(self, number: int) -> bool:
        """Whether a word is a flag or the value of a flag."""
        before = self.flags.get(self.words[number - 1]) if number else None
        return self.words[number].startswith("-") or (before is not None and before.nargs is None)

    def offers(self, current: str) -> Iterator[str]:
        """Yields the words that can stand at the cursor: flags, settings, values, runs."""
        flag, has_value, _ = current.partition("=")
        if self.pending is not None and self.pending.nargs is None:
            yield from self._values_of(self.pending, current)
        elif current.startswith("-") and has_value and flag in self.flags:
            yield from (f"{flag}={value}" for value in self._values_of(self.flags[flag], current[len(flag) + 1 :]))
        elif current.startswith("-"):
            yield from self.flags
        elif has_value:
            yield from self._settings_with_values(current)
        else:
            for number, action in enumerate(self.positional):
                if action.nargs == "+" or number == len(self.runs):
                    yield from self._values_of(action, current)
            if self.runs or not any(action.metavar == "RUN" for action in self.positional):
                yield from self._keys(current)

    def _values_of(self, action: argparse.Action, current: str) -> Iterator[str]:
        """Yields the values of a flag or of a positional argument."""
        if action.choices:
            yield from map(str, action.choices)
        elif action.metavar == "GROUP":
            yield from GROUPS
        elif action.metavar == "RUN":
            yield from folders_starting_with(current)
        elif action.metavar == "KEY":
            yield from metric_keys(self.runs) or metric_keys(["outputs"])

    def _choices(self) -> Iterator[dict[str, str]]:
        """Yields the chosen option of each group, from the run and from the line; for a sweep, once for each job."""
        stored = stored_choices(self.runs[0]) if self.runs else {}
        chosen = {group: name for group, name in self.settings.items() if group in GROUPS}
        several = max((name.count(",") + 1 for name in chosen.values()), default=1)
        for job in range(several):
            one = {group: name.split(",")[job % (name.count(",") + 1)] for group, name in chosen.items()}
            yield resolved_choices({**stored, **one}, self.folders)

    def _options_of(self, node: str) -> Iterator[dict[str, str]]:
        """Yields the choices. If they do not choose an option of `node`, yields them once for each of its options."""
        for choices in self._choices():
            if node in choices or node not in NODES:
                yield choices
            else:
                yield from (
                    resolved_choices({**choices, node: name}, self.folders) for name in options(node, self.folders)
                )

    def _keys(self, current: str) -> Iterator[str]:
        """Yields settings, cut after their `=` or after the next dot."""
        for word in self._all_keys(current.partition(".")[0]):
            if word.startswith(self.parser.prefixes) and word.startswith(current):
                head, dot, _ = word[len(current) :].partition(".")
                yield current + head + dot

    def _all_keys(self, typed: str) -> Iterator[str]:
        """Yields all settings that start with `typed`, and maybe others."""
        yield from (prefix for prefix in self.parser.prefixes if prefix.endswith("="))
        for node in NODES:
            if node.startswith(typed):
                for choices in self._options_of(node):
                    yield from (f"{node}.{key}=" for key in node_settings(node, choices, self.folders))
        if PRODUCT in self.parser.prefixes:
            for choices in self._options_of("task"):
                yield from (f"{key}=" for key in product_options(self._target("task", choices)))

    def _target(self, node: str, choices: dict[str, str]) -> str:
        path = options(node, self.folders).get(choices.get(node, ""))
        return "" if path is None else read_config_file(path, self.folders).target

    def _settings_with_values(self, current: str) -> Iterator[str]:
        key, _, typed = current.partition("=")
        if not current.startswith(self.parser.prefixes):
            return
        start, comma, _ = typed.rpartition(",") if "-m" in self.words or "--multirun" in self.words else ("", "", "")
        values = options(key, self.folders) if key in GROUPS else self._values_of_key(key)
        yield from (f"{key}={start}{comma}{value}" for value in values)

    def _values_of_key(self, key: str) -> Iterator[str]:
        """Yields the values of a setting, from the comment in its config file and the annotation of its argument."""
        node, _, inner = key.partition(".")
        if f"{node}." == PRODUCT:
            for choices in self._options_of("task"):
                yield from values_of(self._target("task", choices), inner, "predict_into")
            return
        for choices in self._options_of(node):
            setting = node_settings(node, choices, self.folders).get(inner)
            yield from listed_values(setting) if setting else ()
            target = setting.target if setting else self._target(node, choices)
            target = target or (TRAINER if node == "trainer" else "")
            if target:
                yield from values_of(target, inner.rpartition(".")[2])
