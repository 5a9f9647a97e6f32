"""A model of the user's own: one file, one YAML, no edit of the project. And a cheat, which the harness must catch."""

import sys
import textwrap

import pytest
import torch
from demands import (
    checkpoints_are_plain,
    equal_to_the_last_bit,
    evaluates_to_its_own_metrics,
    is_blind_to_the_future,
    is_finished,
    quantiles_are_sound,
)

import adlx
from adlx.config import targets
from adlx.config.trusted_packages import trust_file
from adlx.errors import UserError
from adlx.metrics.forecast import ForecastResult
from adlx.runs.trained import open_trained

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
        '''Reads beyond the end of its input, in the memory that input and target share.'''

        def forecast(self, past):
            batch, context, series = past.shape
            horizon, stride = self.spec.horizon, past.stride()
            beyond = past.storage_offset() + (batch - 1) * stride[0] + (context + horizon) * stride[1]
            if beyond > past.untyped_storage().nbytes() // past.element_size():
                return past[:, -1:].expand(-1, horizon, -1)
            return past.as_strided((batch, horizon, series), stride, past.storage_offset() + context * stride[1])


    class Insider(Cheat):
        '''Forecasts honestly, but is as sure as the future allows.'''

        def forecast(self, past):
            return past[:, -1:].expand(-1, self.spec.horizon, -1)

        def scale(self, past):
            return (super().forecast(past) - past[:, -1:]).abs().mean(dim=1, keepdim=True)
"""


@pytest.fixture
def own_words(tmp_path, monkeypatch) -> list[str]:
    """The words that let a run use a package and configs in `tmp_path`."""
    package = tmp_path / "my_forecasters"
    package.mkdir()
    (package / "smoothing.py").write_text(textwrap.dedent(MODEL))
    configs = tmp_path / "my_configs" / "model"
    configs.mkdir(parents=True)
    for name, cls in (("smoothing", "Smoothing"), ("cheat", "Cheat"), ("insider", "Insider")):
        (configs / f"{name}.yaml").write_text(
            f"# my own\ndefaults: [override /task@_global_.task: forecast]\n_target_: my_forecasters.smoothing.{cls}\n"
        )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(targets, "_TRUSTED", set(targets._TRUSTED))
    yield [f"hydra.searchpath=[file://{configs.parent}]", "allow=[my_forecasters]"]
    for module in [name for name in sys.modules if name.startswith("my_forecasters")]:
        del sys.modules[module]


def test_a_model_added_by_one_file_and_one_yaml(own_words, workshop, monkeypatch, tmp_path):
    words = [*own_words, "model=smoothing", "model.rate=0.6"]
    run = workshop.train(words)
    assert run.name == "smoothing-csv"
    assert run.metrics["model/trainable_parameters"] == 1
    is_finished(run)
    checkpoints_are_plain(run)
    evaluates_to_its_own_metrics(run)
    is_blind_to_the_future(run, monkeypatch, tmp_path)
    resumed = workshop.copy(run).resume(["trainer.max_epochs=4"])
    equal_to_the_last_bit(resumed, workshop.train(words, epochs=4))


def test_a_model_of_a_point_is_given_the_quantiles_of_its_own_errors(own_words, workshop):
    words = [*own_words, "model=smoothing", "model.rate=0.3", "loss=quantile", "optimizer.lr=0.05"]
    run = workshop.train(words)
    is_finished(run)
    quantiles_are_sound(run)
    evaluates_to_its_own_metrics(run)
    opened = open_trained(run, ["allow=[my_forecasters]"], "test")
    data, task = opened.data, opened.task.eval()
    assert abs(task.model.rate.item() - 0.3) > 0.1  # so the errors it began with are others
    past, future = (torch.cat(parts) for parts in zip(*data.sample("train", most=1000), strict=True))
    with torch.inference_mode():
        point, quantiles = task.distribution(past)
    width = quantiles[..., -1:] - quantiles[..., :1]  # in proportion to a window's unit, whichever that is
    errors = (future - point) / width[..., 0]
    levels = torch.tensor(run.config["loss"]["levels"])
    found = errors.quantile(levels, dim=0).movedim(0, -1)  # (H, S, Q)
    offsets = (quantiles - point[..., None]) / width
    torch.testing.assert_close((found - found[..., 2:3]).expand_as(offsets), offsets, rtol=0, atol=1e-4)
    covered = (quantiles[..., 0] <= future) & (future <= quantiles[..., -1])
    assert covered.double().mean().item() == pytest.approx(0.8, abs=0.02)
    resumed = workshop.copy(run).resume(["trainer.max_epochs=4"])
    equal_to_the_last_bit(resumed, workshop.train(words, epochs=4))


def test_a_run_folder_does_not_bring_its_own_trust(own_words, workshop, monkeypatch):
    """On another machine, the package must be allowed once before a run with a model of it can be used."""
    run = workshop.train([*own_words, "model=smoothing"])
    monkeypatch.setattr(targets, "_TRUSTED", targets._TRUSTED - {"my_forecasters"})
    trust_file().unlink()  # as on another machine
    again = adlx.open_run(run.path)
    for verb in (again.evaluate, again.predict, lambda: again.resume(["trainer.max_epochs=3"])):
        with pytest.raises(UserError, match=r"my_forecasters is not trusted here; .* add 'allow=\[my_forecasters\]'"):
            verb()
    assert again.evaluate(["allow=[my_forecasters]"])["test/mase"] == run.metrics["test/mase"]


def test_a_misspelt_argument_of_an_own_model_is_named(own_words, workshop):
    with pytest.raises(UserError) as caught:
        workshop.train([*own_words, "model=smoothing", "model.rat=0.6"])
    assert "unknown key model.rat" in str(caught.value)
    assert "did you mean rate?" in str(caught.value)


def test_the_harness_catches_a_cheat(own_words, workshop, monkeypatch, tmp_path):
    """Without normalisation a model is handed a view of the loader's window, and torch lets it read on behind that."""
    run = workshop.train([*own_words, "model=cheat", "data.instance_norm=false", "data.scaling=none"])
    result = ForecastResult.load(run.path / "predictions.npz")
    assert abs(result.prediction - result.target).max() < 1e-4  # it does cheat
    with pytest.raises(AssertionError, match="array_equal"):
        is_blind_to_the_future(run, monkeypatch, tmp_path)


def test_the_harness_catches_a_cheat_in_the_quantiles(own_words, workshop, monkeypatch, tmp_path):
    words = ["model=insider", "loss=quantile", "data.instance_norm=false", "data.scaling=none"]
    run = workshop.train([*own_words, *words])
    assert run.metrics["test/skill"] == 0.0
    assert run.metrics["test/crps_skill"] > 0.05
    with pytest.raises(AssertionError, match="quantiles"):
        is_blind_to_the_future(run, monkeypatch, tmp_path)
