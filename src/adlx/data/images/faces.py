"""Grey pictures of faces, each with one of seven expressions."""

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
        source: `simulated`, drawn; `fer2013`, the file of the Facial Expression Recognition Challenge, whose split is
            kept; `folder`, pictures in one folder a class, or in such folders below train, validation and test.
        path: the file or folder.
        size: height and width in pixels, for `folder`.
        count: faces to draw.
        simulation_seed: which faces are drawn.
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
            said = f"needs data.path={'FILE' if source == 'fer2013' else 'FOLDER'}"
            raise UserError(f"data.source={source} {'does not use data.path; leave it out' if path else said}")
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
