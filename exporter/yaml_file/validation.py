"""What every configuration file has in common: reading it, and its mistakes in our words."""

import difflib
import re
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from exporter.errors import ConfigurationError, Problem
from exporter.yaml_file.document import Document

M = TypeVar("M", bound=BaseModel)

_LARGEST_FILE_BYTES = 4 * 1024 * 1024

_WORDS = {
    "missing": "this key is missing: add it",
    "list_type": "this must be a list: begin each entry with a dash",
    "model_type": "this must be a mapping of keys to values",
    "dict_type": "this must be a mapping of keys to values",
    "string_type": "this must be a text, and not empty",
    "bool_type": "this must be true or false",
    "bool_parsing": "this must be true or false",
    "int_parsing": "this must be a whole number",
    "int_type": "this must be a whole number",
    "int_parsing_size": "this number is too large",
    "float_parsing": "this must be a number",
    "float_type": "this must be a number",
    "too_short": "this must have at least one entry",
    "string_too_short": "this must not be empty",
    "string_unicode": "this must be UTF-8 text",
    "greater_than_equal": "this must be at least {ge:g}",
    "less_than_equal": "this must be at most {le:g}",
    "finite_number": "this must be a finite number",
}

# pydantic shows the members of an enum as Python does: <Api.LEGACY: 'legacy'>.
_ENUM_MEMBER = re.compile(r"<\w+\.\w+: ('\w+')>")


def read_text(file: Path, flag: str) -> str:
    """Return the file's text; raises ConfigurationError. `flag` is the flag that names it."""
    try:
        content = file.read_bytes()
        if len(content) > _LARGEST_FILE_BYTES:
            raise ConfigurationError(
                str(file), (Problem(0, "", "this file is too large for a configuration"),)
            )
        return content.decode("utf-8-sig")
    except OSError as error:
        message = f"can't read it: {error.strerror}; name the file with {flag}"
        raise ConfigurationError(str(file), (Problem(0, "", message),)) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(str(file), (Problem(0, "", "this is no UTF-8 text"),)) from error


def validate(model: type[M], document: Document, folder: Path) -> M | None:
    """Return the document as `model`, or None where it doesn't fit: the document then holds every reason."""
    if document.broken:
        return None
    content = {} if document.content is None else without_nulls(document.content, model)
    try:
        return model.model_validate(content, context={"folder": folder})
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_input=False):
            path = tuple(detail["loc"])
            if path in document.unresolved:
                continue
            words = _explain(model, path, detail["type"], detail["msg"], detail.get("ctx", {}))
            document.report(path, words)
        return None


def without_nulls(value: Any, model: type[BaseModel] | None = None) -> Any:
    """Return the content without its empty values: a key without a value is a key that isn't there.

    Keys that `model` doesn't know stay, so that they are found to be mistakes.
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


def _explain(
    model: type[BaseModel], path: tuple[str | int, ...], kind: str, message: str, context: dict[str, Any]
) -> str:
    if kind == "extra_forbidden":
        return f"there is no such key{_suggestion(model, path)}"
    if kind == "value_error":
        return message.removeprefix("Value error, ")
    if kind in ("literal_error", "enum"):
        expected = _ENUM_MEMBER.sub(r"\1", context.get("expected", ""))
        return f"this must be one of {expected}"
    words = _WORDS.get(kind)
    return words.format(**context) if words else message[:1].lower() + message[1:]


def _suggestion(root: type[BaseModel], path: tuple[str | int, ...]) -> str:
    """Return the known keys at this place, the likeliest first."""
    model: type[BaseModel] | None = root
    for part in path[:-1]:
        if isinstance(part, str) and model is not None:
            model = _model_of(model, part)
    if model is None:
        return ""
    keys = list(model.model_fields)
    close = difflib.get_close_matches(str(path[-1]), keys, n=1)
    return f": did you mean {close[0]}?" if close else f": known here are {', '.join(keys)}"


def _model_of(model: type[BaseModel], key: str) -> type[BaseModel] | None:
    field = model.model_fields.get(key)
    if field is None:
        return None
    candidates = (field.annotation, *getattr(field.annotation, "__args__", ()))
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)
