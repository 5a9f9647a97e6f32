"""Checkpoints: complete at any instant, without code, and without the path of the folder they were written in."""

import re
import resource
import shutil

import pytest
import torch

import adlx
from adlx.errors import UserError, WriteFailed
from adlx.runs.checkpoints import AtomicCheckpointIO, Checkpoint, load_checkpoint
from adlx.runs.loggers import read_curves

STEPS = 4  # an epoch of the small run


class Explodes:
    """Raises an error when a part of the checkpoint is already on the disk."""

    def __reduce__(self):
        raise OSError("no space left on device")


def test_a_write_that_fails_leaves_the_old_file_whole(tmp_path):
    path = tmp_path / "checkpoints" / "last.ckpt"
    writer = AtomicCheckpointIO()
    writer.save_checkpoint({"weights": torch.arange(5.0)}, path)
    before = path.read_bytes()
    with pytest.raises(OSError, match="no space left"):
        writer.save_checkpoint({"weights": torch.zeros(10_000), "then": Explodes()}, path)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]
    assert torch.equal(writer.load_checkpoint(path)["weights"], torch.arange(5.0))


@pytest.mark.parametrize("limit", [200, 2000, 4000])
def test_a_full_disk_ends_a_run_in_one_line(limit, small, tmp_path):
    """Limits the size of files, so that the config, `run.json` or a checkpoint is too large."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        with pytest.raises(WriteFailed) as caught:
            small()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert re.fullmatch(rf"{tmp_path}/outputs/\S+ cannot be written: File too large.*", str(caught.value))
    assert not list(tmp_path.rglob("*.tmp"))
    assert not [path for path in (tmp_path / "outputs").glob("*/*") if not (path / "run.json").is_file()]


@pytest.mark.parametrize("at", ["fsync", "replace"])
def test_a_kill_before_the_rename_leaves_the_old_file_whole(tmp_path, monkeypatch, at):
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"a": 1}, path)

    def fail(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(f"adlx.atomic.os.{at}", fail)
        with pytest.raises(KeyboardInterrupt):
            AtomicCheckpointIO().save_checkpoint({"a": 2}, path)
    assert load_checkpoint(path) == {"a": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


def refusal(path) -> str:
    with pytest.raises(UserError) as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, finished):
    path = tmp_path / "x.ckpt"
    assert refusal(path) == f"no checkpoint {path}"
    whole = finished.last.read_bytes()
    for content in (b"", b"just text\n", whole[:1], whole[: len(whole) // 2], whole[:-1]):
        path.write_bytes(content)
        assert refusal(path) == f"checkpoint {path} is truncated or not a checkpoint ({len(content)} bytes)"


def test_a_checkpoint_is_data_and_not_code(tmp_path, canary):
    path = tmp_path / "x.ckpt"
    from evil_pkg.model import Pickled  # the attacker's machine has it

    torch.save({"state_dict": Pickled()}, path)
    canary.song.unlink()
    assert refusal(path).startswith(f"checkpoint {path} cannot be read: Weights only load failed")

    class Runs:
        def __reduce__(self):
            return open, (str(canary.song), "w")

    torch.save({"state_dict": Runs()}, path)
    assert refusal(path).startswith(f"checkpoint {path} cannot be read: Weights only load failed")
    assert canary.silent


@pytest.mark.parametrize("verb", ["evaluate", "predict", "resume"])
def test_a_damaged_checkpoint_stops_every_verb_and_changes_nothing(copied, verb):
    for path in (copied.best, copied.last):
        path.write_bytes(path.read_bytes()[:1000])
    before = {path: path.read_bytes() for path in copied.path.rglob("*") if path.is_file()}
    words = ["trainer.max_epochs=4"] if verb == "resume" else []
    with pytest.raises(UserError, match=r"is truncated or not a checkpoint \(1000 bytes\)$"):
        getattr(copied, verb)(words)
    assert before == {path: path.read_bytes() for path in copied.path.rglob("*") if path.is_file()}


def test_weights_of_another_model_are_refused(copied):
    checkpoint = load_checkpoint(copied.best)
    name, weights = next(iter(checkpoint["state_dict"].items()))
    checkpoint["state_dict"][name] = weights.new_zeros(3, 3, 3)
    torch.save(checkpoint, copied.best)
    with pytest.raises(UserError, match=f"^{copied.path}: the checkpoint does not fit the config: size mismatch for"):
        copied.evaluate()


def test_best_has_the_lowest_monitored_loss_and_last_is_the_newest(small):
    run = small("trainer.max_epochs=6", "optimizer.lr=0.05")
    losses = read_curves(run.path / "metrics.csv")["val/loss"].dropna().tolist()
    at = losses.index(min(losses))
    assert 0 < at < 5, losses  # otherwise the test proves nothing
    assert load_checkpoint(run.best)["adlx"]["steps"] == STEPS * (at + 1)
    assert load_checkpoint(run.last)["adlx"]["steps"] == STEPS * 6
    assert [path.name for path in sorted((run.path / "checkpoints").iterdir())] == ["best.ckpt", "last.ckpt"]


TOO_FAST = ("trainer.max_epochs=3", "optimizer.lr=10", "trainer.gradient_clip_val=null")


def test_the_untrained_model_is_tested_if_no_epoch_improves_on_it(small, caplog):
    """NLinear starts as the naive forecast, so its skill is zero and not below."""
    with caplog.at_level("INFO", "adlx"):
        run = small(*TOO_FAST, "callbacks.checkpoint.untrained=true")
    assert load_checkpoint(run.best)["adlx"]["steps"] == 0
    assert run.metrics["test/skill"] == 0.0
    assert "no epoch improved val/loss: the model before training is the best, and is tested" in caplog.messages


def test_the_last_checkpoint_is_tested_if_training_ends_before_a_validation(small):
    run = small("trainer.max_steps=2", "trainer.max_epochs=null")
    assert not run.best.exists()
    assert load_checkpoint(run.checkpoint)["adlx"]["steps"] == 2


def test_best_has_the_highest_metric_with_mode_max(small):
    run = small("trainer.max_epochs=6", "optimizer.lr=0.05", "callbacks=checkpoint", "callbacks.checkpoint.mode=max")
    losses = read_curves(run.path / "metrics.csv")["val/loss"].dropna().tolist()
    best = load_checkpoint(run.best)
    assert best["adlx"]["steps"] == STEPS * (losses.index(max(losses)) + 1)
    (score,) = (state for key, state in best["callbacks"].items() if "Checkpoint" in key)
    assert score["best_score"] == pytest.approx(-max(losses), rel=1e-6)


def test_last_is_also_written_within_an_epoch(small, monkeypatch):
    """After the third step of each epoch, and at its end after four steps."""
    written = []
    original = AtomicCheckpointIO.save_checkpoint

    def spy(self, checkpoint, path, storage_options=None):
        written.append((str(path).rsplit("/", 1)[-1], checkpoint["adlx"]["steps"]))
        original(self, checkpoint, path, storage_options)

    monkeypatch.setattr(AtomicCheckpointIO, "save_checkpoint", spy)
    small("callbacks.checkpoint.every_n_train_steps=3", "callbacks.checkpoint.untrained=true")
    assert [steps for name, steps in written if name == "last.ckpt"] == [3, 4, 7, 8]
    assert [steps for name, steps in written if name == "best.ckpt"] == [0, 4, 8]  # 0: untrained


def test_a_monitored_metric_that_is_not_logged_is_refused(small, tmp_path):
    line = r"^callbacks\.checkpoint\.monitor=val/accuracy was not logged; there is val/loss$"
    with pytest.raises(UserError, match=line):
        small("callbacks=checkpoint", "callbacks.checkpoint.monitor=val/accuracy")
    (path,) = (tmp_path / "outputs" / "nlinear-csv").iterdir()
    assert adlx.open_run(path).status == "failed"
    assert not (path / "checkpoints").exists()


def test_the_state_contains_no_path(tmp_path):
    callback = Checkpoint(str(tmp_path), mode="max")
    assert callback.state_dict() == {"best_score": None, "is_untrained_best": False, "num_validations": 0}
    state = {"best_score": -2.0, "is_untrained_best": True, "num_validations": 3}
    callback.load_state_dict(state)
    assert callback.state_dict() == state


def test_a_run_folder_can_move(small, longer, tmp_path):
    """The resumed run in the new folder equals, bit for bit, a run that was not moved."""
    moved = small()
    folder = tmp_path / "elsewhere" / "my run"
    folder.parent.mkdir()
    shutil.move(moved.path, folder)
    run = adlx.open_run(folder).resume(["trainer.max_epochs=4"])
    assert not moved.path.exists()
    assert run.metrics["test/mase"] == longer.metrics["test/mase"]
    first, second = (load_checkpoint(r.last)["state_dict"] for r in (run, longer))
    assert all(torch.equal(first[key], second[key]) for key in first)
