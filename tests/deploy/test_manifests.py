"""deploy/ is consistent with the image, the exporter and its names."""

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.arguments import DEFAULT_PORT
from exporter.config import load
from tests.e2e.conftest import program
from tests.support.rules import REPOSITORY, rules

DEPLOY = REPOSITORY / "deploy"
JOB = "partnercenter-exporter"
DOCKERFILE = (REPOSITORY / "Dockerfile").read_text()


DIGEST = r"@sha256:[0-9a-f]{64}"

OWN_IDS = {"tenant_id": "8c2f6b0e-4d39-4f0a-9a55-0f6d2b7c1e34", "client_id": "5f0ff9c2-5a24-4d1c-8f7b-2d1c0a9be7f1"}


def manifest(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((DEPLOY / "kubernetes" / name).read_text())
    return content


@pytest.fixture
def pod() -> dict[str, Any]:
    """The pod's specification."""
    specification: dict[str, Any] = manifest("deployment.yaml")["spec"]["template"]["spec"]
    return specification


def test_pod_has_no_unneeded_privileges(pod: dict[str, Any]) -> None:
    [container] = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert f"USER {pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}" in DOCKERFILE
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False


def test_pod_is_probed_where_the_exporter_answers(pod: dict[str, Any]) -> None:
    [container] = pod["containers"]
    [port] = container["ports"]
    assert port == {"name": "http", "containerPort": DEFAULT_PORT}
    probes = {name: container[name]["httpGet"] for name in ("livenessProbe", "readinessProbe")}
    assert probes == {
        "livenessProbe": {"path": "/-/healthy", "port": "http"},
        "readinessProbe": {"path": "/-/ready", "port": "http"},
    }


def test_state_is_kept_and_belongs_to_one_pod(pod: dict[str, Any]) -> None:
    deployment = manifest("deployment.yaml")["spec"]
    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})
    [container] = pod["containers"]
    places = {mount["name"]: Path(mount["mountPath"]) for mount in container["volumeMounts"]}
    claim = next(volume for volume in pod["volumes"] if volume["name"] == "state")["persistentVolumeClaim"]
    assert claim["claimName"] == manifest("persistentvolumeclaim.yaml")["metadata"]["name"]
    config = manifest("config.yaml")
    assert places["state"] in Path(config["state_dir"]).parents
    [partner] = config["partners"]
    for key in ("client_secret_file", "refresh_token_file"):
        assert Path(partner[key]).parent == places["secrets"]
    assert f"--config.file={places['config'] / 'config.yaml'}" in container["args"]


def test_configuration_is_one_that_the_exporter_takes(tmp_path: Path) -> None:
    text = (DEPLOY / "kubernetes" / "config.yaml").read_text()
    for key, own_id in OWN_IDS.items():  # as whoever deploys it does
        text = text.replace(f"{key}: 00000000-0000-0000-0000-000000000000", f"{key}: {own_id}")
    for name in ("client-secret", "refresh-token"):
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_text("secret\n")
    file = tmp_path / "config.yaml"
    file.write_text(text.replace("/var/run/secrets/partnercenter-exporter", str(tmp_path)))
    assert load(file, {}).partners[0].name == "contoso"


def test_prometheus_keeps_our_labels_and_finds_the_job() -> None:
    monitor, service = manifest("servicemonitor.yaml")["spec"], manifest("service.yaml")
    [endpoint] = monitor["endpoints"]
    assert endpoint["honorLabels"] is True
    [port] = service["spec"]["ports"]
    assert (endpoint["port"], port["port"]) == (port["name"], DEFAULT_PORT)
    assert service["metadata"]["labels"][monitor["jobLabel"]] == JOB
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    compose = yaml.safe_load((DEPLOY / "compose" / "prometheus.yml").read_text())
    [job] = compose["scrape_configs"]
    assert (job["job_name"], job["honor_labels"]) == (JOB, True)


def test_rules_for_the_operator_are_fresh_and_complete() -> None:
    program = [sys.executable, str(DEPLOY / "build.py"), "--check"]
    checked = subprocess.run(program, capture_output=True, text=True, check=False)  # noqa: S603  our own program
    assert checked.returncode == 0, checked.stdout
    manifests = [manifest(f"prometheusrule{of}.yaml") for of in ("-customers", "")]
    groups = [group for rules_of in manifests for group in rules_of["spec"]["groups"]]
    assert len({rules_of["metadata"]["name"] for rules_of in manifests}) == len(manifests)
    assert [rule for group in groups for rule in group["rules"]] == [rule.keys for rule in rules()]


def test_everything_that_kustomize_and_compose_name_is_there() -> None:
    kustomization = manifest("kustomization.yaml")
    named = [*kustomization["resources"], *kustomization["configMapGenerator"][0]["files"]]
    assert all((DEPLOY / "kubernetes" / name).exists() for name in named)
    written = {path.name for path in (DEPLOY / "kubernetes").iterdir()} - {"kustomization.yaml"}
    of_detail = {"prometheusrule-customers.yaml"}  # only with `detail`: named there in a comment
    assert written == {name for name in named if not name.startswith("..")} | of_detail
    dashboards = yaml.safe_load((REPOSITORY / "grafana" / "kustomization.yaml").read_text())
    files = {REPOSITORY / "grafana" / file for file in dashboards["configMapGenerator"][0]["files"]}
    assert files == set((REPOSITORY / "grafana" / "dashboards").iterdir())
    services = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())["services"]
    sources = [volume.split(":")[0] for service in services.values() for volume in service.get("volumes", ())]
    folders = [DEPLOY / "compose" / source for source in sources if source.startswith(".")]
    assert len(folders) == 5
    assert all(folder.exists() for folder in folders)


