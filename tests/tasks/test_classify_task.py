"""Whole runs of classification: scores from the stored predictions, statistics from the training part alone."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from generators import walk_frame
from sklearn.metrics import balanced_accuracy_score, f1_score
from user_errors import user_error_of

import adlx
from adlx.api import Run
from adlx.data.images.labelled import as_input
from adlx.data.images.sources.code_maps import write_code_maps
from adlx.data.images.sources.samples import Samples
from adlx.errors import UserError
from adlx.models.classification.mlp import MLP
from adlx.runs.checkpoints import load_checkpoint
from adlx.runs.trained import load_trained
from adlx.specs import CodeSpec
from adlx.tasks.classify import Classify
from adlx.tasks.closed_form import ClosedForm

CODES, CLASSES = 9, ("ant", "bee", "cat")
TRAIN, VAL, TEST = 120, 30, 40
SMALL = ["logger=none", "trainer.accelerator=cpu", "trainer.threads=1", "trainer.enable_progress_bar=false"]
TINY = ["model=mlp", "model.widths=[12]", "trainer.max_epochs=3", "optimizer.lr=0.01"]


def make_samples(codebook_seed: int | None = 0, count: int = TRAIN + VAL + TEST, parted: bool = True) -> Samples:
    """Code maps in which one cell contains the class with a probability of 0.7."""
    rng = np.random.default_rng(0)
    labels = rng.choice(3, count, p=(0.5, 0.3, 0.2))
    values = rng.integers(0, CODES, (count, 3, 4))
    values[:, 1, 1] = np.where(rng.random(count) < 0.7, labels, values[:, 1, 1])
    parts = np.repeat([0, 1, 2], (TRAIN, VAL, TEST)).astype(np.int8) if parted else None
    book = None if codebook_seed is None else np.random.default_rng(codebook_seed).normal(size=(CODES, 3))
    return Samples(values, labels, CLASSES, "codes", "made up", parts=parts, codebook=book)


def changed(samples: Samples, **arguments) -> Samples:
    return Samples(**{**vars(samples), **arguments})


@pytest.fixture
def maps(tmp_path):
    """Writes code maps and returns the words for them."""

    def write(samples: Samples, name: str = "codes.npz") -> list[str]:
        write_code_maps(tmp_path / name, samples)
        return [f"data.path={tmp_path / name}"]

    return write


@pytest.fixture
def train(tmp_path, unpainted):
    return lambda *words: adlx.train(
        [*TINY, "data=codes", "data.batch_size=16", *SMALL, f"output_dir={tmp_path / 'outputs'}", *words]
    )


def newest(run: Run, pattern: str) -> Path:
    return max(run.path.glob(pattern), key=lambda path: path.stat().st_mtime_ns)


# Scores


@pytest.mark.parametrize("model", [[], ["model=elm", "~model.widths", "model.hidden=20"]], ids=["mlp", "elm"])
def test_scores_follow_from_predictions_and_checkpoint(train, maps, model):
    samples = make_samples()
    run = train(*maps(samples), *model)
    with np.load(run.path / "predictions.npz") as stored:
        scores, label, index = (stored[name] for name in ("scores", "label", "index"))
        majority = int(stored["majority"])
        assert stored["classes"].tolist() == list(CLASSES)
    assert index.tolist() == list(range(TRAIN + VAL, TRAIN + VAL + TEST))
    assert label.tolist() == samples.labels[index].tolist()
    assert majority == np.bincount(samples.labels[:TRAIN]).argmax() == 0

    state = load_checkpoint(run.best)["state_dict"]
    assert type(load_trained(run, [], "test").task) is (ClosedForm if model else Classify)
    assert int(state["majority"]) == 0
    if not model:
        network = MLP(CodeSpec((3, 4), CODES, 3, CLASSES), widths=[12])
        network.load_state_dict({key[6:]: value for key, value in state.items() if key.startswith("model.")})
        with torch.no_grad():
            expected = network(as_input(torch.from_numpy(samples.values[index])))
        np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5)

    metrics, guess = json.loads((run.path / "metrics.json").read_text()), np.full(TEST, majority)
    for prefix, predicted in (("test", scores.argmax(axis=1)), ("baseline", guess)):
        assert metrics[f"{prefix}/accuracy"] == pytest.approx((predicted == label).mean())
        assert metrics[f"{prefix}/balanced_accuracy"] == pytest.approx(balanced_accuracy_score(label, predicted))
        assert metrics[f"{prefix}/f1_macro"] == pytest.approx(f1_score(label, predicted, average="macro"))
    assert metrics["test/accuracy"] > metrics["baseline/accuracy"]
    skill = 1 - (1 - metrics["test/accuracy"]) / (1 - metrics["baseline/accuracy"])
    assert metrics["test/skill"] == pytest.approx(skill)
    for row, name in enumerate(CLASSES):
        assert metrics[f"test/recall/{name}"] == pytest.approx((scores.argmax(axis=1) == row)[label == row].mean())
    assert run.evaluate() == {key: metrics[key] for key in metrics if key.startswith(("test/", "baseline/"))}
    with np.load(newest(run, "evaluations/*/predictions.npz")) as again:
        assert np.array_equal(again["scores"], scores)


def test_validation_loss_and_accuracy_weigh_each_sample_equally(train, maps):
    samples = make_samples()
    run = train(*maps(samples), "trainer.max_epochs=1")
    curves = pd.read_csv(run.path / "metrics.csv")
    network = MLP(CodeSpec((3, 4), CODES, 3, CLASSES), widths=[12])
    state = load_checkpoint(run.last)["state_dict"]
    network.load_state_dict({key[6:]: value for key, value in state.items() if key.startswith("model.")})
    values, label = samples.values[TRAIN : TRAIN + VAL], torch.from_numpy(samples.labels[TRAIN : TRAIN + VAL])
    with torch.no_grad():  # 30 samples: batches of 16 and 14
        class_scores = network(as_input(torch.from_numpy(values)))
        loss = torch.nn.functional.cross_entropy(class_scores, label).item()
    assert curves["val/loss"].dropna().iloc[-1] == pytest.approx(loss, rel=1e-5)
    right = (class_scores.argmax(dim=1) == label).float().mean().item()
    assert curves["val/accuracy"].dropna().iloc[-1] == pytest.approx(right, rel=1e-5)


@pytest.mark.parametrize("kind", ["standardize", "embedding"])
def test_statistics_are_of_the_training_part_alone(train, maps, kind):
    """Other values in validation and test change no buffer; other values in training do."""
    samples, book = make_samples(), make_samples().codebook
    states = []
    for rows in (None, slice(TRAIN, None), slice(0, TRAIN)):
        values = samples.values.copy()
        if rows is not None:
            values[rows] = (values[rows] * 2) % CODES
        run = train(*maps(changed(samples, values=values)), f"model.input={kind}", "trainer.max_epochs=1")
        states.append(load_checkpoint(run.best)["state_dict"])
    for name in ("model.inputs.mean", "model.inputs.std"):
        assert torch.equal(states[1][name], states[0][name])
        assert not torch.equal(states[2][name], states[0][name])
    train_values = samples.values[:TRAIN]
    x = book[train_values.ravel()] if kind == "embedding" else train_values.reshape(TRAIN, -1)
    np.testing.assert_allclose(states[0]["model.inputs.mean"].flatten(), x.mean(axis=0), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(states[0]["model.inputs.std"].flatten(), x.std(axis=0), rtol=1e-5)


# Predictions


def test_samples_without_labels_are_classified(train, maps):
    run = train(*maps(make_samples()))
    bare = changed(make_samples(), labels=np.full(TRAIN + VAL + TEST, -1), classes=(), parts=None)
    frame = run.predict(maps(bare, "bare.npz"))
    known = run.predict()
    for table in (frame, known):
        sums = table[[f"score/{name}" for name in CLASSES]].sum(axis=1)
        np.testing.assert_allclose(sums, 1, atol=1e-6)  # probabilities
    assert frame["class"].tolist() == known["class"].tolist()
    assert list(frame) == ["sample", "class", *(f"score/{name}" for name in CLASSES)]
    assert known["part"].tolist() == ["train"] * TRAIN + ["val"] * VAL + ["test"] * TEST
    assert known["label"].tolist() == [CLASSES[label] for label in make_samples().labels]
    test = known[known["part"] == "test"]
    assert (test["class"] == test["label"]).mean() == pytest.approx(run.metrics["test/accuracy"])
    with np.load(run.path / "predictions.npz") as stored:
        odds = torch.from_numpy(stored["scores"]).softmax(dim=1)
    np.testing.assert_allclose(test[[f"score/{name}" for name in CLASSES]], odds, rtol=1e-4, atol=1e-6)
    written = pd.read_csv(newest(run, "predict/*/classes.csv"))
    pd.testing.assert_frame_equal(written, known, check_dtype=False, rtol=1e-5)
    assert user_error_of(train, *maps(bare, "bare.npz")) == (
        "made up: 190 of 190 samples have no label, and a split needs them; for such samples use adlx predict"
    )


def test_a_few_labelled_samples_are_classified(train, maps):
    """They are too few for a split, and a prediction needs none."""
    run = train(*maps(make_samples()))
    few = changed(make_samples().at(np.arange(3)), parts=None)
    assert run.predict(maps(few, "few.npz"))["class"].tolist() == run.predict()["class"].tolist()[:3]


def test_classes_are_matched_by_name(train, maps):
    """The same data with the classes in another order, and some of them missing, have the same scores."""
    samples = make_samples()
    run = train(*maps(samples))
    turned = changed(samples, labels=(samples.labels + 1) % 3, classes=("cat", "ant", "bee"))
    scores = {key: run.metrics[key] for key in run.metrics if key.startswith(("test/", "baseline/"))}
    assert run.evaluate(maps(turned, "turned.npz")) == scores
    strange = changed(samples, classes=("ant", "bee", "dog"))
    assert user_error_of(run.evaluate, maps(strange, "strange.npz")) == (
        "the run was trained on the classes ant, bee, cat; made up also has dog"
    )


# What does not fit


def test_the_codebook_of_another_autoencoder_is_refused(train, maps):
    run = train(*maps(make_samples()))
    other = maps(make_samples(codebook_seed=1), "other.npz")
    message = (
        "made up was made with another codebook than the data of this run: make the codes with the same VQ-VAE run"
    )
    assert user_error_of(run.evaluate, other) == message
    assert user_error_of(run.predict, other) == message
    near = changed(make_samples(), codebook=make_samples().codebook * (1 + 1e-6))
    assert run.evaluate(maps(near, "near.npz"))["test/accuracy"] == run.metrics["test/accuracy"]


@pytest.mark.parametrize("trained_on", ["book", "bare"])
def test_an_evaluation_with_or_without_a_codebook_works_or_names_the_codebook(train, maps, trained_on):
    """`input=auto` stays as in training; if that is not possible, the message names the codebook and no layer."""
    words = {"book": maps(make_samples(), "book.npz"), "bare": maps(make_samples(None), "bare.npz")}
    run = train(*words.pop(trained_on))
    try:
        assert run.evaluate(*words.values())["test/accuracy"] == run.metrics["test/accuracy"]
    except UserError as error:
        assert re.search(r"codebook|vectors", str(error))


@pytest.mark.parametrize("precision", ["bf16-true", "16-true", "64-true", "bf16-mixed"])
def test_every_precision_accepts_its_own_codebook(train, maps, precision):
    run = train(*maps(make_samples()), f"trainer.precision={precision}")
    scores = run.evaluate()
    assert scores == {key: run.metrics[key] for key in scores}
    with np.load(run.path / "predictions.npz") as one, np.load(newest(run, "evaluations/*/*.npz")) as other:
        assert np.array_equal(one["scores"], other["scores"])


def test_models_and_data_that_do_not_fit_are_refused(train, maps, write_csv, tmp_path):
    codes = maps(make_samples())
    table = ["data=csv", f"data.path={write_csv(walk_frame(200))}", "data.context=10", "data.horizon=2"]
    series = ["~model.widths", "~optimizer.lr", "~data.batch_size"]
    assert user_error_of(train, *codes, "model=seq2seq", *series[:1]) == (
        "model and data do not fit: Seq2Seq is for series, and Codes gives code maps"
    )
    assert user_error_of(train, *table, "model=elm", *series[:1]) == (
        "model and data do not fit: ELM is for images or code maps, and CSV gives series"
    )
    assert user_error_of(train, *codes, "loss=mse") == (
        "loss: MSELoss cannot train class scores; use loss=cross_entropy"
    )
    assert not (tmp_path / "outputs").exists()


def test_data_of_another_kind_are_refused_in_one_line(train, maps, write_csv, tmp_path):
    """Each kind of run gets data of each other kind."""
    codes = [f"data.path={Path(maps(make_samples())[0].removeprefix('data.path=')).absolute()}"]
    table = ["data=csv", f"data.path={write_csv(walk_frame(200))}", "data.context=10", "data.horizon=2"]
    classifier = train(*codes)
    forecaster = adlx.train(["model=naive", *table, *SMALL, f"output_dir={tmp_path / 'outputs'}"])
    pictures = train("data=faces", "data.count=80", "trainer.max_epochs=1")
    faces = make_samples(count=80, parted=False)
    faces = changed(faces, labels=faces.labels % 2, classes=("angry", "happy"))
    for run, words in (
        (classifier, table),
        (forecaster, ["data=codes", *codes]),
        (pictures, ["data=codes", *maps(faces, "faces.npz")]),
    ):
        assert re.search(r"series|code maps|images", user_error_of(run.evaluate, words))


def test_predictions_of_many_classes_give_no_warning(train, maps, recwarn):
    """pandas warns after a hundred single insertions of columns."""
    names = tuple(f"class_{index:03d}" for index in range(120))
    rng, labels = np.random.default_rng(0), np.tile(np.arange(120), 3)
    parts = np.repeat([0, 1, 2], 120).astype(np.int8)
    run = train(*maps(Samples(rng.integers(0, CODES, (360, 3, 4)), labels, names, "codes", "made up", parts=parts)))
    frame = run.predict()
    assert list(frame)[-120:] == [f"score/{name}" for name in names]
    assert not [warning for warning in recwarn if issubclass(warning.category, pd.errors.PerformanceWarning)]
