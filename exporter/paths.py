"""Paths as people write them for a shell, which this program is not."""

import re

_VARIABLE = re.compile(r"(?:^|/)(\$\{?\w+\}?|%\w+%)(?:/|$)", re.ASCII)


def check_expanded(text: str) -> None:
    """Raise ValueError for `~` or a variable that only a shell expands: a directory of that name would be made."""
    name = text.partition("/")[0] if text.startswith("~") else ""
    if name:
        raise ValueError(f"{name} is not expanded here: write the whole path (or ./{name} for a file of that name)")
    if match := _VARIABLE.search(text):
        raise ValueError(f"{match[1]} is not expanded here: write the whole path; only config.yaml takes ${{NAME}}")
