"""Structured logs on standard error: constant messages with fields, as logfmt or JSON."""

import logging
import math
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, Protocol, TextIO

import structlog
from structlog.processors import EventRenamer, JSONRenderer, LogfmtRenderer, TimeStamper, add_log_level
from structlog.typing import EventDict, Processor

from exporter.local_text import local_text
from exporter.messages import Line, Value, class_name, shown
from exporter.redaction import Redactor, redact
from exporter.streams import TextLines

Field = Value | None
"""What a log line may contain. Fields without a value are left out."""


class Logger(Protocol):
    """What structlog's loggers are here: an event is one of this program's own constant texts."""

    def debug(self, event: str, **fields: Field) -> None:
        """Log for developers."""

    def info(self, event: str, **fields: Field) -> None:
        """Log what is as it should be."""

    def warning(self, event: str, **fields: Field) -> None:
        """Log what somebody should look at."""

    def error(self, event: str, **fields: Field) -> None:
        """Log what has failed."""

    def log(self, level: int, event: str, **fields: Field) -> None:
        """Log at one of Python's levels."""

    def bind(self, **fields: Field) -> "Logger":
        """Return a logger that adds the fields to every line."""


_FRAMES = 4
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}


def configure(*, level: str, log_format: str, stream: TextIO | None = None) -> None:
    """Send the logs of this program and its libraries to `stream` (standard error) in one format."""
    stream = stream or sys.stderr
    renderers: dict[str, Processor] = {
        "json": JSONRenderer(ensure_ascii=False),
        "logfmt": LogfmtRenderer(key_order=["ts", "level", "msg"], drop_missing=True, bool_as_flag=False),
    }
    timestamp = TimeStamper(fmt="iso", utc=True, key="ts")
    lines = _Lines(stream)
    structlog.configure(
        processors=[add_log_level, timestamp, EventRenamer("msg"), _printable, renderers[log_format]],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=False,
    )
    if isinstance(stream, TextLines):
        stream.writer.note = _missing_lines
    root = logging.getLogger()
    root.handlers = [_LibraryHandler()]
    root.setLevel(max(LEVELS[level], logging.WARNING))
    # MSAL logs whole token responses at ERROR, and httpx whole URLs at INFO: what matters comes as an error.
    for name in ("msal", "httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def get_logger(**fields: Field) -> Logger:
    """Return a logger that adds `fields` to every line."""
    logger: Logger = structlog.get_logger(**fields)
    return logger


def asked_logger() -> Logger:
    """Return a logger for what somebody has asked for: its lines are shown at any level."""
    unfiltered = structlog.make_filtering_bound_logger(logging.NOTSET)
    logger: Logger = structlog.wrap_logger(structlog.get_config()["logger_factory"](), wrapper_class=unfiltered)
    return logger


def _missing_lines(count: int) -> str:
    note: str = structlog.wrap_logger(structlog.ReturnLogger()).error("log lines dropped", count=count)
    return f"{note}\n"


class _Lines:
    """What structlog writes to, one whole line at a time.

    Unlike structlog's own its lock lets a thread in twice: the garbage collector may log in the middle of anything.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.RLock()

    def msg(self, line: str) -> None:
        """Write a line."""
        with self._lock:
            self._stream.write(f"{line}\n")

    debug = info = warning = error = critical = msg


def _printable(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Begin with time, level and message; spell the level as the flags do, the values as plain text without secrets."""
    first = {key: event.pop(key) for key in ("ts", "level", "msg")}
    first["level"] = {"warning": "warn", "critical": "error"}.get(first["level"], first["level"])
    return {key: _plain(value) for key, value in {**first, **event}.items() if value is not None and value != ""}


def _plain(value: Any) -> Any:
    if isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return round(value, 3) if math.isfinite(value) else str(value)
    text = redact(str(shown(value)))
    return "".join(c if c.isprintable() else " " for c in text.encode("utf-8", "replace").decode())


class _LibraryHandler(logging.Handler):
    """Passes what libraries log to our own logger, as one line without a traceback."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage().strip()
        except (TypeError, ValueError, KeyError):  # its arguments don't fit its format
            text = str(record.msg)
        level = min(max(record.levelno // 10 * 10, logging.DEBUG), logging.CRITICAL)
        cause = record.exc_info[1] if record.exc_info else None
        quoted = Redactor().quote(text)
        error = Redactor().quote(f"{type(cause).__name__}: {cause}") if cause else None
        get_logger().log(level, "library message", logger=local_text(record.name), text=quoted, error=error)


def log_dying_threads(log: Logger) -> None:
    """Log a thread that ends with an exception as one line, in place of Python's traceback."""

    def report(death: threading.ExceptHookArgs) -> None:
        error = death.exc_value
        if error is not None and not isinstance(error, SystemExit):
            name = local_text(death.thread.name) if death.thread else None
            log.error("thread died", thread=name, error=class_name(error), where=place_of(error))

    threading.excepthook = report


def place_of(error: BaseException) -> Line:
    """Return the files and lines that led to an error, the last first.

    With its class this is enough for a report; its words may quote anything.
    """
    frames = traceback.extract_tb(error.__traceback__, limit=-_FRAMES)
    return local_text(" < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames)))
