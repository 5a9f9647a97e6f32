"""Which source `load_crypto` takes, what it says on the way, and which knobs contradict each other."""

import logging
from datetime import timedelta

import pandas as pd
import pytest
from curl_cffi.requests.exceptions import DNSError

from adlx.data.series.sources.crypto import load_crypto
from adlx.data.series.sources.simulated import simulate_crypto
from adlx.errors import UserError


@pytest.fixture
def prices(tmp_path):
    simulate_crypto(50).frame[["BTC", "ETH"]].to_csv(tmp_path / "prices.csv")
    return tmp_path / "prices.csv"


def test_auto_goes_down_its_chain_aloud(fake, caplog):
    caplog.set_level(logging.INFO, "adlx")
    fake.faults = [DNSError("nobody")]
    table = load_crypto("auto", None, 500, 7, "error")
    assert (table.source, table.detail, table.simulated, len(table.frame)) == ("simulated", "seed 7", True, 500)
    assert [r.getMessage() for r in caplog.records] == [
        "yahoo: downloading 7 symbols, 730 days of hours",
        "crypto: no network: nobody, and there is no cache yet",
        "crypto: SIMULATED prices, 500 hours, seed 7",
    ]
    pd.testing.assert_frame_equal(table.frame, simulate_crypto(500, 7).frame)

    caplog.clear()
    table = load_crypto("auto")
    assert (table.source, table.detail) == ("yahoo", "downloaded just now")
    assert "yahoo: 200 hours to 2024-06-01 11:00, downloaded just now" in caplog.text

    caplog.clear()
    table = load_crypto("auto")
    assert table.detail == "cached 0 min ago"
    assert "downloading" not in caplog.text

    caplog.clear()
    fake.now += timedelta(hours=29, minutes=30)
    fake.faults = [DNSError("nobody")]
    table = load_crypto("auto")
    assert (table.source, table.detail) == ("yahoo", "stale cache, 31 h old")
    assert "yahoo: no network: nobody; using the cache" in caplog.text


def test_yahoo_alone_never_simulates(fake):
    fake.faults = [DNSError("nobody")]
    with pytest.raises(UserError, match=r"use data\.source=csv data.path=FILE or data.source=simulated"):
        load_crypto("yahoo")


@pytest.mark.parametrize("source", ["csv", "auto"])
def test_a_path_is_read(fake, prices, source):
    table = load_crypto(source, str(prices))
    assert (table.source, table.detail, fake.asked) == ("csv", "prices.csv", [])
    pd.testing.assert_frame_equal(table.frame, simulate_crypto(50).frame[["BTC", "ETH"]], check_freq=False)


def test_gaps_policy_reaches_the_file(tmp_path):
    frame = simulate_crypto(50).frame
    frame.drop(frame.index[10]).to_csv(tmp_path / "x.csv")
    with pytest.raises(UserError, match="1 missing time"):
        load_crypto("csv", tmp_path / "x.csv")
    filled = load_crypto("csv", tmp_path / "x.csv", gaps="ffill").frame
    assert len(filled) == 50
    assert filled["BTC"].iloc[10] == filled["BTC"].iloc[9]


@pytest.mark.parametrize(
    ("source", "path", "says"),
    [
        ("csv", None, "data.source=csv needs a file: add data.path=FILE"),
        ("yahoo", "x.csv", "data.path=x.csv contradicts data.source=yahoo"),
        ("simulated", "x.csv", "data.path=x.csv contradicts data.source=simulated"),
        ("yaho", None, "data.source=yaho is unknown; did you mean yahoo?"),
    ],
)
def test_contradictions_name_both_knobs(fake, source, path, says):
    with pytest.raises(UserError) as caught:
        load_crypto(source, path)
    assert says in str(caught.value)
    assert fake.asked == []


def test_real_file(real_crypto):
    assert real_crypto.iloc[0].to_list() == [43694.48, 3020.09, 0.2034, 2.119, 153.6, 143.18, 29.02]
