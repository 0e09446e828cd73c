"""What is wrong with a command line, in one line that names the nearest right word."""

import re
from collections.abc import Mapping, Sequence

from exporter.arguments import Logging
from exporter.flags import Spelling, spellings
from exporter.formatting import suggestion

_ALWAYS = ("--help", "-h", "--version")
# As other programs are asked for these.
_ALIASES = {
    **dict.fromkeys(("help", "-help", "-?", "--h", "/?"), "--help"),
    **dict.fromkeys(("version", "-version", "-v", "-V"), "--version"),
}
_NUMBER = re.compile(r"-\d+(?:\.\d*)?")
_IS_CONFIGURATION = re.compile(r".*\.ya?ml")


def explain(argv: Sequence[str], commands: Mapping[str, type], *, default: type) -> str:
    """Return what is wrong with the first word that is neither flag nor command; nothing where all are."""
    command = ""
    words = iter(argv)
    for word in words:
        kind = commands.get(command, default)
        if word == "--":
            return ""
        if word.startswith("-") and word != "-" and not _NUMBER.fullmatch(word):
            name, equals, _ = word.partition("=")
            flag = _flags(kind).get(name)
            if flag is None and name not in _ALWAYS:
                instead = _instead_of_flag(name, command, commands, default)
                return f"unrecognized arguments: {word}{instead and f': {instead}'}"
            if flag and flag.takes_value and not equals and next(words, "").startswith("--"):
                return ""  # argparse names the flag that has no value
        elif f"{command} {word}".strip() in commands:
            command = f"{command} {word}".strip()
        elif command not in commands and not _is_group(f"{command} {word}".strip(), commands):
            return f"invalid choice: {word!r}: {_instead_of_command(word, _following(command, commands))}"
        elif command not in commands:
            command = word
        elif not any(flag.positional for flag in spellings(kind)):
            return f"unrecognized arguments: {word}: {command} takes flags only"
    return ""


def _is_group(word: str, commands: Mapping[str, type]) -> bool:
    """Return whether this is the first word of commands of two."""
    return any(name.startswith(f"{word} ") for name in commands)


def _following(group: str, commands: Mapping[str, type]) -> Sequence[str]:
    """Return the words that may follow, at the beginning or after the first word of two."""
    names = [name.removeprefix(f"{group} ") for name in commands if not group or name.startswith(f"{group} ")]
    return list(dict.fromkeys(name.partition(" ")[0] for name in names))


def _flags(kind: type) -> dict[str, Spelling]:
    """Return the flags of a command by their names, hidden ones too."""
    every = (*spellings(kind, hidden=True), *spellings(Logging))
    return {name: flag for flag in every if not flag.positional for name in flag.names}


def _instead_of_flag(name: str, command: str, commands: Mapping[str, type], default: type) -> str:
    if name in _ALIASES:
        return f"did you mean {_ALIASES[name]}?"
    owners = [other for other, kind in commands.items() if name in _flags(kind)]
    if owners:
        return f"it is a flag of {', '.join(owners)}" + ("" if command else ": write it after the command")
    shown = [flag.names[0] for kind in (commands.get(command, default), Logging) for flag in spellings(kind)]
    # Without the dashes, which are alike in all of them.
    bare = [flag.removeprefix("--") for flag in (*shown, *_ALWAYS[::2])]
    return suggestion(name.lstrip("-").replace("_", "-").lower(), bare).replace("mean ", "mean --")


def _instead_of_command(word: str, commands: Sequence[str]) -> str:
    if word in _ALIASES:
        return f"did you mean {_ALIASES[word]}?"
    if _IS_CONFIGURATION.fullmatch(word):
        return f"did you mean --config.file={word}?"
    return suggestion(word.lower(), commands) or f"expected a command: one of {', '.join(commands)}"
