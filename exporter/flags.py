"""Command line flags as annotations of dataclass fields: the field has the type and the default."""

import argparse
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from typing import Any, TypeVar, cast

from exporter.errors import ConfigurationError, Problem

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Flag:
    """`read` turns one value into the field's type, or raises ValueError with what is wrong with it.

    A field that is False or True by default is a switch, with a `--no-` form beside it; one that is a tuple takes the
    flag several times. `choices` are what may come of `read`.
    """

    name: str  # with its metavariable: --config.file=FILE; or that alone, for a word without a flag
    help: str
    read: Callable[[str], object] = str
    choices: tuple[str, ...] | None = None
    default: str = ""  # as the help shows it, where the field's own is hard to read


@dataclass(frozen=True, slots=True)
class Spelling:
    """How a flag is written on a command line."""

    names: tuple[str, ...]
    metavar: str
    choices: tuple[str, ...]

    @property
    def positional(self) -> bool:
        """Whether its value is given without a name."""
        return not self.names[0].startswith("-")

    @property
    def takes_value(self) -> bool:
        """Whether something follows it: a switch is complete in itself."""
        return bool(self.metavar or self.choices)


def spellings(kind: type, *, hidden: bool = False) -> Iterator[Spelling]:
    """Yield how each flag of a dataclass is written, those that are only accepted (see `add_flags`) too if asked."""
    for field, flag in _flags(kind):
        if not (hidden or _is_heeded(kind, field)):
            continue
        name, _, metavar = flag.name.partition("=")
        off = (f"--no-{name.removeprefix('--')}",) if isinstance(field.default, bool) else ()
        yield Spelling((name, *off), metavar, flag.choices or ())


def usage_error(flag: str, message: str) -> ConfigurationError:
    """Return the error for a flag that can't be used."""
    return ConfigurationError("command line", (Problem(0, flag, message),))


def add_flags(parser: argparse.ArgumentParser, kind: type) -> None:
    """Add the flags of a dataclass; one that is not given stays out of argparse's namespace.

    If the class has HEEDED, the help leaves out the fields that aren't in it: their flags are accepted, and no more.
    """
    for field, flag in _flags(kind):
        name, _, metavar = flag.name.partition("=")
        options: dict[str, Any] = {"dest": field.name, "default": argparse.SUPPRESS, "help": _help(field, flag)}
        if not _is_heeded(kind, field):
            options["help"] = argparse.SUPPRESS
        if not name.startswith("-"):
            parser.add_argument(
                field.name, metavar=name, nargs="?", choices=flag.choices, default=field.default, help=options["help"]
            )
        elif isinstance(field.default, bool):
            parser.add_argument(name, action=argparse.BooleanOptionalAction, **options)
        else:
            options |= {"metavar": metavar or None, "choices": flag.choices, "required": field.default is MISSING}
            if flag.choices:
                options["type"] = flag.read
            action = "append" if isinstance(field.default, tuple) else "store"
            parser.add_argument(name, action=action, **options)


def _is_heeded(kind: type, field: Field[Any]) -> bool:
    heeded: Container[str] | None = getattr(kind, "HEEDED", None)
    return heeded is None or field.name in heeded


def _help(field: Field[Any], flag: Flag) -> str:
    default = flag.default or (", ".join(field.default) if isinstance(field.default, tuple) else field.default)
    return flag.help if default in ("", None, False, MISSING) else f"{flag.help} (default: {default})"


def read_flags(kind: type[T], given: Mapping[str, Any]) -> T:
    """Return the dataclass of a namespace; raises ConfigurationError with everything that is wrong."""
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for field, flag in _flags(kind):
        texts = given.get(field.name, [])
        read = []
        for text in texts if isinstance(texts, list) else [texts]:
            try:
                read.append(flag.read(text) if isinstance(text, str) else text)  # a switch is a bool
            except ValueError as error:
                problems.append(Problem(0, flag.name.partition("=")[0], str(error)))
        if read:
            values[field.name] = tuple(read) if isinstance(texts, list) else read[0]
    if problems:
        raise ConfigurationError("command line", tuple(problems))
    return kind(**values)


def _flags(kind: type) -> list[tuple[Field[Any], Flag]]:
    return [(field, cast("Any", field.type).__metadata__[0]) for field in fields(kind)]
