"""What a secret looks like that is in fact something else, or has something around it (pure).

Nothing here is certain: older tools let people choose any client secret, and made some of them GUIDs. The messages
never quote the secret.
"""

import base64
import binascii
import re

from exporter.messages import Line, line

GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_ASSIGNMENT = re.compile(r"(?:export\s+)?[A-Za-z_][\w.-]{2,63}(?:=[^=]|:\s).*", re.ASCII)
_VARIABLE = re.compile(r"\$\{?[A-Za-z_]\w*\}?|%\w+%|.*\{\{.*\}\}.*", re.ASCII)
_PLACEHOLDER = re.compile(
    r"<.*>|\[.*\]|(?:your|my|the|insert|enter|put|replace|change)[-_ ].{0,40}|change_?me|x{4,}|\*+|\.+|todo|tbd"
    r"|client[-_ ]?secret|secret[-_ ]?value|refresh[-_ ]?token",
    re.IGNORECASE,
)
_PATH = re.compile(r"\.{0,2}/(?:[\w.-]+/)*[\w-]+(?:\.\w{1,8})?", re.ASCII)
_MIN_BASE64 = 16
_QUOTES = "\"'`"


def doubt_about_client_secret(secret: str) -> Line | None:
    """Return what a client secret seems to be instead, with the mend; None if it looks like one."""
    if GUID.fullmatch(secret.strip()):
        return line(
            "it is a GUID, as the secret's ID is: Entra ID shows Value and Secret ID next to each other, and the value "
            "is needed, which is shown only once: if you have no copy, create a new secret"
        )
    return doubt_about(secret)


def doubt_about(secret: str) -> Line | None:  # noqa: PLR0911  one a mistake
    """Return what a secret of any kind seems to be instead, or to have around it, with the mend."""
    if secret != secret.strip(" "):
        return line("it has blanks around it: remove them")
    if secret[:1] in _QUOTES or secret[-1:] in _QUOTES:
        return line("it has quotes around it: remove them (docker's --env-file keeps quotes, a shell removes them)")
    if secret.startswith("-----BEGIN"):
        return line("it is a PEM file: use client_certificate_file for a certificate")
    if secret.startswith("{"):
        return line("it looks like JSON: write the secret alone")
    if _VARIABLE.fullmatch(secret):
        return line("it looks like a variable or template that nobody expanded: write ${{NAME}} in config.yaml only")
    if _ASSIGNMENT.fullmatch(secret):
        return line("it looks like KEY=value: remove the name and the sign after it")
    if _PLACEHOLDER.fullmatch(secret):
        return line("it looks like a placeholder: replace it with the secret")
    if _PATH.fullmatch(secret):
        return line("it looks like the path of a file: use the key that ends in _file for that")
    if _is_encoded(secret):
        return line(
            "it is base64 of a text, as a Secret of Kubernetes is written: decode it (base64 -d), or mount that "
            "Secret as a file"
        )
    return None


def _is_encoded(secret: str) -> bool:
    """Return whether this is base64 of printable text: a random secret is so once in a million."""
    if len(secret) < _MIN_BASE64 or len(secret) % 4:
        return False
    try:
        text = base64.b64decode(secret, validate=True).strip(b"\r\n")
    except (binascii.Error, ValueError):
        return False
    return bool(text) and all(ord(" ") <= byte <= ord("~") for byte in text)
