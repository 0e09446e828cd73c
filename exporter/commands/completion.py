"""`completion`: a script that completes commands, flags and their values in bash and zsh.

It is written from the flags' own definitions. shtab, which does the same for any parser, doesn't complete
`--flag=value`, as flags are written in Prometheus' world.
"""

from collections.abc import Iterable, Mapping

from exporter.arguments import Completion, ExitStatus, Logging
from exporter.flags import Spelling, spellings
from exporter.model.rows import SourceName

_ALWAYS = ("--help", "--version")
# Read where it is used, so that the flag itself doesn't know them.
_CHOICES = {"--source": tuple(SourceName)}
# What compgen offers for a metavariable.
_ACTIONS = {"FILE": "compgen -f", "DIR": "compgen -d"}
_SCRIPT = """\
_partnercenter_exporter() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD - 1]}}
    local command= flag= start= index line
    local -a offers=()
    for ((index = 1; index < COMP_CWORD; index++)); do
        case $command/${{COMP_WORDS[index]}} in
            {commands}) command=$command/${{COMP_WORDS[index]}} ;;
        esac
    done
    # bash takes --flag=value for three words, zsh for one.
    if [[ $word == "=" ]]; then
        flag=$previous word=
    elif [[ $previous == "=" ]]; then
        flag=${{COMP_WORDS[COMP_CWORD - 2]}}
    elif [[ $word == --*=* ]]; then
        flag=${{word%%=*}} start=${{word%%=*}}= word=${{word#*=}}
    elif [[ $previous == --* ]]; then
        flag=$previous
    fi
    case $flag in
{values}
        *)
            case $command in
{words}
            esac
            ;;
    esac
    COMPREPLY=()
    if ((${{#offers[@]}})); then
        if [[ ${{offers[*]}} != *" -W "* ]]; then
            compopt -o filenames 2>/dev/null || true
        fi
        while IFS= read -r line; do
            COMPREPLY+=("$start$line")
        done < <(PREFIX=$word "${{offers[@]}}" -- "$word") # zsh looks for files by PREFIX
    fi
}}
complete -F _partnercenter_exporter partnercenter-exporter
"""
# zsh runs bash's completions, once told to.
_FOR_ZSH = """\
autoload -Uz compinit bashcompinit
(( $+functions[compdef] )) || compinit
bashcompinit
"""


def run(arguments: Completion, commands: Mapping[str, type], *, default: type) -> ExitStatus:
    """Print the script for a shell. Without a command, the flags are those of `default`."""
    print(_FOR_ZSH if arguments.shell_name == "zsh" else "", script(commands, default=default), sep="", end="")
    return ExitStatus.SUCCESS


def script(commands: Mapping[str, type], *, default: type) -> str:
    """Return the function that bash calls."""
    values: dict[str, str] = {}
    cases: list[str] = []
    groups = sorted({name.rpartition(" ")[0] for name in commands} - {""})
    for name in (*commands, *groups, ""):
        flags = tuple(_flags(commands.get(name) or default)) if name not in groups else ()
        values |= {flag.names[0]: _offers(flag) for flag in flags if flag.takes_value and not flag.positional}
        offered = [*_next_words(commands, name), *(word for flag in flags for word in _spelt(flag)), *_ALWAYS]
        cases.append(_case(_path(name) or "*", _words(offered), indent=16))
    return _SCRIPT.format(
        commands=" | ".join(map(_path, (*commands, *groups))),
        values="\n".join(_case(name, offers, indent=8) for name, offers in values.items()),
        words="\n".join(cases),
    )


def _path(name: str) -> str:
    """Return a command of one word or several as the script compares it."""
    return "".join(f"/{word}" for word in name.split())


def _next_words(commands: Iterable[str], name: str) -> list[str]:
    """Return what makes a command of the words so far."""
    start = f"{name} " if name else ""
    return list(dict.fromkeys(other[len(start) :].split()[0] for other in commands if other.startswith(start)))


def _flags(kind: type) -> Iterable[Spelling]:
    return (*spellings(kind), *spellings(Logging))


def _spelt(flag: Spelling) -> tuple[str, ...]:
    return flag.choices if flag.positional else flag.names


def _offers(flag: Spelling) -> str:
    """Return what is offered after a flag; nothing where only the user knows."""
    choices = flag.choices or _CHOICES.get(flag.names[0], ())
    return _words(choices) if choices else f"offers=({_ACTIONS.get(flag.metavar, '')})"


def _words(words: Iterable[str]) -> str:
    return f'offers=(compgen -W "{" ".join(words)}")'


def _case(pattern: str, commands: str, *, indent: int) -> str:
    return f"{' ' * indent}{pattern}) {commands} ;;"
