"""Daily exchange rates and oil, real and offline."""

from adlx.data.series.series import Series
from adlx.data.series.sources.ecb import load_fx
from adlx.data.series.table import Table


class FX(Series):
    """EUR, GBP, JPY, AUD, CAD and CHF in US dollars (ECB fixings) and WTI oil, 1999 to 2019; arguments of `Series`."""

    def load(self) -> Table:
        return load_fx()
