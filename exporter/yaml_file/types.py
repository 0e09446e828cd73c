"""Types that several files have: durations, paths, and a model that refuses unknown keys."""

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationInfo

from exporter.paths import check_expanded

_DURATION = re.compile(r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?", re.ASCII)
_UNIT_SECONDS = (365 * 86_400.0, 7 * 86_400.0, 86_400.0, 3_600.0, 60.0, 1.0, 0.001)
_MAX_SECONDS = 366 * 86_400.0


def duration(value: Any) -> float:
    """Return the seconds of a duration as Prometheus writes it; raises ValueError."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) and value else None
    if match is None:
        raise ValueError("invalid duration: write it like 90s, 15m, 1h30m or 3d")
    seconds = sum(float(count or 0) * unit for count, unit in zip(match.groups(), _UNIT_SECONDS, strict=True))
    if not 0 < seconds <= _MAX_SECONDS:
        raise ValueError("a duration must be positive and at most a year")
    return seconds


def _file_path(value: Any, info: ValidationInfo) -> Path:
    """Return the path that a key gives, relative to the context's `folder`."""
    folder: Path = (info.context or {})["folder"]
    if isinstance(value, str) and value and "\0" not in value:
        check_expanded(value)
        with suppress(UnicodeEncodeError):
            os.fsencode(value)
            return folder / value
    raise ValueError("expected a path")


Duration = Annotated[float, BeforeValidator(duration)]
FilePath = Annotated[Path, BeforeValidator(_file_path)]


class Strict(BaseModel):
    """A mapping whose unknown keys are errors; it can't be changed after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
