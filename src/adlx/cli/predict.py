"""`adlx predict RUN`."""

from collections.abc import Iterator

from adlx.cli.arguments import Parser, columns, settings
from adlx.config.catalog import config_folders, options, products
from adlx.config.file_settings import read_config_file
from adlx.config.source_values import arguments_of


def parser() -> Parser:
    own = {"predict.KEY=VALUE": "options of the product, as listed below", "seed=N": "the seed of random products"}
    parser = Parser(
        "predict",
        "Makes the product of the run's task, from the run's own data or from other data. The last line names the "
        "folder with the files.",
        settings("data=NAME", "data.KEY=VALUE", "trainer.KEY=VALUE", "finetune.run=RUN", "allow=[PACKAGE]") | own,
    )
    parser.description = "\n".join([str(parser.description), "", "products by task:", *_products()])
    parser.add_run()
    parser.add_config_dir()
    return parser


def product_options(target: str) -> dict[str, str]:
    """The options of the product of a task, such as `predict.n`, with their defaults.

    Args:
        target: the dotted path of the task's class.
    """
    arguments = arguments_of(target, "predict_into").items()
    return {
        name if name == "seed" else f"predict.{name}": argument.default or "VALUE"
        for name, argument in arguments
        if argument.keyword_only
    }


def _products() -> Iterator[str]:
    """Yields the help lines about the product of each task and its options."""
    for name, path in options("task").items():
        defaults = product_options(read_config_file(path, config_folders()).target)
        words = " ".join(f"{key}={default}" for key, default in defaults.items())
        yield from columns(name, f"{products(path)}; options: {words}" if words else products(path))


def main(words: list[str]) -> None:
    folder, others = parser().read_run(words)
    from adlx.reporting.outcomes import report_prediction
    from adlx.runs.folder import RunFolder
    from adlx.runs.predict import predict

    report_prediction(predict(RunFolder.open(folder), others))
