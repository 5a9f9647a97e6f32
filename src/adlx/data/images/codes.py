"""Code maps of images, which a VQ-VAE makes."""

from typing import Any

from adlx.data.images.labelled import Labelled
from adlx.data.images.sources.code_maps import read_code_maps
from adlx.data.images.sources.samples import Samples
from adlx.errors import UserError
from adlx.paths import PathText
from adlx.specs import CodeSpec


class Codes(Labelled):
    """Arguments in addition to those of `Labelled`:

    Args:
        path: a `codes.npz`; a VQ-VAE run for which `adlx predict` wrote one; or a folder with `codemaps.npy` (N, h, w)
            and `labels.npy` (N,) or one-hot (N, K).
    """

    def __init__(self, path: PathText, batch_size: int = 500, **samples: Any) -> None:
        super().__init__(batch_size=batch_size, **samples)
        self.path = path
        self.codes = 0

    def load(self) -> Samples:
        samples, self.codes = read_code_maps(self.path)
        return samples

    def read(self) -> None:
        super().read()
        if isinstance(self.expected_spec, CodeSpec):
            self.codes = check_codes(self.loaded, self.codes, self.expected_spec)

    @property
    def spec(self) -> CodeSpec:
        _, height, width = self.loaded.values.shape
        codebook = self.codebook
        dimension = None if codebook is None else codebook.shape[1]
        if isinstance(self.expected_spec, CodeSpec):  # these data may come without the codebook of the training data
            dimension = self.expected_spec.dimension
        return CodeSpec((height, width), self.codes, dimension, self.loaded.classes)


def check_codes(samples: Samples, codes: int, expected: CodeSpec) -> int:
    """Checks that code maps fit the ones that a model was trained on; returns the size of the model's codebook.

    Raises:
        UserError: the maps have another size, codes above the codebook, or another codebook.
    """
    grid, known = expected.grid, expected.codebook
    if samples.values.shape[1:] != grid:
        height, width = samples.values.shape[1:]
        raise UserError(
            f"the run was trained on code maps of {grid[0]} x {grid[1]}; {samples.detail} has {height} x {width}"
        )
    if codes != known and int(samples.values.max()) >= known:
        raise UserError(f"the run was trained with {known} codes; {samples.detail} has code {samples.values.max()}")
    shape = None if samples.codebook is None else samples.codebook.shape
    if None not in (expected.dimension, shape) and shape != (known, expected.dimension):
        raise UserError(
            f"the run was trained with a codebook of {known} x {expected.dimension}; that of {samples.detail} has "
            f"{' x '.join(map(str, shape or ()))}"
        )
    return known
