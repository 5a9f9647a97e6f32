"""`adlx compare RUN...`."""

import argparse

from adlx.cli.allow import split_allow
from adlx.cli.examples import examples


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="adlx compare",
        description="Runs side by side, best first: mean and deviation over seeds, the baseline, the significance "
        "against it, and the model confidence set where the runs share their test samples.",
        epilog=examples("compare"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="run folders, multirun folders, or folders of runs such as outputs; "
        "with allow=[PACKAGE], runs of your own classes",
    )
    parser.add_argument("--metric", metavar="KEY", help="key of metrics.json to sort by")
    parser.add_argument("--against", metavar="KEY", help="draw the metric against this number of config or metrics")
    parser.add_argument(
        "--reference",
        metavar="TEXT",
        help="tell how much lower errors are than those of the one run labelled with this",
    )
    parser.add_argument("--out", metavar="FILE", help="also write it: .csv, .md or .png by the suffix")
    given = parser.parse_args(words)
    from pathlib import Path

    from adlx.comparison.compare import compare
    from adlx.comparison.writing import check_suffix
    from adlx.reporting.comparison import comparison_tables
    from adlx.reporting.terminal import console

    if given.out:
        check_suffix(Path(given.out))
    comparison = compare(split_allow(given.runs), given.metric, given.against, given.reference)
    for table in comparison_tables(comparison):
        console().print(table)
    for path in comparison.write(given.out) if given.out else ():
        print(f"wrote {path}")
