"""Code maps of images, as a VQ-VAE makes them."""

from typing import Any

from adlx.data.images.labelled import Labelled
from adlx.data.images.sources.code_maps import read_code_maps
from adlx.data.images.sources.samples import Samples
from adlx.errors import UserError
from adlx.specs import CodeSpec


class Codes(Labelled):
    """Beside the arguments of `Labelled`:

    Args:
        path: a `codes.npz`, the VQ-VAE run that made one by `adlx predict`, or a folder with `codemaps.npy` (N, h, w)
            and `labels.npy` (N,) or one-hot (N, K).
    """

    def __init__(self, path: str, **samples: Any) -> None:
        super().__init__(**samples)
        self.path = path
        self.codes = 0

    def load(self) -> Samples:
        samples, self.codes = read_code_maps(self.path)
        return samples

    def read(self) -> None:
        super().read()
        if self.trained_spec is not None:
            self.codes = check_codes(self.loaded, self.codes, self.trained_spec)

    @property
    def spec(self) -> CodeSpec:
        _, height, width = self.loaded.values.shape
        codebook = self.codebook
        dimension = None if codebook is None else codebook.shape[1]
        if self.trained_spec is not None:  # what a model is does not depend on whether the codebook came along again
            dimension = self.trained_spec["dimension"]
        return CodeSpec((height, width), self.codes, dimension, self.loaded.classes)


def check_codes(samples: Samples, codes: int, trained: dict[str, Any]) -> int:
    """Holds code maps against those a model was trained on; returns the size of its codebook."""
    grid, known = tuple(trained["grid"]), int(trained["codebook"])
    if samples.values.shape[1:] != grid:
        height, width = samples.values.shape[1:]
        raise UserError(f"the run knows code maps of {grid[0]} x {grid[1]}; {samples.detail} has {height} x {width}")
    if codes != known and int(samples.values.max()) >= known:
        raise UserError(f"the run knows {known} codes; {samples.detail} has code {samples.values.max()}")
    shape = None if samples.codebook is None else samples.codebook.shape
    if None not in (trained["dimension"], shape) and shape != (known, trained["dimension"]):
        raise UserError(
            f"the run knows a codebook of {known} x {trained['dimension']}; that of {samples.detail} has "
            f"{' x '.join(map(str, shape or ()))}"
        )
    return known
