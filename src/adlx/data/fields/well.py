"""Any two-dimensional data set of The Well, or files in its layout."""

from typing import Any

from adlx.data.fields.fields import Fields
from adlx.data.fields.sources.trajectories import Trajectories
from adlx.data.fields.sources.well import read_well
from adlx.paths import PathText


class Well(Fields):
    """Arguments in addition to those of `Fields`:

    Args:
        path: an HDF5 file; a folder with `train`, `valid` and `test`, which are the parts; or a folder of files.
    """

    def __init__(self, path: PathText, **windows: Any) -> None:
        super().__init__(**windows)
        self.path = path

    def load(self) -> Trajectories:
        return read_well(self.path)
