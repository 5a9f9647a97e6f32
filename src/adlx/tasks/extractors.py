"""The networks that compute the features for the kernel inception distance (KID).

A network that was trained on the labels of the training part is stored in the cache, so that all runs on the same data
are scored with the same features. Checkpoints store it too, so a run gets the same score on every machine.
"""

import hashlib
import logging
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from adlx.atomic import replacing
from adlx.caching import cache_folder
from adlx.errors import UserError
from adlx.models.diffusion.features import Features
from adlx.tasks.images import from_bytes

log = logging.getLogger("adlx")

KidFeatures = Literal["auto", "trained", "random", "inception"]
"""A small network `trained` on the labels or with `random` weights; `auto` chooses one of the two; or Inception."""

EPOCHS, BATCH_SIZE, MAX_IMAGES = 15, 64, 10_000
"""Settings of the training on labels."""


def resolve_auto(choice: KidFeatures, classes: int) -> KidFeatures:
    """Replaces `auto`: by `trained` if the images have at least two classes, else by `random`.

    Raises:
        ValueError: the choice is `trained` and there are fewer than two classes.
    """
    if choice == "trained" and classes < 2:
        raise ValueError("task.kid_features=trained needs images of at least two classes; choose random or auto")
    return ("trained" if classes >= 2 else "random") if choice == "auto" else choice


def describe(choice: KidFeatures, classes: int) -> str:
    """The name of the network; only distances of the same network can be compared."""
    names = {
        "trained": f"small CNN trained on {classes} classes",
        "random": "small CNN with random weights",
        "inception": "Inception-v3",
    }
    return names[choice]


def make_network(channels: int) -> Features:
    """The small network before `fit_network`; does not change the global random generator."""
    with torch.random.fork_rng(devices=[]):
        return Features(channels)


def fit_network(choice: KidFeatures, channels: int, data: Any) -> Features:
    """The small network with `trained` or `random` weights, fitted on the training part of `data`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Features(channels)
        images, labels = sample_images(data, "train", MAX_IMAGES)
        if choice == "trained":
            load_or_train(network, images, labels, data)
    with torch.no_grad():
        network.fit_scale(from_bytes(images[:1024]))
    return network


def sample_images(data: Any, part: str, limit: int) -> tuple[Tensor, Tensor]:
    """Images (N, C, H, W), bytes, and labels (N,) of a part: at most `limit`, and the same ones at each call."""
    labels, indices = data.labels_and_indices(part)
    chosen = np.random.default_rng(0).permutation(len(indices))[:limit]
    return torch.from_numpy(data.loaded.values[indices[chosen]]), torch.from_numpy(labels[chosen])


def load_or_train(network: Features, images: Tensor, labels: Tensor, data: Any) -> None:
    """Loads the weights from the cache; if they are not there, trains on the labels and stores them."""
    recipe = (
        f"{data.about()['fingerprint']} {network} {sorted(network.state_dict())} {EPOCHS} {BATCH_SIZE} {MAX_IMAGES}"
    )
    path = cache_folder() / "features" / f"{hashlib.sha256(recipe.encode()).hexdigest()[:16]}.pt"
    if (state := load_cached(path)) is None:
        train_on_labels(network, images, labels, int(labels.max()) + 1)
        try:
            if not path.is_file():  # else another process was faster, and this one uses its network
                with replacing(path) as file:
                    torch.save(network.state_dict(), file)
            state = load_cached(path)
        except OSError as error:
            log.info(f"cache: cannot write {path} ({error.strerror}); continuing without it")
    if state is not None:
        network.load_state_dict(state)


def load_cached(path: Path) -> dict[str, Tensor] | None:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except Exception as error:  # torch raises exceptions of many types for a damaged file
        log.info(f"cache: {path.name} is damaged ({type(error).__name__}); training the network again")
        path.unlink(missing_ok=True)
        return None


def train_on_labels(network: Features, images: Tensor, labels: Tensor, classes: int) -> None:
    """Trains the features with a linear classifier on top of them; the classifier is not kept."""
    log.info("KID: training a small network on the labels of the training part; KID compares its features")
    head = nn.Linear(network.dimension, classes)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the layers are too small for several threads, which would also change the rounding
    try:
        optimizer = torch.optim.Adam([*network.parameters(), *head.parameters()], lr=1e-3)
        for _ in range(EPOCHS):
            for rows in torch.randperm(len(images)).split(BATCH_SIZE):
                loss = nn.functional.cross_entropy(head(network(from_bytes(images[rows]))), labels[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    finally:
        torch.set_num_threads(threads)


def inception() -> nn.Module:
    """Inception-v3 with the weights that published distances use, for images (B, C, H, W) from 0 to 1.

    Raises:
        UserError: its package is not installed, or its weights cannot be downloaded.
    """
    other = "or choose task.kid_features=auto"
    try:
        from torchmetrics.image.fid import NoTrainInceptionV3

        network = NoTrainInceptionV3(name="inception-v3-compat", features_list=["2048"])
    except ModuleNotFoundError:
        raise UserError(
            f"task.kid_features=inception needs one more package: pip install 'adlx[kid]', {other}"
        ) from None
    except (OSError, RuntimeError) as error:
        raise UserError(f"the weights of Inception cannot be downloaded ({error}): try again online, {other}") from None
    return Inception(network)


class Inception(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 1 or 3, H, W) from 0 to 1 to (B, 2048)."""
        return self.network((images * 255).round().to(torch.uint8).expand(-1, 3, -1, -1))
