"""The error tree keeps what its docstring promises."""

import inspect
import re
from collections.abc import Iterator

import pytest

from exporter import errors
from exporter.errors import (
    AuthenticationError,
    ConfigurationError,
    Exchange,
    ExporterError,
    PollAborted,
    PollError,
    Problem,
    Reason,
    Throttled,
)

ENTRY = re.compile(r"^(?P<indent>[│├└─ ]*)(?P<name>[A-Z]\w+)\s*(?P<reason>[a-z_]*)(?P<words>.*)$")


def descendants(kind: type[ExporterError]) -> Iterator[type[ExporterError]]:
    yield kind
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from descendants(child)


def drawn() -> list[tuple[int, re.Match[str]]]:
    """Return (depth, entry) of each class in the tree that the docstring draws."""
    lines = (errors.__doc__ or "").splitlines()
    return [(len(m["indent"]) // 4, m) for line in lines[1:] if (m := ENTRY.match(line))]


EVERY = list(descendants(ExporterError))
POLL_ERRORS = list(descendants(PollError))[1:]


def test_the_docstring_draws_the_tree_as_it_is() -> None:
    parents: list[str] = []
    tree = {}
    for depth, entry in drawn():
        tree[entry["name"]] = parents[depth - 1] if depth else "Exception"
        parents[depth:] = [entry["name"]]
    assert tree == {kind.__name__: kind.__mro__[1].__name__ for kind in EVERY}


def test_the_docstring_names_the_reason_of_every_poll_error_and_which_are_retried() -> None:
    kinds = {kind.__name__: kind for kind in POLL_ERRORS if issubclass(kind, PollError)}
    told = {entry["name"]: entry for _, entry in drawn() if entry["name"] in kinds}
    for name, kind in kinds.items():
        assert isinstance(kind, type)
        assert ("(retried)" in told[name]["words"]) == kind.retryable, name
        if told[name]["reason"]:
            assert told[name]["reason"] == str(kind.reason), name


def test_every_reason_has_an_error_and_every_error_a_reason() -> None:
    assert {kind.reason for kind in POLL_ERRORS if issubclass(kind, PollError)} == set(Reason)


@pytest.mark.parametrize("kind", POLL_ERRORS, ids=lambda kind: kind.__name__)
def test_a_poll_error_carries_what_to_do_and_what_to_quote(kind: type[PollError]) -> None:
    exchange = Exchange("/v1/analytics", 500, "correlation", "request")
    error = kind("it failed", remedy="mend it").at(exchange)
    assert (str(error), error.message, error.remedy, error.exchange) == (
        "it failed",
        "it failed",
        "mend it",
        exchange,
    )
    assert kind("it failed").exchange == Exchange()
    assert kind("it failed").retry_after_seconds is None


def test_every_class_says_what_it_means() -> None:
    assert all(inspect.getdoc(kind) for kind in EVERY)


def test_an_error_carries_the_upstreams_wish() -> None:
    assert Throttled("x", retry_after_seconds=57.0).retry_after_seconds == 57.0


def test_a_refused_sign_in_carries_the_words_of_oauth() -> None:
    error = AuthenticationError("x", error="invalid_grant", codes=(700082,))
    assert (error.error, error.codes) == ("invalid_grant", (700082,))


@pytest.mark.parametrize("words", ["a\ud800b", "\udfff"])
def test_a_message_can_always_be_written_as_utf8(words: str) -> None:
    error = ExporterError(words)
    assert str(error).encode()
    assert error.message.encode()


def test_a_configuration_error_shows_every_problem_with_its_line_path_and_mend() -> None:
    problems = (Problem(3, "poll.interval", "write 1h"), Problem(0, "", "this is no YAML"))
    error = ConfigurationError("config.yaml", problems)
    assert str(error) == "config.yaml:3: poll.interval: write 1h\nconfig.yaml: this is no YAML"
    assert error.problems == problems


def test_problems_sort_by_where_they_stand() -> None:
    problems = [Problem(9, "a", "x"), Problem(2, "b", "x"), Problem(2, "a", "x")]
    assert sorted(problems) == [Problem(2, "a", "x"), Problem(2, "b", "x"), Problem(9, "a", "x")]


def test_a_poll_that_is_given_up_is_no_failed_poll() -> None:
    assert not isinstance(PollAborted(), PollError)
