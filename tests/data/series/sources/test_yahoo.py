"""Yahoo behind a stand-in: the download, its retries, and a cache that grows, keeps and survives."""

import logging
import socket
import subprocess
import sys
import textwrap
import threading
import time
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
import yfinance
from curl_cffi.requests.exceptions import ConnectionError as CurlConnectionError
from curl_cffi.requests.exceptions import DNSError
from yfinance.exceptions import YFPricesMissingError, YFRateLimitError

from adlx.data.series.sources import download
from adlx.data.series.sources.download import DownloadFailed
from adlx.data.series.sources.yahoo import SYMBOLS, load_yahoo


def stamp(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def cache_file(tmp_path):
    return tmp_path / "cache" / "yahoo_crypto_hourly.parquet"


def test_download(fake, caplog):
    caplog.set_level(logging.INFO, "adlx")
    table = load_yahoo(fake.waits.append)
    frame = table.frame
    assert fake.asked == ["BTC-USD", "ETH-USD", "DOGE-USD", "ADA-USD", "LTC-USD", "SOL-USD", "DOT-USD"]
    assert list(frame) == ["BTC", "ETH", "DOGE", "ADA", "LTC", "SOL", "DOT"]
    assert frame.index[-1] == stamp("2024-06-01 11:00")
    assert len(frame) == 200
    hour = 152 * 24 + 11  # since 2024-01-01
    assert frame.iloc[-1].tolist() == [(100 + hour % 97) * k for k in range(2, 9)]
    assert str(frame.index.dtype) == "datetime64[us, UTC]"
    assert frame.index.name == "time"
    assert (table.source, table.detail, table.simulated, fake.waits) == ("yahoo", "downloaded just now", False, [])
    assert "200 hours to 2024-06-01 11:00" in caplog.text


def test_fresh_cache_asks_nobody(fake):
    first = load_yahoo().frame
    fake.asked.clear()
    fake.now += timedelta(minutes=25)
    again = load_yahoo()
    assert fake.asked == []
    assert again.detail == "cached 25 min ago"
    pd.testing.assert_frame_equal(again.frame, first, check_freq=False)
    fake.now += timedelta(minutes=20)  # 13:15: last bar 11:00, fetched 45 min ago
    assert load_yahoo().detail == "cached 45 min ago"
    assert fake.asked == []
    fake.now += timedelta(minutes=20)
    assert load_yahoo().frame.index[-1] == stamp("2024-06-01 12:00")
    assert len(fake.asked) == 7


def test_rate_limit_then_success_with_growing_waits(fake, caplog):
    caplog.set_level(logging.INFO, "adlx")
    fake.faults = [YFRateLimitError(), YFRateLimitError()]
    assert len(load_yahoo(fake.waits.append).frame) == 200
    assert fake.asked[:4] == ["BTC-USD"] * 3 + ["ETH-USD"]
    assert 1.5 <= fake.waits[0] <= 2.5
    assert 3.0 <= fake.waits[1] <= 5.0
    assert "BTC-USD, Yahoo is limiting our requests (HTTP 429)" in caplog.text
    assert "(try 3 of 3)" in caplog.text


def test_three_tries_and_no_more(fake):
    fake.faults = [CurlConnectionError("reset"), TimeoutError("slow"), ValueError("not JSON")]
    with pytest.raises(
        DownloadFailed, match=r"not JSON \(BTC-USD, 3 tries\), and there is no cache yet; use data.source"
    ):
        load_yahoo(fake.waits.append)
    assert fake.asked == ["BTC-USD"] * 3
    assert len(fake.waits) == 2
    assert sum(fake.waits) < 2


def test_retries_leave_the_seeded_generators_alone(fake):
    import random

    random.seed(1)
    before = random.getstate()
    fake.faults = [YFRateLimitError()]
    load_yahoo(fake.waits.append)
    assert random.getstate() == before


def test_no_network_fails_at_once(fake, tmp_path):
    fake.faults = [DNSError("Failed to perform, curl: (6) Could not resolve host: x. See https://curl.se first.")]
    with pytest.raises(DownloadFailed) as caught:
        load_yahoo(fake.waits.append)
    assert str(caught.value) == (
        "no network: Could not resolve host: x, and there is no cache yet; "
        "use data.source=csv data.path=FILE or data.source=simulated"
    )
    assert fake.asked == ["BTC-USD"]
    assert fake.waits == []
    assert not cache_file(tmp_path).exists()


def test_a_network_that_swallows_packets_is_given_up(fake, monkeypatch):
    release = threading.Event()
    fake.answers["BTC-USD"] = lambda h: release.wait(10) and h
    monkeypatch.setattr(download, "_PATIENCE", 0.2)
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: (release.wait(10), socket.socket())[1])
    begin = time.perf_counter()
    with pytest.raises(DownloadFailed, match=r"no network: query2\.finance\.yahoo\.com does not answer"):
        load_yahoo()
    assert time.perf_counter() - begin < 2
    release.set()


