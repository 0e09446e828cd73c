"""The files that come with the exporter: in a wheel within the package, in a checkout where they are written."""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

import exporter
from exporter.errors import ExporterError
from exporter.messages import line

EXAMPLE = PurePosixPath("config.example.yaml")
_PACKAGE = Path(exporter.__file__).parent
_PACKAGED = _PACKAGE / "shipped"


def shipped_files() -> Mapping[PurePosixPath, bytes]:
    """Return each file's content by its path in the repository; raises ExporterError."""
    try:
        root = _PACKAGED if _PACKAGED.is_dir() else _PACKAGE.parent
        return {PurePosixPath(file.relative_to(root)): file.read_bytes() for file in sorted(_files(root))}
    except (OSError, ValueError, LookupError) as error:
        message = line("the files that come with the exporter are not installed")
        raise ExporterError(message, remedy=line("install the wheel or the source archive again")) from error


def _files(root: Path) -> Iterator[Path]:
    if root == _PACKAGED:
        yield from (path for path in root.rglob("*") if path.is_file())
        return
    build = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]
    for name in build["targets"]["wheel"]["force-include"]:
        path = root / name
        yield from (file for file in path.rglob("*") if file.is_file()) if path.is_dir() else (path,)
