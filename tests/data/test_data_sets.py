"""The data sets of series: crypto prices, exchange rates and the user's own file."""

import numpy as np
import torch
from generators import walk_frame

from adlx.data.series.crypto import Crypto
from adlx.data.series.csv import CSV
from adlx.data.series.fx import FX
from adlx.data.splits import PARTS


def test_fx_has_fixed_rows_and_values():
    data = FX()
    data.setup("fit")
    assert data.spec.series == ("EUR", "GBP", "JPY", "AUD", "CAD", "CHF", "WTI")
    about = data.about()
    assert (about["rows"], about["start"][:10], about["end"][:10]) == (4977, "1999-01-04", "2019-01-03")
    assert (about["source"], about["simulated"]) == ("ecb", False)
    assert about["windows"] == {"train": 3384, "val": 742, "test": 743}
    assert np.isfinite(data.values).all()
    assert data.values[0, 0] == 1.1789  # USD for one euro on its first day
    target, origin = data.actual("test")
    assert target.shape == (743, 5, 7)
    assert str(origin[-1])[:10] == "2018-12-20"  # five days with both rates before the end, Christmas between
    assert np.array_equal(target[-1], data.values[-5:])
    past, future = (torch.cat([batch[side] for batch in data.test_dataloader()]) for side in (0, 1))
    np.testing.assert_allclose(data.scaler.inverse(future).numpy(), target, rtol=1e-6)
    assert past.shape == (743, 96, 7)


def test_forecasts_of_fx_are_on_business_days():
    data = FX()
    data.read()
    _, ahead = data.latest()
    assert [str(day.date()) for day in ahead] == ["2019-01-04", "2019-01-07", "2019-01-08", "2019-01-09", "2019-01-10"]


def test_csv_reads_columns_in_the_given_order(write_csv):
    frame = walk_frame(100, series=3)
    data = CSV(write_csv(frame), columns=["S2", "S0"], context=6, horizon=3)
    data.setup("fit")
    assert data.spec.series == ("S2", "S0")
    assert np.array_equal(data.values, frame[["S2", "S0"]].to_numpy())


def test_simulated_crypto_is_marked_as_simulated():
    data = Crypto(source="simulated", hours=300, context=6, horizon=3)
    data.setup("fit")
    about = data.about()
    assert (about["source"], about["simulated"], about["rows"]) == ("simulated", True, 300)
    assert data.origin() == "seed 0 (simulated)"
    assert data.pinned(about)["source"] == "simulated"
    assert data.spec.series == ("BTC", "ETH", "DOGE", "ADA", "LTC", "SOL", "DOT")


def test_real_crypto_is_split_into_fixed_parts(real_crypto_path):
    data = Crypto(source="csv", path=real_crypto_path)
    data.setup("fit")
    assert data.about()["windows"] == {"train": 7578, "val": 1641, "test": 1641}
    assert [len(data.rows(part)) for part in PARTS] == [7678, 1645, 1645]
