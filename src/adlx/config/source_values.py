"""Reads the values that an argument of a class accepts from the source of its annotation, without importing it.

Completion uses this, since importing a class would import torch, which needs seconds.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path


@dataclass(frozen=True)
class Module:
    """The source of a module: `package` is where its relative imports start."""

    name: str
    package: str
    tree: ast.Module


@dataclass(frozen=True)
class Argument:
    """An argument of a function.

    Args:
        annotation: None if there is none.
        default: as a config writes it; None if the argument is required.
        keyword_only: whether it comes after `*`.
        module: the module that defines the names in the annotation.
    """

    annotation: ast.expr | None
    default: str | None
    keyword_only: bool
    module: Module


def values_of(target: str, name: str, method: str = "__init__") -> list[str]:
    """The values that an argument of a class accepts, as a config writes them; empty if they cannot be listed.

    Args:
        target: the dotted path of the class.
        name: the name of the argument.
        method: the method that has the argument.
    """
    argument = arguments_of(target, method).get(name)
    if argument is None or argument.annotation is None:
        return []
    values = list(dict.fromkeys(_values(argument.annotation, argument.module)))
    return [] if values == ["null"] else values


def arguments_of(target: str, method: str = "__init__") -> dict[str, Argument]:
    """The arguments of a method, including those that its `**kwargs` pass on; empty if there is no source."""
    module_name, _, name = target.rpartition(".")
    definition = _definition(module_name, name)
    return {} if definition is None else _arguments(*definition, method)


def _arguments(module: Module, definition: ast.AST, method: str) -> dict[str, Argument]:
    if not isinstance(definition, ast.ClassDef):
        return {}
    own: dict[str, Argument] = {}
    function = next((n for n in definition.body if isinstance(n, ast.FunctionDef) and n.name == method), None)
    if function is not None:
        own = _parameters(module, function)
    elif method == "__init__" and definition.decorator_list:  # a dataclass
        fields = [n for n in definition.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)]
        own = {ast.unparse(n.target): Argument(n.annotation, None, False, module) for n in fields}
    if function is None or function.args.kwarg is not None:
        for base in definition.bases:
            inherited = _named(base, module)
            own = {**(_arguments(*inherited, method) if inherited else {}), **own}
    return own


def _parameters(module: Module, function: ast.FunctionDef) -> dict[str, Argument]:
    given = function.args
    positional = [*given.posonlyargs, *given.args]
    missing: list[ast.expr | None] = [None] * (len(positional) - len(given.defaults))
    pairs = [*zip(positional, [*missing, *given.defaults], strict=True)][1:]  # without `self`
    parameters = {}
    for only, arguments in ((False, pairs), (True, list(zip(given.kwonlyargs, given.kw_defaults, strict=True)))):
        for argument, default in arguments:
            text = None if default is None else _default(default)
            parameters[argument.arg] = Argument(argument.annotation, text, only, module)
    return parameters


def _values(annotation: ast.expr, module: Module) -> Iterator[str]:
    """The values that an annotation lists: those of `bool`, `Literal`, enumerations, and their unions."""
    match annotation:
        case ast.Constant(value=None):
            yield "null"
        case ast.Constant(value=str(text)):  # an annotation in quotes
            yield from _values(ast.parse(text, mode="eval").body, module)
        case ast.Name(id="bool"):
            yield from ("true", "false")
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            yield from _values(left, module)
            yield from _values(right, module)
        case ast.Subscript(value=outer, slice=inner):
            parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
            yield from _values_inside(ast.unparse(outer).rpartition(".")[2], parts, module)
        case ast.Name() | ast.Attribute():
            yield from _values_of_name(annotation, module)


def _values_inside(outer: str, parts: list[ast.expr], module: Module) -> Iterator[str]:
    if outer == "Literal":
        for part in parts:
            if isinstance(part, ast.Constant):
                yield _written(part.value)
            else:
                yield from _values(part, module)
    elif outer in ("Union", "Optional", "Annotated"):
        for part in parts[:1] if outer == "Annotated" else parts:
            yield from _values(part, module)
        if outer == "Optional":
            yield "null"


def _values_of_name(name: ast.expr, module: Module) -> Iterator[str]:
    """The values of an alias such as `Kind = Literal[...]`, or of an enumeration."""
    named = _named(name, module)
    if named is None:
        return
    home, definition = named
    if isinstance(definition, ast.expr):
        yield from _values(definition, home)
    elif isinstance(definition, ast.ClassDef):
        bases = [ast.unparse(base).rpartition(".")[2] for base in definition.bases]
        if not any(base.endswith("Enum") for base in bases):
            return
        for member in definition.body:
            if isinstance(member, ast.Assign) and isinstance(member.targets[0], ast.Name):
                if isinstance(member.value, ast.Constant):
                    yield _written(member.value.value)
                elif "StrEnum" in bases:  # auto()
                    yield member.targets[0].id.lower()


def _default(expression: ast.expr) -> str:
    return _written(expression.value) if isinstance(expression, ast.Constant) else ast.unparse(expression)


def _written(value: object) -> str:
    """A Python value as a config writes it."""
    return (
        {None: "null", True: "true", False: "false"}[value] if value is None or isinstance(value, bool) else str(value)
    )


def _named(name: ast.expr, module: Module) -> tuple[Module, ast.AST] | None:
    """What a name in a module, such as `Kind` or `package.Kind`, stands for."""
    first, _, rest = ast.unparse(name).partition(".")
    definition = _definition(module.name, first)
    for part in rest.split(".") if rest and definition is not None else ():
        definition = _definition(definition[0].name, part) if definition else None
    return definition


@cache
def _definition(module_name: str, name: str, depth: int = 8) -> tuple[Module, ast.AST] | None:
    """Where a name of a module is defined, through imports: a class, the value of an alias, or a module."""
    module = _module(module_name)
    if module is None or depth == 0:
        return None
    for node in _statements(module.tree.body):
        match node:
            case ast.ClassDef(name=defined) if defined == name:
                return module, node
            case ast.Assign(targets=[ast.Name(id=defined)], value=value) if defined == name:
                return module, value
            case ast.AnnAssign(target=ast.Name(id=defined), value=ast.expr() as value) if defined == name:
                return module, value
            case ast.ImportFrom(module=origin, names=names, level=level):
                source = ".".join([*_parents(module, level), *filter(None, [origin])])
                for alias in names:
                    if (alias.asname or alias.name) == name:
                        return _definition(source, alias.name, depth - 1)
                    if alias.name == "*" and (definition := _definition(source, name, depth - 1)):
                        return definition
            case ast.Import(names=names):
                for alias in names:
                    if (alias.asname or alias.name.partition(".")[0]) == name:
                        return _inner_module(alias.name if alias.asname else name)
    return _inner_module(f"{module_name}.{name}")


def _parents(module: Module, level: int) -> list[str]:
    """The parts of the package that a relative import with `level` dots starts from; none for an absolute import."""
    parts = module.package.split(".")
    return parts[: len(parts) - level + 1] if level else []


def _inner_module(name: str) -> tuple[Module, ast.AST] | None:
    module = _module(name)
    return None if module is None else (module, module.tree)


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module, those under `if` and `try` too."""
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try):
            yield from _statements([*node.body, *node.orelse])


@cache
def _module(name: str) -> Module | None:
    """The source of a module; None if there is none. Its package is not imported."""
    top, *rest = name.split(".")
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return None
    # Like `python -m`, search a package that is not installed in the working folder.
    root = Path(top).absolute() if spec is None else (spec.submodule_search_locations or [spec.origin or ""])[0]
    base = Path(root).joinpath(*rest)
    inner = base / "__init__.py"
    path = inner if inner.is_file() else base if not rest and base.is_file() else base.with_name(f"{base.name}.py")
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return None
    return Module(name, name if path == inner else name.rpartition(".")[0], tree)
