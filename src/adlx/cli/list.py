"""`adlx list [GROUP]` lists the choices, read from the config files."""

from adlx.cli.arguments import Parser
from adlx.config.catalog import GROUPS, config_folders, description, options
from adlx.config.config_dirs import split_config_dirs
from adlx.errors import UserError


def parser() -> Parser:
    parser = Parser("list", "Lists models, data sets, experiments and the other choices, each with one line.")
    parser.add_argument("group", nargs="?", metavar="GROUP", help=", ".join(GROUPS))
    parser.add_config_dir()
    return parser


def main(words: list[str]) -> None:
    others, own_folders = split_config_dirs(words)
    group = parser().parse_args(others).group
    folders = [*config_folders(), *own_folders]
    if group is not None and group not in GROUPS:
        raise UserError(f"no group {group}; there are {', '.join(GROUPS)}")
    for name in [group] if group else GROUPS:
        print(f"{name}=")
        choices = options(name, folders)
        width = max(map(len, choices), default=0)
        for option, path in choices.items():
            print(f"  {option:<{width}} {description(path)}")
