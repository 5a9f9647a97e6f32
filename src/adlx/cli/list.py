"""`adlx list [GROUP]`: what there is, from the config files themselves."""

import argparse

from adlx.cli.examples import examples
from adlx.config.catalog import GROUPS, config_folders, description, options
from adlx.config.config_dirs import split_config_dirs
from adlx.errors import UserError


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="adlx list",
        description="Models, data sets, experiments and the other choices, each with one line.",
        epilog=examples("list"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("group", nargs="?", metavar="GROUP", help=", ".join(GROUPS))
    parser.add_argument("--config-dir", metavar="DIR", help="a folder with config files of your own, too")
    others, folders = split_config_dirs(words)
    group = parser.parse_args(others).group
    if group is not None and group not in GROUPS:
        raise UserError(f"no group {group}; there are {', '.join(GROUPS)}")
    for name in [group] if group else GROUPS:
        print(f"{name}=")
        for option, path in options(name, [*config_folders(), *folders]).items():
            print(f"  {option:<16} {description(path)}")
