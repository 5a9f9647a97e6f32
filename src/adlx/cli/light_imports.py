"""Delays two imports of Lightning that adlx does not need, and that are half of the start-up time of a command.

Lightning imports all of torchmetrics for two names (`Metric`, `MetricCollection`), and torch's compiler for one name
(`OptimizedModule`, the class of compiled models). In the process of a command, these two packages run their `__init__`
only when another of their names is first used. Python's own `importlib.util.LazyLoader` does not work here, because
Lightning imports the names from the packages at once.

Only the command installs this. `import adlx` does not, so a notebook imports all packages as usual.
"""

import functools
import importlib
import logging
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

METRICS, COMPILER = "torchmetrics", "torch._dynamo"
EARLY = {"Metric": "torchmetrics.metric", "MetricCollection": "torchmetrics.collections"}
"""Names of torchmetrics and the modules that they come from."""


class _CompiledKind(type):
    def __instancecheck__(cls, instance: object) -> bool:
        compiler = sys.modules.get("torch._dynamo.eval_frame")  # imported once a model has been compiled
        return compiler is not None and isinstance(instance, compiler.OptimizedModule)


class OptimizedModule(metaclass=_CompiledKind):
    """Stands for torch's class of this name in `isinstance`, without importing the compiler."""


def disable(function: Any = None, *options: Any, **named: Any) -> Any:
    """Excludes a function from compilation as torch's own `disable` does, once the compiler is imported."""
    if function is None:
        return lambda later: disable(later, *options, **named)
    excluded: list[Any] = []

    @functools.wraps(function)
    def call(*args: Any, **keywords: Any) -> Any:
        compiler = sys.modules.get("torch._dynamo.eval_frame")
        if compiler is None:
            return function(*args, **keywords)
        if not excluded:
            excluded.append(sys.modules[COMPILER].disable(function, *options, **named))
        return excluded[0](*args, **keywords)

    return call


def graph_break(*_: Any, **__: Any) -> None:
    """Does nothing: only the compiler uses it."""


STAND_INS = {"OptimizedModule": OptimizedModule, "disable": disable, "graph_break": graph_break}
"""Names of the compiler that Lightning and torch's optimizers use even if nothing is compiled."""


class _Deferred(Loader):
    """Loads a package, but runs its `__init__` only when a name is used that is not defined here."""

    def __init__(self, spec: ModuleSpec) -> None:
        assert spec.loader is not None
        self.package, self.loader = spec.name, spec.loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        def find(name: str) -> Any:
            if self.package == METRICS and name in EARLY:
                importlib.import_module("torchmetrics.utilities")  # must be imported before its other modules
                return getattr(importlib.import_module(EARLY[name]), name)
            if self.package == METRICS and name == "_logger":
                return logging.getLogger(METRICS)
            if self.package == COMPILER and name in STAND_INS:
                return STAND_INS[name]
            if name.startswith("__"):  # the import system looks for these
                raise AttributeError(f"module {self.package} has no attribute {name}")
            self.run(module)
            return getattr(module, name)

        module.__getattr__ = find  # type: ignore[method-assign]

    def run(self, module: ModuleType) -> None:
        """Runs the package's `__init__`, once."""
        if module.__dict__.pop("__getattr__", None) is not None:
            self.loader.exec_module(module)


class _Finder(MetaPathFinder):
    """Delays the two packages. Before a module inside torch's compiler is imported, the whole compiler is loaded."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name.startswith(f"{COMPILER}."):
            compiler = sys.modules.get(COMPILER)
            deferred = getattr(getattr(compiler, "__spec__", None), "loader", None)
            if compiler is not None and isinstance(deferred, _Deferred):
                deferred.run(compiler)
            return None
        if name not in (METRICS, COMPILER):
            return None
        spec = PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            spec.loader = _Deferred(spec)
        return spec


def install() -> None:
    """Delays the two packages in this process, unless they are imported already."""
    if METRICS not in sys.modules and not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
