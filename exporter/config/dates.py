"""Ends of credentials that are past, or too far away to be true (pure). Times are Unix seconds."""

from exporter.formatting import moment

# The portal of Entra ID offers two years at most; other tools give more.
_MAX_YEARS = 5
_YEAR_SECONDS = 366 * 86_400.0

# Before this program was written: 2024-01-01.
_EARLIEST = 1_704_067_200.0


def doubt_about_clock(now: float) -> str:
    """Return what is wrong with a clock that was never set; nothing if it may be right."""
    if now >= _EARLIEST:
        return ""
    return f"this machine's clock says {moment(now)}: check its time synchronisation (NTP)"


def doubt_about_end(end: float, now: float) -> str:
    """Return what is wrong with the end of a client secret that the operator wrote down; nothing if it may be right."""
    if end <= now:
        return (
            f"{moment(end)} is past: either Entra ID refuses the secret, and you need a new one, or this date is out "
            "of date: write that of the secret in use"
        )
    if end > now + _MAX_YEARS * _YEAR_SECONDS:
        return f"{moment(end)} is more than {_MAX_YEARS} years ahead, and Entra ID offers 2: look at the year"
    return ""


def doubt_about_certificate(begin: float, end: float, now: float) -> str:
    """Return why a certificate isn't valid now; nothing if it is."""
    clock = f"or look at this machine's clock, which says {moment(now)}"
    if now >= end:
        return f"the certificate ended on {moment(end)}, and Entra ID refuses it: register and use a new one, {clock}"
    if now < begin:
        return f"the certificate is not valid before {moment(begin)}: use one that is, {clock}"
    return ""
