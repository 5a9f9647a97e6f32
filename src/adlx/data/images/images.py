"""Pictures of any kind in a folder, in colour, with classes if the folders name classes."""

from typing import Any

from adlx.data.images.labelled import Labelled, SampleLoader
from adlx.data.images.sources.image_folder import read_any_folder
from adlx.data.images.sources.samples import Samples
from adlx.data.splits import check_at_least
from adlx.errors import UserError
from adlx.paths import PathText
from adlx.specs import ImageSpec


class Images(Labelled):
    """Arguments in addition to those of `Labelled`:

    Args:
        path: a folder with pictures at any depth. Two or more class folders give the labels. Folders train, validation
            and test above them give the parts. In any other layout no picture has a label.
        size: height and width in pixels; the middle of each picture is cropped to a square and scaled to it.
        channels: 1 grey, 3 colour.
        flip: mirror each training image from left to right with probability 1/2, anew in each pass.
    """

    model_keys = ("size", "channels")
    view_keys = (*Labelled.view_keys, "flip")
    needs_labels = False

    def __init__(self, path: PathText, size: int = 64, channels: int = 3, flip: bool = False, **samples: Any) -> None:
        super().__init__(**samples)
        check_at_least(1, size=size)
        if channels not in (1, 3):
            raise UserError(f"data.channels={channels}: choose 1 (grey) or 3 (colour)")
        self.path, self.size, self.channels, self.flip = path, size, channels, flip

    def load(self) -> Samples:
        return read_any_folder(self.path, (self.size, self.size), self.channels)

    @property
    def spec(self) -> ImageSpec:
        _, channels, height, width = self.loaded.values.shape
        return ImageSpec(channels, (height, width), self.loaded.classes)

    def train_dataloader(self) -> SampleLoader:
        return self.loader(self.indices["train"], seed=self.seed, repeat=self.repeat, flip=self.flip)
