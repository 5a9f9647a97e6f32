"""Keeps Lightning from importing what no run of adlx needs: half of the seconds before a command does anything.

Lightning imports all of torchmetrics for two names (`Metric`, `MetricCollection`), and torch's compiler for one
(`OptimizedModule`, which only a compiled model is). In the process of the command, these packages are there as ever,
but they run their `__init__` when another name of theirs is first asked for. Python's own `importlib.util.LazyLoader`
does the same for whole modules; it cannot here, since the names are imported from their package at once.

Only the command installs this, never `import adlx`: what a notebook imports is the user's.
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
        compiler = sys.modules.get("torch._dynamo.eval_frame")  # there once anything has been compiled
        return compiler is not None and isinstance(instance, compiler.OptimizedModule)


class OptimizedModule(metaclass=_CompiledKind):
    """In `isinstance`, what torch's own class of this name is, without importing the compiler."""


def disable(function: Any = None, *options: Any, **named: Any) -> Any:
    """What torch's own `disable` does, which keeps a function out of what is compiled, once there is a compiler."""
    if function is None:
        return lambda later: disable(later, *options, **named)
    kept_out: list[Any] = []

    @functools.wraps(function)
    def call(*args: Any, **keywords: Any) -> Any:
        compiler = sys.modules.get("torch._dynamo.eval_frame")
        if compiler is None:
            return function(*args, **keywords)
        if not kept_out:
            kept_out.append(sys.modules[COMPILER].disable(function, *options, **named))
        return kept_out[0](*args, **keywords)

    return call


def graph_break(*_: Any, **__: Any) -> None:
    """Nothing: it only means something to the compiler."""


STAND_INS = {"OptimizedModule": OptimizedModule, "disable": disable, "graph_break": graph_break}
"""What Lightning's imports and torch's optimizers ask the compiler for, in programs that compile nothing."""


class _Deferred(Loader):
    """Loads a package without running its `__init__`, until a name is asked for that is not there."""

    def __init__(self, spec: ModuleSpec) -> None:
        assert spec.loader is not None
        self.package, self.loader = spec.name, spec.loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        def ask(name: str) -> Any:
            if self.package == METRICS and name in EARLY:
                importlib.import_module("torchmetrics.utilities")  # which its own modules expect to come first
                return getattr(importlib.import_module(EARLY[name]), name)
            if self.package == METRICS and name == "_logger":
                return logging.getLogger(METRICS)
            if self.package == COMPILER and name in STAND_INS:
                return STAND_INS[name]
            if name.startswith("__"):  # Python's own questions about a module
                raise AttributeError(f"module {self.package} has no attribute {name}")
            self.run(module)
            return getattr(module, name)

        module.__getattr__ = ask  # type: ignore[method-assign]

    def run(self, module: ModuleType) -> None:
        """Runs the package's `__init__`, once."""
        if module.__dict__.pop("__getattr__", None) is not None:
            self.loader.exec_module(module)


class _Finder(MetaPathFinder):
    """Defers the two packages; a module inside torch's compiler needs the whole of it first."""

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
    """Lets the two packages wait, in this process, unless they are there already."""
    if METRICS not in sys.modules and not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
