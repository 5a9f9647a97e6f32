"""Low-rank adapters in the format of Hugging Face PEFT."""

from typing import Any

from torch import Tensor, nn

from adlx.models.lora import adapters


def to_peft(model: nn.Module) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The adapters in the format of Hugging Face PEFT: what goes to adapter_model.safetensors and adapter_config.json.

    `PeftModel.from_pretrained(base, folder)` then equals `model` if `base` is the same model without adapters. PEFT
    adds its product to what a layer returns, so it cannot follow a layer that returns another shape than `nn.Linear`,
    as `ForecastHead` does where it reads several steps or quantiles.

    Raises:
        ValueError: PEFT cannot follow a layer, or, since it takes a name for the end of a name, would train fully a
            module that is frozen here.
    """
    layers = dict(adapters(model))
    if not layers:
        raise ValueError("the model has no adapters: add_lora gives it some")
    for name, layer in layers.items():
        shape = getattr(layer, "shape", ())  # of what a layer returns instead of a vector
        if len(shape) > 1:
            raise ValueError(
                f"PEFT cannot follow {name}, which returns {' x '.join(map(str, shape))} values: leave it out by "
                "finetune.target, or use --merged"
            )
    names = [name for name, _ in model.named_modules()]
    saved: list[str] = []  # the modules that own what trains fully, without those within another
    for name, module in model.named_modules():
        own = any(p.requires_grad for key, p in module.named_parameters(recurse=False) if not key.startswith("lora_"))
        if own and not name.startswith(tuple(f"{outer}." for outer in saved)):
            saved.append(name)
    for name in names:
        if name not in saved and name.endswith(tuple(saved)):
            raise ValueError(f"PEFT cannot train one of {', '.join(saved)} without {name}, whose name ends the same")
    within = tuple(f"{name}." for name in saved)
    tensors = {
        f"base_model.model.{name}.{side}.weight": getattr(layer, side).detach()
        for name, layer in layers.items()
        for side in ("lora_A", "lora_B")
    }
    tensors |= {
        f"base_model.model.{key}": value.detach() for key, value in model.state_dict().items() if key.startswith(within)
    }
    first = next(iter(layers.values()))
    caught = tuple(f".{name}" for name in layers)
    return tensors, {
        "peft_type": "LORA",
        "task_type": None,
        "inference_mode": True,
        "r": first.lora_rank,
        "lora_alpha": first.lora_alpha,
        "lora_dropout": first.lora_dropout,
        "bias": "none",
        "target_modules": list(layers),
        "exclude_modules": [name for name in names if name.endswith(caught) and name not in layers] or None,
        "modules_to_save": saved or None,
    }
