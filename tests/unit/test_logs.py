"""Log lines: both formats can be read by machines, none holds a secret, none can be forged."""

import io
import json
import logging
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from exporter import logs
from exporter.errors import Reason
from exporter.local_text import local_text
from exporter.redaction import MASK, Secret
from tests.fixtures import logfmt
from tests.support.logs import recorded_logs

TOKEN = "1.AX0AqL2kW6m0pESjX3c9vW7fV9SNc0gqv3ZBpYw-x_y.Z~"


@pytest.fixture
def restored() -> Iterator[None]:
    """Logging as it was before, once the test is over."""
    with recorded_logs():
        yield


class Lines(io.StringIO):
    """What was logged, in one format."""

    def __init__(self, log_format: str, level: str = "debug") -> None:
        super().__init__()
        self.format = log_format
        logs.configure(level=level, log_format=log_format, stream=self)

    @property
    def fields(self) -> list[dict[str, str]]:
        """Every line, read back; all values as words."""
        lines = self.getvalue().split("\n")
        assert lines.pop() == ""
        if self.format == "logfmt":
            return [logfmt.parse(line) for line in lines]
        return [
            {key: v if isinstance(v, str) else json.dumps(v) for key, v in json.loads(line).items()} for line in lines
        ]


@pytest.fixture(params=["logfmt", "json"])
def lines(request: pytest.FixtureRequest, restored: None) -> Lines:
    """Log lines in each format in turn."""
    del restored
    return Lines(request.param)


def test_a_line_has_a_time_a_level_a_constant_message_and_fields(lines: Lines) -> None:
    logs.get_logger(partner=local_text("contoso")).bind(source=local_text("usage")).info(
        "poll succeeded", rows=5, duration=local_text("0.12s")
    )
    (line,) = lines.fields
    assert datetime.fromisoformat(line.pop("ts")).tzinfo is not None
    assert line == {
        "level": "info",
        "msg": "poll succeeded",
        "partner": "contoso",
        "source": "usage",
        "rows": "5",
        "duration": "0.12s",
    }


def test_time_level_and_message_come_first(lines: Lines) -> None:
    logs.get_logger(partner=local_text("contoso")).warning("token not saved", error=local_text("x"))
    assert list(lines.fields[0]) == ["ts", "level", "msg", "partner", "error"]


def test_in_json_numbers_stay_numbers(restored: None) -> None:
    del restored
    lines = Lines("json")
    logs.get_logger().info("x", rows=5, seconds=0.123456, good=True)
    entry = json.loads(lines.getvalue())
    assert (entry["rows"], entry["seconds"], entry["good"]) == (5, 0.123, True)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_json_does_not_know_is_written_as_a_word(restored: None, number: float) -> None:
    del restored
    lines = Lines("json")
    logs.get_logger().info("x", seconds=number)
    assert json.loads(lines.getvalue(), parse_constant=pytest.fail)["seconds"] == str(number)


@pytest.mark.parametrize(
    ("method", "level"),
    [("debug", "debug"), ("info", "info"), ("warning", "warn"), ("error", "error"), ("critical", "error")],
)
def test_levels_are_spelled_as_the_flags_spell_them(lines: Lines, method: str, level: str) -> None:
    getattr(logs.get_logger(), method)("x")
    assert lines.fields[0]["level"] == level


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("debug", ["debug", "info", "warn", "error"]),
        ("info", ["info", "warn", "error"]),
        ("warn", ["warn", "error"]),
        ("error", ["error"]),
    ],
)
def test_what_is_below_the_level_is_not_logged(restored: None, level: str, shown: list[str]) -> None:
    del restored
    lines = Lines("logfmt", level)
    for method in ("debug", "info", "warning", "error"):
        getattr(logs.get_logger(), method)("x")
    assert [line["level"] for line in lines.fields] == shown


@pytest.mark.parametrize(
    "words",
    [
        "plain",
        "two words",
        'say "hi"',
        "a=b",
        "back\\slash",
        "ends with \\",
        'quote at the end"',
        '\\"',
        "C:\\new folder\\table",
        "Überblick 概要",
        "{curly} %s %d",
        "=",
        '"',
    ],
)
def test_any_text_is_read_back_unchanged(lines: Lines, words: str) -> None:
    logs.get_logger().info("x", error=local_text(words), after=local_text("here"))
    (line,) = lines.fields
    assert (line["error"], line["after"]) == (words, "here")


@pytest.mark.parametrize("breaking", ["\n", "\r", "\r\n", "\v", "\x1b[2K", "\x00", "\x85", "\u2028", "\ud800"])
def test_a_line_break_in_a_value_adds_no_line_and_no_field(lines: Lines, breaking: str) -> None:
    logs.get_logger().info(
        "x", error=local_text(f'a"{breaking}ts=2027-01-01 level=error msg="forged" {{"level": "error"}}')
    )
    (line,) = lines.fields
    assert (line["level"], line["msg"]) == ("info", "x")
    assert lines.getvalue().count("\n") == 1
    assert lines.getvalue()[:-1].isprintable()


