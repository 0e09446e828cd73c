"""What a new source, API or detail must be given is named by the type checker, not by a KeyError in use."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = "exporter/model/rows.py"


# Without the packages that the exporter imports, which take mypy most of its time: no closed type is theirs.
MYPY = (
    *("-m", "mypy", "--package", "exporter", "--config-file=", "--python-version=3.11"),
    *("--no-site-packages", "--ignore-missing-imports", "--cache-dir=cache"),
)
# As the configuration names it, and as a response has it.
_POLL_NEW_DATA_SET = """
from exporter.config.sources import UsageKeys
from tests.fixtures.insights import answering_insights, catalogue_item, sums_row
columns = ("Plan", "SalesModel", "IsDuplicateRowForPGA", "TotalCallers", "TotalPlans")
source = UsageKeys(api="insights", datasets=["CallingUsage"]).source(10)
poll = answering_insights(
    [sums_row(Plan="Domestic", SalesModel="CSP", TotalCallers=3, TotalPlans=4)],
    catalogue=[catalogue_item("CallingUsage", *columns)],
)
for row in source.fetch(poll).rows:
    print(row.service, row.workload, row.channel, row.active, "of", row.qualified)
"""
UNKNOWN = re.compile(r'^(exporter/\S+\.py):\d+: error: Argument 1 to "assert_never" ', re.MULTILINE)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the package, to be changed; mypy keeps its cache there between the tests."""
    copy = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "exporter", copy / "exporter", ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def places(checkout: Path, old: str, new: str, *, file: str = ROWS) -> set[str]:
    """Return the files in which mypy finds a case missing once `old` has become `new` in a file."""
    changed = checkout / file
    before = changed.read_text("utf-8")
    assert old in before
    changed.write_text(before.replace(old, new, 1), "utf-8")
    command = [sys.executable, *MYPY]
    try:
        checked = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)  # noqa: S603  mypy
    finally:
        changed.write_text(before, "utf-8")
    assert checked.stderr == ""
    assert "checked" in checked.stdout
    return set(UNKNOWN.findall(checked.stdout))


def test_no_case_is_missing_in_the_code_as_it_is(checkout: Path) -> None:
    assert places(checkout, "", "") == set()


def test_a_new_source_is_an_error_wherever_it_is_not_known(checkout: Path) -> None:
    old = '    DEPLOYMENT = "deployment"\n'
    assert places(checkout, old, f'{old}    SUBSCRIPTIONS = "subscriptions"\n') == {
        "exporter/config/sources.py",
        "exporter/metrics/catalogue.py",
        "exporter/model/rows.py",
    }


def test_a_new_kind_of_row_is_an_error_wherever_it_is_not_known(checkout: Path) -> None:
    new = """\
@dataclass(frozen=True, slots=True)
class SubscriptionRow:
    SOURCE: ClassVar = SourceName.USAGE
    LABELS: ClassVar = ("service",)
    LICENCES: ClassVar = ("active",)
    service: str
    active: float | None = None
    ratio: float | None = None
    processed_at: float | None = None
    @property
    def key(self) -> Labels:
        return (self.service,)
    @property
    def licences(self) -> tuple[float | None, ...]:
        return (self.active,)


Row = UsageRow | DeploymentRow | SubscriptionRow
"""
    assert places(checkout, "Row = UsageRow | DeploymentRow\n", new) == {"exporter/metrics/catalogue.py"}


def test_a_new_api_is_an_error_wherever_it_is_not_known(checkout: Path) -> None:
    old = '    INSIGHTS = "insights"\n'
    assert places(checkout, old, f'{old}    GRAPH = "graph"\n') == {"exporter/config/sources.py", ROWS}


def test_a_new_data_set_of_insights_is_one_row_of_a_table(checkout: Path) -> None:
    row = """\
    DataSet(
        name=line("CallingUsage"),
        row=UsageRow,
        labels={"workload": "Plan", "channel": "SalesModel"},
        counts=(Counts(part="TotalCallers", whole="TotalPlans", labels={"service": line("calling")}),),
    ),
)
"""
    table = checkout / "exporter/sources/data_sets.py"
    before = table.read_text("utf-8")
    assert before.count("\n)\n") == 1
    table.write_text(before.replace("\n)\n", f"\n{row}"), "utf-8")
    path = os.pathsep.join((str(checkout), str(ROOT)))
    command = [sys.executable, "-c", _POLL_NEW_DATA_SET]
    try:
        polled = subprocess.run(  # noqa: S603  Python
            command, cwd=checkout, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False
        )
    finally:
        table.write_text(before, "utf-8")
    assert polled.stderr == ""
    assert polled.stdout == "calling Domestic CSP 3.0 of 4.0\n"


def test_a_new_detail_is_an_error_wherever_it_is_not_known(checkout: Path) -> None:
    old = '    PRODUCT = "product"\n'
    assert places(checkout, old, f'{old}    SUBSCRIPTION = "subscription"\n') == {
        "exporter/metrics/catalogue.py",
        "exporter/sources/commercial.py",
    }
