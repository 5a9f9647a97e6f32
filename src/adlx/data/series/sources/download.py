"""Asking Yahoo: patient where it is busy, quick to give up where there is no network."""

import contextlib
import logging
import random
import re
import socket
import threading
import urllib.parse
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from typing import TypeVar

import pandas as pd

from adlx.errors import UserError

log = logging.getLogger("adlx")

T = TypeVar("T")

TRIES = 3
_PATIENCE = 2.5  # seconds to hear anything at all from the network
_WAIT_BUSY, _WAIT_NETWORK = 2.0, 0.5  # seconds before the second try; doubled before each further one
_jitter = random.Random()  # of its own: a retry must not move the random numbers of a seeded run


class DownloadFailed(UserError):
    """The data could not be had from the network; another source may do."""


def reach(host: str, download: Callable[[], T]) -> T:
    """Runs the download, but gives up in `_PATIENCE` seconds if by then nothing has been heard from the network.

    A firewall that swallows packets would otherwise hold each request for its full timeout, of ten seconds or more.

    Raises:
        DownloadFailed: no network; and whatever the download raises.
    """
    heard = threading.Event()
    results: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(download())
        except BaseException as error:  # handed over to the caller's thread
            errors.append(error)
        finally:
            heard.set()

    def probe() -> None:
        with contextlib.suppress(OSError):
            socket.create_connection(_first_hop(host), timeout=_PATIENCE).close()
            heard.set()

    worker = threading.Thread(target=work, daemon=True)
    with _quiet():
        worker.start()
        threading.Thread(target=probe, daemon=True).start()
        if not heard.wait(_PATIENCE):
            raise DownloadFailed(f"no network: {host} does not answer")
        worker.join()
    if errors:
        raise errors[0]
    return results[0]


def fetch(symbol: str, ask: Callable[[], pd.DataFrame], sleep: Callable[[float], None]) -> pd.DataFrame:
    """Asks up to `TRIES` times, with exponential backoff and jitter between.

    Raises:
        DownloadFailed: for the whole download, not only this symbol: the others would fail alike.
    """
    from yfinance.exceptions import YFDataException, YFRateLimitError

    for attempt in range(TRIES):
        try:
            return ask()
        except YFRateLimitError:
            reason, wait = "Yahoo is limiting our requests (HTTP 429)", _WAIT_BUSY
        except (
            OSError,
            YFDataException,
            ValueError,
        ) as error:  # curl_cffi's errors are OSErrors, bad JSON a ValueError
            if _no_such_host(error):
                raise DownloadFailed(f"no network: {_brief(error)}") from error
            reason, wait = f"the connection to Yahoo failed: {_brief(error)}", _WAIT_NETWORK
        except Exception as error:  # Yahoo answered, and it is a no, or nothing that yfinance understands
            raise DownloadFailed(f"Yahoo has no prices for {symbol}: {_brief(error)}") from error
        if attempt + 1 < TRIES:
            seconds = wait * 2**attempt * _jitter.uniform(0.75, 1.25)
            log.info(
                "yahoo: %s, %s; trying again in %.1f s (try %d of %d)", symbol, reason, seconds, attempt + 2, TRIES
            )
            sleep(seconds)
    raise DownloadFailed(f"{reason} ({symbol}, {TRIES} tries)")  # pyright: ignore[reportPossiblyUnboundVariable]


def _no_such_host(error: BaseException) -> bool:
    return isinstance(error, socket.gaierror) or type(error).__name__ == "DNSError"


def _brief(error: BaseException) -> str:
    text = " ".join(str(error).split()).split(". See http")[0] or type(error).__name__
    text = re.sub(r"^Failed to perform, curl: \(\d+\) ", "", text)
    return text if len(text) <= 140 else text[:137] + "..."


def _first_hop(host: str) -> tuple[str, int]:
    """The proxy where one is set, because then the host itself cannot be reached directly; else the host."""
    proxies = urllib.request.getproxies()
    proxy = proxies.get("https") or proxies.get("all")
    if not proxy or urllib.request.proxy_bypass(host):
        return host, 443
    parts = urllib.parse.urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return parts.hostname or host, parts.port or 8080


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """yfinance logs errors of its own and swallows exceptions; here it raises them, and says nothing."""
    import yfinance

    logger, debug = logging.getLogger("yfinance"), yfinance.config.debug
    level, hidden = logger.level, debug.hide_exceptions
    logger.setLevel(logging.CRITICAL + 1)
    debug.hide_exceptions = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
        debug.hide_exceptions = hidden
