"""Scoring a trained run on the test part of its own data, or of others."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from adlx.atomic import replacing
from adlx.reporting.terminal import console, frame_table, print_scores
from adlx.runs.folder import Run, new_folder, write_json, write_yaml
from adlx.runs.score import score
from adlx.runs.trained import open_trained


@dataclass(frozen=True)
class Evaluation:
    """Scores, and the folder inside the run where they were written."""

    metrics: dict[str, float]
    path: Path


def evaluate(run: Run, words: Sequence[str] = ()) -> Evaluation:
    """Scores the best checkpoint of a run by its own saved config; without overrides, as `metrics.json` has it.

    Args:
        run: to score.
        words: overrides such as `data.path=new.csv`, `data.stride=5`, `data=NAME`.

    Raises:
        UserError: the data do not fit the run.
    """
    trained = open_trained(run, words, "test")
    trainer = trained.config["trainer"]
    score(trained.task, trained.data, trainer.get("accelerator", "auto"), trainer.get("precision"))
    metrics = trained.task.results
    path = new_folder(run.path / "evaluations")
    write_json(path / "metrics.json", metrics)
    write_yaml(path / "config.yaml", trained.config)
    trained.task.save_predictions(path / "predictions.npz")
    out = console()
    print_scores(metrics, type(trained.task).result_kind, run.info, trained.title, out)
    for name, frame in trained.task.tables().items():
        out.print(frame_table(frame, f"{trained.title}: {name}"))
        with replacing(path / f"{name}.csv") as file:
            file.write(frame.to_csv(index=False, lineterminator="\n").encode())
    out.print(trained.data.tested())
    if trained.data.about().get("simulated"):
        out.print("data: simulated")
    out.print(f"evaluation: {path}")
    return Evaluation(metrics, path)
