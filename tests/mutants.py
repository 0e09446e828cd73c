"""Mutation tests of the pure modules: `make mutants`.

Runs mutmut as `[tool.mutmut]` in pyproject.toml configures it and compares the mutants that no test notices
with tests/mutants.md, which lists and explains them. Fails where one is missing there or has no explanation,
and where one that is listed no longer survives.
A mutant is identified by its module, its function and the lines that it changes, so that code can move. One
that only spoils a sentence is not counted: tests look for the part that matters, so that it can be reworded.

`--update` rewrites the list: explanations are kept, mutants that no longer survive are dropped, and new ones
are marked as unexplained.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

LIST = Path(__file__).with_suffix(".md")
UNEXPLAINED = "**Unexplained.**"
_RESULTS = Path("mutants")  # the folder that mutmut works in
_NOTICED = {"timeout", "caught by type check"}
_FENCE = "```"
# Of a template, without a name in it.
_PLACEHOLDER = re.compile(r"\{[^{}A-Za-z]*\}")
_LITERAL = re.compile(r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')""")
_MUTANT_NAME = re.compile(r"(?:.*\.)?(?P<module>\w+)\.x(?:_|ǁ(?P<class>\w+)ǁ)(?P<function>\w+)__mutmut_\d+")


@dataclass(frozen=True, slots=True, order=True)
class Mutant:
    """A change of a function: `function` with its module and class, and the changed lines, in + and -."""

    function: str
    lines: tuple[str, ...]

    def __str__(self) -> str:
        return "\n    ".join((self.function, *self.lines))

    @property
    def is_wording(self) -> bool:
        """Whether nothing changes but the case of a sentence, or XX at its ends."""
        if [line[0] for line in self.lines] != ["-", "+"]:
            return False
        removed, added = (_LITERAL.split(line[1:]) for line in self.lines)
        if len(removed) != len(added):
            return False
        changed = [(old, new) for old, new in zip(removed, added, strict=True) if old != new]
        return all(
            " " in old and "{" not in _PLACEHOLDER.sub("", old) and old.casefold() == new.replace("XX", "").casefold()
            for old, new in changed
        )


def main(arguments: list[str]) -> int:
    """Run mutmut, compare its survivors with the list and print what differs."""
    survivors = {mutant for mutant in surviving_mutants() if not mutant.is_wording}
    return compared(survivors, LIST, update="--update" in arguments)


def compared(survivors: Collection[Mutant], file: Path, *, update: bool) -> int:
    """Compare survivors with the list in a file, or update it, and print what differs; return the exit status."""
    explanations = read_list(file.read_text("utf-8"))
    if update:
        introduction = file.read_text("utf-8").partition("\n## ")[0].rstrip()
        explanations = {mutant: explanations.get(mutant, UNEXPLAINED) for mutant in survivors}
        file.write_text(introduction + "\n" + written_list(explanations), "utf-8")
    found = differences(survivors, explanations, file.name)
    print(*found, f"{len(survivors)} survivors, {len(found)} differences from {file.name}", sep="\n")
    return 1 if found else 0


def differences(survivors: Collection[Mutant], explanations: Mapping[Mutant, str], name: str = LIST.name) -> list[str]:
    """Return a line for each mutant of the list that no longer survives, and for each survivor without explanation."""
    stale = sorted(explanations.keys() - set(survivors))
    unexplained = [mutant for mutant in sorted(survivors) if explanations.get(mutant, UNEXPLAINED) == UNEXPLAINED]
    return [
        *(f"listed in {name}, but no longer survives: {mutant}" for mutant in stale),
        *(f"survives, but {name} does not explain why that is harmless: {mutant}" for mutant in unexplained),
    ]


def surviving_mutants() -> Iterator[Mutant]:
    """Run all mutants afresh; yield those that no test notices, or that no test runs."""
    shutil.rmtree(_RESULTS, ignore_errors=True)
    mutmut("run", capture=False)
    for line in mutmut("results").splitlines():
        name, _, status = line.strip().rpartition(": ")
        if status not in _NOTICED:
            yield read_mutant(name, mutmut("show", name))


def mutmut(*arguments: str, capture: bool = True) -> str:
    """Run a command of mutmut and return what it prints."""
    # With CI set, Hypothesis tries the same examples each time: no mutant survives by chance.
    environment = {**os.environ, "CI": "true", "PYTHONHASHSEED": "0"}
    program = Path(sys.executable).with_name("mutmut")
    stdout = subprocess.PIPE if capture else None
    ended = subprocess.run([program, *arguments], env=environment, stdout=stdout, text=True, check=True)  # noqa: S603  our own tool
    return ended.stdout or ""


def read_mutant(name: str, diff: str) -> Mutant:
    """Return the mutant of mutmut's name and unified diff."""
    match = _MUTANT_NAME.fullmatch(name)
    assert match, name
    function = ".".join(part for part in match.group("module", "class", "function") if part)
    hunks = diff.partition("\n@@")[2].splitlines()[1:]
    return Mutant(function, tuple(f"{line[0]} {line[1:].strip()}" for line in hunks if line[:1] in "+-"))


def read_list(text: str) -> dict[Mutant, str]:
    """Return the mutants of the list with their explanations.

    Under a heading with the function come fenced diffs, with a blank line between the mutants of one fence,
    and after each fence the explanation that they share.
    """
    explanations: dict[Mutant, str] = {}
    for section in text.split("\n## ")[1:]:
        function, *blocks = re.split(rf"\n{_FENCE}(?:diff)?\n", section)
        for diffs, explanation in zip(blocks[::2], blocks[1::2], strict=True):
            for lines in diffs.split("\n\n"):
                explanations[Mutant(function.strip(), tuple(lines.splitlines()))] = explanation.strip()
    return explanations


def written_list(explanations: dict[Mutant, str]) -> str:
    """Return the list's sections, in order of function; the inverse of `read_list`."""
    parts = []
    for function, mutants in groupby(sorted(explanations), key=lambda mutant: mutant.function):
        parts.append(f"\n## {function}\n")
        shared: dict[str, list[Mutant]] = {}
        for mutant in mutants:
            shared.setdefault(explanations[mutant], []).append(mutant)
        parts.extend(f"\n{_fenced(same)}\n\n{explanation}\n" for explanation, same in shared.items())
    return "".join(parts)


def _fenced(mutants: Iterable[Mutant]) -> str:
    return f"{_FENCE}diff\n" + "\n\n".join("\n".join(m.lines) for m in mutants) + f"\n{_FENCE}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
