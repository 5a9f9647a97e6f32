"""Imports the class that a `_target_` names, and refuses all that a config from somebody else must not name."""

import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Sequence
from typing import Any, get_type_hints

from adlx.config.catalog import extensions
from adlx.config.trusted_packages import is_trust_stored, package_folders, store_trust, stored_trust
from adlx.errors import UserError

_TRUSTED = {
    "adlx",
    "torch.nn",
    "torch.optim",
    "pytorch_lightning.callbacks",
    "pytorch_lightning.loggers",
    "pytorch_lightning.strategies",
    "pytorch_lightning.profilers",
}


def trust(packages: Sequence[str], store: bool = True) -> None:
    """Lets configs of this process name classes of `packages` (the user's `allow=[my_pkg]`).

    Like `python -m`, this searches a package that is not installed in the working folder.

    Args:
        packages: names of packages.
        store: remember the trust on this machine; only for packages that the user typed after `allow=`.

    Raises:
        UserError: a word is not the name of a package.
    """
    for package in packages:
        if not package.replace("_", "a").replace(".", "a").isalnum():
            raise UserError(f"allow={package!r} is not a package name")
        _TRUSTED.add(package)
        if importlib.util.find_spec(package.split(".")[0]) is None and os.getcwd() not in sys.path:
            sys.path.append(os.getcwd())
        if store:
            store_trust(package)


def is_trusted(path: str) -> bool:
    """Whether a config may name this dotted path."""

    def is_inside(package: str) -> bool:
        return path == package or path.startswith(package + ".")

    if any(is_inside(package) for package in {*_TRUSTED, *extensions()}):
        return True
    return any(is_inside(package) and is_trust_stored(package) for package in stored_trust())


def refusal(package: str) -> str:
    """The message that a package is not trusted, and what to type to trust it."""
    here, known = ", ".join(package_folders(package)), ", ".join(stored_trust().get(package, []))
    elsewhere = f" (it is trusted in {known}, and this one is in {here})" if known and here else ""
    return f"{package} is not trusted here{elsewhere}; if it is yours, add 'allow=[{package}]' to the command once"


def resolve(target: object, kind: type, where: str) -> type:
    """Imports the class that `target` names.

    Args:
        target: a dotted path such as `package.module.Class`.
        kind: the base class that the class must derive from.
        where: the config node with this `_target_`, for the message.

    Raises:
        UserError: the path is outside the trusted packages (then nothing is imported), does not exist, is defined in
            another package and only imported here, or is not a subclass of `kind`.
    """
    if not isinstance(target, str) or "." not in target:
        raise UserError(f"{where}._target_ is {target!r}: give the dotted path of a class")
    if not is_trusted(target):
        raise UserError(f"{where}._target_={target} is refused: {refusal(target.split('.')[0])}")
    module_name, _, name = target.rpartition(".")
    try:
        named = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError) as error:
        raise UserError(f"{where}._target_={target} cannot be found: {error}") from None
    # The imports of a trusted module are not trusted: adlx.x.os.system starts with a trusted name.
    if not inspect.isclass(named) or not is_trusted(named.__module__):
        raise UserError(f"{where}._target_={target} is refused: it is no class of a trusted package")
    if not issubclass(named, kind):
        raise UserError(f"{where}._target_={target} is refused: {where} must be a {kind.__name__}")
    return named


def dotted(target: type) -> str:
    """The path by which `resolve` imports a class again."""
    return f"{target.__module__}.{target.__qualname__}"


def parameters(target: type) -> dict[str, tuple[Any, Any]]:
    """The arguments of a class with annotation and default, including those of bases if it has `**kwargs`."""
    arguments: dict[str, tuple[Any, Any]] = {}
    for cls in target.__mro__:
        init = cls.__dict__.get("__init__")
        if init is None:
            continue
        try:
            hints = get_type_hints(init, include_extras=True)
        except (NameError, TypeError):
            hints = {}
        passes_on = False
        for name, parameter in list(inspect.signature(init).parameters.items())[1:]:
            passes_on |= parameter.kind is parameter.VAR_KEYWORD
            if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                arguments.setdefault(name, (hints.get(name, Any), parameter.default))
        if not passes_on:
            break
    return arguments
