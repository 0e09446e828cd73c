"""What Entra ID's error numbers (AADSTS…) and OAuth's error codes mean, and how to fix each (pure).

Entra ID warns that the numbers may change, and has more than any list: a number that is not here counts as one of its
family, if it has one. Numbers and meanings: learn.microsoft.com/entra/identity-platform/reference-error-codes.
"""

import re
from dataclasses import dataclass
from functools import partial

from exporter import errors
from exporter.errors import LOGIN, RETRIED, PollError
from exporter.messages import Line, line

_SIGN_IN = line("sign in again: {}", LOGIN)


@dataclass(frozen=True, slots=True)
class Explanation:
    """A refusal's cause and fix (for `for_partner`), and the error that it becomes."""

    cause: Line
    fix: Line = _SIGN_IN
    codes: tuple[int, ...] = ()  # the AADSTS numbers that mean it
    family: str = ""  # a pattern of further numbers that do, as a rule
    oauth: tuple[str, ...] = ()  # the OAuth codes that do so whatever the number
    oauth_alone: tuple[str, ...] = ()  # those that do so only without a number
    kind: type[PollError] = errors.AuthenticationError


_NO_SUCH_APPLICATION = (
    700016, 70001, 700011, 7000112, 7000229, 90002, 90019, 90038, 90043, 90051, 900382, 900432, 50194, 50059, 50128,
)  # fmt: skip
_ACCOUNT = (
    50057, 50053, 50055, 50034, 500341, 50014, 50020, 50056, 50064, 50107, 50125, 50126, 50135, 50144, 50197, 51004,
    90072,
)  # fmt: skip
_WRONG_REQUEST = (
    90004, 90005, 90007, 90009, 90010, 90013, 90014, 90015, 90016, 90020, 90022, 90023, 90027, 90056, 900144,
)  # fmt: skip

_token_refused = partial(Explanation, kind=errors.RefreshTokenRefused)

# The clock's state is added to both.
CLOCK = Explanation(
    line("the client assertion is not valid at this time"),
    line("look at this machine's clock, and with federated_token_file at whether the token is still renewed"),
    codes=(700024, 500133),
)

