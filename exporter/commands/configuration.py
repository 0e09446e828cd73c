"""config.yaml and --web.config.file read together, so that the mistakes of both are reported at once."""

from collections.abc import Callable
from typing import TypeVar

from exporter.errors import ConfigurationError

C = TypeVar("C")
W = TypeVar("W")


def read_both(read: Callable[[], C], read_web: Callable[[], W]) -> tuple[C, W]:
    """Return what both return; raises ConfigurationError with every mistake of both."""
    try:
        config = read()
    except ConfigurationError as error:
        try:
            read_web()
        except ConfigurationError as other:
            [file, *_] = [file for file, _ in error.located]
            raise ConfigurationError(file, error.problems, also=other) from error
        raise
    return config, read_web()
