"""Several processes train one common codebook."""

from pathlib import Path

import torch
import torch.multiprocessing as mp

from adlx.models.classification.vqvae import VQVAE
from adlx.specs import ImageSpec

SPEC = ImageSpec(1, (8, 8))


def images(rank: int) -> torch.Tensor:
    return torch.randn(20, 1, 8, 8, generator=torch.Generator().manual_seed(rank)) + rank


def make() -> VQVAE:
    torch.manual_seed(0)
    return VQVAE(SPEC, hidden=8, blocks=1, codes=6, dimension=4, revive_below=0.0)


def work(rank: int, folder: str) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    model = make()
    model.share_codebook()
    state = {"initted": torch.tensor(True)}  # no k-means: its random numbers differ from those of one process
    model.quantizer._codebook.load_state_dict({**model.quantizer._codebook.state_dict(), **state})
    model(images(rank))
    torch.save(model.state_dict(), f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def test_two_processes_update_the_codebook_like_one_process(tmp_path: Path):
    mp.spawn(work, args=(str(tmp_path),), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)
    single = make()
    single.quantizer._codebook.initted.fill_(True)
    before = single.codebook.clone()
    single(torch.cat([images(0), images(1)]))
    assert (single.codebook - before).abs().max() > 1e-3
    torch.testing.assert_close(first["quantizer._codebook.embed"][0], single.codebook)
