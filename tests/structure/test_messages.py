"""No text from outside becomes part of a message by itself: the type checker and the code's shape see to it."""

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "exporter").rglob("*.py"))
MAKERS = {"messages.py", "redaction.py", "local_text.py"}
"""The modules that may make a `Line` of any text."""
MYPY = (
    *("-m", "mypy", "foreign.py", "--config-file=", "--strict", "--python-version=3.11"),
    *("--no-site-packages", "--ignore-missing-imports", "--cache-dir=cache"),
)
USES = [
    'PayloadError(f"the server said {text}")',
    "PayloadError(text)",
    'PayloadError(line("the server said {}", text))',
    'PayloadError(line("no"), remedy=text)',
    'PayloadError(line("no")).replace(message=text)',
    'Exchange(line("x"), correlation_id=text)',
    "Failure('auth', text)",
    'get_logger().error("x", error=text)',
    'get_logger().error("x", error=body)',
    "get_logger().bind(error=str(cause))",
    'get_logger().error("x", **reply.json_object() or {})',
    'PayloadError(line("the server said {}", cause))',
    'PayloadError(line("the server said {}", reply.headers["X"]))',
    'PayloadError(line("the server said {}", (reply.json_object() or {})["code"]))',
    'PayloadError(line("the server said {}", reply.reason_phrase))',
    'SignInStatus("contoso", account=text)',
]
PROGRAM = """
from exporter.errors import Exchange, PayloadError
from exporter.logs import get_logger
from exporter.messages import line
from exporter.model.status import Failure, SignInStatus
from exporter.upstream.transport import HttpReply

def use(text: str, body: bytes, cause: ValueError, reply: HttpReply) -> None:
"""


def calls_of(name: str, module: Path) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
            yield node


@pytest.fixture(scope="module")
def refused_lines(tmp_path_factory: pytest.TempPathFactory) -> set[int]:
    """Return the numbers of the lines of a program with all uses that mypy refuses."""
    checkout = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "exporter", checkout / "exporter", ignore=shutil.ignore_patterns("__pycache__"))
    program = PROGRAM + "".join(f"    {use}\n" for use in USES)
    (checkout / "foreign.py").write_text(program, "utf-8")
    command = [sys.executable, *MYPY]
    checked = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)  # noqa: S603  mypy
    assert checked.stderr == ""
    errors = (found.split(":") for found in checked.stdout.splitlines() if found.startswith("foreign.py:"))
    return {int(number) for _, number, kind, *_ in errors if kind.strip() == "error"}


@pytest.mark.parametrize("use", USES)
def test_the_type_checker_refuses_text_that_no_redactor_has_seen(use: str, refused_lines: set[int]) -> None:
    assert PROGRAM.count("\n") + USES.index(use) + 1 in refused_lines


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(ROOT)))
def test_a_template_is_a_literal_and_only_three_modules_make_lines_of_any_text(module: Path) -> None:
    templates = [call.args[0] for call in calls_of("line", module)]
    assert [ast.unparse(t) for t in templates if not _is_literal(t)] == []
    assert module.name in MAKERS or not list(calls_of("Line", module))


def _is_literal(template: ast.expr) -> bool:
    if isinstance(template, ast.IfExp):
        return _is_literal(template.body) and _is_literal(template.orelse)
    return isinstance(template, ast.Constant) and isinstance(template.value, str)
