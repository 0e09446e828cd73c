"""Commands that messages name: they read the configuration that the command has read which prints them."""

import shlex
from pathlib import Path

import pytest

from exporter.arguments import Check
from exporter.commands.configuration import as_called

REMEDY = "sign in again: partnercenter-exporter login --partner contoso"
FILES = ["/etc/partnercenter-exporter/config.yaml", "other.yaml", "with blank.yaml", "it's.yaml", "$HOME/\\1.yaml"]


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("command", ["login", "check"])
def test_a_command_is_printed_with_the_configuration_file(file: str, command: str) -> None:
    text = as_called(REMEDY.replace("login", command) + ".\nAnd nothing else.", Path(file))
    printed, full_stop, _ = text.partition(": ")[2].partition(".\n")
    assert full_stop
    assert shlex.split(printed) == ["partnercenter-exporter", command, "--partner", "contoso", f"--config.file={file}"]


@pytest.mark.parametrize(
    "text",
    [
        "partnercenter-exporter login --config.file=x --partner contoso",
        "partnercenter-exporter login --partner contoso --config.file=x",
        "partnercenter-exporter check --offline",
        "partnercenter-exporter: an error",
        "run partnercenter-exporter healthcheck",
        "sudo install -d -o partnercenter-exporter /var/lib/partnercenter-exporter",
    ],
)
def test_all_else_stays_as_it_is(text: str) -> None:
    assert as_called(text, Path("other.yaml")) == text


def test_the_default_is_left_out() -> None:
    assert as_called(REMEDY, Check().config_file) == REMEDY
