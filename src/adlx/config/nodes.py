"""A checked config: classes instead of their names, and typed arguments instead of plain values.

A run builds all its objects from it, so no later step needs the name of a class.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Origin = Callable[[str], str]
"""A function from a dotted key to the place where it was set, for messages."""


@dataclass(frozen=True)
class Group:
    """The requirements for a node of the config.

    Args:
        kind: the base class that its class must derive from.
        given: arguments that the run passes, and that a config must not set.
        offered: arguments that the run passes if the config does not set them.
        forbidden: arguments that a config must not set, since another group sets them.
        extra: annotations of keys that are not arguments of the class.
        ranges: annotations with ranges, see `adlx.ranges`, of arguments of classes from other packages.
        nested: keys that may be nodes themselves.
        fixed: the class, if the config does not choose one.
    """

    kind: type
    given: frozenset[str] = frozenset()
    offered: frozenset[str] = frozenset()
    forbidden: frozenset[str] = frozenset()
    extra: dict[str, Any] = field(default_factory=dict)
    ranges: dict[str, Any] = field(default_factory=dict)
    nested: dict[str, "Group"] = field(default_factory=dict)
    fixed: type | None = None


@dataclass(frozen=True)
class Node:
    """A class with the arguments that the config gives it.

    Args:
        where: its dotted key in the config, such as `optimizer.schedule`.
        target: the class.
        arguments: typed; a nested node is a `Node`, the model of another run a `Part`.
        accepts: names of all arguments of the class.
    """

    where: str
    target: type
    arguments: dict[str, Any]
    accepts: frozenset[str] = frozenset()

    def build(self, *args: Any, **given: Any) -> Any:
        """Calls the class with `args`, the arguments of the config, and `given`, which overrides them."""
        return self.target(*args, **{**self.arguments, **given})

    def build_with(self, **offered: Any) -> Any:
        """Like `build`, also with the `offered` arguments that the class accepts and the config does not set."""
        chosen = {key: value for key, value in offered.items() if key in self.accepts and key not in self.arguments}
        return self.build(**chosen)

    def without(self, *names: str) -> "Node":
        rest = {key: value for key, value in self.arguments.items() if key not in names}
        return Node(self.where, self.target, rest, self.accepts)


@dataclass(frozen=True)
class Part:
    """An argument of a model that is itself the model of another run, such as the autoencoder of a forecaster.

    Args:
        kind: the base class that the model must derive from.
        run: the folder of the run.
        sha256: the hash of its checkpoint; None: the run has not been read yet.
        model: the node of the model; None: the run has not been read yet.
    """

    kind: type
    run: str
    sha256: str | None = None
    model: Node | None = None


@dataclass(frozen=True)
class CheckedConfig:
    """The nodes of a config that was checked, and the plain config that is stored.

    Args:
        plain: dicts, lists, numbers and strings, as `config.yaml` has them.
        model, data, task, loss, optimizer, trainer: one node each.
        finetune: None: training from scratch.
        callbacks, logger: nodes by name.
    """

    plain: dict[str, Any]
    model: Node
    data: Node
    task: Node
    loss: Node
    optimizer: Node
    trainer: Node
    finetune: Node | None
    callbacks: dict[str, Node]
    logger: dict[str, Node]

    @property
    def seed(self) -> int:
        return self.plain["seed"]

    @property
    def parts(self) -> dict[str, Part]:
        """The arguments of the model that are models of other runs."""
        return {name: value for name, value in self.model.arguments.items() if isinstance(value, Part)}
