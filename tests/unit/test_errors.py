"""The error tree keeps what its docstring promises."""

import contextlib
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
)
from exporter.local_text import local_text
from exporter.messages import line

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
    drawn_as = {entry["name"]: entry for _, entry in drawn() if entry["name"] in kinds}
    for name, kind in kinds.items():
        assert isinstance(kind, type)
        assert ("(retried)" in drawn_as[name]["words"]) == kind.retryable, name
        if drawn_as[name]["reason"]:
            assert drawn_as[name]["reason"] == str(kind.reason), name


def test_every_reason_has_an_error_and_every_error_a_reason() -> None:
    assert {kind.reason for kind in POLL_ERRORS if issubclass(kind, PollError)} == set(Reason)


@pytest.mark.parametrize("kind", POLL_ERRORS, ids=lambda kind: kind.__name__)
def test_a_poll_error_carries_what_to_do_and_what_to_quote(kind: type[PollError]) -> None:
    exchange = Exchange(line("/v1/analytics"), 500, line("correlation"), line("request"))
    error = kind(line("it failed"), remedy=line("fix it"), exchange=exchange, retry_after_seconds=57.0)
    assert (str(error), error.message, error.remedy) == ("it failed", "it failed", "fix it")
    assert (error.exchange, error.retry_after_seconds) == (exchange, 57.0)
    assert kind(line("it failed")).exchange == Exchange()
    assert kind(line("it failed")).retry_after_seconds is None


@pytest.mark.parametrize("kind", POLL_ERRORS, ids=lambda kind: kind.__name__)
def test_what_is_learned_later_makes_a_new_error_and_leaves_the_first_alone(kind: type[PollError]) -> None:
    error = kind(line("it failed"), remedy=line("fix it"), retry_after_seconds=57.0)
    error.add_note("a note of Python's own")
    arguments = error.arguments()
    changed = error.replace(message=line("usage: it failed"), exchange=Exchange(line("/v1/analytics")))
    assert type(changed) is kind
    assert changed.arguments() == {
        **arguments,
        "message": "usage: it failed",
        "exchange": Exchange(line("/v1/analytics")),
    }
    assert str(changed) == "usage: it failed"
    assert error.arguments() == arguments
    assert kind(**arguments).arguments() == arguments


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)
def test_no_attribute_of_an_error_can_be_changed_once_it_is_made(kind: type[ExporterError]) -> None:
    error = {ConfigurationError: lambda: ConfigurationError("config.yaml", ()), PollAborted: PollAborted}.get(
        kind, lambda: kind(line("it failed"))
    )()
    names = {*vars(error), "args", *(["reason", "retryable"] if isinstance(error, PollError) else [])}
    assert {"message", "remedy"} < names
    for name in names:
        with pytest.raises(AttributeError, match=f"{name} of a {kind.__name__} can't be changed"):
            setattr(error, name, getattr(error, name))


def test_python_itself_can_still_add_cause_notes_and_traceback() -> None:
    cause = ValueError("why")
    with pytest.raises(ExporterError) as caught, contextlib.ExitStack():
        raise ExporterError(line("it failed")) from cause
    caught.value.add_note("where")
    caught.value.__traceback__ = None
    caught.value.__cause__ = None
    assert caught.value.__notes__ == ["where"]


def test_every_class_says_what_it_means() -> None:
    assert all(inspect.getdoc(kind) for kind in EVERY)


def test_a_refused_sign_in_carries_the_code_of_oauth() -> None:
    error = AuthenticationError(line("x"), error="invalid_grant")
    assert error.replace(remedy=line("sign in")).error == "invalid_grant"


@pytest.mark.parametrize("words", ["a\ud800b", "\udfff"])
def test_a_message_can_always_be_written_as_utf8(words: str) -> None:
    error = ExporterError(local_text(f"x{words}"))
    assert str(error).encode()
    assert error.message.encode()


def test_a_configuration_error_shows_every_problem_with_its_line_path_and_fix() -> None:
    problems = (Problem(3, "poll.interval", "write 1h"), Problem(0, "", "invalid YAML"))
    error = ConfigurationError("config.yaml", problems)
    assert str(error) == "config.yaml:3: poll.interval: write 1h\nconfig.yaml: invalid YAML"
    assert error.problems == problems


def test_problems_are_sorted_by_their_line() -> None:
    problems = [Problem(9, "a", "x"), Problem(2, "b", "x"), Problem(2, "a", "x")]
    assert sorted(problems) == [Problem(2, "a", "x"), Problem(2, "b", "x"), Problem(9, "a", "x")]


def test_an_abandoned_poll_is_not_a_failed_poll() -> None:
    assert not isinstance(PollAborted(), PollError)
