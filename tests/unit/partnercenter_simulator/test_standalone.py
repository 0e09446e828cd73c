"""The package runs on its own, without the exporter."""

import shutil
import subprocess
import sys
from pathlib import Path

import partnercenter_simulator

PROGRAM = """
import ssl, sys, urllib.request
sys.modules["exporter"] = None  # an import of it fails, even where it is installed
import partnercenter_simulator
with partnercenter_simulator.Simulator() as simulator:
    tls = ssl.create_default_context(cadata=simulator.ca_pem.decode())
    address = f"{simulator.base_url}/_simulator/dataset"
    print(urllib.request.urlopen(address, context=tls).status, partnercenter_simulator.__file__)
"""


def test_the_package_alone_serves_without_the_exporter(tmp_path: Path) -> None:
    package = tmp_path / "partnercenter_simulator"
    shutil.copytree(Path(partnercenter_simulator.__file__).parent, package)
    result = subprocess.run(  # noqa: S603 -- this Python, on our own program
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (result.stdout, result.stderr) == (f"200 {package / '__init__.py'}\n", "")
