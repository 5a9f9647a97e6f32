"""`run.json` names the class of the result, which declares the metrics of a run."""

import pytest

from adlx.errors import UserError
from adlx.metrics.forecast import ForecastResult
from adlx.metrics.training import TRAINING
from adlx.runs.declarations import metrics_of, result_kind
from adlx.runs.folder import RunFolder


def test_a_run_names_the_kind_of_its_result(finished):
    assert finished.info["result"] == "adlx.metrics.forecast.ForecastResult"
    assert result_kind(finished) is ForecastResult
    assert metrics_of(finished) == (*ForecastResult.metrics, *TRAINING)


def test_a_result_class_that_is_not_trusted_is_not_imported(tmp_path, canary):
    for name in ("evil_pkg.model.Evil", "adlx.runs.declarations.resolve", "adlx.runs.folder.Run", "os.system"):
        with pytest.raises(UserError):
            result_kind(RunFolder(tmp_path, {"result": name}))
    assert canary.silent


def test_a_run_without_a_result_kind_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"run\.json does not name the kind of its result: an older adlx wrote it$"):
        result_kind(RunFolder(tmp_path, {}))
