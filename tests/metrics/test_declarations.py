"""The declarations of metrics: each score of each result is declared once, with valid keys and directions."""

from collections import Counter
from dataclasses import replace
from importlib import import_module
from pkgutil import iter_modules

import numpy as np
import pytest

import adlx.metrics
from adlx.metrics.classification import ClassResult
from adlx.metrics.declaration import Metric, declaration, find
from adlx.metrics.denoising import DenoisingResult
from adlx.metrics.fields import FieldResult
from adlx.metrics.forecast import ForecastResult
from adlx.metrics.forecast_errors import Quantiles
from adlx.metrics.reconstruction import ReconstructionResult
from adlx.metrics.result import Result
from adlx.metrics.training import TRAINING, size_scores, training_scores

ODD = ("f1_car", "kidney", "a/b")
"""Names of series, classes and fields that look like keys."""


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def forecasts(series: tuple[str, ...] = ODD) -> ForecastResult:
    shape = (40, 2, len(series))
    target = rng().normal(size=shape)
    point = target + rng().normal(size=shape)
    levels = np.array([0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95])
    values = point[..., None] + (levels - 0.5)
    return ForecastResult(
        prediction=point,
        target=target,
        last=rng().normal(size=(40, len(series))),
        origin=np.datetime64("2024-01-01", "ns") + np.arange(40) * np.timedelta64(1, "h"),
        series=series,
        mean=np.zeros(len(series)),
        std=np.ones(len(series)),
        step_mae=np.ones(len(series)),
        quantiles=Quantiles(levels, values, values * 2),
    )


def classes(names: tuple[str, ...] = ODD) -> ClassResult:
    label = np.arange(30) % len(names)
    scores = rng().normal(size=(30, len(names)))
    return ClassResult(scores, label, np.arange(30), names, 0, readouts={"ridge": scores, "a/b": -scores})


def reconstructions() -> ReconstructionResult:
    error, codes = rng().uniform(size=8), rng().integers(0, 4, (8, 2, 2))
    pictures = np.zeros((4, 1, 2, 2), np.uint8)
    return ReconstructionResult(error, error + 1, codes, 4, np.arange(8), pictures, pictures)


def denoising() -> DenoisingResult:
    five, drawn = np.arange(1.0, 6.0), np.zeros((1, 1, 2, 2), np.uint8)
    return DenoisingResult(five, five, five, five, five, drawn, drawn, np.ones(1), np.ones(1), np.ones((3, 2)))


def rolled(names: tuple[str, ...] = ODD) -> FieldResult:
    shape = (2, 6, len(names))
    error = rng().uniform(0.5, 1.0, shape)
    return FieldResult(
        names=names,
        error=error,
        onestep_error=error,
        baseline_error=error,
        variance=error,
        power=error,
        index=np.arange(2),
        divergence=error[..., :2],
        total=error[..., :2],
    )


def reconstructed(names: tuple[str, ...] = ODD) -> FieldResult:
    return replace(rolled(names), onestep_error=None, divergence=None, total=None)


RESULTS = [forecasts(), classes(), reconstructions(), denoising(), rolled(), reconstructed()]
BY_NAME = [(forecasts, "series"), (classes, "class"), (rolled, "field"), (reconstructed, "field")]
KINDS = sorted({type(result) for result in RESULTS}, key=lambda kind: kind.__name__)


def test_these_tests_cover_all_kinds_of_results():
    modules = [import_module(f"adlx.metrics.{module.name}") for module in iter_modules(adlx.metrics.__path__)]
    actual = {value for module in modules for value in vars(module).values() if isinstance(value, type)}
    assert {kind for kind in actual if issubclass(kind, Result) and kind is not Result} == set(KINDS)


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: type(result).__name__)
def test_each_score_is_declared(result):
    for key in result.scores():
        assert declaration(type(result).metrics, key) is not None, key


def test_scores_that_tasks_add_are_declared():
    added = ("insample/mse", "insample/mse_autoregressive", "insample/mse_naive")
    unseen = ("unseen/mase", "unseen/naive_mase", "unseen/skill", "unseen/windows")
    assert all(declaration(ForecastResult.metrics, key) for key in (*added, *unseen))
    assert declaration(ClassResult.metrics, "model/alpha/ridge") is not None
    table = {**training_scores(1.0, 1, 1.0, 1), **size_scores(1, 1, 1, 1, {"ridge": 1})}
    assert all(find(TRAINING, key) for key in table)
    assert {metric.key for metric in TRAINING} <= table.keys()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_each_key_is_declared_once(kind):
    keys = [metric.key for metric in (*kind.metrics, *TRAINING)]
    assert [key for key, count in Counter(keys).items() if count > 1] == []
    for parts in (metric for metric in kind.metrics if metric.parts):
        assert not [
            key for key in keys if key.startswith(f"{parts.key}/")
        ]  # else a key of a part could be a key of another metric


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_keys_that_a_declaration_names_exist(kind):
    """Skills and p-values are declared, and a result has a score for each baseline."""
    keys = {metric.key for metric in (*kind.metrics, *TRAINING)}
    given = {key for result in RESULTS if type(result) is kind for key in result.scores()}
    stated = {"insample/mse_naive", "unseen/naive_mase"}  # by the task
    for metric in kind.metrics:
        assert metric.skill is None or metric.skill in keys
        assert {metric.pvalue, metric.pvalue_of_means} - {None} <= keys
        assert metric.caveat is None or metric.caveat[0] in keys
        intervals = metric.name.startswith(("coverage_", "width_"))  # of the levels that a result has
        if metric.baseline is not None and not intervals:
            prefix = f"{metric.baseline}/"
            assert any(f"{key}/".startswith(prefix) for key in given | stated), metric.baseline
        if metric.skill is not None:
            assert metric.pvalue or metric.zero or metric.parts, f"nothing says what the skill of {metric.key} means"
    assert set(kind.sizes) <= keys
    assert set(kind.tables_by) <= {metric.parts for metric in kind.metrics}
    assert any(metric.headline for metric in kind.metrics)


