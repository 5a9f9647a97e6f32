"""Which runs are one row, and the labels of the rows."""

import json

import pytest

import adlx
from adlx.comparison.compare import compare, trace
from adlx.runs.folder import RunFolder

NODES = {
    "mae": {"loss": {"_target_": "torch.nn.L1Loss"}},
    "mse": {"loss": {"_target_": "torch.nn.MSELoss"}},
    "sgd": {"optimizer": {"_target_": "torch.optim.SGD", "lr": 0.01, "momentum": 0.9}},
    "adam": {"optimizer": {"_target_": "torch.optim.Adam", "lr": 0.001}},
}


def labels(*paths) -> list[str]:
    return sorted(compare(paths).table["label"])


@pytest.fixture
def chosen(folder):
    """Writes a run with a loss and an optimizer."""

    def write(name: str, loss="mae", optimizer="adam", **settings):
        nodes = {**NODES[loss], **NODES[optimizer], **settings.pop("nodes", {})}
        choices = {"loss": loss, "optimizer": optimizer, **settings.pop("choices", {})}
        return folder(name, "nlinear", nodes=nodes, choices=choices, **settings)

    return write


def test_other_losses_and_optimizers_are_other_rows(chosen):
    runs = [chosen("a"), chosen("b", loss="mse"), chosen("c", optimizer="sgd")]
    assert labels(*runs) == ["nlinear", "nlinear loss=mse", "nlinear optimizer=sgd"]
    assert labels(*runs[:2]) == ["nlinear loss=mae", "nlinear loss=mse"]
    assert labels(runs[0], runs[2]) == ["nlinear optimizer=adam", "nlinear optimizer=sgd"]


def test_only_the_seed_may_differ_in_a_row(chosen):
    assert compare([chosen("a"), chosen("b", seed=1)]).table["n"].tolist() == [2]
    different = {"trainer": {"max_epochs": 3}}
    runs = [chosen("c"), chosen("d", seed=1, nodes=different)]
    assert labels(*runs) == ["nlinear", "nlinear trainer.max_epochs=3"]


def test_another_class_in_the_same_option_is_another_row(chosen):
    runs = [chosen("a"), chosen("b", nodes={"loss": {"_target_": "my_pkg.Mine"}})]
    assert labels(*runs) == ["nlinear loss=L1Loss", "nlinear loss=Mine"]


def test_a_node_that_one_run_lacks_is_named_by_its_class_and_none(chosen):
    stopping = {"_target_": "pytorch_lightning.callbacks.EarlyStopping", "monitor": "val/loss", "patience": 5}
    runs = [chosen("a", nodes={"callbacks": {"early_stopping": stopping}}), chosen("b")]
    assert labels(*runs) == ["nlinear callbacks.early_stopping=EarlyStopping", "nlinear callbacks.early_stopping=none"]
    named = [
        chosen("c", nodes={"callbacks": {"early_stopping": stopping}}, choices={"callbacks": "default"}),
        chosen("d", choices={"callbacks": "checkpoint"}),
    ]
    assert labels(*named)[0].startswith("nlinear callbacks=checkpoint")


def test_other_data_are_other_rows(folder):
    """The content of the file decides, not its name."""
    first, second = ({"source": "csv", "fingerprint": letter * 64, "rows": 5} for letter in "ab")
    same = [folder("a", facts=first), folder("b", seed=1, facts=first)]
    assert compare(same).table["n"].tolist() == [2]
    other = folder("c", seed=2, facts=second)
    assert labels(*same, other) == ["naive data.path=a", "naive data.path=c"]
    longer = folder("d", seed=3, facts={**first, "rows": 9})  # such as a longer test part
    assert labels(*same, longer) == ["naive data.path=a", "naive data.path=d"]


def test_a_file_that_changed_is_other_data(folder):
    nodes = {"data": {"_target_": "adlx.csv", "path": "x.csv", "context": 3}}
    runs = [folder(letter, facts={"fingerprint": letter * 64}, nodes=nodes) for letter in "ab"]
    assert labels(*runs) == ["naive data.fingerprint=aaaaaaaa", "naive data.fingerprint=bbbbbbbb"]


def test_files_of_one_name_are_labelled_by_their_folders(folder):
    runs = [
        folder(letter, facts={"fingerprint": letter}, nodes={"data": {"path": f"/home/{letter}/x.csv"}})
        for letter in "ab"
    ]
    assert labels(*runs) == ["naive data.path=a/x.csv", "naive data.path=b/x.csv"]


def test_two_files_are_two_rows_after_training(finished, small, three):
    run = small(three, "model=naive")
    again = small("model=naive", "seed=1")
    table = adlx.compare([run.path, again.path]).table
    assert table["n"].tolist() == [1, 1]
    assert set(table["label"]) == {"naive data.path=three.csv", "naive data.path=series.csv"}


def test_runs_from_other_bases_are_other_rows(folder):
    """Bases that differ in the seed alone give one row."""
    bases = [folder(f"base{seed}", seed=seed) for seed in (0, 1)]
    other = folder("other", lr=0.5)
    runs = [
        folder(f"run{seed}", seed=seed, nodes={"finetune": {"run": str(base), "sha256": "0a"}})
        for seed, base in enumerate([*bases, other])
    ]
    assert compare(runs[:2]).table["n"].tolist() == [2]
    assert labels(*runs) == ["naive run=base0", "naive run=other"]


def test_one_line_joins_the_values_of_a_data_setting_that_changes_the_training_part(folder):
    runs = []
    for windows in (8, 16):
        nodes = {"data": {"path": "x.csv", "train_windows": windows}}
        runs.append(folder(f"r{windows}", facts={"fingerprint": str(windows)}, nodes=nodes))
    curve = trace([RunFolder.open(run) for run in runs], "test/mase", "data.train_windows")
    assert curve["label"].tolist() == ["naive", "naive"]
    assert labels(*runs) == ["naive data.train_windows=16", "naive data.train_windows=8"]


def test_two_classes_under_one_model_name_have_different_labels(folder):
    runs = [folder("a", "mine"), folder("b", "mine", own={"hidden": 8})]
    for run, target in zip(runs, ("one.Model", "two.Model"), strict=True):
        text = (run / "config.yaml").read_text()
        (run / "config.yaml").write_text(text.replace("adlx.mine", target))
    assert len(set(labels(*runs))) == 2
    assert json.loads((runs[0] / "run.json").read_text())["choices"]["model"] == "mine"
