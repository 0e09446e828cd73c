"""The simulator's own pages, for people and for other processes: `/_simulator/`."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

from partnercenter_simulator.commercial import LINKS, SPELLINGS, Commercial
from partnercenter_simulator.dataset import Dataset, SimulatedTime
from partnercenter_simulator.entra import Entra
from partnercenter_simulator.exchange import Call, Reply, Route, text_reply
from partnercenter_simulator.faults import CONNECTION_KINDS, ENDPOINTS, KINDS, Fault, FaultPlan
from partnercenter_simulator.request_log import RequestLog

_ROOT = "/_simulator/"

_HELP = """Entra ID and Partner Center, simulated. Nothing here is real.

{facts}

GET    /_simulator/ca.pem          the authority that signed this server's certificate
GET    /_simulator/dataset         the figures as they are now
GET    /_simulator/requests        the newest requests; ?endpoint=NAME for one endpoint's
POST   /_simulator/refresh-token   a new refresh token; ?mfa=false: of a sign-in without second factor
POST   /_simulator/revoke          refuses a refresh token (the body), or with no body all of them
GET    /_simulator/faults          the faults that are still to come
POST   /_simulator/faults          plans one: {{"kind": "status", "endpoint": "usage", "status": 503}}
DELETE /_simulator/faults          forgets them all
GET    /_simulator/commercial      how the commercial API answers
PUT    /_simulator/commercial      changes it: {{"links": "absolute", "most_rows": 100}}

A fault: kind; endpoint, one of {endpoints}; times (left out: until deleted); skip (calls that pass first);
and by kind:
{kinds}
New connections, whatever is asked on them, are struck by:
{connection_kinds}

The commercial API's spelling is one of {spellings}, or mixed; its links are:
{links}
"""


class Control:
    """Answers the simulator's own pages; no fault strikes here and nothing here is recorded."""

    def __init__(  # noqa: PLR0913 -- the server names each part
        self,
        *,
        entra: Entra,
        faults: FaultPlan,
        requests: RequestLog,
        figures: tuple[Dataset, SimulatedTime],
        commercial: Commercial,
        facts: Callable[[], Mapping[str, str]],
        ca_pem: bytes,
    ) -> None:
        self._entra = entra
        self._faults = faults
        self._requests = requests
        self._dataset, self._time = figures
        self._commercial = commercial
        self._facts = facts
        self._pages: Mapping[tuple[str, str], Callable[[Call], Reply]] = {
            ("GET", ""): self._help,
            ("GET", "ca.pem"): lambda _call: text_reply(ca_pem.decode()),
            ("GET", "dataset"): self._figures,
            ("GET", "requests"): self._requests_made,
            ("POST", "refresh-token"): self._refresh_token,
            ("POST", "revoke"): self._revoke,
            ("GET", "faults"): self._planned,
            ("POST", "faults"): self._plan,
            ("DELETE", "faults"): self._forget,
            ("GET", "commercial"): self._quirks,
            ("PUT", "commercial"): self._change_quirks,
        }

    def route(self, call: Call) -> Route | None:
        """Return who answers one of the simulator's own paths, or None for a path that is not one."""
        if not call.path.startswith(_ROOT):
            return None
        return Route("control", self._pages.get((call.method, call.path.removeprefix(_ROOT)), _nothing))

    def _help(self, _call: Call) -> Reply:
        facts = "\n".join(f"{name + ':':<15}{value}" for name, value in self._facts().items())
        return text_reply(
            _HELP.format(
                facts=facts,
                endpoints=", ".join(ENDPOINTS),
                kinds=_list(KINDS),
                connection_kinds=_list(CONNECTION_KINDS),
                spellings=", ".join(SPELLINGS),
                links=_list(LINKS),
            )
        )

    def _figures(self, _call: Call) -> Reply:
        at = self._time.data_now()
        usage, deployment = self._dataset.usage(at), self._dataset.deployment(at)
        return _pretty(
            {
                "data_time": at.isoformat(),
                "usage": [asdict(figure) | {"percent": figure.percent} for figure in usage],
                "deployment": [asdict(figure) | {"percent": figure.percent} for figure in deployment],
            }
        )

    def _requests_made(self, call: Call) -> Reply:
        made = self._requests.of(call.query.get("endpoint", "any"))
        names = ("time", "method", "path", "query", "headers", "status", "endpoint")
        return _pretty([{n: _plain(getattr(request, n)) for n in names} for request in made])

    def _refresh_token(self, call: Call) -> Reply:
        return text_reply(self._entra.issue_refresh_token(mfa=call.query.get("mfa") != "false") + "\n")

    def _revoke(self, call: Call) -> Reply:
        token = call.body.decode("utf-8", "replace").strip()
        if not token:
            self._entra.revoke_all()
            return text_reply("Every refresh token is revoked.\n")
        if token not in self._entra.issued_refresh_tokens:
            return text_reply("The body is no refresh token of this simulator.\n", status=400)
        self._entra.revoke(token)
        return text_reply("The refresh token is revoked.\n")

    def _planned(self, _call: Call) -> Reply:
        return _pretty([fault.to_json() | {"left": left} for fault, left in self._faults.pending()])

    def _plan(self, call: Call) -> Reply:
        try:
            fault = Fault.from_json(json.loads(call.body))
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
            return text_reply("The body is not valid JSON.\n", status=400)
        except ValueError as error:
            return text_reply(f"The fault is not valid: {error}.\n", status=400)
        self._faults.add(fault)
        return self._planned(call)

    def _forget(self, _call: Call) -> Reply:
        self._faults.clear()
        return text_reply("No faults are planned.\n")

    def _quirks(self, _call: Call) -> Reply:
        return _pretty(asdict(self._commercial.quirks))

    def _change_quirks(self, call: Call) -> Reply:
        try:
            self._commercial.quirks = self._commercial.quirks.changed(json.loads(call.body))
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
            return text_reply("The body is not valid JSON.\n", status=400)
        except ValueError as error:
            return text_reply(f"That can't be: {error}.\n", status=400)
        return self._quirks(call)


def _list(kinds: Mapping[str, str]) -> str:
    return "\n".join(f"  {kind:<28}{meaning}" for kind, meaning in kinds.items())


def _nothing(call: Call) -> Reply:
    return text_reply(f"There is no {call.method} {call.path}: see GET {_ROOT}.\n", status=404)


def _plain(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else value


def _pretty(document: Mapping[str, object] | Sequence[object]) -> Reply:
    return Reply(body=json.dumps(document, indent=2, default=str).encode() + b"\n")
