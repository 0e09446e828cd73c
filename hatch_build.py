"""What the build adds to wheel and source archive: the revision, and a README that needs no file beside it."""

import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

_ROOT = Path(__file__).parent
_PICTURE = re.compile(r"!\[[^\]]*\]\((?!https?:)[^)]*\)\n*")
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?!https?:)[^)]*\)")
_LINKS = re.compile(r"^## More\n.*", re.MULTILINE | re.DOTALL)
_MORE = """\
## More

`partnercenter-exporter assets --output DIR` writes the rules, the dashboards, the systemd unit, the Helm chart and the
Kubernetes manifests, and `partnercenter-exporter example-config` prints `config.example.yaml`. The other files that are
named here, such as `docs/deployment.md`, are in the source archive.
"""


def portable(readme: str) -> str:
    """Return the README as a package index shows it: files and pictures of the repository are not there."""
    return _LINK.sub(r"\1", _PICTURE.sub("", _LINKS.sub(_MORE, readme)))


class Readme(MetadataHookInterface):
    """The long description."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add it."""
        text = portable((_ROOT / "README.md").read_text("utf-8"))
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


class Revision(BuildHookInterface[Any]):
    """The revision of a checkout, in a file of the package. A source archive has that file already."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the file outside the checkout, and add it."""
        del version
        sys.path.insert(0, str(_ROOT))
        try:
            from exporter.build_info import FILE, of_checkout  # noqa: PLC0415  found only now
        finally:
            sys.path.remove(str(_ROOT))
        if (_ROOT / "exporter" / FILE).exists():
            return
        self._folder = tempfile.TemporaryDirectory(prefix="partnercenter-exporter-build-")
        file = Path(self._folder.name, FILE)
        file.write_text(json.dumps(of_checkout(_ROOT)._asdict()) + "\n", "utf-8")
        build_data["force_include"][str(file)] = f"exporter/{FILE}"
