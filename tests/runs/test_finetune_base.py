"""A fine-tuned run finds its base by path and hash, also after both were moved, and runs no code from it."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml

import adlx
from adlx.errors import UserError
from adlx.runs.checkpoints import load_checkpoint
from adlx.runs.folder import write_yaml


@pytest.fixture(scope="module")
def made(small_words, encoder_words, encoder, tmp_path_factory):
    """A folder with a base and two fine-tuned runs, which was moved after they were trained."""
    folder = tmp_path_factory.mktemp("made") / "there"
    folder.mkdir()
    shutil.copytree(encoder.path, folder / "base")
    for strategy in ("full", "lora"):
        words = [*encoder_words, f"finetune={strategy}", f"finetune.run={folder / 'base'}", "optimizer.lr=0.01"]
        run = adlx.train([*small_words, *words, f"output_dir={folder / 'outputs'}"])
        run.path.rename(run.path.with_name(strategy))
    folder.rename(folder.with_name("elsewhere"))
    return folder.with_name("elsewhere")


@pytest.fixture
def pair(made, tmp_path) -> SimpleNamespace:
    """`base` and its runs `full` and `lora`, moved together; `old` is the former path of the base."""
    shutil.copytree(made, tmp_path / "pair")
    runs = {name: adlx.open_run(tmp_path / "pair" / "outputs" / "transformer-csv" / name) for name in ("full", "lora")}
    return SimpleNamespace(base=tmp_path / "pair" / "base", old=made.with_name("there") / "base", **runs)


VERBS = {
    "evaluate": lambda run, *words: run.evaluate(words),
    "predict": lambda run, *words: run.predict(words),
    "resume": lambda run, *words: run.resume(["trainer.max_epochs=2", *words]),
}


def refused(run, line: str) -> None:
    """Asserts that every verb refuses the run with this line, and writes nothing."""
    files = sorted(run.path.rglob("*"))
    for verb in VERBS.values():
        with pytest.raises(UserError) as caught:
            verb(run)
        assert str(caught.value).startswith(line)
        assert "\n" not in str(caught.value)
    assert sorted(run.path.rglob("*")) == files
    assert adlx.open_run(run.path).status == "finished"


def scores(run) -> dict[str, float]:
    return {key: value for key, value in run.metrics.items() if key.startswith(("test/", "baseline/"))}


def test_a_base_and_its_runs_move_together(pair):
    assert pair.lora.config["finetune"]["run"] == str(pair.old)
    assert not pair.old.exists()
    assert pair.lora.evaluate() == scores(pair.lora)
    assert np.isfinite(pair.lora.predict().to_numpy()).all()
    pair.lora.resume(["trainer.max_epochs=2"])
    assert pair.lora.config["finetune"]["run"] == str(pair.base.resolve())


def test_a_base_that_moved_alone_is_given_by_its_new_path(pair, tmp_path, monkeypatch):
    """The error shows its hash. `finetune.run` may be relative, and a resume stores it as an absolute path."""
    digest = pair.lora.info["finetune"]["sha256"]
    forecast = pair.lora.predict()
    pair.base.rename(tmp_path / "moved")
    refused(
        pair.lora,
        f"finetune.run={pair.old} is not there (sha256 {digest[:12]}...): give the folder of the base run with "
        "finetune.run=RUN",
    )
    monkeypatch.chdir(tmp_path)
    assert pair.lora.evaluate(["finetune.run=moved"]) == scores(pair.lora)
    assert np.array_equal(pair.lora.predict(["finetune.run=moved"]).to_numpy(), forecast.to_numpy())
    resumed = pair.lora.resume(["trainer.max_epochs=2", "finetune.run=moved"])
    assert resumed.config["finetune"]["run"] == resumed.info["finetune"]["run"] == str(tmp_path / "moved")
    assert resumed.info["finetune"]["adapted"]
    monkeypatch.chdir("/")
    assert resumed.evaluate() == scores(resumed)
    known = scores(resumed)
    (tmp_path / "all").mkdir()  # from now on these two move together
    for name in ("moved", "pair"):
        (tmp_path / name).rename(tmp_path / "all" / name)
    assert adlx.open_run(tmp_path / "all/pair/outputs/transformer-csv/lora").evaluate() == known


def test_a_base_that_changed_is_refused(pair, encoder):
    was = pair.lora.info["finetune"]["sha256"]
    file = pair.base / "checkpoints" / "best.ckpt"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    line = f"finetune.run={pair.base.resolve()} is not the run this one started from: its weights are "
    refused(pair.lora, line)
    with pytest.raises(UserError, match=rf"\.\.\., not {was[:12]}\.\.\. \(sha256 of best\.ckpt\)$"):
        pair.lora.evaluate()
    shutil.copy(pair.base / "checkpoints" / "last.ckpt", file)  # a complete checkpoint, but of another step
    refused(pair.lora, line)
    assert pair.lora.evaluate([f"finetune.run={encoder.path}"]) == scores(pair.lora)


def test_a_run_with_all_its_weights_needs_no_base(pair):
    shutil.rmtree(pair.base)
    assert pair.full.evaluate() == scores(pair.full)
    assert np.isfinite(pair.full.predict().to_numpy()).all()
    assert pair.full.resume(["trainer.max_epochs=2"]).status == "finished"


@pytest.mark.parametrize("name", ["full", "lora"])
def test_a_run_that_stopped_before_its_first_checkpoint_starts_from_the_base_again(name, pair):
    run = getattr(pair, name)
    shutil.copytree(run.path, run.path.with_name("stopped"))
    stopped = adlx.open_run(run.path.with_name("stopped"))
    stopped.update(status="failed")
    for path in [*(stopped.path / "checkpoints").iterdir(), stopped.path / "metrics.csv"]:
        path.unlink()
    stopped.resume()
    first, second = (load_checkpoint(of.best)["state_dict"] for of in (run, stopped))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert scores(stopped) == scores(run)


EVIL = {"_target_": "evil_pkg.model.Evil"}


@pytest.mark.parametrize("node", ["model", "loss", "finetune"])
def test_the_card_of_a_base_is_not_trusted(node, encoder, tmp_path, small, encoder_words, canary):
    shutil.copytree(encoder.path, tmp_path / "base")
    base = adlx.open_run(tmp_path / "base")
    checkpoint = load_checkpoint(base.best)
    checkpoint["adlx"]["config"][node] = {**EVIL, **({"run": str(encoder.path)} if node == "finetune" else {})}
    checkpoint["adlx"]["config"]["allow"] = ["evil_pkg"]
    torch.save(checkpoint, base.best)
    for strategy in ("full", "lora"):
        with pytest.raises(UserError, match=rf"^{node}\._target_=evil_pkg\.model\.Evil is refused: evil_pkg is not "):
            small(*encoder_words, f"finetune={strategy}", f"finetune.run={base.path}")
    assert canary.silent
    assert not (tmp_path / "outputs").exists()


def test_the_config_of_a_base_is_not_trusted(encoder, tmp_path, small, encoder_words, canary):
    shutil.copytree(encoder.path, tmp_path / "base")
    config = yaml.safe_load((tmp_path / "base" / "config.yaml").read_text())
    write_yaml(tmp_path / "base" / "config.yaml", {**config, "model": EVIL, "allow": ["evil_pkg"]})
    with pytest.raises(UserError, match=r"is a Evil, and model=Transformer: choose the same model$"):
        small(*encoder_words, "finetune=full", f"finetune.run={tmp_path / 'base'}")
    assert canary.silent


def test_a_base_with_code_in_its_checkpoint_is_refused(encoder, tmp_path, small, encoder_words, canary):
    from evil_pkg.model import Pickled

    shutil.copytree(encoder.path, tmp_path / "base")
    base = adlx.open_run(tmp_path / "base")
    torch.save({**load_checkpoint(base.best), "more": Pickled()}, base.best)
    canary.song.unlink()
    with pytest.raises(UserError, match=rf"^checkpoint {base.best} cannot be read: "):
        small(*encoder_words, "finetune=full", f"finetune.run={base.path}")
    assert canary.silent


@pytest.mark.parametrize("node", ["finetune", "task"])
def test_a_config_without_one_of_the_nodes_is_refused(node, copied, small):
    """Every verb names the missing node in one line, and so does fine-tuning from this run."""
    config = yaml.safe_load((copied.path / "config.yaml").read_text())
    config.pop(node)
    write_yaml(copied.path / "config.yaml", config)
    old = adlx.open_run(copied.path)
    line = f"{copied.path}/config.yaml is not a config of adlx: it lacks {node}"
    refused(old, line)
    with pytest.raises(UserError) as caught:
        small("finetune=lora", f"finetune.run={old.path}")
    assert str(caught.value) == line
