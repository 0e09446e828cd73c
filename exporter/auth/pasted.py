"""The address that a browser ended on, as people paste it: in quotes, escaped, or broken over several lines."""

import re
from collections.abc import Mapping

from exporter.auth.redirect_listener import parameters_of
from exporter.messages import Line, line

# Far longer than any that Entra ID sends a browser to.
MAX_LENGTH = 16_384
_TOO_LONG = line("it is longer than {:,} characters", MAX_LENGTH)
_ESCAPE_SEQUENCE = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|.)")
# What stands around an address in a mail, a chat or a program.
_AROUND = " \t\"'`<>\N{LEFT DOUBLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}\N{DOUBLE LOW-9 QUOTATION MARK}"
# Where one begins; only its query matters.
_BEGINNING = re.compile(r"https?:|^/?\?", re.IGNORECASE)
_PARAMETER = re.compile(r"\b(?:code|state|error)=")
_QUOTE = re.compile("[\"'`<>]")
_AMPERSAND = re.compile(r"&(?:amp|#0*38|#x0*26);", re.IGNORECASE)
# As JSON and JavaScript write a character, perhaps within another text.
_ESCAPED = re.compile(r"\\+(?:u([0-9a-f]{4})|x([0-9a-f]{2}))", re.IGNORECASE)


class Pasted:
    """Puts an address together of the lines that `add` gets, none of which is ever shown."""

    def __init__(self) -> None:
        self._text = ""
        self._too_long = False

    def add(self, text: str) -> bool:
        """Add a line; return whether it may be an address or a part of one."""
        part = _part(text)
        begins_at = _BEGINNING.search(part)
        if begins_at:
            self._text, part = "", part[begins_at.start() :]
        may_be_one = bool(begins_at or self._text or _PARAMETER.search(part))
        together = self._text + part
        self._too_long = len(together) > MAX_LENGTH
        # What is too long stays so: the rest of it is no line of its own.
        self._text = together[: MAX_LENGTH + 1] if may_be_one else ""
        return may_be_one

    @property
    def parameters(self) -> Mapping[str, str]:
        """What the address says, as far as it is complete."""
        return {} if self._too_long else parameters_of(self._address)

    def problem(self, state: str) -> Line:
        """Return why it isn't the end of the sign-in with this state."""
        found = self.parameters
        if self._too_long:
            return _TOO_LONG
        if "/authorize?" in self._address:
            return line("it is the URL to open, not the one that the browser ended on")
        if not {"code", "error"} & found.keys():
            return line("code= is missing")
        if "state" not in found:
            return line("state= is missing, so its end may be cut off")
        if state.startswith(found["state"]):
            return line("its end is cut off within state=")
        return line("its state= is that of another sign-in")

    @property
    def _address(self) -> str:
        text = self._text
        # Copied from a page's source, it may be escaped twice.
        while (unescaped := _AMPERSAND.sub("&", text)) != text:
            text = unescaped
        address = _QUOTE.split(text, maxsplit=1)[0]
        return address if "?" in address else f"?{address}"


def _part(text: str) -> str:
    """Return what may belong to an address: no white space, nothing invisible, no backslash of a shell."""
    plain = _ESCAPED.sub(lambda match: chr(int(match[1] or match[2], 16)), _ESCAPE_SEQUENCE.sub("", text))
    plain = plain.strip().strip(_AROUND)
    return "".join(c for c in plain if "!" <= c <= "~" and c != "\\")
