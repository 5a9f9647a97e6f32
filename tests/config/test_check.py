"""Each mistake in a config is one line that names the key, the most similar valid key and where it was set."""

from collections.abc import Callable
from pathlib import Path

import pytest
from generators import walk_frame

from adlx.config.catalog import NODES, config_folder, options
from adlx.config.compose import compose
from adlx.config.file_settings import read_config_file
from adlx.config.targets import parameters
from adlx.config.values import fits
from adlx.errors import UserError
from adlx.runs.groups import checked

BASE = ["model=seq2seq", "data=fx"]


def refusal(*words: str) -> str:
    with pytest.raises(UserError) as caught:
        composition = compose([*BASE, *words])
        checked(composition.config, composition.origin)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["model.hiden=3"],
            "unknown key model.hiden on the command line (model.hiden=3); did you mean hidden?",
        ),
        (
            ["data.contxt=3"],
            "unknown key data.contxt on the command line (data.contxt=3); did you mean context?",
        ),
        (
            ["trainer.max_epoch=3"],
            "unknown key trainer.max_epoch on the command line (trainer.max_epoch=3); did you mean max_epochs?",
        ),
        (
            ["optimizer.learning_rate=3"],
            "unknown key optimizer.learning_rate on the command line (optimizer.learning_rate=3); did you mean lr?",
        ),
        (
            ["trainer.callbacks=3"],
            "unknown key trainer.callbacks on the command line (trainer.callbacks=3); did you mean callbacks?",
        ),
        (
            ["optimizer/schedule=cosine", "optimizer.schedule.warmupp=0.1"],
            "unknown key optimizer.schedule.warmupp on the command line (optimizer.schedule.warmupp=0.1); "
            "did you mean warmup?",
        ),
        (
            ["callbacks.early_stopping.patienc=3"],
            "unknown key callbacks.early_stopping.patienc on the command line "
            "(callbacks.early_stopping.patienc=3); did you mean patience?",
        ),
        (["sed=1"], "unknown key sed on the command line (sed=1); did you mean seed?"),
        (
            ["model.hidden=many"],
            'model.hidden="many" on the command line (model.hidden=many) must be int (1 to 1048576)',
        ),
        (["model.hidden=1.5"], "model.hidden=1.5 on the command line (model.hidden=1.5) must be int (1 to 1048576)"),
        (["model.hidden=null"], "model.hidden=null on the command line (model.hidden=null) must be int (1 to 1048576)"),
        (
            ["data.scaling=robust"],
            'data.scaling="robust" on the command line (data.scaling=robust) must be one of standard, minmax, log, '
            "none",
        ),
        (
            ["data.instance_norm=maybe"],
            'data.instance_norm="maybe" on the command line (data.instance_norm=maybe) must be bool',
        ),
        (
            ["trainer.threads=few"],
            'trainer.threads="few" on the command line (trainer.threads=few) must be auto or int (at least 1)',
        ),
        (
            ["callbacks.checkpoint.mode=least"],
            'callbacks.checkpoint.mode="least" on the command line (callbacks.checkpoint.mode=least) must be one of '
            "min, max",
        ),
        (["callbacks=none"], "unknown callbacks=none; one of checkpoint, default, rollout, samples"),
        (
            ["trainer.precision=16-mixed"],
            "trainer.precision=16-mixed cannot clip gradients of a fused optimizer: set optimizer.fused=false, "
            "trainer.gradient_clip_val=null or trainer.precision=bf16-mixed",
        ),
        (
            ["trainer.limit_val_batches=0"],
            "trainer.limit_val_batches=0 leaves no val/loss for callbacks.checkpoint: use a larger limit, or monitor "
            "another metric",
        ),
    ],
)
def test_a_mistake_on_the_command_line_is_refused(words, line):
    assert refusal(*words) == line


def test_a_config_that_lacks_a_class_or_a_required_argument_is_refused():
    composition = compose(BASE)
    del composition.config["data"]["_target_"]
    with pytest.raises(UserError, match=r"^data\._target_ is None: give the dotted path of a class$"):
        checked(composition.config, composition.origin)
    composition.config["data"] = {"_target_": "adlx.data.series.csv.CSV"}
    with pytest.raises(UserError, match=r"^data\.path is required: add data\.path=VALUE$"):
        checked(composition.config, composition.origin)
    composition.config["data"] = "fx"
    with pytest.raises(
        UserError, match=r"^data on the command line \(data=fx\) is 'fx': it must be keys with values; write data=NAME"
    ):
        checked(composition.config, composition.origin)


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., list[str]]:
    """Returns a function that writes a YAML into a folder and returns the word that makes Hydra search there."""

    def write(name: str, text: str) -> list[str]:
        path = tmp_path / "own" / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
        return [f"hydra.searchpath=[file://{tmp_path / 'own'}]"]

    return write


