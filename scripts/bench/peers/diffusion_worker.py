"""One side of `diffusion.py`: it trains or samples on request, a step at a time.

`diffusion_worker.py train|sample SIDE SRC THREADS PRECISION` runs steps, `diffusion_worker.py size SIDE SRC THREADS`
prints the number of parameters, and `diffusion_worker.py memory BATCH SRC THREADS` the peak memory for 64 images. SRC
is the folder that contains adlx. Images have 64 x 64 pixels in color, and a batch has 8 images.

A training step is forward, mean absolute error of the noise, backward and fused AdamW. A sampling step is one of the 20
steps of the sampler, with a forward pass of the network.
"""

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

BATCH, SIZE, STEPS = 8, 64, 20
PATCH, WIDTH, BLOCKS, HEADS = 8, 384, 8, 12
WIDTHS = (32, 64, 96, 128)
WORDS = ["data=faces", "trainer.accelerator=cpu", "trainer.gradient_clip_val=null"]
OURS = {
    "vit": [
        "model=dit",
        "model.convolutions=0",
        f"model.patch={PATCH}",
        f"model.width={WIDTH}",
        f"model.blocks={BLOCKS}",
    ],
    "unet": ["model=unet", f"model.widths={list(WIDTHS)}", "model.depth=2"],
}
OURS["vit"] += [f"model.heads={HEADS}", "model.convolutions=0"]
Network = Callable[[Tensor, Tensor], Tensor]
"""From images (B, C, H, W) and the variance of their noise (B, 1, 1, 1) to the noise."""


class PlainViT(nn.Module):
    """A minimal vision transformer: the encoder of PyTorch, with the noise level added to the tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Conv2d(3, WIDTH, PATCH, PATCH)
        self.positions = nn.Parameter(0.02 * torch.randn((SIZE // PATCH) ** 2, WIDTH))
        self.level = nn.Sequential(nn.Linear(32, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH))
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 4 * WIDTH, 0.0, "gelu", batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, BLOCKS, nn.LayerNorm(WIDTH), enable_nested_tensor=False)
        self.pixels = nn.Linear(WIDTH, 3 * PATCH**2)

    def forward(self, image: Tensor, variance: Tensor) -> Tensor:
        angles = torch.logspace(0, 3, 16) * variance.flatten(1)
        level = self.level(torch.cat([angles.sin(), angles.cos()], dim=1))
        tokens = self.tokens(image).flatten(2).transpose(1, 2) + self.positions + level[:, None]
        return nn.functional.fold(self.pixels(self.encoder(tokens)).transpose(1, 2), SIZE, PATCH, stride=PATCH)


def adlx(net: str, conditioning: str = "adaln") -> nn.Module:
    from adlx.models.diffusion.dit import DiT
    from adlx.models.diffusion.unet import UNet
    from adlx.specs import ImageSpec

    spec = ImageSpec(3, (SIZE, SIZE))
    if net == "unet":
        return UNet(spec, WIDTHS, 2)
    return DiT(spec, PATCH, WIDTH, BLOCKS, HEADS, conditioning=conditioning, convolutions=0)  # type: ignore


def dit() -> nn.Module:
    from diffusers import DiTTransformer2DModel  # type: ignore

    return DiTTransformer2DModel(
        num_attention_heads=HEADS,
        attention_head_dim=WIDTH // HEADS,
        in_channels=3,
        out_channels=3,
        num_layers=BLOCKS,
        patch_size=PATCH,
        sample_size=SIZE,
        dropout=0.0,
    )


def unet2d() -> nn.Module:
    """Has the widths of adlx unet, and attention at the smallest size only; the default is all but the largest."""
    from diffusers import UNet2DModel  # type: ignore

    down, up = ["DownBlock2D"] * 3, ["UpBlock2D"] * 3
    return UNet2DModel(
        sample_size=SIZE,
        block_out_channels=WIDTHS,
        down_block_types=(*down, "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", *up),
    )


def lucidrains() -> nn.Module:
    # Only its trainer needs torchvision, to crop and save pictures. Its wheels need another build of PyTorch than this.
    sys.modules["torchvision"] = SimpleNamespace(transforms=None, utils=None)  # type: ignore
    from denoising_diffusion_pytorch import Unet  # type: ignore

    return Unet(dim=32)


def as_network(side: str, model: nn.Module) -> Network:
    """Gives all models the same arguments. The other libraries count time from 0 to 999."""
    if side == "DiT":
        labels = torch.zeros(BATCH, dtype=torch.long)
        return lambda image, variance: model(image, (999 * variance).round().long().flatten(), labels).sample
    if side == "UNet2D":
        return lambda image, variance: model(image, (999 * variance).round().long().flatten()).sample
    if side == "lucidrains":
        return lambda image, variance: model(image, 999 * variance.flatten())
    return model


MODELS: dict[str, Callable[[], nn.Module]] = {
    "vit": lambda: adlx("vit"),
    "vit input": lambda: adlx("vit", "input"),
    "unet": lambda: adlx("unet"),
    "plain ViT": PlainViT,
    "DiT": dit,
    "UNet2D": unet2d,
    "lucidrains": lucidrains,
}


def autocast(precision: str) -> Any:
    return torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed")


def train(side: str, precision: str, turns: Any) -> None:
    model = MODELS[side]().train()
    network, optimizer = as_network(side, model), torch.optim.AdamW(model.parameters(), fused=True)
    image, noise, variance = torch.randn(BATCH, 3, SIZE, SIZE), torch.randn(BATCH, 3, SIZE, SIZE), torch.rand(BATCH)
    while True:
        turns.step()
        with autocast(precision):
            loss = nn.functional.l1_loss(network(image, variance.view(BATCH, 1, 1, 1)), noise)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@torch.no_grad()
def sample(side: str, precision: str, turns: Any) -> None:
    network, start = as_network(side, MODELS[side]().eval()), torch.randn(BATCH, 3, SIZE, SIZE)

    def denoise(image: Tensor, variance: Tensor) -> Tensor:
        with autocast(precision):
            return network(image, variance)

    draw = by_diffusers if side in ("DiT", "UNet2D") else by_adlx
    while True:
        for _ in draw(denoise, start):
            turns.step()


def by_adlx(denoise: Network, start: Tensor) -> Any:
    from adlx.models.diffusion.samplers import DDIM

    return DDIM().sample(denoise, start, STEPS)


def by_diffusers(denoise: Network, start: Tensor) -> Any:
    from diffusers import DDIMScheduler  # type: ignore

    scheduler = DDIMScheduler()
    scheduler.set_timesteps(STEPS)
    image = start
    for time in scheduler.timesteps:
        noise = denoise(image, (time / 999).expand(BATCH, 1, 1, 1))
        image = scheduler.step(noise.float(), time, image).prev_sample
        yield image


def prepared(words: list[str], folder: str) -> tuple[Any, ...]:
    """A run before its fit, as in `interleave`, on images of random colors instead of the pictures of the data set."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    import interleave
    import numpy as np

    from adlx.data.images.faces import Faces
    from adlx.data.images.sources.samples import Samples

    def load(self: Faces) -> Samples:
        values = np.random.default_rng(0).integers(256, size=(4000, 3, SIZE, SIZE), dtype=np.uint8)
        return Samples(values, np.zeros(len(values), dtype=np.int64), ("any",), "noise", "noise")

    Faces.load = load
    return interleave.prepared([*WORDS, f"data.batch_size={BATCH}", *words], folder)