def test_secrets_are_masked_anywhere(lines: Lines) -> None:
    fields: dict[str, Any] = {
        "secret": Secret("hunter2"),
        "listed": [Secret("hunter2")],
        "error": ValueError(Secret("hunter2")),
    }
    logs.get_logger(**fields).info("x")
    assert "hunter2" not in lines.getvalue()
    assert lines.fields[0]["secret"] == f"Secret({MASK})"


def test_what_looks_like_a_token_is_masked(lines: Lines) -> None:
    logs.get_logger().error("x", error=local_text(f"invalid_grant: {TOKEN}"))
    assert TOKEN not in lines.getvalue()
    assert lines.fields[0]["error"] == f"invalid_grant: {MASK}"


def test_correlation_ids_are_not_masked(lines: Lines) -> None:
    logs.get_logger().info("x", correlation_id=local_text("ae3b8c36-348b-46bc-9a60-398f973153ff"))
    assert lines.fields[0]["correlation_id"] == "ae3b8c36-348b-46bc-9a60-398f973153ff"


def test_fields_without_a_value_are_left_out(lines: Lines) -> None:
    logs.get_logger().info("x", remedy=local_text(""), status=None, rows=0, good=False)
    (line,) = lines.fields
    assert line.keys() == {"ts", "level", "msg", "rows", "good"}
    assert (line["rows"], line["good"]) == ("0", "false")


def test_enumerations_paths_and_errors_are_logged_as_plain_text(lines: Lines) -> None:
    logs.get_logger().error(
        "x", reason=Reason.NOT_FOUND, file=Path("/srv/x"), error=FileNotFoundError(2, "no file", "x")
    )
    (line,) = lines.fields
    assert (line["reason"], line["file"], line["error"]) == ("not_found", "/srv/x", "no file")


def test_log_lines_of_libraries_get_our_format(lines: Lines) -> None:
    cause = ValueError(f"cause {TOKEN}")
    logging.getLogger("uvicorn.error").error("something\nbroke", exc_info=cause)
    (line,) = lines.fields
    assert line["msg"] == "library message"
    assert (line["level"], line["logger"], line["text"]) == ("error", "uvicorn.error", "something broke")
    assert line["error"] == f"ValueError: cause {MASK}"
    assert "Traceback" not in lines.getvalue()


def test_of_libraries_only_warnings_and_worse_are_logged(lines: Lines) -> None:
    logging.getLogger("asyncio").info("chatter")
    logging.getLogger("asyncio").warning("%s took long", "it")
    assert [line["text"] for line in lines.fields] == ["it took long"]


@pytest.mark.parametrize("name", ["msal.oauth2cli.oauth2", "msal", "httpx", "httpcore.connection"])
def test_libraries_that_log_tokens_and_addresses_are_silent(lines: Lines, name: str) -> None:
    logging.getLogger(name).critical("the whole body: %s", TOKEN)
    assert lines.getvalue() == ""


def test_a_library_that_logs_wrongly_breaks_nothing(lines: Lines) -> None:
    # Handed over directly: pytest's own handler would fail of the first.
    (ours,) = (h for h in logging.getLogger().handlers if type(h).__module__ == logs.__name__)
    for level, words, arguments in ((logging.WARNING, "%d rows of %s", ("x",)), (35, "a level of its own", ())):
        ours.handle(logging.LogRecord("sloppy", level, "x.py", 1, words, arguments, None))
    assert [(line["level"], line["text"]) for line in lines.fields] == [
        ("warn", "%d rows of %s"),
        ("warn", "a level of its own"),
    ]


def test_a_thread_that_dies_leaves_one_line_and_no_traceback(
    lines: Lines, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    logs.log_dying_threads(logs.get_logger())
    thread = threading.Thread(target=lambda: int("x"), name="poll-contoso-usage")
    thread.start()
    thread.join()
    [line] = lines.fields
    assert (line["msg"], line["thread"]) == ("thread died", "poll-contoso-usage")
    assert line["error"] == "ValueError"
    assert str(line["where"]).startswith("test_logs.py:")
    assert capsys.readouterr().err == ""


def test_the_place_of_an_error_is_its_files_and_lines_the_innermost_first() -> None:
    def fail() -> None:
        raise ValueError("x")

    with pytest.raises(ValueError, match="x") as raised:
        fail()
    line = fail.__code__.co_firstlineno
    assert logs.place_of(raised.value) == f"test_logs.py:{line + 1} < test_logs.py:{line + 4}"
    assert logs.place_of(ValueError("never raised")) == ""
