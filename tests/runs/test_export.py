"""Exports a fine-tuned run with all its weights, or as an adapter for PEFT."""

import json
import shutil

import numpy as np
import pytest
import torch

import adlx
from adlx.cli import export as export_verb
from adlx.errors import UserError
from adlx.runs.build import build_model
from adlx.runs.checkpoints import load_checkpoint
from adlx.runs.export import export_merged, export_peft
from adlx.runs.finetune import copy_base_weights
from adlx.runs.groups import checked
from adlx.runs.restore import load_base_run, restore_model


@pytest.fixture
def base(encoder, tmp_path):
    shutil.copytree(encoder.path, tmp_path / "base")
    return adlx.open_run(tmp_path / "base")


@pytest.fixture
def tune(small, encoder_words, base):
    own = [*encoder_words, f"finetune.run={base.path}", "optimizer.lr=0.02"]
    return lambda *words: small(*own, *words)


LORA = ("finetune=lora", "finetune.rank=2", "finetune.alpha=3")
SCORES = ("test/", "baseline/")


def scores(metrics: dict[str, float]) -> dict[str, float]:
    return {key: value for key, value in metrics.items() if key.startswith(SCORES)}


@pytest.mark.parametrize("words", [LORA, (*LORA, "loss=quantile"), ("finetune=full",)], ids=["lora", "q", "full"])
def test_a_merged_run_needs_no_base(words, tune, base, small, encoder_words):
    run = tune(*words)
    forecast = run.predict()
    path = export_merged(run)
    assert path.parent == run.path / "exports"
    shutil.rmtree(base.path)
    merged = adlx.open_run(path)
    assert (merged.status, merged.config["finetune"]) == ("finished", {})
    assert merged.info["merged"] == run.info["finetune"]
    assert merged.metrics == run.metrics
    assert merged.evaluate() == pytest.approx(scores(run.metrics), rel=1e-5)
    np.testing.assert_allclose(merged.predict(), forecast, rtol=1e-6)
    card = load_checkpoint(merged.best)["adlx"]
    assert (card["config"], card["spec"]) == (merged.config, load_checkpoint(run.best)["adlx"]["spec"])

    loss = [word for word in words if word.startswith("loss")]
    again = small(*encoder_words, *loss, "finetune=lora", f"finetune.run={path}", "optimizer.lr=0")
    assert again.metrics["test/mase"] == merged.metrics["test/mase"]
    with pytest.raises(UserError) as caught:
        merged.resume(["trainer.max_epochs=9"])
    assert str(caught.value) == f"{path} has no last.ckpt to continue from: start a new run with finetune.run={path}"


@pytest.mark.parametrize("other_series", [False, True])
def test_peft_loads_the_adapter(other_series, tune, base, tmp_path, three):
    """The adapter fits the base network, also with new layers where the data have other dimensions."""
    peft = pytest.importorskip("peft")
    run = tune(*LORA, *([three] if other_series else []))
    path = export_peft(run, tmp_path / "adapter")
    assert sorted(file.name for file in path.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    settings = json.loads((path / "adapter_config.json").read_text())
    assert (settings["r"], settings["lora_alpha"]) == (2, 3.0)
    assert settings["modules_to_save"] == (["embedding", "head"] if other_series else None)

    network = build_model(checked(run.config, str).model, restore_model(run).spec)
    assert copy_base_weights(network, load_base_run(str(base.path), None)) == run.info["finetune"]["fresh"]
    past = torch.randn(5, 12, 3 if other_series else 2)
    with torch.inference_mode():
        wanted, before = restore_model(run).model.eval()(past, past), network.eval()(past, past)
        loaded = peft.PeftModel.from_pretrained(network, str(path)).eval()(past, past)
    assert (wanted - before).abs().max() > 0.01
    torch.testing.assert_close(loaded, wanted, rtol=1e-5, atol=1e-5)


def test_peft_export_of_a_run_without_an_adapter_is_refused(tune, copied, tmp_path):
    full = tune("finetune=full")
    merged = adlx.open_run(export_merged(tune(*LORA)))
    for run in (full, copied, merged):
        with pytest.raises(UserError) as caught:
            export_peft(run, tmp_path / "adapter")
        assert str(caught.value) == f"{run.path} has no adapter: --peft is for runs with finetune=lora"
    assert not (tmp_path / "adapter").exists()


def test_an_adapter_that_peft_cannot_represent_is_refused(tune, small, encoder_words, tmp_path):
    """PEFT adds to the output of a linear layer, and the output of a head of quantiles has another shape."""
    base = small(*encoder_words, "loss=quantile")
    own = [*LORA, f"finetune.run={base.path}", "loss=quantile"]
    run = tune(*own)
    with pytest.raises(UserError) as caught:
        export_peft(run, tmp_path / "adapter")
    assert str(caught.value) == (
        f"{run.path}: PEFT cannot adapt head, which returns 2 x 5 values: exclude it with finetune.target, "
        "or use --merged"
    )
    assert not (tmp_path / "adapter").exists()
    assert export_peft(tune(*own, "finetune.target=blocks.*"), tmp_path / "adapter").is_dir()


@pytest.mark.parametrize("export", [export_merged, export_peft])
def test_an_export_that_is_not_possible_is_refused(export, tune, base, tmp_path):
    run = tune(*LORA)
    (tmp_path / "there").mkdir()
    with pytest.raises(UserError) as caught:
        export(run, tmp_path / "there")
    assert str(caught.value) == f"--out {tmp_path / 'there'} exists already"
    base.path.rename(tmp_path / "moved")
    with pytest.raises(UserError, match=rf"^finetune\.run={base.path} is not there \(sha256 "):
        export(run)
    run.update(status="interrupted")
    with pytest.raises(UserError) as caught:
        export(run)
    assert str(caught.value) == f"{run.path} is interrupted, not finished: adlx resume {run.path}"
    assert not (run.path / "exports").exists()
    assert list((tmp_path / "there").iterdir()) == []


def test_the_command_prints_the_folder_and_needs_exactly_one_format(tune, tmp_path, capsys):
    run = tune(*LORA)
    for form, file in (("--merged", "checkpoints/best.ckpt"), ("--peft", "adapter_model.safetensors")):
        export_verb.main([str(run.path), form, "--out", str(tmp_path / form)])
        assert capsys.readouterr().out.splitlines()[-1] == f"export: {tmp_path / form}"
        assert (tmp_path / form / file).is_file()
    for words in ([], ["--merged", "--peft"]):
        with pytest.raises(SystemExit) as caught:
            export_verb.main([str(run.path), *words])
        assert caught.value.code == 2
