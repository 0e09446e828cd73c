"""`example-config` and `assets`: what comes with the exporter."""

import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import Run
from tests.support.rules import REPOSITORY

EXPECTED = (
    "config.example.yaml",
    "deploy/collectors/config.alloy",
    "deploy/collectors/otelcol.yaml",
    "deploy/helm/partnercenter-exporter/.helmignore",
    "deploy/helm/partnercenter-exporter/Chart.yaml",
    "deploy/helm/partnercenter-exporter/templates/_helpers.tpl",
    "deploy/kubernetes/kustomization.yaml",
    "deploy/systemd/partnercenter-exporter.service",
    "deploy/systemd/partnercenter-exporter.sysusers",
    "grafana/dashboards/partnercenter-licenses.json",
    "grafana/importable/partnercenter-licenses.json",
    "grafana/kustomization.yaml",
    "grafana/provisioning/dashboards/partnercenter.yaml",
    "mixin/mixin.libsonnet",
    "prometheus/rules/usage.yaml",
    "prometheus/rules/exporter.yaml",
    "prometheus/tests/usage.yaml",
)


def test_the_example_is_printed_as_it_is(run_here: Run) -> None:
    ended = run_here("example-config")
    assert (ended.status, ended.stdout, ended.stderr) == (0, (REPOSITORY / "config.example.yaml").read_text(), "")


def test_every_file_is_written_and_named_and_a_second_run_changes_nothing(run_here: Run, tmp_path: Path) -> None:
    folder = tmp_path / "new/assets"
    ended = run_here("assets", f"--output={folder}")
    assert (ended.status, ended.stderr) == (0, "")
    for name in EXPECTED:
        assert (folder / name).read_bytes() == (REPOSITORY / name).read_bytes()
        assert f"written     {folder / name}\n" in ended.stdout
    assert f"copy {folder}/prometheus/rules next to your prometheus.yml" in ended.stdout
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    again = run_here("assets", f"--output={folder}")
    assert again.status == 0
    assert again.stdout.count("unchanged ") == ended.stdout.count("written ")
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_the_printed_command_sets_the_address_of_every_link(run_here: Run, tmp_path: Path) -> None:
    folder = tmp_path / "assets"
    printed = run_here("assets", f"--output={folder}").stdout.splitlines()
    command = next(text.strip() for text in printed if text.strip().startswith("grep "))
    subprocess.run(["sh", "-ec", command], check=True)  # noqa: S603, S607  it is what a person would type
    rules, dashboard = folder / "prometheus/rules/usage.yaml", folder / "grafana/dashboards/partnercenter-licenses.json"
    for file in (rules, dashboard):
        assert "git.example.com" not in file.read_text()
        assert "https://YOUR.HOST/PATH/" in file.read_text()


def test_what_the_operator_changed_is_kept_and_named_until_told_otherwise(run_here: Run, tmp_path: Path) -> None:
    assert run_here("assets", f"--output={tmp_path}").status == 0
    rules, unit = tmp_path / "prometheus/rules/usage.yaml", tmp_path / "deploy/systemd/partnercenter-exporter.service"
    rules.write_text("mine")
    unit.unlink()
    unit.symlink_to(tmp_path / "elsewhere")
    ended = run_here("assets", f"--output={tmp_path}")
    assert ended.status == 1
    for file in (rules, unit):
        assert f"kept        {file}\n" in ended.stdout
    assert "differing from this version's, and kept: 2; --overwrite replaces what differs" in ended.stdout
    assert rules.read_text() == "mine"
    ended = run_here("assets", f"--output={tmp_path}", "--overwrite")
    assert ended.status == 0
    assert f"overwritten {rules}\n" in ended.stdout
    assert rules.read_bytes() == (REPOSITORY / "prometheus/rules/usage.yaml").read_bytes()
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_place_that_can_not_be_written_is_named_with_its_flag(run_here: Run, tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    ended = run_here("assets", f"--output={tmp_path / place}")
    assert ended.status == 1
    assert f"can't write {tmp_path / place}/" in ended.stderr
    assert "--output" in ended.stderr