FORECAST = "# mine\ndefaults:\n  - override /task@_global_.task: forecast\n"
SEQ2SEQ = FORECAST + "_target_: adlx.models.forecasting.seq2seq.Seq2Seq\n"


@pytest.mark.parametrize(
    ("name", "text", "words", "line"),
    [
        (
            "model/mine.yaml",
            SEQ2SEQ + "hiden: 3\n",
            ["model=mine"],
            "unknown key model.hiden in model/mine.yaml; did you mean hidden?",
        ),
        (
            "model/mine.yaml",
            SEQ2SEQ + "hidden: '3'\n",
            ["model=mine"],
            'model.hidden="3" in model/mine.yaml must be int (1 to 1048576)',
        ),
        (
            "model/mine.yaml",
            FORECAST + "_target_: os.system\n",
            ["model=mine"],
            "model._target_=os.system is refused: os is not trusted here; if it is yours, "
            "add 'allow=[os]' to the command once",
        ),
        (
            "model/mine.yaml",
            "# mine\n_target_: adlx.models.forecasting.seq2seq.Seq2Seq\n",
            ["model=mine"],
            f"task is not chosen: add task=NAME, one of {', '.join(options('task'))}",
        ),
        (
            "data/mine.yaml",
            "# mine\n_target_: adlx.data.series.fx.FX\nsplit: [0.7, 0.3]\n",
            ["data=mine"],
            "data.split=[0.7, 0.3] in data/mine.yaml must be tuple[float, float, float] or null",
        ),
        (
            "experiment/mine.yaml",
            "# @package _global_\nmodel: {hiden: 3}\n",
            ["experiment=mine"],
            "unknown key model.hiden in experiment/mine.yaml; did you mean hidden?",
        ),
        (
            "experiment/mine.yaml",
            "# @package _global_\ntrainer: {max_epochs: soon}\n",
            ["experiment=mine"],
            'trainer.max_epochs="soon" in experiment/mine.yaml must be int (at least 1) or null',
        ),
    ],
)
def test_a_mistake_in_a_yaml_of_the_user_is_refused(written, name, text, words, line):
    assert refusal(*written(name, text), *words) == line


def test_an_unknown_root_key_in_an_experiment_of_the_user_is_refused(written):
    words = written("experiment/mine.yaml", "# @package _global_\nmodle: {hidden: 3}\n")
    line = refusal(*words, "experiment=mine")
    assert line.startswith("unknown key modle in ")
    assert line.endswith("; did you mean model?")


def choices(group: str) -> list[str]:
    return list(options(group))


@pytest.fixture(scope="module")
def file_word(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("file") / "series.csv"
    walk_frame(100).to_csv(path)
    return f"data.path={path}"


@pytest.mark.parametrize(
    ("group", "name"),
    [(group, name) for group in (*NODES, "optimizer/schedule") for name in choices(group)]
    + [("experiment", name) for name in choices("experiment")],
)
def test_every_yaml_makes_a_valid_config(group, name, file_word):
    words = [] if group == "experiment" else [word for word in BASE if not word.startswith(f"{group}=")]
    mandatory = []
    text = options(group)[name].read_text()
    reads_a_path = (group == "data" and "???" in text) or "data: codes" in text or "data: images" in text
    if "???" in text or "finetune: lora" in text or reads_a_path:
        mandatory = [file_word if reads_a_path else "finetune.run=base"]
    composition = compose([*words, f"{group}={name}", *mandatory])
    checked(composition.config, composition.origin)
    assert composition.choices[group] == name
    assert composition.config["seed"] == 0


@pytest.mark.parametrize("name", choices("model"))
def test_a_model_yaml_lists_every_argument(name):
    """So that help, completion and a reader of the file show all of them."""
    _lists_every_argument("model", name, given={"spec"})


@pytest.mark.parametrize("name", choices("data"))
def test_a_data_yaml_lists_every_argument(name):
    _lists_every_argument("data", name, given=set())


@pytest.mark.parametrize("name", choices("task"))
def test_a_task_yaml_lists_every_argument(name):
    _lists_every_argument("task", name, given={"model", "loss", "optimization", "data", "seed"})


def _lists_every_argument(group: str, name: str, given: set[str]) -> None:
    words = [*(w for w in BASE if not w.startswith(group)), f"{group}={name}"]
    words += ["data.path=x"] if group == "data" and "path: ???" in options(group)[name].read_text() else []
    composition = compose(words)
    config = checked(composition.config, composition.origin)
    accepted = parameters(getattr(config, group).target)
    assert {*read_config_file(options(group)[name], [config_folder()]).settings} == {*accepted} - given
    for key in (
        {*accepted} - given - {*(config.parts if group == "model" else ())}
    ):  # the user sets a part to the folder of a run
        assert fits(composition.config[group][key], accepted[key][0]), key
