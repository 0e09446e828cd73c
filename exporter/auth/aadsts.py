"""What Entra ID's error numbers mean for the operator, and what mends each.

Entra ID warns that the numbers are unstable, so OAuth's `error` word decides and the numbers refine.
Numbers and meanings: learn.microsoft.com/entra/identity-platform/reference-error-codes.
"""

from enum import Enum, auto
from typing import NamedTuple


class Kind(Enum):
    """What sort of refusal it is: which error it becomes."""

    TOKEN_DEAD = auto()
    MFA = auto()
    CONFIGURATION = auto()
    POLICY = auto()
    TRANSIENT = auto()


class Explanation(NamedTuple):
    """A refusal in words: its kind, what it means, what mends it ({partner} is filled in)."""

    kind: Kind
    meaning: str
    remedy: str


_LOGIN = "sign in again: partnercenter-exporter login --partner {partner}"
_LOGIN_MFA = "sign in again with the second factor: partnercenter-exporter login --partner {partner}"

_EXPIRED = Explanation(Kind.TOKEN_DEAD, "the refresh token is expired or revoked", _LOGIN)
_FREQUENCY = Explanation(
    Kind.TOKEN_DEAD,
    "a sign-in frequency policy ended the session",
    f"exempt the account from the sign-in frequency policy, then {_LOGIN}",
)
_SPA = Explanation(
    Kind.TOKEN_DEAD,
    "the refresh token was issued to a single-page redirect and lives 24 hours only",
    f"register the redirect address under the platform Web instead of SPA, then {_LOGIN}",
)
_MALFORMED = Explanation(Kind.TOKEN_DEAD, "the request is malformed, most often by a damaged token", _LOGIN)
_OTHER_CLIENT = Explanation(
    Kind.TOKEN_DEAD, "the refresh token belongs to another application (client_id)", _LOGIN
)
_MFA = Explanation(Kind.MFA, "a second factor is needed, or the remembered one is over", _LOGIN_MFA)
_CONDITIONAL = Explanation(
    Kind.POLICY,
    "Conditional Access or security defaults block the sign-in",
    "ask the tenant's administrator to let this account and application through, "
    "then partnercenter-exporter login --partner {partner}",
)
_CONSENT = Explanation(
    Kind.CONFIGURATION,
    "the application lacks the permission or the consent for Partner Center",
    "add the delegated permission user_impersonation of the Partner Center API to the application "
    "and grant admin consent",
)
_CREDENTIAL = Explanation(
    Kind.CONFIGURATION,
    "the client secret or certificate is wrong, expired or not registered",
    "create a new one for the application in Entra ID and put it where the configuration points; "
    "the refresh token stays good",
)
_CLIENT_TYPE = Explanation(
    Kind.CONFIGURATION,
    "the application is registered as another type of client than it is used as",
    "register it as a confidential client (platform Web, with a secret or certificate)",
)
_APPLICATION = Explanation(
    Kind.CONFIGURATION,
    "the tenant or the application does not exist in this cloud",
    "compare tenant_id, client_id and cloud with the application's overview in Entra ID",
)
_ACCOUNT = Explanation(
    Kind.CONFIGURATION,
    "the account is disabled, locked, gone or its password has expired",
    "mend the account in Entra ID, then partnercenter-exporter login --partner {partner}",
)
_LOOP = Explanation(
    Kind.CONFIGURATION,
    "Entra ID sees the same request too often",
    "stop other programs that use this application in a loop; polls go on by themselves",
)
_REDIRECT = Explanation(
    Kind.CONFIGURATION,
    "the redirect address is not registered for the application",
    "register http://localhost under the platform Web of the application",
)
_CODE_USED = Explanation(Kind.CONFIGURATION, "the authorisation code was used already", _LOGIN)
_BUSY = Explanation(Kind.TRANSIENT, "Entra ID is busy", "nothing to do: it is tried again")

_BY_CODE = {
    **dict.fromkeys((700082, 70008, 50173, 70000, 50089, 50132, 50133), _EXPIRED),
    **dict.fromkeys((50076, 50078, 50079, 50074, 50072, 50158), _MFA),
    70043: _FREQUENCY,
    700084: _SPA,
    9002313: _MALFORMED,
    700007: _OTHER_CLIENT,
    **dict.fromkeys((53003, 53000, 530032, 530035), _CONDITIONAL),
    **dict.fromkeys((65001, 65004, 90094, 650057, 500011), _CONSENT),
    **dict.fromkeys((7000215, 7000222, 700027, 50012), _CREDENTIAL),
    **dict.fromkeys((7000218, 700025), _CLIENT_TYPE),
    **dict.fromkeys((700016, 90002, 90038, 50194), _APPLICATION),
    **dict.fromkeys((50057, 50053, 50055, 50034), _ACCOUNT),
    50196: _LOOP,
    50011: _REDIRECT,
    54005: _CODE_USED,
    **dict.fromkeys((90033, 50033, 90024, 90055, 90006), _BUSY),
}

_BY_ERROR = {
    "invalid_grant": _EXPIRED,
    "interaction_required": _MFA,
    "invalid_client": _CREDENTIAL,
    "unauthorized_client": _APPLICATION,
    "invalid_resource": _CONSENT,
    "consent_required": _CONSENT,
    "login_required": _EXPIRED,
    "temporarily_unavailable": _BUSY,
    "server_error": _BUSY,
}

_UNKNOWN = Explanation(
    Kind.CONFIGURATION, "Entra ID refuses the sign-in", "look the error up by its number and correlation id"
)

# The label `error` of partnercenter_auth_failures_total takes these words and "other", so that an
# upstream's free text can't make series without end.
KNOWN_ERRORS = frozenset(
    {*_BY_ERROR, "access_denied", "invalid_request", "invalid_scope", "unsupported_grant_type"}
)


def explain(error: str, codes: tuple[int, ...]) -> Explanation:
    """Return what a refusal means: by its first known number, else by OAuth's word."""
    for code in codes:
        if code in _BY_CODE:
            return _BY_CODE[code]
    return _BY_ERROR.get(error, _UNKNOWN)
