"""What Entra ID's error numbers mean for the operator, and how to fix each (pure).

Entra ID warns that the numbers may change, so OAuth's `error` code decides and the numbers refine it.
Numbers and meanings: learn.microsoft.com/entra/identity-platform/reference-error-codes.
"""

from dataclasses import dataclass

from exporter.errors import RETRIED, AuthenticationError, MfaRequired, RefreshTokenRefused, Unavailable

_LOGIN = "partnercenter-exporter login --partner {partner}"
_SIGN_IN = f"sign in again: {_LOGIN}"


@dataclass(frozen=True, slots=True)
class Explanation:
    """A refusal's cause and fix ({partner} is filled in), and the error that it becomes.

    `codes` are the AADSTS numbers that mean it, `errors` the OAuth codes that do so by themselves.
    """

    cause: str
    fix: str = _SIGN_IN
    codes: tuple[int, ...] = ()
    errors: tuple[str, ...] = ()
    kind: type[AuthenticationError | Unavailable] = AuthenticationError


_EXPLANATIONS = (
    Explanation(
        "the refresh token is expired or revoked",
        codes=(700082, 70008, 50173, 70000, 50089, 50132, 50133),
        errors=("invalid_grant", "login_required"),
        kind=RefreshTokenRefused,
    ),
    Explanation(
        "a sign-in frequency policy ended the session",
        f"exempt the account from the sign-in frequency policy, then {_SIGN_IN}",
        codes=(70043,),
        kind=RefreshTokenRefused,
    ),
    Explanation(
        "the refresh token was issued to a single-page redirect URI and is valid for only 24 hours",
        f"register the redirect URI under the platform Web instead of SPA, then {_SIGN_IN}",
        codes=(700084,),
        kind=RefreshTokenRefused,
    ),
    Explanation(
        "the request is malformed, most likely because the refresh token is damaged",
        codes=(9002313,),
        kind=RefreshTokenRefused,
    ),
    Explanation(
        "the refresh token belongs to another application (client_id)",
        codes=(700007,),
        kind=RefreshTokenRefused,
    ),
    Explanation(
        "a second factor is needed, or the remembered one has expired",
        f"sign in again with the second factor: {_LOGIN}",
        codes=(50076, 50078, 50079, 50074, 50072, 50158),
        errors=("interaction_required",),
        kind=MfaRequired,
    ),
    Explanation(
        "Conditional Access or security defaults block the sign-in",
        f"ask the tenant's administrator to allow this account and application, then {_LOGIN}",
        codes=(53003, 53000, 530032, 530035),
    ),
    Explanation(
        "the application lacks permission or consent for Partner Center",
        "add the delegated permission user_impersonation of the Partner Center API to the application "
        "and grant admin consent",
        codes=(65001, 65004, 90094, 650057, 500011),
        errors=("invalid_resource", "consent_required"),
    ),
    Explanation(
        "the client secret or certificate is wrong, expired or not registered",
        "create a new one for the application in Entra ID and put it where the configuration points; "
        "the refresh token remains valid",
        codes=(7000215, 7000222, 700027, 50012),
        errors=("invalid_client",),
    ),
    Explanation(
        "the application is registered as a different type of client",
        "register it as a confidential client (platform Web, with a secret or certificate)",
        codes=(7000218, 700025),
    ),
    Explanation(
        "the tenant or the application does not exist in this cloud",
        "check tenant_id, client_id and cloud against the application's overview in Entra ID",
        codes=(700016, 90002, 90038, 50194),
        errors=("unauthorized_client",),
    ),
    Explanation(
        "the account is disabled, locked or deleted, or its password has expired",
        f"fix the account in Entra ID, then {_LOGIN}",
        codes=(50057, 50053, 50055, 50034),
    ),
    Explanation(
        "Entra ID sees the same request too often",
        "stop other programs that use this application in a loop; polling resumes by itself",
        codes=(50196,),
    ),
    Explanation(
        "the redirect URI is not registered for the application",
        "register http://localhost under the platform Web of the application",
        codes=(50011,),
    ),
    Explanation("the authorisation code has already been used", _SIGN_IN, codes=(54005,)),
    Explanation(
        "Entra ID is busy",
        RETRIED,
        codes=(90033, 50033, 90024, 90055, 90006),
        errors=("temporarily_unavailable", "server_error"),
        kind=Unavailable,
    ),
)
_BY_CODE = {code: explanation for explanation in _EXPLANATIONS for code in explanation.codes}
_BY_ERROR = {error: explanation for explanation in _EXPLANATIONS for error in explanation.errors}
_UNKNOWN = Explanation(
    "Entra ID refuses the sign-in",
    "look up the error's number, or quote the correlation id to Microsoft support",
)

# The label `error` of partnercenter_auth_failures_total has these values and "other", so that text from
# outside can't create series without limit.
KNOWN_ERRORS = frozenset(
    {*_BY_ERROR, "access_denied", "invalid_request", "invalid_scope", "unsupported_grant_type"}
)


def explain(error: str, codes: tuple[int, ...]) -> Explanation:
    """Return what a refusal means: by its first known number, else by OAuth's code."""
    known = (_BY_CODE[code] for code in codes if code in _BY_CODE)
    return next(known, None) or _BY_ERROR.get(error, _UNKNOWN)
