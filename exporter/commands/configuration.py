"""What commands say of the configuration: the mistakes of both files at once, and other commands that read the same."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from exporter.arguments import Check
from exporter.errors import ConfigurationError

C = TypeVar("C")
W = TypeVar("W")
# A full stop at the end is the sentence's.
_COMMAND = re.compile(r"partnercenter-exporter (?:login|check)\b(?: --partner [\w.-]*[\w-])?(?![\w-]| --)")


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


def as_called(text: str, file: Path) -> str:
    """Return a text whose commands of this program read the configuration that this one has read."""
    if file == Check().config_file:
        return text
    flag = shlex.join([f"--config.file={file}"])
    return _COMMAND.sub(lambda command: f"{command[0]} {flag}", text)
