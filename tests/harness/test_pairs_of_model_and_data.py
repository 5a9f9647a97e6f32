"""A model and a data set that never fit are refused for that reason, before any other check of their keys."""

import itertools

import pytest
import yaml
from tiny_models import config_of
from user_errors import user_error_of

from adlx.config.catalog import options
from adlx.config.compose import Composition, compose
from adlx.runs.build import check_pair
from adlx.runs.train import prepare, train
from adlx.sweeps.multirun import run_sweep

FIELDS, IMAGES, SERIES, SAMPLES = "fields", "images", "series", "images or code maps"
MODELS = {
    **dict.fromkeys(("dmd", "fno", "persistence", "sea", "sea_autoencoder"), FIELDS),
    **dict.fromkeys(("dit", "unet", "vqvae"), IMAGES),
    **dict.fromkeys(("drift", "ewma", "naive", "nlinear", "seasonal_naive", "seq2seq", "transformer"), SERIES),
    **dict.fromkeys(("elm", "mlp"), SAMPLES),
}
DATA = {
    **dict.fromkeys(("cylinder", "dambreak", "well"), FIELDS),
    **dict.fromkeys(("digits", "faces", "images"), IMAGES),
    **dict.fromkeys(("crypto", "csv", "fx"), SERIES),
    "codes": "code maps",
}


def node_of_data(name: str) -> dict[str, str]:
    return yaml.safe_load(options("data")[name].read_text(encoding="utf-8"))


def test_the_tables_above_have_all_config_files():
    assert MODELS.keys() == options("model").keys()
    assert DATA.keys() == options("data").keys()


@pytest.mark.parametrize(("model", "data"), itertools.product(MODELS, DATA))
def test_a_pair_that_never_fits_is_refused_by_both_names(model, data):
    config = {**config_of(model), "data": node_of_data(data)}
    if DATA[data] in MODELS[model].split(" or "):
        check_pair(config)
        return
    classes = [config[name]["_target_"].rpartition(".")[2] for name in ("model", "data")]
    line = f"model and data do not fit: {classes[0]} is for {MODELS[model]}, and {classes[1]} gives {DATA[data]}"
    assert user_error_of(check_pair, config) == line
    composition = Composition({**config, "allow": []}, {}, [], [], ("data.path",))
    assert user_error_of(prepare, composition) == line


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["model=sea", "data=digits"], "SEA is for fields, and Digits gives images"),
        (["model=sea", "data=digits", "model.width=-1", "seed=-1"], "SEA is for fields, and Digits gives images"),
        (["model=transformer", "data=images"], "Transformer is for series, and Images gives images"),
        (["model=elm", "data=csv", "finetune=lora"], "ELM is for images or code maps, and CSV gives series"),
    ],
)
def test_the_pair_comes_before_missing_keys_and_values_out_of_range(words, line, tmp_path):
    words = [*words, f"output_dir={tmp_path / 'outputs'}"]
    assert user_error_of(train, words) == f"model and data do not fit: {line}"
    assert f"model and data do not fit: {line}" in user_error_of(run_sweep, [*words, "optimizer.lr=1,2"])
    assert not (tmp_path / "outputs").exists()


def test_a_missing_key_of_a_pair_that_fits(tmp_path):
    words = ["model=naive", "data=csv", f"output_dir={tmp_path / 'outputs'}"]
    assert user_error_of(train, words) == "data.path is required: add data.path=VALUE"
    assert user_error_of(compose, words) == "data.path is required: add data.path=VALUE"