def adlx_train(net: str, threads: str, precision: str, turns: Any) -> None:
    """The fit of `adlx train`: loader, Lightning, the moving average."""
    import pytorch_lightning as pl

    class Step(pl.Callback):
        def on_train_batch_end(self, *_: Any, **__: Any) -> None:
            turns.step()

    with tempfile.TemporaryDirectory() as folder:
        words = [*OURS[net], f"trainer.threads={threads}", f"trainer.precision={precision}"]
        _, data, task, trainer = prepared(words, folder)
        trainer.callbacks.append(Step())
        trainer.fit(task, datamodule=data)


def memory(batch: int, threads: str) -> None:
    from turns import forget_peak, peak_mb

    with tempfile.TemporaryDirectory() as folder:
        _, _, task, _ = prepared([*OURS["vit"], f"trainer.threads={threads}"], folder)
    task.eval()
    task.draw(2, 1, 0)
    forget_peak()
    before = peak_mb() or float("nan")
    task.draw(64, STEPS, 0, batch_size=batch)
    print(json.dumps({"peak_mb": (peak_mb() or float("nan")) - before, "before_mb": before}))


def main() -> None:
    what, side, source, threads, *rest = sys.argv[1:]
    from turns import Turns  # not at the top, because diffusion.py imports this module from another folder

    sys.path.append(source)
    torch.manual_seed(0)
    torch.set_num_threads(int(threads))
    model = side.removeprefix("adlx ").removesuffix(", bare loop")
    if what == "memory":
        memory(int(side), threads)
    elif what == "size":
        print(sum(weight.numel() for weight in MODELS[model]().parameters()))
    elif what == "train" and side in ("adlx vit", "adlx unet"):
        adlx_train(model, threads, *rest, Turns())
    else:
        {"train": train, "sample": sample}[what](model, *rest, Turns())


if __name__ == "__main__":
    main()
