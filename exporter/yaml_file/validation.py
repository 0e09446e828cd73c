"""What every configuration file has in common: how it is read, and how its problems are worded."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from exporter.errors import ConfigurationError, Problem
from exporter.files import read_regular
from exporter.formatting import suggestion
from exporter.permissions import reason_of
from exporter.yaml_file.document import Document, KeyPath

M = TypeVar("M", bound=BaseModel)

MAX_FILE_BYTES = 4 * 1024 * 1024

# By pydantic's type of error, without _type and _parsing. Its own messages name Python's types and no fix.
_MESSAGES = {
    "missing": "this key is required",
    "list": "expected a list: start each entry with a dash",
    "model": "expected a mapping of keys to values",
    "dict": "expected a mapping of keys to values",
    "string": "expected a string",
    "bool": "expected true or false",
    "int": "expected an integer",
    "float": "expected a number",
    "int_parsing_size": "this number is too large",
    "finite_number": "expected a finite number",
    "too_short": "expected at least one entry",
    "string_too_short": "expected a non-empty string",
    "string_unicode": "expected UTF-8 text",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than_equal": "must be at most {le:g}",
    "literal_error": "expected {expected}",
    "enum": "expected {expected}",
}
# pydantic shows the members of an enum as Python does: <Api.LEGACY: 'legacy'>.
_ENUM_MEMBER = re.compile(r"<\w+\.\w+: ('\w+')>")


def read_text(file: Path, flag: str) -> str:
    """Return the file's text, which may come through a pipe; raises ConfigurationError.

    `flag` is the flag that names the file.
    """
    return _text(file, flag, _read)


def read_text_again(file: Path, flag: str) -> str:
    """Do the same in a running exporter, which waits for no pipe: there is nothing left in it anyway."""
    return _text(file, flag, partial(read_regular, max_bytes=MAX_FILE_BYTES))


def _read(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(MAX_FILE_BYTES + 1)


def _text(file: Path, flag: str, read: Callable[[Path], bytes]) -> str:
    try:
        content = read(file)
        if len(content) <= MAX_FILE_BYTES:
            return content.decode("utf-8-sig")
        message = f"file too large: the limit is {MAX_FILE_BYTES // 1024**2} MiB"
    except PermissionError as error:
        message = f"can't read it: {reason_of(file, error)}"
    except OSError as error:
        message = f"can't read it: {error.strerror}; set the file's path with {flag}"
    except UnicodeDecodeError:
        message = "invalid UTF-8: save the file as UTF-8 text"
    raise ConfigurationError(str(file), (Problem(0, "", message),))


def validate(model: type[M], document: Document, folder: Path) -> M | None:
    """Return the document as `model`, or None if it is invalid: the document then holds every problem."""
    if document.content is None and document.problems:  # invalid YAML
        return None
    content = {} if document.content is None else without_nulls(document.content, model)
    try:
        return model.model_validate(content, context={"folder": folder})
    except ValidationError as error:
        for found in error.errors(include_url=False, include_input=False):
            if found["loc"] not in document.unresolved:
                document.report(found["loc"], _message(model, found))
        return None


def without_nulls(value: Any, model: type[BaseModel] | None = None) -> Any:
    """Return the content without its empty values: a key without a value counts as absent.

    Keys that `model` doesn't have stay, so that they are reported as unknown.
    """
    if isinstance(value, dict):
        return {
            key: without_nulls(item, model and _model_of(model, key))
            for key, item in value.items()
            if item is not None or (model and key not in model.model_fields)
        }
    if isinstance(value, list):
        return [without_nulls(item, model) for item in value]
    return value


def _message(root: type[BaseModel], found: ErrorDetails) -> str:
    kind, message = found["type"], found["msg"]
    if kind == "extra_forbidden":
        return f"unknown key{_suggestion(root, found['loc'])}"
    if kind == "value_error":  # one of our own
        return message.removeprefix("Value error, ")
    known = _MESSAGES.get(kind.removesuffix("_type").removesuffix("_parsing"))
    if known:
        return _ENUM_MEMBER.sub(r"\1", known.format(**found.get("ctx", {})))
    return message[:1].lower() + message[1:]


def _suggestion(root: type[BaseModel], path: KeyPath) -> str:
    """Return the most similar key that is known at this path, or all of them."""
    model: type[BaseModel] | None = root
    for part in path[:-1]:
        if isinstance(part, str) and model is not None:
            model = _model_of(model, part)
    if model is None:
        return ""
    keys = list(model.model_fields)
    instead = suggestion(str(path[-1]), keys) or f"expected one of {', '.join(keys)}"
    return f": {instead}"


def _model_of(model: type[BaseModel], key: str) -> type[BaseModel] | None:
    field = model.model_fields.get(key)
    if field is None:
        return None
    candidates = (field.annotation, *getattr(field.annotation, "__args__", ()))
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)
