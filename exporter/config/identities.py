"""Mistakes in what identifies the application: placeholders, mixed-up IDs, and URLs of another tenant or cloud."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from exporter.auth.secret_shape import GUID
from exporter.config import clouds
from exporter.config.schema import Partner

_GUID_SHAPE = re.compile(r"\w{8}(?:-\w{4}){3}-\w{12}", re.ASCII)
_WORDS = re.compile(
    r"(?:(?:your|my|the|enter|insert)[-_]?)?(?:tenant|directory|client|application|app|partner)?[-_]?"
    r"(?:id|guid|name|domain)?[-_]?(?:here)?"
    r"|your[-_]?\w*\.onmicrosoft\.com|(?:contoso|fabrikam|example)(?:\.onmicrosoft)?\.(?:com|org|net)",
    re.IGNORECASE | re.ASCII,
)
# As Microsoft's pages, and people, make them up.
_MADE_UP = ("12345678-1234-1234-1234-1234567", "aaaabbbb-0000-cccc-1111-", "00001111-aaaa-2222-bbbb-")
_WHERE = {
    "tenant_id": "copy the directory (tenant) ID from the application's overview page in Entra ID",
    "client_id": "copy the application (client) ID from its overview page in Entra ID",
    "authority": "it ends in the tenant ID of the application's overview page in Entra ID; or remove it",
}


def is_placeholder(value: str) -> bool:
    """Return whether this ID is one of an example: of one digit or letter only, or a word such as TENANT."""
    characters = set(value.lower()) - {"-"}
    if _GUID_SHAPE.fullmatch(value):
        return len(characters) == 1 or value.lower().startswith(_MADE_UP)
    return len(value) > 1 and bool(_WORDS.fullmatch(value))


def placeholders(partner: Partner) -> Iterator[tuple[str, str]]:
    """Yield the key and message of each ID that is an example's."""
    # Whoever signs in at a server of their own may call a tenant whatever they like.
    tenant = _tenant(partner) if clouds.cloud_of(partner.authority or "") else ""
    values = {"tenant_id": partner.tenant_id, "client_id": partner.client_id, "authority": tenant}
    for key, value in values.items():
        if is_placeholder(value):
            yield key, f"{value} is a placeholder: {_WHERE[key]}"


def mistakes(partner: Partner) -> Iterator[tuple[str, str]]:
    """Yield the key and message of what can't work together."""
    if partner.client_id == partner.tenant_id and not is_placeholder(partner.client_id):
        advice = "the overview page of the application in Entra ID shows two different IDs"
        yield "client_id", f"this is the tenant_id: {advice}, take the application (client) ID"
    for key in ("api_url", "scope"):
        yield from _other_cloud(partner, key)


def doubts(partner: Partner) -> Iterator[tuple[str, str]]:
    """Yield the key and message of what can work, but hardly is what was meant."""
    tenant = _tenant(partner)
    both_are_guids = bool(GUID.fullmatch(tenant)) == bool(GUID.fullmatch(partner.tenant_id))
    if tenant and both_are_guids and tenant.lower() != partner.tenant_id.lower():
        yield "authority", f"it names another tenant than tenant_id: end it in {partner.tenant_id}, or remove it"
    cloud = clouds.cloud_of(partner.authority or "")
    if cloud and cloud != partner.cloud:
        yield "authority", f"it signs in to the cloud {cloud}, and cloud is {partner.cloud}: set cloud: {cloud}"


def _other_cloud(partner: Partner, key: str) -> Iterator[tuple[str, str]]:
    """Yield an API that takes no tokens from where the partner signs in."""
    cloud = clouds.cloud_of(partner.authority or clouds.urls(partner.cloud)[0])
    given = getattr(partner, key)
    of_api = clouds.clouds_of(given or clouds.urls(partner.cloud)[1])
    if cloud is None or not of_api or cloud in of_api:
        return
    if given:
        advice = f"set cloud: {of_api[0]} if that is yours, or remove {key}"
        yield key, f"it is of the cloud {' or '.join(of_api)}, and the sign-in is of {cloud}: {advice}"
    elif key == "api_url":
        yield (
            "authority",
            f"it signs in to the cloud {cloud}, and the API is that of {partner.cloud}: set cloud: {cloud}",
        )


def _tenant(partner: Partner) -> str:
    """Return the tenant that the authority names, if it is given: its first segment, as MSAL takes it."""
    return urlsplit(partner.authority or "").path.strip("/").partition("/")[0]
