"""Low-rank adapters in the format of Hugging Face PEFT."""

from typing import Any

from torch import Tensor, nn

from adlx.models.lora import adapters


def to_peft(model: nn.Module) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The adapters in the format of Hugging Face PEFT: contents of adapter_model.safetensors and adapter_config.json.

    `PeftModel.from_pretrained(base, folder)` then equals `model` if `base` is the same model without adapters. PEFT
    adds its product to the output of a layer, so it cannot adapt a layer that returns another shape than `nn.Linear`.
    `ForecastHead` returns another shape if it predicts several steps or quantiles.

    Raises:
        ValueError: PEFT cannot adapt a layer; or PEFT, which matches the ends of names, would train all weights of a
            module that is frozen here.
    """
    layers = dict(adapters(model))
    if not layers:
        raise ValueError("the model has no adapters: call add_lora first")
    for name, layer in layers.items():
        shape = getattr(layer, "shape", ())  # of the output, for a layer that does not return a vector
        if len(shape) > 1:
            raise ValueError(
                f"PEFT cannot adapt {name}, which returns {' x '.join(map(str, shape))} values: exclude it with "
                "finetune.target, or use --merged"
            )
    names = [name for name, _ in model.named_modules()]
    saved: list[str] = []  # modules that are trained without adapters; not the modules inside them
    for name, module in model.named_modules():
        is_trained = any(
            p.requires_grad for key, p in module.named_parameters(recurse=False) if not key.startswith("lora_")
        )
        if is_trained and not name.startswith(tuple(f"{outer}." for outer in saved)):
            saved.append(name)
    for name in names:
        if name not in saved and name.endswith(tuple(saved)):
            raise ValueError(
                f"PEFT cannot train one of {', '.join(saved)} without {name}, because its name has the same end"
            )
    prefixes = tuple(f"{name}." for name in saved)
    tensors = {
        f"base_model.model.{name}.{side}.weight": getattr(layer, side).detach()
        for name, layer in layers.items()
        for side in ("lora_A", "lora_B")
    }
    tensors |= {
        f"base_model.model.{key}": value.detach()
        for key, value in model.state_dict().items()
        if key.startswith(prefixes)
    }
    first = next(iter(layers.values()))
    suffixes = tuple(f".{name}" for name in layers)
    return tensors, {
        "peft_type": "LORA",
        "task_type": None,
        "inference_mode": True,
        "r": first.lora_rank,
        "lora_alpha": first.lora_alpha,
        "lora_dropout": first.lora_dropout,
        "bias": "none",
        "target_modules": list(layers),
        "exclude_modules": [name for name in names if name.endswith(suffixes) and name not in layers] or None,
        "modules_to_save": saved or None,
    }
