"""Study 1 with small models: a file like FER2013, a VQ-VAE, its codes, their classifiers, and a comparison."""

from pathlib import Path

import numpy as np
import pytest

import adlx
from adlx.api import Run
from adlx.comparison.compare import compare
from adlx.data.images.sources.faces_simulated import simulated_faces
from adlx.metrics.classification import ClassResult
from adlx.metrics.significance import confidence_set

USAGE = {"Training": 100, "PublicTest": 20, "PrivateTest": 30}
QUIET = ["logger=none", "trainer.accelerator=cpu", "trainer.threads=1"]


@pytest.fixture(scope="module")
def fer2013(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("faces") / "fer2013.csv"
    samples = simulated_faces(sum(USAGE.values()))
    usage = [name for name, count in USAGE.items() for _ in range(count)]
    rows = [
        f"{label},{' '.join(map(str, face.flatten()))},{part}"
        for label, face, part in zip(samples.labels, samples.values, usage, strict=True)
    ]
    path.write_text("\n".join(["emotion,pixels,Usage", *rows]) + "\n")
    return path


@pytest.fixture(scope="module")
def autoencoder(fer2013: Path) -> Run:
    words = ["model=vqvae", "model.hidden=8", "model.codes=16", "model.dimension=4", "trainer.max_epochs=1"]
    source = ["data=faces", "data.source=fer2013", f"data.path={fer2013}"]
    run = adlx.train([*words, *source, f"output_dir={fer2013.parent / 'vqvae'}", *QUIET])
    run.predict()
    return run


@pytest.fixture(scope="module")
def classifiers(autoencoder: Run, fer2013: Path) -> list[Run]:
    data = ["data=codes", f"data.path={autoencoder.path}", f"output_dir={fer2013.parent / 'codes'}", *QUIET]
    machines = [["model=elm", "model.hidden=40", f"seed={seed}"] for seed in (0, 1)]
    binary = ["model=elm", "model.hidden=40", "model.weights=binary", "model.readout=lasso"]
    mlp = ["model=mlp", "model.widths=[8]", "trainer.max_epochs=1", "trainer.gradient_clip_val=0.5"]
    return [adlx.train([*words, *data]) for words in (*machines, binary, mlp)]


def test_the_split_of_the_challenge_is_kept(autoencoder, classifiers):
    counts = {"train": 100, "val": 20, "test": 30}
    for run in (autoencoder, *classifiers):
        assert run.info["data"]["samples"] == counts
    with np.load(classifiers[0].path / "predictions.npz") as stored:
        assert stored["index"].tolist() == list(range(120, 150))
        assert stored["label"].tolist() == simulated_faces(150).labels[120:].tolist()


def test_a_comparison_of_classifiers_averages_over_seeds(classifiers, tmp_path):
    comparison = compare([run.path for run in classifiers])
    assert comparison.metric.key == "test/accuracy"
    table = comparison.table.set_index("label")
    # Labels leave out settings that differ only between models.
    assert set(table.index) == {"elm weights=gaussian readout=ridge", "elm weights=binary readout=lasso", "mlp"}
    metrics = [run.metrics for run in classifiers]
    gaussian = table.loc["elm weights=gaussian readout=ridge"]
    assert gaussian["n"] == 2
    for column, key in (
        ("mean", "test/accuracy"),
        ("balanced_accuracy", "test/balanced_accuracy"),
        ("f1_macro", "test/f1_macro"),
        ("seconds", "fit/seconds"),
        ("size_kb", "model/size_kb"),
    ):
        assert gaussian[column] == pytest.approx((metrics[0][key] + metrics[1][key]) / 2), column
    assert table.loc["elm weights=binary readout=lasso", "nonzeros"] == metrics[2]["model/nonzeros"] < 40 * 7
    assert table.loc["elm weights=binary readout=lasso", "size_kb"] < gaussian["size_kb"]
    losses = {
        label: np.mean([result.prediction != result.label for result in results], axis=0)
        for label, results in comparison.evidence.results.items()
    }
    assert table["mcs_pvalue"].to_dict() == pytest.approx(confidence_set(losses, block=1))

    heading = comparison.markdown().splitlines()[0]
    columns = ["run", "seeds", "accuracy", "baseline", "balanced", "macro F1", "skill"]
    columns += ["McNemar p", "paired t p", "MCS p"]  # for one seed, for several seeds
    assert heading == f"| {' | '.join([*columns, 'parameters', 'non-zeros', 'model kB', 'seconds'])} |"
    written = comparison.write(tmp_path / "c.png")
    assert [path.name for path in written] == ["c.png", "c_confusion.png"]
    recall = comparison.details["classes"].set_index("recall by class").loc["mlp"]
    result = ClassResult.load(classifiers[3].path / "predictions.npz")
    happy = result.label == result.classes.index("happy")
    assert recall["happy"] == pytest.approx((result.prediction[happy] == result.label[happy]).mean())


def test_reconstructions_are_compared_by_psnr(autoencoder):
    comparison = compare([autoencoder.path])
    assert comparison.metric.key == "test/psnr"
    assert comparison.table["mean"].tolist() == [autoencoder.metrics["test/psnr"]]
    assert comparison.table["baseline"].tolist() == [autoencoder.metrics["baseline/psnr"]]
    assert "McNemar" not in comparison.markdown()


def test_runs_of_different_tasks_are_compared_without_significance_tests(autoencoder, classifiers):
    comparison = compare([autoencoder.path, classifiers[0].path], metric="test/skill")
    assert comparison.evidence is None
    assert comparison.table["mcs_pvalue"].isna().all()
