"""The Helm chart, rendered by Helm, and what a pod of it would find in its file system."""

import base64
import copy
import json
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.build import find_helm
from deploy.chart import CHART

Manifest = dict[str, Any]
# One file of values each: together they use every value and every branch of the templates.
CASES = tuple(sorted((CHART / "ci").glob("*.yaml")))
DEFAULT = CHART / "ci" / "default-values.yaml"


def helm(*arguments: str, values: Mapping[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
    """Run Helm, with values on its standard input; skip the test where there is none."""
    program = find_helm()
    if program is None:
        pytest.skip("helm is not installed, or not its version 4: go install helm.sh/helm/v4/cmd/helm@v4.3.1")
    command = [program, *arguments, *(("--values=-",) if values is not None else ())]
    return subprocess.run(  # noqa: S603  the Helm that was found
        command, input=yaml.safe_dump(values), capture_output=True, text=True, check=False
    )


def template(*files: Path, values: Mapping[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
    """Render the chart with files of values, then with values that outrank them."""
    flags = [f"--values={file}" for file in files]
    return helm("template", "licences", str(CHART), "--namespace=monitoring", *flags, values=values or {})


@dataclass(frozen=True, slots=True)
class Objects:
    """What a rendering has, in its order."""

    all: tuple[Manifest, ...]

    def of(self, kind: str) -> list[Manifest]:
        """Return all of one kind."""
        return [manifest for manifest in self.all if manifest["kind"] == kind]

    def one(self, kind: str) -> Manifest:
        """Return the only one of its kind."""
        [manifest] = self.of(kind)
        return manifest

    @property
    def pod(self) -> Manifest:
        """The pod's specification."""
        specification: Manifest = self.one("Deployment")["spec"]["template"]["spec"]
        return specification

    @property
    def container(self) -> Manifest:
        """The container that runs the exporter."""
        [container] = self.pod["containers"]
        return dict(container)


def render(*files: Path, values: Mapping[str, Any] | None = None) -> Objects:
    """Return the objects of a rendering, which must succeed."""
    return copy.deepcopy(_rendered(files, json.dumps(values or {})))


@cache
def _rendered(files: tuple[Path, ...], values: str) -> Objects:
    ended = template(*files, values=json.loads(values))
    assert ended.returncode == 0, ended.stderr
    return Objects(tuple(manifest for manifest in yaml.safe_load_all(ended.stdout) if manifest))


# ConfigMaps and Secrets by kind and name: their keys, with what each contains.
Contents = Mapping[tuple[str, str], Mapping[str, str]]


def contents(objects: Objects) -> dict[tuple[str, str], dict[str, str]]:
    """Return the ConfigMaps and Secrets of a rendering."""
    plain = {("configMap", item["metadata"]["name"]): dict(item["data"]) for item in objects.of("ConfigMap")}
    secret = {
        ("secret", item["metadata"]["name"]): {
            name: base64.b64decode(text).decode() for name, text in item["data"].items()
        }
        for item in objects.of("Secret")
    }
    return plain | secret


def files_of(volume: Mapping[str, Any], there: Contents) -> Iterator[tuple[str, str]]:
    """Yield the files of a volume, with what each contains, as the kubelet would write them."""
    sources = volume.get("projected", {}).get("sources", [])
    if "secret" in volume:
        sources = [{"secret": {"name": volume["secret"]["secretName"]}}]
    for source in sources:
        for kind, reference in source.items():
            if kind == "serviceAccountToken":
                yield reference["path"], "a token of the pod's account\n"
                continue
            content = there[kind, reference["name"]]
            items = reference.get("items") or [{"key": name, "path": name} for name in content]
            yield from ((item["path"], content[item["key"]]) for item in items)


def pod_in(root: Path, pod: Mapping[str, Any], container: Mapping[str, Any], there: Contents) -> list[str]:
    """Make the mounted files below `root`, with their paths changed to that, and return the container's arguments."""
    mounts: dict[str, str] = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    for volume in pod["volumes"]:
        folder = root / mounts[volume["name"]].removeprefix("/")
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files_of(volume, there):
            (folder / name).touch(mode=0o600)
            (folder / name).write_text(_moved(text, mounts.values(), root))
    return [_moved(argument, mounts.values(), root) for argument in container["args"]]


def _moved(text: str, paths: Any, root: Path) -> str:
    longest_first: Sequence[str] = sorted(paths, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, longest_first)), lambda found: f"{root}{found[0]}", text)
