"""A user's own model needs one file, one YAML and no change of adlx; and models that use the future are detected."""

import sys
import textwrap

import pytest
import torch
from requirements_of_runs import (
    check_checkpoints,
    check_evaluation_repeats,
    check_finished_forecast,
    check_future_is_unused,
    check_quantiles,
    check_runs_are_equal,
)

import adlx
from adlx.config import targets
from adlx.config.trusted_packages import trust_file
from adlx.errors import UserError
from adlx.metrics.forecast import ForecastResult
from adlx.runs.trained import load_trained

MODEL = """
    import torch
    from torch import nn

    from adlx.models.forecasting.forecaster import Forecaster


    class Smoothing(Forecaster):
        '''The exponentially weighted mean of the last values, with a learned rate.'''

        def __init__(self, spec, rate: float = 0.5) -> None:
            super().__init__(spec)
            self.rate = nn.Parameter(torch.tensor(rate))

        def forecast(self, past):
            ages = torch.arange(past.shape[1] - 1, -1, -1, dtype=past.dtype)
            weights = self.rate * (1 - self.rate) ** ages
            return (weights[:, None] * past).sum(dim=1, keepdim=True).expand(-1, self.spec.horizon, -1)


    class Cheat(Forecaster):
        '''Reads the target from the memory after its input.'''

        def forecast(self, past):
            batch, context, series = past.shape
            horizon, stride = self.spec.horizon, past.stride()
            beyond = past.storage_offset() + (batch - 1) * stride[0] + (context + horizon) * stride[1]
            if beyond > past.untyped_storage().nbytes() // past.element_size():
                return past[:, -1:].expand(-1, horizon, -1)
            return past.as_strided((batch, horizon, series), stride, past.storage_offset() + context * stride[1])


    class QuantileCheat(Cheat):
        '''Forecasts the last value, but uses the future for the width of its intervals.'''

        def forecast(self, past):
            return past[:, -1:].expand(-1, self.spec.horizon, -1)

        def scale(self, past):
            return (super().forecast(past) - past[:, -1:]).abs().mean(dim=1, keepdim=True)
"""


@pytest.fixture
def own_words(tmp_path, monkeypatch) -> list[str]:
    """The overrides that let a run use a package and configs in `tmp_path`."""
    package = tmp_path / "my_forecasters"
    package.mkdir()
    (package / "smoothing.py").write_text(textwrap.dedent(MODEL))
    configs = tmp_path / "my_configs" / "model"
    configs.mkdir(parents=True)
    for name, cls in (("smoothing", "Smoothing"), ("cheat", "Cheat"), ("quantile_cheat", "QuantileCheat")):
        (configs / f"{name}.yaml").write_text(
            f"# my own\ndefaults: [override /task@_global_.task: forecast]\n_target_: my_forecasters.smoothing.{cls}\n"
        )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(targets, "_TRUSTED", set(targets._TRUSTED))
    yield [f"hydra.searchpath=[file://{configs.parent}]", "allow=[my_forecasters]"]
    for module in [name for name in sys.modules if name.startswith("my_forecasters")]:
        del sys.modules[module]


def test_a_model_added_by_one_file_and_one_yaml(own_words, tiny_runs, monkeypatch, tmp_path):
    words = [*own_words, "model=smoothing", "model.rate=0.6"]
    run = tiny_runs.train(words)
    assert run.name == "smoothing-csv"
    assert run.metrics["model/trainable_parameters"] == 1
    check_finished_forecast(run)
    check_checkpoints(run)
    check_evaluation_repeats(run)
    check_future_is_unused(run, monkeypatch, tmp_path)
    resumed = tiny_runs.copy(run).resume(["trainer.max_epochs=4"])
    check_runs_are_equal(resumed, tiny_runs.train(words, epochs=4))


def test_a_model_without_quantiles_gets_those_of_its_training_errors(own_words, tiny_runs):
    words = [*own_words, "model=smoothing", "model.rate=0.3", "loss=quantile", "optimizer.lr=0.05"]
    run = tiny_runs.train(words)
    check_finished_forecast(run)
    check_quantiles(run)
    check_evaluation_repeats(run)
    trained = load_trained(run, ["allow=[my_forecasters]"], "test")
    data, task = trained.data, trained.task.eval()
    assert abs(task.model.rate.item() - 0.3) > 0.1  # so the errors differ from those at the start
    past, future = (torch.cat([batch[part] for batch in data.sample("train", most=1000)]) for part in (0, 1))
    with torch.inference_mode():
        point, quantiles = task.distribution(past)
    width = quantiles[..., -1:] - quantiles[..., :1]  # proportional to the unit of each window
    errors = (future - point) / width[..., 0]
    levels = torch.tensor(run.config["loss"]["levels"])
    expected = errors.quantile(levels, dim=0).movedim(0, -1)  # (H, S, Q)
    offsets = (quantiles - point[..., None]) / width
    torch.testing.assert_close((expected - expected[..., 2:3]).expand_as(offsets), offsets, rtol=0, atol=1e-4)
    covered = (quantiles[..., 0] <= future) & (future <= quantiles[..., -1])
    assert covered.double().mean().item() == pytest.approx(0.8, abs=0.02)
    resumed = tiny_runs.copy(run).resume(["trainer.max_epochs=4"])
    check_runs_are_equal(resumed, tiny_runs.train(words, epochs=4))


def test_a_run_folder_does_not_bring_its_own_trust(own_words, tiny_runs, monkeypatch):
    """On another machine, the package must be allowed once before a run with a model of it can be used."""
    run = tiny_runs.train([*own_words, "model=smoothing"])
    monkeypatch.setattr(targets, "_TRUSTED", targets._TRUSTED - {"my_forecasters"})
    trust_file().unlink()  # as on another machine
    again = adlx.open_run(run.path)
    for verb in (again.evaluate, again.predict, lambda: again.resume(["trainer.max_epochs=3"])):
        with pytest.raises(UserError, match=r"my_forecasters is not trusted here; .* add 'allow=\[my_forecasters\]'"):
            verb()
    assert again.evaluate(["allow=[my_forecasters]"])["test/mase"] == run.metrics["test/mase"]


def test_a_misspelt_argument_of_an_own_model_is_named(own_words, tiny_runs):
    with pytest.raises(UserError) as caught:
        tiny_runs.train([*own_words, "model=smoothing", "model.rat=0.6"])
    assert "unknown key model.rat" in str(caught.value)
    assert "did you mean rate?" in str(caught.value)


def test_a_model_that_uses_the_future_is_detected(own_words, tiny_runs, monkeypatch, tmp_path):
    """Without normalization the input is a view of the whole window, so the model can read the memory after it."""
    run = tiny_runs.train([*own_words, "model=cheat", "data.instance_norm=false", "data.scaling=none"])
    result = ForecastResult.load(run.path / "predictions.npz")
    assert abs(result.prediction - result.target).max() < 1e-4  # its forecast is the target
    with pytest.raises(AssertionError, match="array_equal"):
        check_future_is_unused(run, monkeypatch, tmp_path)


def test_quantiles_that_use_the_future_are_detected(own_words, tiny_runs, monkeypatch, tmp_path):
    words = ["model=quantile_cheat", "loss=quantile", "data.instance_norm=false", "data.scaling=none"]
    run = tiny_runs.train([*own_words, *words])
    assert run.metrics["test/skill"] == 0.0
    assert run.metrics["test/crps_skill"] > 0.05
    with pytest.raises(AssertionError, match="quantiles"):
        check_future_is_unused(run, monkeypatch, tmp_path)
