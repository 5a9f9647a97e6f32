"""`adlx eval RUN`."""

from adlx.cli.arguments import Parser, settings


def parser() -> Parser:
    parser = Parser(
        "eval",
        "Scores the best checkpoint of a run on the test part of its own data, or of other data with the same series "
        "or classes.",
        settings("data=NAME", "data.KEY=VALUE", "trainer.KEY=VALUE", "finetune.run=RUN", "allow=[PACKAGE]"),
    )
    parser.add_run()
    parser.add_config_dir()
    return parser


def main(words: list[str]) -> None:
    folder, others = parser().read_run(words)
    from adlx.reporting.outcomes import report_evaluation
    from adlx.runs.evaluate import evaluate
    from adlx.runs.folder import RunFolder

    report_evaluation(evaluate(RunFolder.open(folder), others))
