"""Composes a config from words, and applies words to a stored config."""

import pytest
from omegaconf import OmegaConf

from adlx.config.apply import apply
from adlx.config.catalog import NODES, config_folder, options
from adlx.config.compose import compose, search_path
from adlx.config.nearest import nearest
from adlx.errors import UserError

MODELS, DATA = (", ".join(options(group)) for group in ("model", "data"))


def refusal(*words: str) -> str:
    with pytest.raises(UserError) as caught:
        compose(words)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_composition_has_its_choices_its_command_and_its_config():
    made = compose(["model=seq2seq", "data=fx", "model.hidden=32", "optimizer/schedule=cosine", "output_dir=my runs"])
    assert made.name == "seq2seq-fx"
    assert made.choices == {
        "model": "seq2seq",
        "data": "fx",
        "task": "forecast",
        "loss": "mae",
        "optimizer": "adam",
        "optimizer/schedule": "cosine",
        "finetune": "none",
        "trainer": "default",
        "callbacks": "default",
        "logger": "tensorboard",
    }
    assert made.command == (
        "adlx train model=seq2seq data=fx model.hidden=32 optimizer/schedule=cosine 'output_dir=my runs'"
    )
    assert set(made.config) == {*NODES, "seed", "output_dir", "allow"}
    assert made.config["finetune"] == {}
    assert made.config["model"]["hidden"] == 32
    assert made.config["optimizer"]["schedule"]["_target_"] == "adlx.tasks.schedules.Cosine"
    assert made.config["loss"] == {"_target_": "torch.nn.L1Loss"}
    assert type(made.config["data"]["split"]) is list


def test_an_experiment_changes_defaults_and_words_change_the_experiment():
    made = compose(["experiment=a2_seq2seq", "model.hidden=8"])
    assert made.choices["experiment"] == "a2_seq2seq"
    assert made.name == "seq2seq-crypto"
    assert made.choices["callbacks"] == "checkpoint"
    assert made.config["model"]["hidden"] == 8
    assert made.config["model"]["zero_init"] is False
    assert (made.config["data"]["split"], made.config["data"]["last"]) == (None, 101)
    assert made.config["loss"]["_target_"] == "torch.nn.MSELoss"


@pytest.mark.parametrize(
    ("key", "where"),
    [
        ("model.hidden", "on the command line (model.hidden=8)"),
        ("model.zero_init", "in experiment/a2_seq2seq.yaml"),
        ("model.layers", "in model/seq2seq.yaml"),
        ("data.last", "in experiment/a2_seq2seq.yaml"),
        ("data.source", "in data/crypto.yaml"),
        ("trainer.max_epochs", "in experiment/a2_seq2seq.yaml"),
        ("trainer.precision", "in trainer/default.yaml"),
        ("trainer.strategy", "in trainer=default"),
        ("optimizer.betas", "on the command line (optimizer={betas:[0.8,0.9]})"),
        ("seed", "in train.yaml"),
    ],
)
def test_origin_is_the_word_or_the_file_that_sets_a_key(key, where):
    made = compose(["experiment=a2_seq2seq", "model.hidden=8", "++optimizer={betas:[0.8,0.9]}"])
    assert made.config["optimizer"]["betas"] == [0.8, 0.9]
    assert made.origin(key) == where


def test_origin_is_the_experiment_in_a_folder_of_the_user(tmp_path):
    """An experiment of the user wins over a file of the project, so the value comes from it."""
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "own.yaml").write_text("# @package _global_\ntrainer: {max_epochs: 7}\n")
    made = compose([f"hydra.searchpath=[file://{tmp_path}]", "model=naive", "data=fx", "experiment=own"])
    assert made.config["trainer"]["max_epochs"] == 7
    assert made.origin("trainer.max_epochs") == "in experiment/own.yaml"
    assert made.folders == [config_folder(), tmp_path]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["model=seq2sec", "data=fx"],
            f"unknown model=seq2sec; did you mean seq2seq?; one of {MODELS}",
        ),
        (
            ["model=naive", "data=bonds"],
            f"unknown data=bonds; did you mean codes?; one of {DATA}",
        ),
        (
            ["model=naive", "data=fx", "optimizer/schedule=cosin"],
            "unknown optimizer/schedule=cosin; did you mean cosine?; one of constant, cosine, long_warmup",
        ),
        (
            ["model=naive"],
            f"data is not chosen: add data=NAME, one of {DATA}",
        ),
        (
            ["data=fx"],
            f"model is not chosen: add model=NAME, one of {MODELS}",
        ),
        (["model=naive", "data=csv"], "data.path is required: add data.path=VALUE"),
        (["model=naive", "data=fx", "seed"], "seed: cannot be read; write key=value, and quote special characters"),
        (
            ["model=naive", "data=fx", "model.hidden=[1"],
            "model.hidden=[1: cannot be read; write key=value, and quote special characters",
        ),
        (
            ["model=naive", "data=fx", "output=x"],
            "unknown key output on the command line (output=x); did you mean output_dir?",
        ),
    ],
)
def test_words_that_make_no_config_are_refused(words, line):
    assert refusal(*words) == line


