"""`adlx compare RUN...`."""

from adlx.cli.allow import split_allow
from adlx.cli.arguments import Parser, settings


def parser() -> Parser:
    parser = Parser(
        "compare",
        "Compares runs in a table, best first: mean and deviation over seeds, the baseline, the significance of the "
        "difference from it, and the model confidence set if the runs have the same test samples.",
        settings("allow=[PACKAGE]"),
    )
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="run folders, multirun folders, or folders of runs such as outputs",
    )
    parser.add_argument("--metric", metavar="KEY", help="key of metrics.json to sort by")
    parser.add_argument(
        "--against", metavar="KEY", help="draw the metric against this number from the config or metrics.json"
    )
    parser.add_argument(
        "--reference", metavar="TEXT", help="show how much lower errors are than those of the run with this label"
    )
    parser.add_argument("--out", metavar="FILE", help="also write the table or figure: .csv, .md or .png")
    return parser


def main(words: list[str]) -> None:
    given = parser().parse_intermixed_args(words)
    from pathlib import Path

    from adlx.comparison.compare import compare
    from adlx.comparison.writing import check_suffix
    from adlx.reporting.comparison import comparison_tables
    from adlx.reporting.terminal import console, print_table

    if given.out:
        check_suffix(Path(given.out))
    comparison = compare(split_allow(given.runs), given.metric, given.against, given.reference)
    for table in comparison_tables(comparison):
        print_table(table, console())
    for path in comparison.write(given.out) if given.out else ():
        print(f"wrote {path}")
