"""A file of a run is damaged, or was edited by hand: each verb that reads it reports this in one line."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from user_errors import user_error_of

import adlx
from adlx.comparison.compare import compare
from adlx.runs.checkpoints import load_checkpoint
from adlx.runs.export import export_merged
from adlx.runs.folder import RunFolder

DELETED = object()
LAST = "checkpoints/last.ckpt"


@pytest.fixture
def verbs(copied, small, finished):
    """Functions that read a run, by verb."""

    def run():
        return adlx.open_run(copied.path)

    return {
        "open": run,
        "eval": lambda: run().evaluate(),
        "predict": lambda: run().predict(),
        "resume": lambda: run().resume(["trainer.max_epochs=3"]),
        "compare": lambda: adlx.compare([copied.path, finished.path]),
        "export": lambda: export_merged(run()),
        "finetune": lambda: small("finetune=full", f"finetune.run={copied.path}"),
    }


def edit(tree, key, value):
    """Sets or deletes a value at a dotted key."""
    *parents, name = key.split(".")
    for parent in parents:
        tree = tree[parent]
    if value is DELETED:
        del tree[name]
    else:
        tree[name] = value


def line_of(verb, path: Path) -> str:
    """The line that a verb reports; it names the file, and the folder has not changed."""

    def contents():
        files = [file for file in path.rglob("*") if file.is_file() and file.name != ".lock"]
        return {file: file.read_bytes() for file in files}

    before = contents()
    line = user_error_of(verb)
    assert str(path) in line
    assert "\n" not in line
    assert contents() == before
    return line


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("status", DELETED, "run.json lacks status"),
        ("status", ["finished"], 'run.json: status is ["finished"], and must be text'),
        ("seed", "zero", 'run.json: seed is "zero", and must be a number'),
        ("seed", True, "run.json: seed is true, and must be a number"),
        ("choices", None, "run.json: choices is null, and must be an object"),
        ("choices.model", DELETED, "run.json: choices lacks the name of model"),
        ("choices.data", 3, "run.json: choices lacks the name of data"),
        ("data", [], "run.json: data is [], and must be an object"),
        ("data.fingerprint", 1.5, "run.json: data.fingerprint is 1.5, and must be text"),
        ("threads", "many", 'run.json: threads is "many", and must be a number'),
        ("config_folders", [1], "run.json: config_folders must be a list of folders"),
        ("finetune", "base", 'run.json: finetune is "base", and must be an object'),
        ("result", 0, "run.json: result is 0, and must be text"),
    ],
)
def test_facts_of_the_wrong_type_stop_all_verbs(key, value, says, copied, verbs):
    info = json.loads((copied.path / "run.json").read_text())
    edit(info, key, value)
    (copied.path / "run.json").write_text(json.dumps(info))
    for verb in verbs.values():
        assert says in line_of(verb, copied.path)


@pytest.mark.parametrize("text", ["", "[]", "3", "null", '{"status": ', "\x00"])
def test_facts_that_are_no_object_stop_all_verbs(text, copied, verbs):
    (copied.path / "run.json").write_text(text)
    for verb in verbs.values():
        assert "run.json" in line_of(verb, copied.path)


@pytest.mark.parametrize("value", [DELETED, 3, {}, ["2024"]])
def test_facts_that_do_not_describe_the_data_stop_eval_predict_and_resume(value, copied, verbs):
    """The data module knows which of its facts it needs."""
    info = json.loads((copied.path / "run.json").read_text())
    edit(info, "data.start", value)
    (copied.path / "run.json").write_text(json.dumps(info))
    for name in ("eval", "predict", "resume"):
        assert "run.json: data " in line_of(verbs[name], copied.path)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("model", DELETED, "config.yaml is not a config of adlx: it lacks model"),
        ("data", 1.5, "config.yaml: data is 1.5, and must be a node with keys and values"),
        ("seed", "x", "config.yaml: seed is 'x', and must be a whole number"),
        ("allow", "mine", "config.yaml: allow is 'mine', and must be a list of package names"),
        ("output_dir", None, "config.yaml: output_dir is None, and must be the path of a folder"),
        ("modle", {}, "config.yaml: unknown key modle; did you mean model?"),
    ],
)
def test_missing_or_wrong_nodes_of_the_config_are_reported(key, value, says, copied, verbs):
    config = yaml.safe_load((copied.path / "config.yaml").read_text())
    edit(config, key, value)
    (copied.path / "config.yaml").write_text(yaml.safe_dump(config))
    for name in ("eval", "predict", "resume", "compare", "export", "finetune"):
        assert says in line_of(verbs[name], copied.path)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("model._target_", DELETED, "config.yaml: model._target_ is None: give the dotted path of a class"),
        ("model.individual", [1], "model.individual=[1] in {folder}/config.yaml must be bool"),
        ("data.path", DELETED, "config.yaml: data.path is required"),
        ("data.context", "x", 'data.context="x" in {folder}/config.yaml must be int'),
        ("loss", {}, "config.yaml: loss._target_ is None"),
        ("optimizer.lr", None, "optimizer.lr=null in {folder}/config.yaml must be float"),
        ("optimizer.schedule", "cosine", "optimizer.schedule in {folder}/config.yaml is 'cosine': it must be keys"),
        ("optimizer.schedule", [], "optimizer.schedule in {folder}/config.yaml is []: it must be keys"),
        ("callbacks.checkpoint", None, "callbacks.checkpoint in {folder}/config.yaml is None: it must be keys"),
        ("trainer.threads", 1.5, "trainer.threads=1.5 in {folder}/config.yaml must be auto or int"),
    ],
)
def test_wrong_settings_of_the_config_are_reported(key, value, says, copied, verbs):
    config = yaml.safe_load((copied.path / "config.yaml").read_text())
    edit(config, key, value)
    (copied.path / "config.yaml").write_text(yaml.safe_dump(config))
    for name in ("eval", "predict", "resume"):
        assert says.format(folder=copied.path) in line_of(verbs[name], copied.path)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("adlx", DELETED, "was not written by adlx"),
        ("adlx", [], "was not written by adlx"),
        ("state_dict", DELETED, "was not written by adlx"),
        ("adlx.config", None, "is damaged: `config` in its description of the run is None"),
        ("adlx.spec", DELETED, "is damaged: `spec` in its description of the run is missing"),
        ("adlx.steps", "4", "is damaged: `steps` in its description of the run is '4'"),
        ("adlx.config.model", 3, "its config: model is 3, and must be a node with keys and values"),
        ("adlx.config.loss", DELETED, "its config is not a config of adlx: it lacks loss"),
        ("state_dict.scaler.mean", [1.0], "is damaged: the weight scaler.mean is [1.0]"),
    ],
)
def test_missing_or_wrong_parts_of_a_checkpoint_are_reported(key, value, says, copied, verbs):
    for path in (copied.best, copied.last):
        checkpoint = load_checkpoint(path)
        if key.startswith("state_dict."):
            checkpoint["state_dict"][key.removeprefix("state_dict.")] = value
        else:
            edit(checkpoint, key, value)
        torch.save(checkpoint, path)
    for name in ("eval", "predict", "resume", "export", "finetune"):
        line = line_of(verbs[name], copied.path)
        assert says in line
        assert "checkpoints/last.ckpt" in line if name == "resume" else "checkpoints/best.ckpt" in line


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("_target_", DELETED, "the spec of its data._target_ is None"),
        ("_target_", "os.system", "is refused"),
        ("series", "S0", "is damaged: series is 'S0'"),
        ("context", "12", "is damaged: context is '12', and must be int"),
        ("horizon", DELETED, "lacks horizon: another version of adlx wrote it"),
        ("colour", 1, "has the unknown value colour: another version of adlx wrote it"),
    ],
)
def test_a_wrong_spec_in_a_checkpoint_is_reported(key, value, says, copied, verbs):
    checkpoint = load_checkpoint(copied.best)
    edit(checkpoint["adlx"]["spec"], key, value)
    torch.save(checkpoint, copied.best)
    for name in ("eval", "predict", "export", "finetune"):
        assert says in line_of(verbs[name], copied.path)


@pytest.mark.parametrize("content", [3, [1], {}, torch.zeros(2), {"state_dict": {}}])
def test_pytorch_files_that_do_not_describe_a_run_are_refused(content, copied, verbs):
    torch.save(content, copied.best)
    for name in ("eval", "predict", "export", "finetune"):
        assert line_of(verbs[name], copied.path).endswith(
            "checkpoints/best.ckpt was not written by adlx: it has no weights or does not describe its run"
        )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("loops", {}),
        ("loops", [1]),
        ("optimizer_states", [{"state": 1}]),
        ("callbacks", 3),
        ("pytorch-lightning_version", DELETED),
    ],
)
def test_a_training_state_that_is_damaged_stops_a_resume(key, value, copied):
    checkpoint = load_checkpoint(copied.last)
    edit(checkpoint, key, value)
    torch.save(checkpoint, copied.last)
    line = user_error_of(copied.resume, ["trainer.max_epochs=3"])
    assert line.startswith(f"checkpoint {copied.last} is damaged, and training cannot continue from it (")
    assert line.endswith("): start a new run")


@pytest.mark.parametrize("text", ["", "[]", "3", '{"test/skill": ', '{"test/skill": null}', '{"test/mase": "1"}'])
def test_metrics_that_are_not_numbers_stop_compare(text, copied, verbs):
    (copied.path / "metrics.json").write_text(text)
    assert "metrics.json" in line_of(verbs["compare"], copied.path)
    assert user_error_of(lambda: RunFolder.open(copied.path).metrics) == line_of(verbs["compare"], copied.path)


def arrays_of(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as archive:
        return {name: archive[name] for name in archive.files}


@pytest.mark.parametrize("name", ["prediction", "target", "series", "stride", "step_mae"])
@pytest.mark.parametrize("value", [None, np.zeros(3), np.array("x"), np.array(["a", "b"])])
def test_damaged_predictions_leave_a_table_without_tests(name, value, copied, finished, caplog):
    path = copied.path / "predictions.npz"
    arrays = arrays_of(path)
    if name == "series" and value is not None and value.shape == (2,):
        value = np.zeros(2)
    arrays.pop(name) if value is None else arrays.update({name: value})
    np.savez(path, **arrays)
    assert len(compare([copied.path, finished.path]).table) == 1
    (line,) = caplog.messages
    assert line.startswith(f"{path} holds no forecast result (")
    assert line.endswith("; so the comparison has no tests of significance and no figures")


@pytest.mark.parametrize(
    "content", [b"\n", b"\xff\xfe", b"x,y\n1,2\n", b"step,epoch\n1\n1,2,3,4\n", b"step,epoch\na,b\n"]
)
def test_damaged_curves_stop_a_resume(content, copied):
    (copied.path / "metrics.csv").write_bytes(content)
    line = user_error_of(copied.resume, ["trainer.max_epochs=3"])
    assert line.startswith(f"{copied.path}/metrics.csv ")