@pytest.mark.parametrize("name", ["a b", "it's (1)", "a,b", "a=b", "j\u00f6rg", "a[1]", 'a"b'])
def test_a_config_folder_with_any_name_is_searched(name, tmp_path):
    folder = tmp_path / name
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "mine.yaml").write_text("_target_: adlx.data.series.fx.FX\n")
    words = search_path([folder, tmp_path])
    made = compose([*words, "model=naive", "data=mine"])
    assert made.config["data"] == {"_target_": "adlx.data.series.fx.FX"}
    assert (made.folders, made.user_folders) == ([config_folder(), folder, tmp_path], [folder, tmp_path])
    assert search_path([]) == []


@pytest.fixture
def stored() -> dict:
    return compose(["model=seq2seq", "data=fx"]).config


def test_apply_sets_keys_and_returns_the_allowed_packages(stored):
    config, allow = apply(stored, ["model.hidden=3", "++data.path=a b.csv", "seed=5", "allow=[mine,yours]"])
    assert (config["model"]["hidden"], config["data"]["path"], config["seed"]) == (3, "a b.csv", 5)
    assert allow == ["mine", "yours"]
    assert config["allow"] == []  # trust is never read from a config
    assert stored["model"]["hidden"] == 64
    assert apply(stored, ["allow=mine"]) == (stored, ["mine"])
    assert apply(stored, []) == (stored, [])


def test_apply_sets_nested_keys_and_lists(stored):
    config, _ = apply(stored, ["data.split=[0.5,0.25,0.25]", "callbacks.early_stopping.patience=9", "data.start=null"])
    assert config["data"]["split"] == [0.5, 0.25, 0.25]
    assert config["callbacks"]["early_stopping"] == {**stored["callbacks"]["early_stopping"], "patience": 9}
    assert config["data"]["start"] is None


def test_apply_replaces_a_whole_choice(stored):
    config, _ = apply(stored, ["data=crypto", "data.source=simulated"])
    own, shared = (
        OmegaConf.to_container(OmegaConf.load(config_folder() / "data" / name))
        for name in ("crypto.yaml", "series/windows.yaml")
    )
    assert own.pop("defaults") == ["series/windows@_here_"]
    assert config["data"] == {**shared, **own, "source": "simulated"}
    assert config["model"] == stored["model"]


def test_apply_finds_a_choice_in_given_folders(stored, tmp_path):
    (tmp_path / "data").mkdir()
    text = "defaults:\n  - series/windows@_here_\n_target_: adlx.data.series.fx.FX\nhorizon: 7\n"
    (tmp_path / "data" / "mine.yaml").write_text(text)
    config, _ = apply(stored, ["data=mine"], [tmp_path])
    assert config["data"] == {**stored["data"], "horizon": 7}
    with pytest.raises(UserError, match=r"^unknown data=mine; "):
        apply(stored, ["data=mine"])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", options("data"))
def test_apply_replaces_data_by_any_other_data_without_a_warning(stored, name):
    """Hydra can warn if it composes a file without the rest of the config."""
    config, _ = apply(stored, [f"data={name}"])
    path = ["data.path=x"] if "path" in config["data"] else []
    assert apply(config, path)[0]["data"] == compose(["model=naive", f"data={name}", *path]).config["data"]


def test_apply_replaces_a_choice_before_it_sets_keys_in_any_order(stored):
    assert apply(stored, ["data.source=simulated", "data=crypto"])[0]["data"]["source"] == "simulated"


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("seed=1,2", "seed=1,2: one value is needed; only adlx train -m accepts several"),
        (
            "model.hidden=choice(1,2)",
            "model.hidden=choice(1,2): one value is needed; only adlx train -m accepts several",
        ),
        ("modle.hidden=1", "unknown key modle.hidden; did you mean model.hidden?"),
        ("x=1", "unknown key x"),
        ("data=bonds", f"unknown data=bonds; did you mean codes?; one of {DATA}"),
        ("seed", "seed: cannot be read; write key=value, and quote special characters"),
    ],
)
def test_apply_refuses_mistakes(stored, word, line):
    with pytest.raises(UserError) as caught:
        apply(stored, [word])
    assert str(caught.value) == line


def test_nearest_names_a_similar_name_only():
    assert nearest("hiden", ["hidden", "layers"]) == "; did you mean hidden?"
    assert nearest("zzz", ["hidden", "layers"]) == ""
