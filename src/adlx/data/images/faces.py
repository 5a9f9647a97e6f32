"""Grey pictures of faces with seven facial expressions as classes."""

from typing import Any, Literal

from adlx.data.images.labelled import Labelled
from adlx.data.images.sources.faces_simulated import simulated_faces
from adlx.data.images.sources.fer2013 import read_fer2013
from adlx.data.images.sources.image_folder import read_image_folder
from adlx.data.images.sources.samples import Samples
from adlx.data.splits import check_at_least
from adlx.errors import UserError
from adlx.paths import PathText
from adlx.specs import ImageSpec


class Faces(Labelled):
    """Arguments in addition to those of `Labelled`:

    Args:
        source: `simulated`, drawn faces; `fer2013`, the file of the Facial Expression Recognition Challenge with its
            own split; `folder`, pictures in one folder per class, which may lie in folders train, validation and test.
        path: the file of `fer2013`, or the folder of `folder`.
        size: height and width in pixels, for `folder`.
        count: number of faces to draw.
        simulation_seed: seed of the drawn faces.
    """

    def __init__(
        self,
        source: Literal["simulated", "fer2013", "folder"] = "simulated",
        path: PathText | None = None,
        size: int = 48,
        count: int = 7000,
        simulation_seed: int = 0,
        **samples: Any,
    ) -> None:
        super().__init__(**samples)
        check_at_least(1, count=count, size=size)
        check_at_least(0, simulation_seed=simulation_seed)
        if (path is None) != (source == "simulated"):
            needs = f"needs data.path={'FILE' if source == 'fer2013' else 'FOLDER'}"
            raise UserError(f"data.source={source} {'does not use data.path; leave it out' if path else needs}")
        if source != "folder" and size != 48:
            raise UserError(f"data.size={size}: the faces of data.source={source} have 48 x 48 pixels")
        self.source, self.path, self.size = source, path, size
        self.count, self.simulation_seed = count, simulation_seed

    def load(self) -> Samples:
        if self.source == "simulated":
            return simulated_faces(self.count, self.simulation_seed)
        assert self.path is not None
        return (
            read_fer2013(self.path)
            if self.source == "fer2013"
            else read_image_folder(self.path, (self.size, self.size))
        )

    @property
    def spec(self) -> ImageSpec:
        _, channels, height, width = self.loaded.values.shape
        return ImageSpec(channels, (height, width), self.loaded.classes)
