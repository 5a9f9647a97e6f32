"""A checked config: classes instead of their names, typed arguments instead of plain ones.

Everything that is built later is built from here; no stage looks a class up by its name again.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Origin = Callable[[str], str]
"""From a dotted key to where it was set, for messages."""


@dataclass(frozen=True)
class Group:
    """What a node of the config may be.

    Args:
        kind: what its class must derive from.
        given: arguments that the run passes, and a config may not set.
        offered: arguments that the run passes where the config does not set them.
        forbidden: arguments that a config may not set, since another group does.
        extra: annotations of keys that are no arguments of the class.
        ranges: annotations with the range of an argument, see `adlx.ranges`, for classes of other packages.
        nested: keys that are nodes themselves, where they are not plain values.
        fixed: the class, where the config does not choose one.
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
        """Calls the class with its arguments, after `args` and `given`, which win over them."""
        return self.target(*args, **{**self.arguments, **given})

    def build_with(self, **offered: Any) -> Any:
        """As `build`, with those of `offered` that the class accepts and the config does not set."""
        chosen = {key: value for key, value in offered.items() if key in self.accepts and key not in self.arguments}
        return self.build(**chosen)

    def without(self, *names: str) -> "Node":
        rest = {key: value for key, value in self.arguments.items() if key not in names}
        return Node(self.where, self.target, rest, self.accepts)


@dataclass(frozen=True)
class Part:
    """An argument of a model that is itself the model of another run, such as the autoencoder of a forecaster.

    Args:
        kind: what that model must derive from.
        run: the folder of the run.
        sha256: of its checkpoint; None: the run has not been read yet.
        model: what the model is built from; None likewise.
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
        finetune: None: from scratch.
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
