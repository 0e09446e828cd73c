"""Captured log lines."""

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from exporter import logs

_CHANGED_BY_CONFIGURE = ("", "msal", "httpx", "httpcore")


class LogStream(io.StringIO):
    """A stream for `exporter.logs.configure` in JSON, read back line by line."""

    @property
    def entries(self) -> list[dict[str, Any]]:
        """Every line: `msg`, `level` and the fields."""
        return [json.loads(line) for line in self.getvalue().splitlines()]

    def of(self, msg: str) -> list[dict[str, Any]]:
        """Return the lines with this message."""
        return [entry for entry in self.entries if entry["msg"] == msg]


@contextmanager
def recorded_logs() -> Iterator[LogStream]:
    """Send all logs, from level debug, into a LogStream; restore logging afterwards."""
    before = [(name, logging.getLogger(name).level) for name in _CHANGED_BY_CONFIGURE]
    handlers = logging.getLogger().handlers
    stream = LogStream()
    logs.configure(level="debug", log_format="json", stream=stream)
    try:
        yield stream
    finally:
        structlog.reset_defaults()
        logging.getLogger().handlers = handlers
        for name, level in before:
            logging.getLogger(name).setLevel(level)
