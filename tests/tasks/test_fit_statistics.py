"""Statistics of the training part are fitted once, for a new run, and never if a checkpoint contains them."""

import shutil
from importlib import import_module
from pkgutil import iter_modules

import numpy as np
import pytest
import torch
from generators import walk_frame
from waves import WINDOWS, write_waves

import adlx
import adlx.tasks
from adlx.config.compose import compose
from adlx.data.images.sources.code_maps import write_code_maps
from adlx.data.images.sources.samples import Samples
from adlx.runs.build import build_data, build_task
from adlx.runs.start import new_task
from adlx.runs.train import prepare
from adlx.tasks.task import Task

pytestmark = pytest.mark.usefixtures("unpainted")
QUIET = ["logger=none", "trainer.accelerator=cpu", "trainer.threads=1", "trainer.max_epochs=1"]
SERIES = ["data=csv", "data.path={folder}/series.csv", "data.context=12", "data.horizon=2"]
CODES = ["data=codes", "data.path={folder}/codes.npz", "data.batch_size=30"]
DIGITS = ["data=digits", "data.source=sklearn", "data.size=8", "data.batch_size=512"]
FIELDS = ["data=well", "data.path={folder}/waves.hdf5", *WINDOWS]
CASES = {
    "forecast": ["model=nlinear", "loss=quantile", *SERIES],
    "without weights": ["model=naive", "loss=quantile", *SERIES],
    "classify": ["model=mlp", "model.widths=[8]", *CODES],
    "closed form": ["model=elm", "model.hidden=20", *CODES],
    "reconstruct": ["model=vqvae", "model.hidden=8", "model.codes=8", "model.dimension=4", *DIGITS],
    "denoise": [
        *("model=unet", "model.widths=[4,8]", "model.depth=1", "task.kid_images=8", "task.kid_steps=1"),
        *("task.kid_features=random", *DIGITS),
    ],
    "reconstruct fields": [
        *("model=sea_autoencoder", "model.width=8", "model.heads=2", "model.blocks=1", "model.patches=[2,4]"),
        *("model.dimension=4", *FIELDS),
    ],
    "rollout": ["model=dmd", "model.rank=4", *FIELDS],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("data")
    walk_frame(200).to_csv(path / "series.csv")
    rng, labels = np.random.default_rng(0), np.array([0, 1, 1, 2, 1] * 18)
    samples = Samples(rng.integers(0, 8, (90, 4, 4)), labels, ("a", "b", "c"), "codes", "noise")
    write_code_maps(path / "codes.npz", samples)
    write_waves(path / "waves.hdf5")
    return path


@pytest.fixture(params=CASES)
def words(request, folder, tmp_path):
    own = [word.format(folder=folder) for word in CASES[request.param]]
    return [*own, *QUIET, f"output_dir={tmp_path / 'outputs'}"]


@pytest.fixture
def fits(monkeypatch):
    """The tasks that fitted their statistics, in order."""
    fitted: list[str] = []
    for module in iter_modules(adlx.tasks.__path__):
        import_module(f"adlx.tasks.{module.name}")
    for kind in {Task, *subclasses(Task)}:
        if "fit_statistics" in vars(kind):
            original = vars(kind)["fit_statistics"]

            def fit(task, data, original=original):
                fitted.append(type(task).__name__)
                original(task, data)

            monkeypatch.setattr(kind, "fit_statistics", fit)
    return fitted


def subclasses(kind: type) -> set[type]:
    return {inner for child in kind.__subclasses__() for inner in (child, *subclasses(child))}


def test_statistics_are_fitted_once_for_a_new_run_and_never_again(words, fits, tmp_path, plain_films):
    run = adlx.train(words)
    assert len(fits) == 1
    run.evaluate()
    run.predict(["predict.n=2", "predict.steps=1"] if "task.kid_images=8" in words else [])
    assert len(fits) == 1
    copy = shutil.copytree(run.path, tmp_path / "copy")
    resumed = adlx.open_run(copy).resume(["trainer.max_epochs=2"])
    assert resumed.status == "finished"
    assert len(fits) == 1
    (copy / "checkpoints" / "last.ckpt").unlink()
    (copy / "checkpoints" / "best.ckpt").unlink()
    info = adlx.open_run(copy)
    info.update(status="interrupted")
    info.resume()  # without a checkpoint, the run starts again
    assert len(fits) == 2


def test_a_constructor_fits_nothing(words, fits):
    """It does not change the global random generator either."""
    config = prepare(compose(words))
    data = build_data(config)
    data.setup("fit")
    task = new_task(config, data)
    before = torch.random.get_rng_state()
    again = build_task(config, data, task.model)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert fits == []
    statistics = {name: value.clone() for name, value in again.named_buffers()}
    again.fit_statistics(data)
    assert len(fits) == 1
    after = dict(again.named_buffers())
    assert any(not torch.equal(statistics[name], after[name]) for name in statistics)
