"""The Helm chart: what Helm makes of it, for each file of values in its folder ci/ and for single values."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from deploy import build, chart
from deploy.chart import CHART
from exporter import __version__
from exporter.arguments import DEFAULT_PORT
from exporter.cli import main
from tests.support.certificates import ClientIdentity
from tests.support.chart import CASES, DEFAULT, Manifest, Objects, contents, helm, pod_in, render, template
from tests.support.logs import recorded_logs
from tests.support.process import restored_process
from tests.support.rules import PROMETHEUS, REPOSITORY, rules

JOB = "partnercenter-exporter"
SNAPSHOTS = Path(__file__).parent / "snapshots"
PARTNER = {
    "name": "contoso",
    "tenant_id": "8c2f6b0e-4d39-4f0a-9a55-0f6d2b7c1e34",
    "client_id": "5f0ff9c2-5a24-4d1c-8f7b-2d1c0a9be7f1",
    "client_secret_file": "/var/run/secrets/partnercenter-exporter/client-secret",
}


@pytest.fixture(params=CASES, ids=lambda file: file.stem.removesuffix("-values"))
def case(request: pytest.FixtureRequest) -> Path:
    """A file of values."""
    file: Path = request.param
    return file


@pytest.fixture
def objects(case: Path) -> Objects:
    """What Helm makes of it."""
    return render(case)


def test_helm_finds_no_problem(case: Path) -> None:
    linted = helm("lint", "--strict", str(CHART), f"--values={case}")
    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_a_chart_as_it_is_has_no_problem_but_lacks_a_partner() -> None:
    assert helm("lint", "--strict", str(CHART)).returncode == 0
    assert "config.partners: at least one partner is required" in template().stderr


def test_a_rendering_changes_on_purpose_only(case: Path) -> None:
    parts = template(case).stdout.replace(__version__, "VERSION").split("---\n# Source: ")
    # Rules and dashboards are compared with their files.
    shown = [part for part in parts if not re.match(r"\S+/(prometheusrule|dashboards)\.", part)]
    rendered = "---\n# Source: ".join(shown)
    snapshot = SNAPSHOTS / case.name.replace("-values", "")
    if os.environ.get("GOLDEN") == "write":
        snapshot.write_text(rendered)
    assert rendered == snapshot.read_text()


def test_the_packaged_chart_is_the_same_without_its_tests(tmp_path: Path) -> None:
    packed = helm("package", str(CHART), f"--destination={tmp_path}")
    assert packed.returncode == 0, packed.stderr
    archive = tmp_path / f"partnercenter-exporter-{__version__}.tgz"
    names = subprocess.run(["tar", "tf", archive], capture_output=True, text=True, check=True).stdout.split()  # noqa: S603, S607  what was just packed
    assert "partnercenter-exporter/README.md" in names
    assert not [name for name in names if "/ci/" in name]
    flags = ("--namespace=monitoring", f"--values={DEFAULT}")
    assert helm("template", "licences", str(archive), *flags).stdout == template(DEFAULT).stdout


def test_names_are_unique_and_everything_selects_the_pod(objects: Objects) -> None:
    named = [(item["kind"], item["metadata"]["name"]) for item in objects.all]
    assert len(named) == len(set(named))
    labels = objects.one("Deployment")["spec"]["template"]["metadata"]["labels"]
    service = objects.one("Service")
    assert objects.one("Deployment")["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert service["spec"]["selector"].items() <= labels.items()
    for policy in objects.of("NetworkPolicy"):
        assert policy["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
    for monitor in objects.of("ServiceMonitor"):
        assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
        assert service["metadata"]["labels"][monitor["spec"]["jobLabel"]] == JOB


def test_two_releases_are_told_apart() -> None:
    first, second = (
        yaml.safe_load_all(helm("template", name, str(CHART), f"--values={DEFAULT}").stdout) for name in ("a", "b")
    )
    names, others = ({(item["kind"], item["metadata"]["name"]) for item in items} for items in (first, second))
    assert names.isdisjoint(others)


def test_two_in_one_release_of_a_parent_chart_are_told_apart_and_keep_the_job(tmp_path: Path) -> None:
    version = {"name": "partnercenter-exporter", "version": __version__}
    parent: Manifest = {"apiVersion": "v2", "name": "parent", "version": "1.0.0"}
    parent["dependencies"] = [version | {"alias": alias} for alias in ("one", "two")]
    (tmp_path / "Chart.yaml").write_text(yaml.safe_dump(parent))
    (tmp_path / "charts").mkdir()
    (tmp_path / "charts" / "partnercenter-exporter").symlink_to(CHART)
    settings = {"config": {"partners": [PARTNER]}, "serviceMonitor": {"enabled": True}}
    values = {"one": settings, "two": settings, "global": {"registry": "registry.example"}}
    ended = helm("template", "licences", str(tmp_path), values=values)
    assert ended.returncode == 0, ended.stderr
    objects = Objects(tuple(filter(None, yaml.safe_load_all(ended.stdout))))
    labels = [item["spec"]["template"]["metadata"]["labels"] for item in objects.of("Deployment")]
    assert {each["app.kubernetes.io/name"] for each in labels} == {JOB}
    for service in objects.of("Service"):
        assert [service["spec"]["selector"].items() <= each.items() for each in labels].count(True) == 1
    named = [(item["kind"], item["metadata"]["name"]) for item in objects.all]
    assert len(named) == len(set(named))


def test_ports_and_volumes_that_are_named_are_there(objects: Objects) -> None:
    [port] = objects.container["ports"]
    assert port == {"name": "http", "containerPort": DEFAULT_PORT}
    assert objects.one("Service")["spec"]["ports"][0]["targetPort"] == "http"
    volumes = [volume["name"] for volume in objects.pod["volumes"]]
    assert len(volumes) == len(set(volumes))
    for container in (objects.container, *objects.pod.get("initContainers", ())):
        assert sorted(mount["name"] for mount in container["volumeMounts"]) == sorted(volumes)


# The volumes that the standard allows, see kubernetes.io/docs/concepts/security/pod-security-standards.
_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


def test_the_pod_meets_the_restricted_standard(objects: Objects) -> None:
    pod = objects.pod
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"].get("runAsUser") != 0
    assert pod["securityContext"]["seccompProfile"]["type"] in {"RuntimeDefault", "Localhost"}
    assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & pod.keys()
    assert all(volume.keys() - {"name"} <= _VOLUMES for volume in pod["volumes"])
    for container in (*pod["containers"], *pod.get("initContainers", ())):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert not any("hostPort" in port for port in container.get("ports", ()))


def test_the_user_is_the_images() -> None:
    security = render(DEFAULT).pod["securityContext"]
    assert f"USER {security['runAsUser']}:{security['runAsGroup']}" in (REPOSITORY / "Dockerfile").read_text()


def test_one_pod_at_a_time_has_the_state(objects: Objects) -> None:
    deployment = objects.one("Deployment")["spec"]
    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})


@pytest.fixture(scope="module")
def elsewhere(client_identity: ClientIdentity) -> dict[tuple[str, str], dict[str, str]]:
    """What others put into the cluster: Secrets and ConfigMaps that the values name."""
    authority = trustme.CA()
    server = authority.issue_cert("partnercenter-exporter")
    ca = authority.cert_pem.bytes().decode()
    partner = {**PARTNER, "client_secret": "written here"}
    del partner["client_secret_file"]
    licences = {"partners": [partner], "state_dir": "/var/lib/partnercenter-exporter/state"}
    return {
        ("secret", "partnercenter-exporter"): {
            "client-secret": "a client secret\n",
            "contoso.pem": (client_identity.key_pem() + client_identity.certificate_pem).decode(),
        },
        ("secret", "partnercenter-exporter-tls"): {
            "tls.crt": "".join(pem.bytes().decode() for pem in server.cert_chain_pems),
            "tls.key": server.private_key_pem.bytes().decode(),
            "ca.crt": ca,
        },
        ("secret", "fabrikam"): {"client-secret": "the other client secret"},
        ("secret", "proxy"): {"url": "http://me:word@proxy.example:3128"},
        ("configMap", "company-ca"): {"bundle.pem": ca},
        ("configMap", "licences"): {"config.yaml": yaml.safe_dump(licences)},
    }


def test_the_exporter_takes_what_its_pod_gives_it(
    case: Path,
    elsewhere: dict[tuple[str, str], dict[str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ca = elsewhere["configMap", "company-ca"]["bundle.pem"]
    uses_pem = bool(yaml.safe_load(case.read_text()).get("ca", {}).get("pem"))
    objects = render(case, values={"ca": {"pem": ca}} if uses_pem else {})
    there = {**elsewhere, **contents(objects)}
    for container in (*objects.pod.get("initContainers", ()), objects.container):
        arguments = pod_in(tmp_path, objects.pod, container, there)
        for variable in container.get("env", ()):
            monkeypatch.setenv(variable["name"], _value(variable, there))
        if arguments[0] == "run":
            arguments.append("--config.check")  # all that it would read, without serving
        with recorded_logs(), restored_process():
            assert main(arguments) == 0, capsys.readouterr()


def _value(variable: Manifest, there: dict[tuple[str, str], dict[str, str]]) -> str:
    if "value" in variable:
        return str(variable["value"])
    reference = variable["valueFrom"]["secretKeyRef"]
    return there["secret", reference["name"]][reference["key"]]


def test_a_wrong_configuration_is_found_before_the_exporter_starts(
    elsewhere: dict[tuple[str, str], dict[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    objects = render(DEFAULT, values={"config": {"poll": {"interval": "1s"}}})
    [check] = objects.pod["initContainers"]
    arguments = pod_in(tmp_path, objects.pod, check, {**elsewhere, **contents(objects)})
    with recorded_logs(), restored_process():
        assert main(arguments) == 2
    assert "poll.interval: minimum interval is 1m" in capsys.readouterr().err
    assert check["terminationMessagePolicy"] == "FallbackToLogsOnError"
    assert check["image"] == objects.container["image"]


def test_the_values_are_in_the_file_that_the_exporter_reads() -> None:
    targets = [{"ratio": 0.75, "workload": "Exchange"}, {"ratio": 0.5}]
    values = {"config": {"targets": targets, "poll": {"max_series": 3_000_000}, "http": {"proxy_url": "http://p:1"}}}
    ca = {"existingConfigMap": "company-ca"}
    file = render(DEFAULT, values={**values, "ca": ca}).one("ConfigMap")["data"]["config.yaml"]
    assert yaml.safe_load(file) == {
        "partners": [PARTNER],
        "targets": targets,
        "poll": {"max_series": 3_000_000},
        "http": {"proxy_url": "http://p:1", "ca_file": "ca.pem"},
        "state_dir": "/var/lib/partnercenter-exporter/state",
    }


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"images": {}}, "additional properties 'images' not allowed"),
        ({"persistence": {"sizes": "1Gi"}}, "'/persistence': additional properties 'sizes' not allowed"),
        ({"config": {"target": []}}, "'/config': additional properties 'target' not allowed"),
        ({"config": {"state_dir": "/data"}}, "'/config': additional properties 'state_dir' not allowed"),
        ({"config": {"partners": []}}, "config.partners: at least one partner is required"),
        ({"config": {"partners": [{"name": "contoso"}]}}, "'/config/partners/0': missing properties 'tenant_id'"),
        ({"config": {"partners": [PARTNER | {"cloud": "moon"}]}}, "must be one of 'global', 'china', 'usgov'"),
        ({"config": {"partners": [PARTNER | {"client_secret": "word"}]}}, "'/config/partners/0/client_secret'"),
        ({"config": {"sources": {"usage": {"enabled": "yes"}}}}, "'/config/sources/usage/enabled'"),
        ({"image": {"tag": 1.2}}, "'/image/tag': got number, want string"),
        ({"image": {"digest": "sha256:12"}}, "'/image/digest': 'sha256:12' does not match"),
        ({"service": {"port": 0}}, "'/service/port': minimum: got 0"),
        ({"secrets": {"existingSecret": "one", "create": {"a": "b"}}}, "secrets.existingSecret and secrets.create"),
        ({"proxy": {"url": "http://p", "existingSecret": "one"}}, "proxy.url and proxy.existingSecret"),
        ({"ca": {"pem": "one", "existingConfigMap": "another"}}, "ca.pem and ca.existingConfigMap"),
        ({"existingConfigMap": "mine"}, "existingConfigMap and config: use one of them"),
        (
            {"existingConfigMap": "mine", "config": {"partners": []}, "ca": {"pem": "one"}},
            "existingConfigMap and ca.pem",
        ),
        ({"web": {"tlsSecret": "tls"}}, "web.tlsSecret: web.config must name its files"),
        ({"persistence": {"enabled": False, "existingClaim": "mine"}}, "persistence.existingClaim"),
        ({"extraArgs": "--log.level=debug"}, "'/extraArgs': got string, want array"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_value_is_an_error_that_names_it(values: dict[str, Any], complaint: str) -> None:
    ended = template(DEFAULT, values=values)
    assert ended.returncode != 0
    assert complaint in ended.stderr


def test_a_chart_of_charts_may_have_global_values() -> None:
    assert render(DEFAULT, values={"global": {"imageRegistry": "registry.example"}}).all == render(DEFAULT).all


def test_a_value_may_come_from_the_environment() -> None:
    partner = PARTNER | {"cloud": "${CLOUD}", "sources": {"usage": {"enabled": "${USAGE}"}}}
    config = render(DEFAULT, values={"config": {"partners": [partner]}}).one("ConfigMap")["data"]["config.yaml"]
    assert yaml.safe_load(config)["partners"] == [partner]


def test_a_new_configuration_is_reloaded_or_else_replaces_the_pod() -> None:
    def pod(**values: Any) -> tuple[Manifest, list[str]]:
        objects = render(DEFAULT, values=values)
        metadata = objects.one("Deployment")["spec"]["template"]["metadata"]
        return metadata.get("annotations", {}), objects.container["args"]

    changed = {"config": {"poll": {"interval": "2h"}}}
    annotations, arguments = pod()
    assert (annotations, "--config.enable-auto-reload" in arguments) == ({}, True)
    assert pod(**changed) == (annotations, arguments)
    before, arguments = pod(autoReload=False)
    assert "--config.enable-auto-reload" not in arguments
    others: list[Manifest] = [
        changed,
        {"ca": {"pem": "another"}},
        {"web": {"config": {"http_server_config": {"http2": False}}}},
    ]
    checksums = [pod(autoReload=False, **values)[0]["checksum/config"] for values in others]
    assert len({before["checksum/config"], *checksums}) == 4


def test_secrets_are_readable_by_the_exporter_alone(objects: Objects) -> None:
    for volume in objects.pod["volumes"]:
        if volume["name"] in {"secrets", "web", "identity"}:
            kind = next(key for key in volume if key != "name")
            assert volume[kind]["defaultMode"] == 0o440
    everything = str([item for item in objects.all if item["kind"] != "Secret"])
    assert "a client secret" not in everything
    assert "a refresh token" not in everything


def test_secrets_that_the_chart_makes_are_what_the_values_say() -> None:
    made = {"client-secret": "ü: {a}\n", "key.pem": "one\ntwo\n"}
    objects = render(DEFAULT, values={"secrets": {"existingSecret": "", "create": made}})
    assert contents(objects)["secret", objects.one("Secret")["metadata"]["name"]] == made


@pytest.mark.parametrize(
    ("tls", "probe"),
    [
        (None, {"httpGet": {"path": "/-/ready", "port": "http"}}),
        ({}, {"httpGet": {"path": "/-/ready", "port": "http", "scheme": "HTTPS"}}),
        (
            {"client_auth_type": "VerifyClientCertIfGiven", "client_ca_file": "ca.crt"},
            {"httpGet": {"path": "/-/ready", "port": "http", "scheme": "HTTPS"}},
        ),
        (
            {"client_auth_type": "RequireAndVerifyClientCert", "client_ca_file": "ca.crt"},
            {"exec": {"command": ["partnercenter-exporter", "healthcheck", "--pid=1"]}},
        ),
    ],
    ids=["plain", "tls", "certificate-if-given", "certificate"],
)
def test_the_exporter_is_asked_in_the_way_that_it_answers(tls: Manifest | None, probe: Manifest) -> None:
    settings = {} if tls is None else {"tls_server_config": {"cert_file": "tls.crt", "key_file": "tls.key", **tls}}
    objects = render(DEFAULT, values={"web": {"config": settings}, "serviceMonitor": {"enabled": True}})
    assert probe.items() <= objects.container["readinessProbe"].items()
    liveness = objects.container["livenessProbe"]
    assert liveness.get("httpGet", {"path": "/-/healthy"})["path"] == "/-/healthy"
    assert ("exec" in liveness) == ("exec" in probe)
    assert objects.one("ServiceMonitor")["spec"]["endpoints"][0].get("scheme") == ("https" if settings else None)


def test_prometheus_keeps_the_exporters_labels() -> None:
    objects = render(DEFAULT, values={"serviceMonitor": {"enabled": True, "labels": {"release": "stack"}}})
    monitor = objects.one("ServiceMonitor")
    assert monitor["metadata"]["labels"]["release"] == "stack"
    assert monitor["spec"]["endpoints"] == [{"port": "http", "interval": "1m", "honorLabels": True}]
    assert objects.one("Service")["spec"]["ports"][0]["name"] == "http"


def test_the_operator_gets_the_rules_of_prometheus() -> None:
    values = {"prometheusRule": {"enabled": True, "customers": True}}
    groups = render(DEFAULT, values=values).one("PrometheusRule")["spec"]["groups"]
    assert [rule for group in groups for rule in group["rules"]] == [rule.keys for rule in rules()]


def test_rules_of_customers_are_for_those_who_ask_for_them() -> None:
    groups = render(DEFAULT, values={"prometheusRule": {"enabled": True}}).one("PrometheusRule")["spec"]["groups"]
    assert groups == yaml.safe_load((build.KUBERNETES / "prometheusrule.yaml").read_text())["spec"]["groups"]
    assert not [group for group in groups if group["name"] == "partnercenter-customers"]


def test_files_of_rules_can_be_left_out() -> None:
    values = {"prometheusRule": {"enabled": True, "exclude": ["usage"]}}
    groups = render(DEFAULT, values=values).one("PrometheusRule")["spec"]["groups"]
    left_out = yaml.safe_load((PROMETHEUS / "rules" / "usage.yaml").read_text())["groups"]
    assert groups
    assert not [group for group in groups if group["name"] in {group["name"] for group in left_out}]


@pytest.mark.parametrize("address", ["https://grafana.example.com", "https://grafana.example.com/"])
def test_alerts_link_to_the_grafana_that_is_given(address: str) -> None:
    values = {"prometheusRule": {"enabled": True, "customers": True, "grafanaUrl": address}}
    groups = render(DEFAULT, values=values).one("PrometheusRule")["spec"]["groups"]
    given = [rule["annotations"] for group in groups for rule in group["rules"] if "alert" in rule]
    expected = [rule.keys["annotations"] for rule in rules() if rule.is_alert]
    assert [one["dashboard_url"] for one in given] == [
        "https://grafana.example.com" + one["dashboard_url"] for one in expected
    ]
    assert [one["runbook_url"] for one in given] == [one["runbook_url"] for one in expected]


def test_links_lead_to_the_repository_that_is_given() -> None:
    enabled = {"prometheusRule": {"enabled": True, "customers": True}, "dashboards": {"enabled": True}}
    objects = render(DEFAULT, values={**enabled, "repositoryUrl": "https://git.mine.example/exporter/"})
    home = yaml.safe_load((CHART / "Chart.yaml").read_text())["home"]
    original = str(render(DEFAULT, values=enabled).all)
    assert original.count(f"{home}/blob/main/docs/runbooks/") >= 2 * len([rule for rule in rules() if rule.is_alert])
    assert str(objects.all) == original.replace(f"{home}/", "https://git.mine.example/exporter/")


def test_the_sidecar_gets_every_dashboard_byte_for_byte() -> None:
    values = {"dashboards": {"enabled": True, "annotations": {"grafana_folder": "Microsoft"}}}
    maps = [item for item in render(DEFAULT, values=values).of("ConfigMap") if "config.yaml" not in item["data"]]
    data = {name: text for item in maps for name, text in item["data"].items()}
    files = sorted((REPOSITORY / "grafana" / "dashboards").glob("*.json"))
    assert data == {file.name: file.read_text("utf-8") for file in files}
    for item in maps:
        assert item["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert item["metadata"]["annotations"] == {"grafana_folder": "Microsoft"}
        assert len(str(item)) < 1024 * 1024  # what Kubernetes takes


def test_the_claim_outlives_the_release_unless_told_otherwise() -> None:
    kept, not_kept = (render(DEFAULT, values={"persistence": {"keep": keep}}) for keep in (True, False))
    assert kept.one("PersistentVolumeClaim")["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert "annotations" not in not_kept.one("PersistentVolumeClaim")["metadata"]
    claimed = next(volume for volume in kept.pod["volumes"] if volume["name"] == "state")["persistentVolumeClaim"]
    assert claimed["claimName"] == kept.one("PersistentVolumeClaim")["metadata"]["name"]


def test_the_policy_lets_prometheus_in_and_names_and_https_out() -> None:
    peers = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    values = {"networkPolicy": {"enabled": True, "ingressFrom": peers}}
    policy = render(DEFAULT, values=values).one("NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["ingress"] == [{"ports": [{"protocol": "TCP", "port": "http"}], "from": peers}]
    out = {(port["protocol"], port["port"]) for rule in policy["egress"] for port in rule["ports"]}
    assert out == {("UDP", 53), ("TCP", 53), ("TCP", 443)}


def test_the_pods_identity_is_a_token_for_entra_id() -> None:
    objects = render(CHART / "ci" / "identity-values.yaml")
    assert objects.pod["serviceAccountName"] == objects.one("ServiceAccount")["metadata"]["name"] == "licences"
    assert objects.pod["automountServiceAccountToken"] is False
    [source] = next(volume for volume in objects.pod["volumes"] if volume["name"] == "identity")["projected"]["sources"]
    audience = "api://AzureADTokenExchangeUSGov"
    token = {"audience": audience, "expirationSeconds": 7200, "path": "azure-identity-token"}
    assert source == {"serviceAccountToken": token}


def notes(*flags: str, values: Manifest | None = None) -> str:
    """Return what Helm prints after an installation."""
    command = ("install", "licences", str(CHART), "--dry-run=client", "--namespace=monitoring")
    ended = helm(*command, *flags, values=values or {})
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.partition("\nNOTES:\n")[2]


def test_the_notes_say_how_to_sign_in_each_partner() -> None:
    partners = [PARTNER, PARTNER | {"name": "fabrikam"}]
    text = notes(values={"config": {"partners": partners}})
    name = "licences-partnercenter-exporter"
    program = f"kubectl --namespace monitoring exec -it deployment/{name} -- partnercenter-exporter"
    for partner in partners:
        assert f"\n  {program} login --partner {partner['name']}\n" in text
    assert f"\n  {program} check\n" in text
    assert "WARNING" not in text.replace("WARNING: image.repository is a placeholder", "")
    [job] = yaml.safe_load(text[text.index("  - job_name") :])
    expected = {"targets": [f"{name}.monitoring:{DEFAULT_PORT}"]}
    assert job == {"job_name": JOB, "honor_labels": True, "static_configs": [expected]}


def test_the_notes_say_what_the_identity_is_and_what_is_not_kept() -> None:
    values = {"config": {"partners": [PARTNER]}, "workloadIdentity": {"enabled": True}}
    text = notes(values={**values, "persistence": {"enabled": False}, "serviceMonitor": {"enabled": True}})
    assert "\n  system:serviceaccount:monitoring:licences-partnercenter-exporter\n" in text
    assert "WARNING: persistence.enabled is false" in text
    assert "job_name" not in text


def test_the_notes_warn_of_the_placeholder_for_the_image_alone() -> None:
    values: Manifest = {"config": {"partners": [PARTNER]}}
    assert "WARNING: image.repository is a placeholder" in notes(values=values)
    assert "WARNING" not in notes(values={**values, "image": {"repository": "ghcr.example/partnercenter-exporter"}})


def test_the_manifests_for_kustomize_are_the_charts() -> None:
    helm("version")
    program = build.find_helm()
    assert program
    for file, content in build.rendered(program).items():
        assert file.read_text() == content, f"{file} is stale: run python deploy/build.py"


def test_every_value_has_its_comment_its_row_and_its_place() -> None:
    templates = "".join(file.read_text() for file in (CHART / "templates").iterdir())
    table = (CHART / "README.md").read_text()
    for value in chart.values():
        assert f"| `{value.name}` |" in table
        # What is below `config` is read as a whole.
        assert value.path[0] == "config" or re.search(rf"\.Values\.{re.escape(value.name)}\b", templates)


def test_values_of_the_tests_set_every_value() -> None:
    given = [yaml.safe_load(file.read_text()) for file in CASES]
    for value in chart.values():
        if value.is_section:
            continue
        found: list[Any] = given
        for name in value.path:
            found = [part[name] for part in found if isinstance(part, dict) and name in part]
        assert found, value.name


def test_the_version_is_the_exporters() -> None:
    description = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (description["version"], description["appVersion"]) == (__version__, __version__)
    images = yaml.safe_load((build.KUBERNETES / "kustomization.yaml").read_text())["images"]
    assert [image["newTag"] for image in images] == [__version__]


def test_a_stale_or_superfluous_file_of_the_chart_is_named(tmp_path: Path) -> None:
    names = ["deploy", "grafana", "prometheus", "exporter"]
    for name in names:
        (tmp_path / name).symlink_to(REPOSITORY / name)
    (tmp_path / "deploy").unlink()
    subprocess.run(["cp", "-r", REPOSITORY / "deploy", tmp_path], check=True)  # noqa: S603, S607  our own files
    copy = tmp_path / "deploy" / "helm" / "partnercenter-exporter"
    (copy / "values.schema.json").write_text("{}")
    (copy / "files" / "rules" / "gone.yaml").write_text("groups: []")
    command = [sys.executable, str(tmp_path / "deploy" / "build.py"), "--check"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  our own program
    assert checked.returncode == 1
    for name in ("values.schema.json", "files/rules/gone.yaml"):
        assert f"deploy/helm/partnercenter-exporter/{name} is stale: run python deploy/build.py" in checked.stdout


@pytest.mark.parametrize(
    ("document", "kinds"),
    [(CHART / "README.md", {"ServiceMonitor", "PrometheusRule"}), (REPOSITORY / "README.md", set())],
)
def test_the_values_in_a_readme_install_what_the_exporter_takes(
    elsewhere: dict[tuple[str, str], dict[str, str]],
    document: Path,
    kinds: set[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```", document.read_text(), re.MULTILINE | re.DOTALL)
    [values] = [block for block in blocks if yaml.safe_load(block).keys() >= {"image", "config"}]
    for key in ("tenant_id", "client_id"):  # as whoever installs it does
        values = re.sub(rf"(?m)({key}): [-12]+$", rf"\1: {PARTNER[key]}", values)
    objects = render(values=yaml.safe_load(values))
    assert kinds <= {item["kind"] for item in objects.all}
    [check] = objects.pod["initContainers"]
    arguments = pod_in(tmp_path, objects.pod, check, {**elsewhere, **contents(objects)})
    with recorded_logs(), restored_process():
        assert main(arguments) == 0, capsys.readouterr()
