"""Writes finished runs without training, so that every number is known."""

import json

import numpy as np
import pytest
import yaml

from adlx.metrics.forecast import ForecastResult
from adlx.metrics.forecast_errors import Quantiles

WINDOWS, HORIZON = 60, 2


def quantiles(point: np.ndarray, spread: float) -> Quantiles:
    values = point[..., None] + spread * np.array([-1.0, 0.0, 1.0])
    return Quantiles(np.array([0.1, 0.5, 0.9]), values, values + np.array([-1.0, 0.0, 1.0]))


@pytest.fixture
def folder(tmp_path):
    """Returns a function that writes a finished run of the given model, seed and error."""
    rng = np.random.default_rng(0)
    target = rng.normal(size=(WINDOWS, HORIZON, 2))

    def write(name: str, model="naive", seed=0, error=1.0, status="finished", start=0, spread=None, **settings):
        path = tmp_path / name
        path.mkdir()
        data = settings.pop("data", "csv")
        metrics = settings.pop("metrics", {"test/skill": 1 - error, "test/mase": error, "baseline/mase": 1.0})
        if spread is not None:
            metrics |= {"test/crps_skill": 1 - spread, "test/coverage_80": 0.8, "test/crps_dm_pvalue": 0.03}
        choices = {"model": model, "data": data, **settings.pop("choices", {})}
        facts = {"status": status, "seed": seed, "choices": choices, "data": settings.pop("facts", {})}
        nodes = settings.pop("nodes", {})
        config = {
            "model": {"_target_": f"adlx.{model}", **settings.pop("own", {})},
            "data": {"_target_": f"adlx.{data}", "path": name, "context": 3},
            **{node: {} for node in ("task", "loss", "finetune", "trainer", "callbacks", "logger")},
            "optimizer": {"lr": 0.1, **settings},
            "seed": seed,
            "output_dir": name,
            **nodes,
        }
        (path / "config.yaml").write_text(yaml.safe_dump(config))
        facts["result"] = "adlx.metrics.forecast.ForecastResult"
        (path / "run.json").write_text(json.dumps(facts))
        (path / "metrics.json").write_text(json.dumps({**metrics, "model/parameters": 7, "fit/seconds": 2.0 + seed}))
        noise = error * np.random.default_rng(seed + 1).normal(size=target.shape)
        ForecastResult(
            prediction=target + noise,
            target=target,
            last=target[:, 0],
            origin=np.datetime64("2024-01-01", "ns") + (start + np.arange(WINDOWS)) * np.timedelta64(1, "h"),
            series=("A", "B"),
            mean=np.zeros(2),
            std=np.ones(2),
            step_mae=np.ones(2),
            quantiles=None if spread is None else quantiles(target + noise, spread),
        ).save(path / "predictions.npz")
        return path

    return write
