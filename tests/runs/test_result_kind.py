"""Which metrics a run has, by what its `run.json` names."""

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


def test_nothing_is_imported_for_a_run_of_a_stranger(tmp_path, canary):
    for name in ("evil_pkg.model.Evil", "adlx.runs.declarations.resolve", "adlx.runs.folder.Run", "os.system"):
        with pytest.raises(UserError):
            result_kind(RunFolder(tmp_path, {"result": name}))
    assert canary.silent


def test_a_run_without_a_kind(tmp_path):
    with pytest.raises(UserError, match=r"run\.json does not name the kind of its result: an older adlx wrote it$"):
        result_kind(RunFolder(tmp_path, {}))
