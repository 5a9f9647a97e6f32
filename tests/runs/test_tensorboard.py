"""The event files, read back as TensorBoard reads them."""

import numpy as np
import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from adlx.runs.folder import RunFolder
from adlx.runs.loggers import read_curves
from adlx.runs.settings import flatten

FIGURES = {"forecast", "horizon_error", "series_skill", "training_curves"}


@pytest.fixture(scope="module")
def run(small_words, tmp_path_factory):
    import adlx

    words = [*small_words, "logger=tensorboard", "model.individual=true", "seed=3"]
    return adlx.train([*words, f"output_dir={tmp_path_factory.mktemp('events')}"])


@pytest.fixture(scope="module")
def resumed(run):
    """The same run after a resume; only the last test uses it."""
    return run.resume(["trainer.max_epochs=4"])


def events(run: RunFolder) -> EventAccumulator:
    read = EventAccumulator(str(run.path / "tensorboard"), size_guidance={"scalars": 0, "images": 0, "tensors": 0})
    return read.Reload()


def scalars(read: EventAccumulator, tag: str) -> dict[int, float]:
    return {event.step: event.value for event in read.Scalars(tag)}


def assert_curves_are_equal(read: EventAccumulator, run: RunFolder, steps: int) -> None:
    table = read_curves(run.path / "metrics.csv")
    assert table["step"].max() == steps - 1
    for tag in ("train/loss", "val/loss", "lr"):
        column = table.set_index("step")[tag].dropna()
        logged = scalars(read, tag)
        assert list(logged) == list(column.index), tag
        assert list(logged.values()) == list(column.to_numpy(np.float32)), tag


def hparams(read: EventAccumulator) -> dict[str, object]:
    content = read.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    start = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
    values = {}
    for key, value in start.hparams.items():
        values[key] = getattr(value, value.WhichOneof("kind"))
    return values


def hparam_metrics(read: EventAccumulator) -> set[str]:
    content = read.SummaryMetadata("_hparams_/experiment").plugin_data.content
    return {info.name.tag for info in plugin_data_pb2.HParamsPluginData.FromString(content).experiment.metric_infos}


SHOWN = ("test/mase", "test/mse_scaled", "test/mae_scaled", "test/skill", "test/dm_pvalue", "fit/seconds")


def assert_complete(run: RunFolder, epochs: int) -> None:
    steps = 4 * epochs
    read = events(run)
    assert_curves_are_equal(read, run, steps)
    headlines = {*SHOWN, "model/parameters"}
    assert hparam_metrics(read) == headlines
    assert set(read.Tags()["scalars"]) == {"train/loss", "val/loss", "lr", *headlines}
    for key in headlines:
        assert scalars(read, key) == {steps: np.float32(run.metrics[key])}, key
    assert set(read.Tags()["images"]) == FIGURES
    for tag in FIGURES:
        (picture,) = read.Images(tag)
        assert (picture.width >= 400, picture.height >= 200, picture.step) == (True, True, steps)
        assert picture.encoded_image_string.startswith(b"\x89PNG")
    (text,) = read.Tensors("config/text_summary")[-1].tensor_proto.string_val
    assert yaml.safe_load(text.decode().removeprefix("```yaml\n").removesuffix("```")) == run.config
    shown = hparams(read)
    nodes = ("data", "loss", "model", "optimizer", "trainer")
    settings = {f"{node}.{key}": value for node in nodes for key, value in flatten(run.config[node]).items()}
    assert shown == {
        **{key: value for key, value in settings.items() if not key.endswith("_target_")},
        **{f"choice.{node}": run.info["choices"][node] for node in nodes},
        "seed": 3,
        "trainer.max_epochs": 2,  # TensorBoard keeps the first hparams, also after a resume
    }
    assert (shown["choice.model"], shown["model.individual"]) == ("nlinear", True)
    assert not list(run.path.rglob("hparams.yaml"))


def test_the_event_files_of_a_run(run):
    assert_complete(run, epochs=2)


def test_the_event_files_of_a_resumed_run(resumed):
    """No step occurs twice, and the metrics are those of the resumed run."""
    assert_complete(resumed, epochs=4)


def test_without_tensorboard_there_is_no_folder(finished):
    assert not (finished.path / "tensorboard").exists()
