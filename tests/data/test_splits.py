"""A number that no data set can use is refused in one line that names its key."""

import math
from typing import Any

import pytest
from hydra.utils import get_class

from adlx.data.splits import check_shares
from adlx.errors import UserError

SETS = {
    "Series": "adlx.data.series.series.Series",
    "Labelled": "adlx.data.images.labelled.Labelled",
    "Fields": "adlx.data.fields.fields.Fields",
    "Crypto": "adlx.data.series.crypto.Crypto",
    "Faces": "adlx.data.images.faces.Faces",
    "Digits": "adlx.data.images.digits.Digits",
    "Cylinder": "adlx.data.fields.cylinder.Cylinder",
    "Dambreak": "adlx.data.fields.dambreak.Dambreak",
}


@pytest.mark.parametrize(
    ("name", "key", "value", "minimum"),
    [
        *(("Series", key, value, 1) for key in ("context", "horizon", "stride", "batch_size") for value in (0, -3)),
        *(("Labelled", key, 0, 1) for key in ("batch_size", "repeat")),
        *(("Fields", key, 0, 1) for key in ("batch_size", "stride", "repeat")),
        *(("Fields", key, -3, 2) for key in ("window", "horizon")),
        *((name, "split_seed", -1, 0) for name in ("Labelled", "Fields")),
        *((name, "simulation_seed", -1, 0) for name in ("Crypto", "Faces")),
        *((name, "size", 0, 1) for name in ("Digits", "Faces")),
        ("Faces", "count", 0, 1),
    ],
)
def test_a_number_that_is_too_small_is_refused_by_its_key(name: str, key: str, value: int, minimum: int):
    with pytest.raises(UserError) as caught:
        get_class(SETS[name])(**{key: value})
    assert str(caught.value) == f"data.{key}={value}: must be at least {minimum}"


@pytest.mark.parametrize("hours", [0, -4, 23])
def test_too_few_simulated_hours_are_refused(hours):
    with pytest.raises(UserError, match=rf"^data\.hours={hours}: must be at least 24$"):
        get_class(SETS["Crypto"])(source="simulated", hours=hours)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("Cylinder", {"trajectories": 0}, "data.trajectories=0: must be at least 1"),
        ("Cylinder", {"steps": 0}, "data.steps=0: must be at least 1"),
        ("Cylinder", {"simulation_seed": -1}, "data.simulation_seed=-1: must be at least 0"),
        ("Cylinder", {"size": (4, 8)}, "data.size=[4, 8]: give at least 8 rows, and at least as many columns as rows"),
        (
            "Cylinder",
            {"reynolds": (400, 100)},
            "data.reynolds=[400.0, 100.0]: give the lower limit first, both between 60 and 500",
        ),
        ("Dambreak", {"trajectories": 0}, "data.trajectories=0: must be at least 1"),
        ("Dambreak", {"simulation_seed": -1}, "data.simulation_seed=-1: must be at least 0"),
    ],
)
def test_a_flow_out_of_range_is_refused_before_it_is_solved(name: str, arguments: dict[str, Any], message: str):
    with pytest.raises(UserError) as caught:
        get_class(SETS[name])(**arguments).load()
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    "split",
    [0.5, "abc", [], [0.5, 0.5], [1, 2], ["a", "b", "c"], [None, 0.5, 0.5], [0.7, math.nan, 0.3], [1.2, -0.1, -0.1]],
)
@pytest.mark.parametrize("name", ["Series", "Labelled", "Fields"])
def test_a_split_that_is_not_three_shares_is_refused_by_its_key(name: str, split: Any):
    with pytest.raises(UserError) as caught:
        get_class(SETS[name])(split=split)
    message = str(caught.value)
    assert message.startswith(f"data.split={split}: give three positive shares that sum to 1")
    assert "\n" not in message


def test_shares_are_accepted_as_list_or_tuple():
    check_shares((0.7, 0.15, 0.15))
    check_shares([0.8, 0.1, 0.1])
