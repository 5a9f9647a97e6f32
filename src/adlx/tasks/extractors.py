"""The networks whose features sets of images are compared by.

One that learnt the labels of the training part is kept in the cache, so that all runs on the same data are judged by
the same features; checkpoints hold it too, and so a run is judged alike wherever it goes.
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
"""Of a small network `trained` on the labels or with `random` weights, by `auto` whichever can be; or of Inception."""

EPOCHS, BATCH, MOST = 15, 64, 10_000
"""Of the training on labels; at most so many images are taken."""


def resolve_auto(choice: KidFeatures, classes: int) -> KidFeatures:
    """What `auto` stands for: `trained` where there are labels, `random` where there are none.

    Raises:
        ValueError: `trained`, and there is nothing to learn.
    """
    if choice == "trained" and classes < 2:
        raise ValueError("task.kid_features=trained needs images of two classes at least; choose random, or auto")
    return ("trained" if classes >= 2 else "random") if choice == "auto" else choice


def describe(choice: KidFeatures, classes: int) -> str:
    """The name of an extractor, for whoever compares distances: two of different ones do not compare."""
    names = {
        "trained": f"small CNN trained on {classes} classes",
        "random": "small CNN with random weights",
        "inception": "Inception-v3",
    }
    return names[choice]


def untrained(channels: int) -> Features:
    """A network of ours as it is before `fitted`; leaves the global generator alone."""
    with torch.random.fork_rng(devices=[]):
        return Features(channels)


def fitted(choice: KidFeatures, channels: int, data: Any) -> Features:
    """A network of ours with `trained` or `random` weights, for the training part of `data`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Features(channels)
        images, labels = some(data, "train", MOST)
        if choice == "trained":
            network = learnt(network, images, labels, data)
    with torch.no_grad():
        network.fit_scale(from_bytes(images[:1024]))
    return network


def some(data: Any, part: str, most: int) -> tuple[Tensor, Tensor]:
    """Images (N, C, H, W), bytes, and labels (N,) of a part: all, or `most` drawn from it, always the same."""
    labels, places = data.actual(part)
    chosen = np.random.default_rng(0).permutation(len(places))[:most]
    return torch.from_numpy(data.loaded.values[places[chosen]]), torch.from_numpy(labels[chosen])


def learnt(network: Features, images: Tensor, labels: Tensor, data: Any) -> Features:
    """Trains on labels, or takes from the cache what was trained on the same before."""
    recipe = f"{data.about()['fingerprint']} {network} {sorted(network.state_dict())} {EPOCHS} {BATCH} {MOST}"
    path = cache_folder() / "features" / f"{hashlib.sha256(recipe.encode()).hexdigest()[:16]}.pt"
    if (state := cached(path)) is None:
        teach(network, images, labels, int(labels.max()) + 1)
        try:
            if not path.is_file():  # else another process was faster: its network is everyone's
                with replacing(path) as file:
                    torch.save(network.state_dict(), file)
            state = cached(path)
        except OSError as error:
            log.info(f"cache: cannot write {path} ({error.strerror}); going on without")
    if state is not None:
        network.load_state_dict(state)
    return network


def cached(path: Path) -> dict[str, Tensor] | None:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except Exception as error:  # torch raises all kinds for a damaged file
        log.info(f"cache: {path.name} is damaged ({type(error).__name__}); made anew")
        path.unlink(missing_ok=True)
        return None


def teach(network: Features, images: Tensor, labels: Tensor, classes: int) -> None:
    """Classifies by a linear layer on top of the features, which is thrown away afterwards."""
    log.info("KID: a small network learns the labels of the training part, for its features")
    head = nn.Linear(network.dimension, classes)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # more would wait for each other in layers this small, and add up in another order
    optimizer = torch.optim.Adam([*network.parameters(), *head.parameters()], lr=1e-3)
    for _ in range(EPOCHS):
        for places in torch.randperm(len(images)).split(BATCH):
            loss = nn.functional.cross_entropy(head(network(from_bytes(images[places]))), labels[places])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    torch.set_num_threads(threads)


def inception() -> nn.Module:
    """Inception-v3 with the weights that the published distances are of, for images (B, C, H, W) from 0 to 1.

    Raises:
        UserError: its package is not installed, or its weights cannot be fetched.
    """
    other = "or choose task.kid_features=auto"
    try:
        from torchmetrics.image.fid import NoTrainInceptionV3

        network = NoTrainInceptionV3(name="inception-v3-compat", features_list=["2048"])
    except ModuleNotFoundError:
        raise UserError(f"task.kid_features=inception needs a package more: pip install 'adlx[kid]', {other}") from None
    except (OSError, RuntimeError) as error:
        raise UserError(f"the weights of Inception cannot be fetched ({error}): try again online, {other}") from None
    return Inception(network)


class Inception(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 1 or 3, H, W) from 0 to 1 to (B, 2048)."""
        return self.network((images * 255).round().to(torch.uint8).expand(-1, 3, -1, -1))
