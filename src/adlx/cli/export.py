"""`adlx export RUN`."""

from adlx.cli.allow import split_allow
from adlx.cli.arguments import Parser, settings


def parser() -> Parser:
    parser = Parser(
        "export",
        "Writes a run's model for use elsewhere: the whole model of a fine-tuned run as a run folder of its own, or "
        "its adapter in the format of HF PEFT.",
        settings("allow=[PACKAGE]"),
    )
    parser.add_run()
    form = parser.add_mutually_exclusive_group(required=True)
    form.add_argument("--merged", action="store_true", help="a run folder whose weights include the updates")
    form.add_argument(
        "--peft", action="store_true", help="the adapter: adapter_model.safetensors and adapter_config.json"
    )
    parser.add_argument("--base", metavar="RUN", help="the folder of the base run, if it has moved")
    parser.add_argument("--out", metavar="FOLDER", help="where to write; by default a new folder in the run's exports/")
    return parser


def main(words: list[str]) -> None:
    given = parser().parse_args(split_allow(words))
    from adlx.runs.export import export_merged, export_peft
    from adlx.runs.folder import RunFolder

    path = (export_merged if given.merged else export_peft)(RunFolder.open(given.run), given.out, given.base)
    print(f"export: {path}")
