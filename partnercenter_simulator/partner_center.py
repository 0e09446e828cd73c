"""The Partner Center API: authorization and the licence analytics endpoints."""

import uuid
from collections.abc import Callable, Mapping

from partnercenter_simulator.analytics_query import QueryError
from partnercenter_simulator.commercial import Commercial
from partnercenter_simulator.dataset import Dataset, SimulatedTime
from partnercenter_simulator.entra import OTHER_APIS
from partnercenter_simulator.exchange import Call, Reply, Route
from partnercenter_simulator.insights import Insights
from partnercenter_simulator.tokens import AccessTokens
from partnercenter_simulator.wire import deployment_body, error_body, usage_body

API_ROOTS = ("/v1/", "/partner/v1/", "/insights/v1/")
_ANALYTICS_ROOTS = API_ROOTS[:2]
_COMMERCIAL = "analytics/commercial"


class PartnerCenter:
    """The API host. With `mfa_enforced` it rejects tokens from a sign-in without MFA.

    A request with the header `ValidateMfa: true` is told in `isMfaCompliant` whether its token is from one with MFA.

    To add an endpoint, add an entry to the table of routes.
    """

    def __init__(  # noqa: PLR0913 -- the server names each part
        self,
        dataset: Dataset,
        simulated_time: SimulatedTime,
        tokens: AccessTokens,
        commercial: Commercial,
        insights: Insights,
        *,
        now: Callable[[], float],
        mfa_enforced: bool = True,
    ) -> None:
        self.mfa_enforced = mfa_enforced
        self._now = now
        self._dataset = dataset
        self._time = simulated_time
        self._tokens = tokens
        self._insights = insights
        self._routes: Mapping[str, tuple[str, Callable[[Call], Reply]]] = {
            "/v1/analytics/licenses/usage": ("usage", self._usage),
            "/v1/analytics/licenses/deployment": ("deployment", self._deployment),
            # Microsoft's page documents the first form, but calls another one in its example.
            **{
                f"{root}{_COMMERCIAL}/{name}/license{end}": (endpoint, answer)
                for root in _ANALYTICS_ROOTS
                for end in ("/", "")
                for name, endpoint, answer in (
                    ("usage", "usage", commercial.usage),
                    ("deployment", "deployment", commercial.deployment),
                )
            },
        }

    def route(self, call: Call) -> Route | None:
        """Return the route of an API path, or None if the path is not under the API."""
        if not call.path.startswith(API_ROOTS):
            return None
        route = self._insights.route(call) or Route(*self._routes.get(call.path, ("unknown", _not_found)))
        return Route(route.endpoint, lambda call: self._authorized(call, route.answer))

    def _authorized(self, call: Call, answer: Callable[[Call], Reply]) -> Reply:
        if call.path in self._routes and call.method != "GET":
            return api_error(call, 405, 405, "Method not allowed.").with_headers(Allow="GET")
        claims = self._claims(call)
        try:
            reply = self._refusal(call, claims) or answer(call)
        except QueryError as error:
            reply = api_error(call, 400, 400, f"Bad request: {error}.")
        if claims is not None and call.headers.get("validatemfa", "").lower() == "true":
            return reply.with_headers(isMfaCompliant=str(_has_mfa(claims)).lower())
        return reply

    def _claims(self, call: Call) -> Mapping[str, object] | None:
        """Return the claims of the call's token; None if it has none, or one that was not issued here."""
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        return self._tokens.read(token) if scheme.lower() == "bearer" else None

    def _refusal(self, call: Call, claims: Mapping[str, object] | None) -> Reply | None:
        """Return the error for an unauthorized call, or None if it is authorized (Microsoft: error-codes)."""
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return api_error(call, 401, 800001, "The partner token is missing.")
        if claims is None or float(str(claims["exp"])) <= self._now():
            return api_error(call, 401, 400, "Access denied: the token is invalid or has expired.")
        if claims["aud"] in OTHER_APIS:
            return api_error(call, 401, 900420, "The token's audience is not Partner Center.")
        if claims.get("idtyp") == "app":
            return api_error(call, 403, 900329, "App-only tokens are not supported here: use App+User.")
        if self.mfa_enforced and not _has_mfa(claims):
            return api_error(call, 401, 900421, "The MFA claim is missing in the token.")
        return None

    def _usage(self, _call: Call) -> Reply:
        figures = self._dataset.usage(self._time.data_now())
        return Reply(body=usage_body(figures, seed=self._dataset.seed, wall=self._time.on_wall))

    def _deployment(self, _call: Call) -> Reply:
        figures = self._dataset.deployment(self._time.data_now())
        return Reply(body=deployment_body(figures, seed=self._dataset.seed, wall=self._time.on_wall))


def api_error(call: Call, status: int, code: int, description: str) -> Reply:
    """Return the documented error; a 401 also has the authentication challenge."""
    reply = Reply(status, error_body(code, description))
    if status != 401:  # noqa: PLR2004 -- Unauthorized
        return reply
    realm = call.headers.get("ms-correlationid") or str(uuid.uuid4())
    return reply.with_headers(WWW_Authenticate=f"OAuth realm=urn:cpsvc:cpid:{realm}")


def with_trace_headers(call: Call, reply: Reply) -> Reply:
    """Add the headers that support uses to trace a call; the caller's ids are echoed (Microsoft: headers)."""
    ids = {
        name: call.headers[name.lower()]
        for name in ("MS-RequestId", "MS-CorrelationId")
        if name.lower() in call.headers
    }
    return reply.with_headers(MS_CV=f"{uuid.uuid4().hex[:16]}.0", MS_ServerId="simulator", **ids)


def _has_mfa(claims: Mapping[str, object]) -> bool:
    return "mfa" in str(claims.get("amr"))


def _not_found(call: Call) -> Reply:
    return api_error(call, 404, 404, f"Resource not found: {call.path}.")