def test_compose_pins_its_images_and_provisions_one_scrape_interval() -> None:
    services = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())["services"]
    images = [service["image"] for service in services.values() if "image" in service]
    assert all(re.search(rf":v?\d+\.\d+\.\d+{DIGEST}$", image) for image in images)
    scrapes = yaml.safe_load((DEPLOY / "compose" / "prometheus.yml").read_text())["global"]["scrape_interval"]
    provisioning = REPOSITORY / "grafana" / "provisioning"
    [source] = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())["datasources"]
    assert source["jsonData"]["timeInterval"] == scrapes
    [provider] = yaml.safe_load((provisioning / "dashboards" / "partnercenter.yaml").read_text())["providers"]
    mounts = [mount.split(":")[:2] for mount in services["grafana"]["volumes"]]
    assert ["../../grafana/dashboards", provider["options"]["path"]] in mounts


def test_compose_comes_back_after_a_reboot_and_has_no_password_that_everybody_knows() -> None:
    services = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())["services"]
    once = {"history", "blocks"}
    for name, service in services.items():
        assert service["restart"] == ("on-failure" if name in once else "unless-stopped")
    grafana = services["grafana"]["environment"]
    assert grafana["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    assert grafana["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"


def test_the_image_asks_for_its_health_where_it_was_told_to_listen() -> None:
    assert 'CMD ["partnercenter-exporter", "healthcheck", "--pid=1"]' in DOCKERFILE


def test_no_core_dump_of_the_exporter_is_written() -> None:
    services = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())["services"]
    assert services["exporter"]["ulimits"] == {"core": 0}
    assert "\nLimitCORE=0\n" in (DEPLOY / "systemd" / "partnercenter-exporter.service").read_text()


def test_base_images_are_pinned_and_ci_builds_the_same_stages_without_their_digest(tmp_path: Path) -> None:
    stages = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert len(stages) == 2
    assert len(set(stages)) == 1
    assert re.fullmatch(rf"python:3\.\d+-slim-\w+{DIGEST}", stages[0])
    script = (REPOSITORY / ".ci" / "container").read_text()
    [strip] = [line for line in script.splitlines() if line.startswith("sed '/^FROM")]
    command = f"work={shlex.quote(str(tmp_path))}; {strip}"
    subprocess.run(["bash", "-c", command], check=True, cwd=REPOSITORY)  # noqa: S603, S607  a line of our own script
    built = (tmp_path / "Dockerfile").read_text()
    assert built == re.sub(DIGEST, "", DOCKERFILE)
    assert '--file "$work/Dockerfile"' in script


def test_unit_restarts_only_after_failures_that_a_restart_can_fix() -> None:
    unit = (DEPLOY / "systemd" / "partnercenter-exporter.service").read_text()
    for line in (
        "ProtectSystem=strict",
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=",
        "StateDirectory=partnercenter-exporter",
        "RestartPreventExitStatus=2",
        "User=partnercenter-exporter",
        "LimitCORE=0",
    ):
        assert f"\n{line}\n" in unit
    assert "/bin/partnercenter-exporter run --config.file=/etc/partnercenter-exporter/config.yaml\n" in unit


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, with a program that is there."""
    text = (DEPLOY / "systemd" / "partnercenter-exporter.service").read_text()
    file = tmp_path / "partnercenter-exporter.service"
    file.write_text(text.replace("/usr/local/bin/partnercenter-exporter", "/bin/true"))
    return file


def systemd_analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [program("systemd-analyze", "systemd"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  of systemd itself


def test_systemd_finds_nothing_wrong_with_the_unit(unit: Path) -> None:
    verified = systemd_analyze("verify", "--man=no", str(unit))
    assert (verified.returncode, verified.stderr) == (0, "")


def test_the_unit_s_exposure_is_below_two(unit: Path) -> None:
    secured = systemd_analyze("security", "--offline=true", "--threshold=20", str(unit))
    assert secured.returncode == 0, secured.stdout


@pytest.mark.parametrize(
    "file",
    [
        REPOSITORY / "Dockerfile",
        REPOSITORY / "README.md",
        REPOSITORY / "SECURITY.md",
        *sorted(
            file
            for folder in ("deploy", "docs", "grafana", "prometheus")
            for file in (REPOSITORY / folder).rglob("*.*")
            if file.parent.name != "__pycache__"  # which another worker may be about to write
        ),
    ],
    ids=lambda file: str(file.relative_to(REPOSITORY)),
)
def test_operators_are_given_the_console_script_and_not_the_package(file: Path) -> None:
    text = file.read_text("utf-8", errors="replace")
    assert not re.search(r"-m[\", ]+exporter\b", text)
    assert "import exporter" not in text or file.suffix == ".py"


def test_the_image_is_built_from_all_that_the_wheel_contains() -> None:
    wheel = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {*wheel["packages"], *wheel["force-include"]}
    copied = {word for line in re.findall(r"^COPY (?!-)(.*) \S+$", DOCKERFILE, re.MULTILINE) for word in line.split()}
    allowed = {line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for names in (copied, allowed):
        assert {name for name in needed if not names & {name, *map(str, Path(name).parents)}} == set()
