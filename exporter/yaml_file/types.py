"""Types that more than one file has: durations, paths, and a model that refuses unknown keys."""

import os
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationInfo

_DURATION = re.compile(
    r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?", re.ASCII
)
_UNIT_SECONDS = (365 * 86_400.0, 7 * 86_400.0, 86_400.0, 3_600.0, 60.0, 1.0, 0.001)
_LONGEST_SECONDS = 366 * 86_400.0


def duration(value: Any) -> float:
    """Return the seconds of a duration as Prometheus writes it; raises ValueError."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) and value else None
    if match is None:
        raise ValueError("write a duration as Prometheus does: 90s, 15m, 1h30m, 3d")
    pairs = zip(match.groups(), _UNIT_SECONDS, strict=True)
    seconds = sum(float(count) * unit for count, unit in pairs if count)
    if not 0 < seconds <= _LONGEST_SECONDS:
        raise ValueError("a duration must be more than nothing and at most a year")
    return seconds


def _path(value: Any, info: ValidationInfo) -> Path:
    folder: Path = (info.context or {})["folder"]
    return file_path(value, folder)


def file_path(value: Any, folder: Path) -> Path:
    """Return the path that a key holds; raises ValueError for what can't be one."""
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("give the path of a file")
    try:
        os.fsencode(value)
    except UnicodeEncodeError:
        raise ValueError("give the path of a file") from None
    return folder / value


Duration = Annotated[float, BeforeValidator(duration)]
FilePath = Annotated[Path, BeforeValidator(_path)]


class Strict(BaseModel):
    """Unknown keys are mistakes; nothing changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
