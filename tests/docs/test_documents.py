"""What the documents say can be followed: links lead somewhere, commands and configurations exist."""

import contextlib
import copy
import re
import uuid
from pathlib import Path
from textwrap import dedent

import pytest
import yaml

from exporter.cli import main
from exporter.config import load

REPOSITORY = Path(__file__).parents[2]
DOCUMENTS = sorted(
    file
    for pattern in ("*", "docs/**/*", "prometheus/*", "grafana/*", "mixin/*", "benchmarks/*", "deploy/helm/*/*")
    for file in REPOSITORY.glob(f"{pattern}.md")
)
EACH_DOCUMENT = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda file: str(file.relative_to(REPOSITORY)))
FENCED = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
# Not the image or the user of that name, which a file or the program itself may follow.
COMMAND = re.compile(r"partnercenter-exporter (?!partnercenter)(auth [a-z]+|[a-z]+(?:-[a-z]+)*)(?=[\s`])([^`\n|]*)")
CONFIGURATION = {"partners", "sources", "poll", "targets", "http", "state_dir"}
EXAMPLE = yaml.safe_load((REPOSITORY / "config.example.yaml").read_text("utf-8"))


def prose(file: Path) -> str:
    """Return a document without its code."""
    return re.sub(r"`[^`\n]*`", "", FENCED.sub("", file.read_text("utf-8")))


def anchors(file: Path) -> set[str]:
    """Return the anchors of a document's headings, as they are made on most sites."""
    headings = re.findall(r"^#+ (.*)$", FENCED.sub("", file.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def configurations() -> list[tuple[str, dict[str, object]]]:
    """Return every configuration in a document, or part of one, with the document's name."""
    return [
        (f"{file.relative_to(REPOSITORY)}-{number}", content)
        for file in DOCUMENTS
        for number, (language, text) in enumerate(FENCED.findall(file.read_text("utf-8")))
        if language == "yaml" and isinstance(content := yaml.safe_load(dedent(text)), dict)
        if content and content.keys() <= CONFIGURATION
    ]


@EACH_DOCUMENT
def test_every_link_leads_to_a_file_and_a_heading(document: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(document)):
        name, _, anchor = link.partition("#")
        if ":" not in name:
            target = document.parent / name if name else document
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


@EACH_DOCUMENT
def test_every_command_exists_with_its_flags(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = re.sub(r"\\\n\s*", "", document.read_text("utf-8"))
    for command, rest in COMMAND.findall(text):
        with contextlib.suppress(SystemExit):
            main([*command.split(), "--help"])
        shown = capsys.readouterr().out
        assert shown.startswith(f"usage: partnercenter-exporter {command} "), f"{command}{rest}"
        assert not [flag for flag in re.findall(r" (--[a-z][a-z.-]+)", rest) if flag not in shown], f"{command}{rest}"


@pytest.mark.parametrize(("name", "content"), configurations(), ids=lambda part: part if isinstance(part, str) else "")
def test_every_configuration_is_valid(
    name: str, content: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = copy.deepcopy(EXAMPLE | content)
    for partner in configuration["partners"]:
        # Placeholders, which are refused.
        partner |= {"tenant_id": str(uuid.uuid4()), "client_id": str(uuid.uuid4())}
        (tmp_path / partner["client_secret_file"]).write_text("a secret that Entra ID made", encoding="utf-8")
    text = yaml.safe_dump(configuration)
    for variable in re.findall(r"\$\{(\w+)\}", text):
        monkeypatch.setenv(variable, "set")
    file = tmp_path / "config.yaml"
    file.write_text(text, encoding="utf-8")
    assert load(file).partners, name


def test_there_are_configurations_to_try() -> None:
    assert len(configurations()) > 3