def test_a_slow_network_is_waited_for(fake, monkeypatch):
    fake.answers["BTC-USD"] = lambda h: time.sleep(0.5) or h
    monkeypatch.setattr(download, "_PATIENCE", 0.2)
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: socket.socket())
    assert len(load_yahoo().frame) == 200


@pytest.mark.parametrize(
    "answer",
    [lambda h: h.iloc[:0], lambda h: h.assign(Close=np.nan), lambda h: pd.DataFrame(), lambda h: h.iloc[-1:]],
    ids=["empty", "all NaN", "no columns", "only the running hour"],
)
def test_a_symbol_without_prices_is_a_failure(fake, tmp_path, answer):
    fake.answers["ADA-USD"] = answer
    with pytest.raises(DownloadFailed, match="Yahoo has no prices for ADA-USD"):
        load_yahoo()
    assert not cache_file(tmp_path).exists()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (YFPricesMissingError("BTC-USD", "", yahoo_reason="No data found"), r"\$BTC-USD: No data found"),
        (TypeError("'NoneType' object is not subscriptable"), "'NoneType' object is not subscriptable"),
    ],
    ids=["denied", "not understood"],
)
def test_an_answer_without_prices_is_not_asked_for_again(fake, answer, says):
    fake.faults = [answer]
    with pytest.raises(DownloadFailed, match=f"Yahoo has no prices for BTC-USD: {says}"):
        load_yahoo(fake.waits.append)
    assert fake.asked == ["BTC-USD"]
    assert fake.waits == []


def test_short_gaps_are_filled_long_ones_left_out_aloud(fake, caplog):
    caplog.set_level(logging.INFO, "adlx")
    fake.answers["ETH-USD"] = lambda h: h.drop(h.index[[50, 51]])
    fake.answers["SOL-USD"] = lambda h: h.drop(h.index[100:110])
    frame = load_yahoo().frame
    assert frame["ETH"].iloc[50] == frame["ETH"].iloc[51] == frame["ETH"].iloc[49] != frame["ETH"].iloc[52]
    assert len(frame) == 190
    assert frame.index[100] - frame.index[99] == pd.Timedelta(hours=11)
    assert "filled short gaps with the last close (hours: ETH 2)" in caplog.text
    assert "no bars for 10 hours (first 2024-05-28 08:00:00); left out" in caplog.text


def test_late_bars_off_the_hour_are_floored(fake):
    fake.answers["BTC-USD"] = lambda h: h.set_axis(h.index.tz_convert("Europe/London") + pd.Timedelta(minutes=3))
    frame = load_yahoo().frame
    assert frame.index[-1] == stamp("2024-06-01 11:00")
    assert (frame.index.minute == 0).all()


def test_history_grows_past_730_days_and_cached_values_win(fake):
    fake.hours = 730 * 24
    first = load_yahoo().frame
    fake.now += timedelta(days=10)
    fake.price = 500.0
    grown = load_yahoo().frame
    assert len(grown) == 740 * 24
    assert grown.index[0] == first.index[0]
    assert grown.index[-1] == stamp("2024-06-11 11:00")
    pd.testing.assert_frame_equal(grown.loc[first.index], first, check_freq=False)
    assert (grown["BTC"].iloc[-240:] >= 1000).all()
    assert (first["BTC"] < 400).all()
    pd.testing.assert_frame_equal(load_yahoo().frame, grown, check_freq=False)