@pytest.mark.parametrize(("make", "parts"), BY_NAME, ids=[make.__name__ for make, _ in BY_NAME])
def test_the_name_of_a_part_changes_nothing(make, parts):
    """The scores stay the same, and the same metrics declare them."""
    plain = ("x", "y", "z")
    odd_scores, plain_scores = make(ODD).scores(), make(plain).scores()
    assert list(odd_scores.values()) == list(plain_scores.values())
    for odd_key, plain_key in zip(odd_scores, plain_scores, strict=True):
        odd, expected = find(type(make()).metrics, odd_key), find(type(make()).metrics, plain_key)
        if expected is None:  # a baseline
            assert odd is None
            continue
        assert odd is not None
        assert odd[0] is expected[0]
        if expected[0].parts == parts and expected[1]:
            assert odd[1] == ODD[plain.index(expected[1])]


def best_first(kind: type[Result], key: str, values: list[float]) -> list[float]:
    metric = declaration(kind.metrics, key)
    assert metric is not None
    return sorted(values, key=metric.badness)


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        (ClassResult, "test/recall"),
        (ClassResult, "test/recall/kidney"),
        (ReconstructionResult, "test/perplexity"),
        (ReconstructionResult, "test/codes_used"),
        (ForecastResult, "test/skill"),
        (ReconstructionResult, "test/psnr"),
    ],
)
def test_higher_values_come_first(kind, key):
    assert best_first(kind, key, [0.2, np.nan, 0.9, 0.5])[:3] == [0.9, 0.5, 0.2]


@pytest.mark.parametrize(("kind", "key"), [(ForecastResult, "test/mase"), (ForecastResult, "test/mae/f1_car")])
def test_lower_values_come_first(kind, key):
    assert best_first(kind, key, [np.inf, 0.2, 0.9, 0.5]) == [0.2, 0.5, 0.9, np.inf]


def test_a_coverage_is_best_at_its_level():
    assert best_first(ForecastResult, "test/coverage_80", [1.0, 0.5, 0.83, 0.78]) == [0.78, 0.83, 1.0, 0.5]
    assert best_first(ForecastResult, "test/coverage_50", [0.8, 0.45]) == [0.45, 0.8]


def test_a_part_has_a_baseline_and_a_skill_of_its_own():
    part = declaration(ForecastResult.metrics, "test/mae/a/b")
    assert part is not None
    assert (part.key, part.label, part.name) == ("test/mae/a/b", "MAE a/b", "mae/a/b")
    assert (part.baseline, part.skill, part.parts) == ("baseline/mae/a/b", "test/skill/a/b", "")
    accuracy = declaration(ClassResult.metrics, "test/accuracy/ridge")
    assert accuracy is not None
    assert (accuracy.loss, accuracy.pvalue) == (None, None)  # the losses are those of the chosen readout


def test_a_baseline_is_a_metric_of_its_own():
    metric = declaration(ForecastResult.metrics, "baseline/mae/BTC")
    assert metric is not None
    assert (metric.key, metric.better, metric.loss) == ("baseline/mae/BTC", "down", None)
    assert declaration(ForecastResult.metrics, "baseline/mea") is None


def test_the_longest_matching_key_is_used():
    metrics = (Metric("test/a", "a", "up", parts="series"), Metric("test/a/b", "b", "down", parts="series"))
    assert find(metrics, "test/a/b") == (metrics[1], "")
    assert find(metrics, "test/a/b/c") == (metrics[1], "c")
    assert find(metrics, "test/a/c/b") == (metrics[0], "c/b")
    assert find(metrics, "test/ab") is None


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: type(result).__name__)
def test_the_mean_loss_is_the_metric(result):
    """For accuracy and PSNR, the metric is computed from the mean loss."""
    scores = result.scores()
    follows = {"test/accuracy": lambda mean: 1 - mean, "test/psnr": lambda mean: 10 * np.log10(1 / mean)}
    for metric in type(result).metrics:
        if metric.loss is None or metric.is_skill or metric.key not in scores:
            continue
        losses = metric.loss(result)
        assert losses is not None
        mean = losses.mean()
        assert scores[metric.key] == pytest.approx(follows.get(metric.key, float)(mean)), metric.key
        assert result.mean_errors(metric)["all"] == pytest.approx(mean)


def test_training_scores():
    before = training_scores(4.0, 8, 100.0, 2500, seconds_before=6.0)
    assert before == {
        "fit/seconds": 10.0,
        "fit/steps_per_second": 2.0,
        "fit/peak_memory_mb": 100.0,
        "fit/checkpoint_kb": 2.5,
    }
    assert training_scores(0.5, 0, 1.0, 1)["fit/steps_per_second"] == 0.0


def test_size_scores():
    sizes = {
        "model/parameters": 10,
        "model/trainable_parameters": 4,
        "model/nonzeros": 9,
        "model/size_kb": 0.04,
    }
    assert size_scores(10, 4, 9, 40) == sizes
    assert size_scores(10, 4, 9, 40, {"a/b": 3}) == {**sizes, "model/nonzeros/a/b": 3}
