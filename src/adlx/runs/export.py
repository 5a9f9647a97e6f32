"""Exports the model of a run: with all weights, or its adapter alone in the format of HF PEFT."""

import shutil
from pathlib import Path

from adlx.atomic import replacing
from adlx.errors import UserError
from adlx.models.lora import adapters
from adlx.models.lora_peft import to_peft
from adlx.runs.checkpoints import AtomicCheckpointIO, load_checkpoint
from adlx.runs.folder import RunFolder, new_folder_in_run, write_json
from adlx.runs.restore import restore_model

KEPT = ("metrics.json", "metrics.csv", "predictions.npz")


def export_merged(run: RunFolder, out: str | Path | None = None, base: str | None = None) -> Path:
    """Writes a run folder that needs no base run: the updates of a LoRA run are added to its weights.

    Args:
        run: a finished run; one without a base is copied.
        out: the folder to make; None: a new one in the run's `exports/`.
        base: the base run, if it was moved.

    Raises:
        UserError: the base run is missing, or `out` exists already.
    """
    run.require_finished()
    restored = restore_model(run, base)
    stored = load_checkpoint(run.checkpoint)["state_dict"]
    statistics = {key: value for key, value in stored.items() if not key.startswith("model.")}
    weights = {f"model.{key}": value for key, value in restored.model.state_dict().items()}
    config, config_of_run = {**restored.card["config"], "finetune": {}}, {**run.config, "finetune": {}}
    whole = {"state_dict": {**statistics, **weights}, "adlx": {**restored.card, "config": config}}
    path = _new_export_folder(run, out)
    (path / "checkpoints").mkdir()
    AtomicCheckpointIO().save_checkpoint(whole, path / "checkpoints" / "best.ckpt")
    for name in KEPT:
        if (run.path / name).is_file():
            shutil.copy(run.path / name, path / name)
    copy = RunFolder(path, {**run.info, "merged": run.info.get("finetune", {})})
    copy.info.pop("finetune", None)
    copy.store(config_of_run)
    copy.update()
    return path


def export_peft(run: RunFolder, out: str | Path | None = None, base: str | None = None) -> Path:
    """Writes the adapter of a LoRA run as `adapter_model.safetensors` and `adapter_config.json`.

    `peft.PeftModel.from_pretrained(base, path)` puts it onto the base network, a plain `nn.Module` of `adlx.models`.

    Raises:
        UserError: the run has no adapter, its base run is missing, or `out` exists already.
    """
    from safetensors.torch import save

    run.require_finished()
    model = restore_model(run, base, merged=False).model
    if not any(adapters(model)):
        raise UserError(f"{run.path} has no adapter: --peft is for runs with finetune=lora")
    try:
        tensors, settings = to_peft(model)
    except ValueError as error:
        raise UserError(f"{run.path}: {error}") from None
    path = _new_export_folder(run, out)
    with replacing(path / "adapter_model.safetensors") as file:
        file.write(save({name: value.contiguous() for name, value in tensors.items()}, {"format": "pt"}))
    write_json(path / "adapter_config.json", settings)
    return path


def _new_export_folder(run: RunFolder, out: str | Path | None) -> Path:
    if out is None:
        return new_folder_in_run(run, "exports")
    path = Path(out)
    try:
        path.mkdir(parents=True)
    except FileExistsError:
        raise UserError(f"--out {path} exists already") from None
    except OSError as error:
        raise UserError(f"--out {path} cannot be made: {error.strerror}; choose another folder") from None
    return path