def test_stale_cache_without_network(fake, caplog):
    caplog.set_level(logging.INFO, "adlx")
    first = load_yahoo().frame
    fake.now += timedelta(days=4)
    fake.faults = [DNSError("nobody")]
    table = load_yahoo()
    assert table.detail == "stale cache, 4 days old"
    assert "no network: nobody; using the cache" in caplog.text
    pd.testing.assert_frame_equal(table.frame, first, check_freq=False)


@pytest.mark.parametrize("damage", ["bytes", "cut", "columns", "nan"])
def test_corrupt_cache_is_moved_aside_and_fetched_anew(fake, tmp_path, caplog, damage):
    caplog.set_level(logging.INFO, "adlx")
    first = load_yahoo().frame
    path = cache_file(tmp_path)
    if damage == "bytes":
        path.write_bytes(b"no parquet")
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-20])
    else:
        frame = pd.read_parquet(path)
        frame.iloc[3, 2] = np.nan
        (frame if damage == "nan" else frame[["BTC", "ETH"]]).to_parquet(path)
    fake.asked.clear()
    again = load_yahoo()
    assert len(fake.asked) == 7
    assert again.detail == "downloaded just now"
    pd.testing.assert_frame_equal(again.frame, first, check_freq=False)
    assert "is corrupt" in caplog.text
    assert path.with_suffix(".corrupt").exists()
    assert load_yahoo().detail == "cached 0 min ago"


def test_a_cache_folder_that_cannot_be_is_said_aloud(fake, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "adlx")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ADLX_CACHE", str(tmp_path / "file" / "below"))
    assert len(load_yahoo().frame) == 200
    assert "cache: cannot use the folder" in caplog.text
    assert "cache: cannot write" in caplog.text


def test_a_failed_write_leaves_the_old_cache_whole(fake, tmp_path, monkeypatch):
    load_yahoo()
    before = cache_file(tmp_path).read_bytes()
    fake.now += timedelta(days=1)
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    assert len(load_yahoo().frame) == 224
    assert cache_file(tmp_path).read_bytes() == before
    assert sorted(p.name for p in (tmp_path / "cache").iterdir()) == [
        "yahoo_crypto_hourly.lock",
        "yahoo_crypto_hourly.parquet",
    ]


def test_threads_download_once(fake):
    tables = []
    threads = [threading.Thread(target=lambda: tables.append(load_yahoo())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(fake.asked) == len(SYMBOLS)
    assert len(tables) == 4
    assert all(table.frame.equals(tables[0].frame) for table in tables)


def test_processes_download_once(tmp_path):
    program = textwrap.dedent("""
        import sys, time, pandas as pd, yfinance
        from adlx.data.series.sources.yahoo import load_yahoo
        class Ticker:
            def __init__(self, symbol): open(sys.argv[1], "a").write(symbol + " ")
            def history(self, **options):
                time.sleep(0.05)
                index = pd.date_range(end=pd.Timestamp.now("UTC").floor("h"), periods=100, freq="h")
                return pd.DataFrame({"Close": range(100)}, index=index)
        yfinance.Ticker = Ticker
        print(len(load_yahoo().frame), load_yahoo().detail)
    """)
    environment = {"ADLX_CACHE": str(tmp_path / "cache"), "PYTHONPATH": ":".join(sys.path)}
    command = [sys.executable, "-c", program, str(tmp_path / "asked")]
    runs = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [run.communicate(timeout=60)[0].strip() for run in runs]
    assert outputs == ["99 cached 0 min ago"] * 2
    assert (tmp_path / "asked").read_text().split() == list(SYMBOLS)


def test_yfinance_is_silent_and_put_back(fake, caplog):
    logger, debug = logging.getLogger("yfinance"), yfinance.config.debug
    before = logger.level, debug.hide_exceptions
    fake.answers["BTC-USD"] = lambda h: logger.error("noise") or h
    load_yahoo()
    assert "noise" not in caplog.text
    assert (logger.level, debug.hide_exceptions) == before