EXPLANATIONS = (
    CLOCK,
    _token_refused(
        line("the refresh token is expired or revoked"),
        codes=(700082, 700081, 70008, 50173, 70000, 50089, 50132, 50133),
        oauth_alone=("invalid_grant", "login_required"),
    ),
    _token_refused(
        line("a sign-in frequency policy ended the session"),
        line("exempt the account from the sign-in frequency policy, then {}", _SIGN_IN),
        codes=(70043,),
    ),
    _token_refused(
        line("the refresh token was issued to a single-page redirect URI and is valid for only 24 hours"),
        line("register the redirect URI under the platform Web instead of SPA, then {}", _SIGN_IN),
        codes=(700084,),
    ),
    _token_refused(
        line("the request is malformed, most likely because the refresh token is corrupt"), codes=(9002313,)
    ),
    _token_refused(line("the refresh token belongs to another application (client_id)"), codes=(700007,)),
    Explanation(
        line("MFA is required, or the previous MFA has expired"),
        line("sign in again with MFA: {}", LOGIN),
        codes=(50076, 50078, 50079, 50074, 50072, 50158, 500121),
        oauth=("interaction_required",),
        kind=errors.MfaRequired,
    ),
    Explanation(
        line("Conditional Access or security defaults block the sign-in"),
        line("ask the tenant's administrator to allow this account and application, then {}", LOGIN),
        codes=(53003, 53000, 530032, 530035, 50005, 50097),
        family=r"53\d{3}|530\d{3}|501\d{2}",
    ),
    Explanation(
        line("the application lacks permission or consent for Partner Center"),
        line(
            "add the delegated permission user_impersonation of the Partner Center API to the application "
            "and grant admin consent"
        ),
        codes=(65001, 65004, 90094, 650057, 500011, 50001, 90008, 90093, 90095, 90099),
        family=r"650\d{2,3}",
        oauth=("invalid_resource", "consent_required"),
    ),
    Explanation(
        line("the client secret or certificate is wrong, expired or not registered"),
        line(
            "create a new one for the application in Entra ID (of a secret take its value, not its ID, without blanks "
            "around it) and put it where the configuration points; the refresh token remains valid"
        ),
        codes=(7000215, 7000222, 700027, 50012, 70002),
        oauth_alone=("invalid_client",),
    ),
    Explanation(
        line("Entra ID doesn't accept the client assertion of this application"),
        line(
            "compare the certificate, or issuer, subject and audience of the federated token, with the application's "
            "certificates and federated credentials in Entra ID; the refresh token remains valid"
        ),
        codes=(70021, 700021, 700023, 700030, 50013, 50027, 50048),
        family=r"7002\d{2}",
    ),
    Explanation(
        line("the application is registered as a different type of client"),
        line("register it as a confidential client (platform Web, with a secret or certificate)"),
        codes=(7000218, 700025),
    ),
    Explanation(
        line("the tenant or the application does not exist in this cloud, or is disabled"),
        line("check tenant_id, client_id and cloud against the application's overview in Entra ID"),
        codes=_NO_SUCH_APPLICATION,
        oauth_alone=("unauthorized_client",),
    ),
    Explanation(
        line("the account is disabled, locked, deleted or of another tenant, or its password has expired"),
        line("fix the account in Entra ID, then {}", LOGIN),
        codes=_ACCOUNT,
    ),
    Explanation(
        line("the account is not assigned to the application"),
        line("assign the account to the enterprise application in Entra ID, or require no assignment"),
        codes=(50105,),
    ),
    Explanation(line("the session has ended, or the sign-in was interrupted"), codes=(50139, 50140, 50143, 50199)),
    Explanation(
        line("Entra ID detected a request loop"),
        line("stop other programs that use this application in a loop; polling resumes by itself"),
        codes=(50196,),
    ),
    Explanation(
        line("the redirect URI is not registered for the application"),
        line("register http://localhost under the platform Web of the application"),
        codes=(50011, 70004, 500112),
    ),
    Explanation(line("the authorisation code has already been used"), codes=(54005,)),
    Explanation(
        line("Entra ID finds the request itself wrong"),
        line("check authority, scope and cloud"),
        codes=_WRONG_REQUEST,
        family=r"901\d{2}",
    ),
    Explanation(
        line("Entra ID is busy"),
        RETRIED,
        codes=(90033, 50033, 90024, 90055, 90006, 50000, 50087, 50088, 50166, 70012),
        family=r"90\d{3}",
        oauth=("temporarily_unavailable", "server_error"),
        kind=errors.Unavailable,
    ),
)
UNKNOWN = Explanation(line("Entra ID refuses the sign-in"), line("quote the correlation ID to Microsoft support"))

_BY_CODE = {code: explanation for explanation in EXPLANATIONS for code in explanation.codes}
_FAMILIES = tuple((re.compile(explanation.family), explanation) for explanation in EXPLANATIONS if explanation.family)
BY_ERROR = {error: explanation for explanation in EXPLANATIONS for error in explanation.oauth}
BY_ERROR_ALONE = {error: explanation for explanation in EXPLANATIONS for error in explanation.oauth_alone}


def is_known(code: int) -> bool:
    """Return whether the number itself is known."""
    return code in _BY_CODE


def explain(codes: tuple[int, ...], error: str) -> Explanation:
    """Return what the numbers mean; if that isn't known what their families do, or OAuth's code."""
    exact = (_BY_CODE[code] for code in codes if code in _BY_CODE)
    related = (explanation for code in codes for family, explanation in _FAMILIES if family.fullmatch(str(code)))
    by_error = BY_ERROR if codes else BY_ERROR | BY_ERROR_ALONE
    return next(exact, None) or next(related, None) or by_error.get(error, UNKNOWN)
