"""Microsoft's clouds: where each signs in, and where its API is.

learn.microsoft.com/entra/identity-platform/authentication-national-cloud and
learn.microsoft.com/partner-center/developer/partner-center-rest-urls.
"""

from typing import Literal
from urllib.parse import urlsplit

Cloud = Literal["global", "china", "usgov"]

_CHINA_API = "partner.partnercenterapi.microsoftonline.cn"
_GLOBAL_API = "api.partnercenter.microsoft.com"
_SIGN_IN: dict[str, Cloud] = {
    "login.microsoftonline.com": "global",
    "login.microsoft.com": "global",
    "login.windows.net": "global",
    "sts.windows.net": "global",
    "login.microsoftonline.us": "usgov",
    "login.usgovcloudapi.net": "usgov",
    "login.partner.microsoftonline.cn": "china",
    "login.chinacloudapi.cn": "china",
}
_APIS: dict[str, tuple[Cloud, ...]] = {_GLOBAL_API: ("global", "usgov"), _CHINA_API: ("china",)}


def file_hosts(cloud: Cloud) -> str:
    """Return which hosts have the files of its storage, with `*` for a part of the name."""
    match cloud:
        case "global":
            return "*.blob.core.windows.net"
        case "usgov":
            return "*.blob.core.usgovcloudapi.net"
        case "china":
            return "*.blob.core.chinacloudapi.cn"


def urls(cloud: Cloud) -> tuple[str, str]:
    """Return where to sign in, and where the API is."""
    match cloud:
        case "global":
            return "https://login.microsoftonline.com", f"https://{_GLOBAL_API}"
        case "usgov":
            return "https://login.microsoftonline.us", f"https://{_GLOBAL_API}"
        case "china":
            return "https://login.partner.microsoftonline.cn", f"https://{_CHINA_API}"


def cloud_of(authority: str) -> Cloud | None:
    """Return which cloud signs in at an authority; None if it isn't one of Microsoft's."""
    return _SIGN_IN.get(urlsplit(authority).hostname or "")


def clouds_of(api_url: str) -> tuple[Cloud, ...]:
    """Return the clouds whose API is at this URL; none if it isn't Microsoft's."""
    return _APIS.get(urlsplit(api_url).hostname or "", ())
