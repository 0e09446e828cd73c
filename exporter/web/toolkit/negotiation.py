"""Which of two formats a scrape gets, and whether compressed (pure)."""

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_OPENMETRICS_VERSIONS = ("", "1.0.0")


def wants_openmetrics(accept: str) -> bool:
    """Return whether the Accept header prefers OpenMetrics 1.0.0 to the text format, or likes it as much."""
    openmetrics = text = 0.0
    for media, parameters, quality in _entries(accept):
        if media == "application/openmetrics-text" and parameters.get("version", "") in _OPENMETRICS_VERSIONS:
            openmetrics = max(openmetrics, quality)
        elif media == "text/plain":
            text = max(text, quality)
    return openmetrics > 0 and openmetrics >= text


def wants_gzip(accept_encoding: str) -> bool:
    """Return whether the Accept-Encoding header takes gzip."""
    qualities = {coding: quality for coding, _, quality in _entries(accept_encoding)}
    return qualities.get("gzip", qualities.get("*", 0.0)) > 0


def _entries(header: str) -> list[tuple[str, dict[str, str], float]]:
    """Return (value, parameters, quality) of each element; an unreadable quality counts as 0."""
    entries = []
    for element in header.split(","):
        value, *rest = (part.strip() for part in element.split(";"))
        pairs = (part.partition("=") for part in rest)
        parameters = {name.strip().lower(): text.strip().strip('"') for name, _, text in pairs}
        entries.append((value.lower(), parameters, _quality(parameters.get("q", "1"))))
    return entries


def _quality(text: str) -> float:
    try:
        quality = float(text)
    except ValueError:
        return 0.0
    return quality if 0.0 <= quality <= 1.0 else 0.0
