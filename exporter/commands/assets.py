"""`assets`: rules, dashboards, systemd unit, chart and manifests, in a directory of the operator's."""

from collections import Counter
from contextlib import suppress
from pathlib import Path

from exporter.arguments import Assets, ExitStatus
from exporter.commands.shipped import shipped_files
from exporter.errors import ExporterError
from exporter.files import read_regular, write_atomically
from exporter.messages import line

# Prometheus, Grafana and systemd read them as users of their own.
_READABLE = 0o644
# Where the links of alerts and dashboards start: `Repository` in pyproject.toml.
PLACEHOLDER = "https://git.example.com/partnercenter-exporter"
_NEXT = """
Next, as far as you use it:
  configuration  partnercenter-exporter example-config >config.yaml, and edit it
  links          of alerts and dashboards: set the address at which your people read the repository
                 grep -rl {1} {0} | xargs sed -i 's#{1}#https://YOUR.HOST/PATH#'
  Prometheus     copy {0}/prometheus/rules next to your prometheus.yml, and load exporter.yaml and usage.yaml there
                 (customers.yaml too, with detail in the configuration)
  Grafana        import the dashboards of {0}/grafana/importable, or use {0}/grafana/provisioning
                 with those of {0}/grafana/dashboards
  Jsonnet        rules and dashboards as a mixin: {0}/mixin/mixin.libsonnet
  systemd        cd {0}
                 install -D -m 0644 deploy/systemd/partnercenter-exporter.sysusers \\
                     /etc/sysusers.d/partnercenter-exporter.conf
                 install -m 0644 deploy/systemd/partnercenter-exporter.service /etc/systemd/system/
                 systemd-sysusers, and on from there as docs/deployment.md in the repository says
  Kubernetes     helm install partnercenter-exporter {0}/deploy/helm/partnercenter-exporter --values=…,
                 or edit {0}/deploy/kubernetes/config.yaml and kustomization.yaml, then
                 kubectl apply --server-side -k {0}/deploy/kubernetes"""


def run(arguments: Assets) -> ExitStatus:
    """Write what isn't there, say what was done with each file, and return whether all are current.

    Raises ExporterError.
    """
    done = Counter[str]()
    for name, content in shipped_files().items():
        file = arguments.output / name
        what = _write(file, content, overwrite=arguments.overwrite)
        done[what] += 1
        print(f"{what:<11} {file}")
    print(", ".join(f"{count} {what}" for what, count in done.items()))
    print(_NEXT.format(arguments.output, PLACEHOLDER))
    if kept := done["kept"]:
        print(f"\ndiffering from this version's, and kept: {kept}; --overwrite replaces what differs")
        return ExitStatus.FAILED
    return ExitStatus.SUCCESS


def _write(file: Path, content: bytes, *, overwrite: bool) -> str:
    """Return what was done with the file. Raises ExporterError."""
    try:
        there = file.is_symlink() or file.exists()
        with suppress(FileNotFoundError):
            if read_regular(file) == content:
                return "unchanged"
        if there and not overwrite:
            return "kept"
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, [content], mode=_READABLE)
    except OSError as error:
        remedy = line("choose a directory that this user can write to with --output")
        raise ExporterError(line("can't write {}: {}", file, error), remedy=remedy) from error
    return "overwritten" if there else "written"
