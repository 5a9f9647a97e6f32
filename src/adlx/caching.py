"""Where what is expensive to make or to fetch is kept between runs."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """`$ADLX_CACHE`, else the user's cache folder."""
    from platformdirs import user_cache_dir

    return Path(os.environ.get("ADLX_CACHE") or user_cache_dir("adlx")).expanduser()
