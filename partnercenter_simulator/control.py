"""The simulator's control pages, for people and for other processes: `/_simulator/`."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import Any, get_type_hints

from partnercenter_simulator.commercial import LINKS, SPELLINGS, Commercial, Quirks
from partnercenter_simulator.dataset import Dataset, SimulatedTime
from partnercenter_simulator.entra import Entra
from partnercenter_simulator.exchange import Call, Reply, Route, text_reply
from partnercenter_simulator.faults import CONNECTION_KINDS, ENDPOINTS, KINDS, Fault, FaultPlan
from partnercenter_simulator.insights import Insights, InsightsQuirks
from partnercenter_simulator.insights.envelope import InsightsError
from partnercenter_simulator.insights.quirks import CHOICES
from partnercenter_simulator.request_log import RequestLog

_ROOT = "/_simulator/"

_HELP = """A simulated Entra ID and Partner Center. All data is made up.

{settings}

GET    /_simulator/ca.pem          the CA certificate to trust for this server
GET    /_simulator/dataset         the current licence counts
GET    /_simulator/requests        the most recent requests; ?endpoint=NAME to filter
POST   /_simulator/refresh-token   issue a refresh token; ?mfa=false: for a sign-in without MFA
POST   /_simulator/revoke          revoke the refresh token in the body; empty body: revoke all
GET    /_simulator/faults          list the pending faults
POST   /_simulator/faults          add a fault: {{"kind": "status", "endpoint": "usage", "status": 503}}
DELETE /_simulator/faults          remove all faults
GET    /_simulator/commercial      show the commercial API's quirks
PUT    /_simulator/commercial      change them: {{"links": "absolute", "max_rows": 100}}
POST   /_simulator/insights/others create queries and reports of the same user: {{"queries": 2, "reports": 1}}
GET    /_simulator/insights        show Partner Insights' quirks
POST   /_simulator/insights        change them: {{"row_limit": 10, "missing_sets": ["EMSUsage"]}}; PUT does the same

Every fault has a `kind` and may have
  endpoint  where it happens: {endpoints} (default any)
  times     how many calls fail (default: all, until the fault is removed)
  skip      how many calls succeed first (default 0)
  every     of so many calls, only the last one fails (default 1)

Kinds, with their parameters and (defaults):
{kinds}

Kinds for new connections, whatever the endpoint (but with "files" as the endpoint: to its port only):
{connection_kinds}

The commercial API's `spelling` is {spellings} or mixed. Its `links` are one of:
{links}

Partner Insights' quirks that are one word of several:
{insights}
"""

_FAULT_TYPES: Mapping[str, Any] = get_type_hints(Fault) | {
    "retry_after": int | float | str | None,
    "body": str,
    "content": str,
    "rows": list,
    "envelope": dict,
    "seconds": int | float | None,
}
_QUIRK_TYPES: Mapping[str, Any] = get_type_hints(Quirks)
_INSIGHTS_TYPES: Mapping[str, Any] = {
    name: {Sequence[str]: list, Mapping[str, str]: dict, float: int | float}.get(kind, kind)
    for name, kind in get_type_hints(InsightsQuirks).items()
}


class Control:
    """Answers the control pages, which never fail and are not in the request log."""

    def __init__(  # noqa: PLR0913 -- the server names each part
        self,
        *,
        entra: Entra,
        faults: FaultPlan,
        requests: RequestLog,
        dataset: Dataset,
        simulated_time: SimulatedTime,
        commercial: Commercial,
        insights: Insights,
        settings: Mapping[str, str],
        ca_pem: bytes,
    ) -> None:
        self._entra = entra
        self._faults = faults
        self._requests = requests
        self._dataset = dataset
        self._time = simulated_time
        self._commercial = commercial
        self._insights = insights
        self._settings = settings
        self._pages: Mapping[tuple[str, str], Callable[[Call], Reply]] = {
            ("GET", ""): self._help,
            ("GET", "ca.pem"): lambda _call: text_reply(ca_pem.decode()),
            ("GET", "dataset"): self._show_dataset,
            ("GET", "requests"): self._list_requests,
            ("POST", "refresh-token"): self._issue_refresh_token,
            ("POST", "revoke"): _checked(self._revoke),
            ("GET", "faults"): self._list_faults,
            ("POST", "faults"): _checked(self._add_fault),
            ("DELETE", "faults"): self._clear_faults,
            ("GET", "commercial"): self._show_quirks,
            ("PUT", "commercial"): _checked(self._change_quirks),
            ("POST", "insights/others"): _checked(self._add_others),
            ("GET", "insights"): self._show_insights,
            **{(method, "insights"): _checked(self._change_insights) for method in ("POST", "PUT")},
        }

    def route(self, call: Call) -> Route | None:
        """Return the route of a control page, or None if the path is not under `/_simulator/`."""
        if not call.path.startswith(_ROOT):
            return None
        return Route("control", self._pages.get((call.method, call.path.removeprefix(_ROOT)), _not_found))

    def _help(self, _call: Call) -> Reply:
        settings = "\n".join(f"{name + ':':<15}{value}" for name, value in self._settings.items())
        return text_reply(
            _HELP.format(
                settings=settings,
                endpoints=", ".join(ENDPOINTS),
                kinds=_table(KINDS),
                connection_kinds=_table(CONNECTION_KINDS),
                spellings=", ".join(SPELLINGS),
                links=_table(LINKS),
                insights="\n".join(f"  {name}\n{_table(_quoted(words), '    ')}" for name, words in CHOICES.items()),
            )
        )

    def _show_dataset(self, _call: Call) -> Reply:
        at = self._time.data_now()
        usage, deployment = self._dataset.usage(at), self._dataset.deployment(at)
        return _indented(
            {
                "data_time": at.isoformat(),
                "usage": [asdict(figure) | {"percent": figure.percent} for figure in usage],
                "deployment": [asdict(figure) | {"percent": figure.percent} for figure in deployment],
            }
        )

    def _list_requests(self, call: Call) -> Reply:
        requests = self._requests.of(call.query.get("endpoint", "any"))
        return _indented([asdict(request) for request in requests])

    def _issue_refresh_token(self, call: Call) -> Reply:
        return text_reply(self._entra.issue_refresh_token(mfa=call.query.get("mfa") != "false") + "\n")

    def _revoke(self, call: Call) -> Reply:
        token = call.body.decode("utf-8", "replace").strip()
        if not token:
            self._entra.revoke_all()
            return text_reply("All refresh tokens are revoked.\n")
        if token not in self._entra.issued_refresh_tokens:
            raise ValueError("the body is not a refresh token that this simulator issued")
        self._entra.revoke(token)
        return text_reply("The refresh token is revoked.\n")

    def _list_faults(self, _call: Call) -> Reply:
        return _indented([_non_default(fault) | {"left": left} for fault, left in self._faults.pending()])

    def _add_fault(self, call: Call) -> Reply:
        values = {"kind": "", **_json_fields(call, _FAULT_TYPES)}
        if "content" in values:
            values["content"] = values["content"].encode()
        self._faults.add(Fault(**values))
        return self._list_faults(call)

    def _clear_faults(self, _call: Call) -> Reply:
        self._faults.clear()
        return text_reply("All faults are removed.\n")

    def _show_quirks(self, _call: Call) -> Reply:
        return _indented(asdict(self._commercial.quirks))

    def _change_quirks(self, call: Call) -> Reply:
        self._commercial.quirks = replace(self._commercial.quirks, **_json_fields(call, _QUIRK_TYPES))
        return self._show_quirks(call)

    def _show_insights(self, _call: Call) -> Reply:
        return _indented(asdict(self._insights.quirks))

    def _change_insights(self, call: Call) -> Reply:
        self._insights.quirks = replace(self._insights.quirks, **_json_fields(call, _INSIGHTS_TYPES))
        return self._show_insights(call)

    def _add_others(self, call: Call) -> Reply:
        try:
            self._insights.add_others(**_json_fields(call, {"queries": int, "reports": int}))
        except InsightsError as error:
            raise ValueError(error.message) from None
        return text_reply("The queries and reports are created.\n")


def _checked(page: Callable[[Call], Reply]) -> Callable[[Call], Reply]:
    """Wrap a page so that a ValueError becomes a 400 with its message."""

    def answer(call: Call) -> Reply:
        try:
            return page(call)
        except ValueError as error:
            return text_reply(f"Invalid request: {error}.\n", status=400)

    return answer


def _json_fields(call: Call, types: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a JSON object in the body; raise ValueError for an unknown or mistyped one."""
    try:
        document: object = json.loads(call.body)
    except (ValueError, RecursionError):
        raise ValueError("the body is not valid JSON") from None
    if not isinstance(document, dict):
        raise ValueError("the body must be a JSON object")  # noqa: TRY004 -- all mistakes in a body are one error
    for name, value in document.items():
        if name not in types:
            raise ValueError(f"unknown field {name!r}; the fields are {', '.join(types)}")
        # To Python, but not to JSON, True is an int.
        mistaken = isinstance(value, bool) and types[name] not in (bool, object)
        if mistaken or not isinstance(value, types[name]):
            raise ValueError(f"invalid value for {name}: {value!r}")
    return document


def _non_default(fault: Fault) -> dict[str, object]:
    values = {f.name: getattr(fault, f.name) for f in fields(fault) if getattr(fault, f.name) != f.default}
    return {k: v.decode("utf-8", "replace") if isinstance(v, bytes) else v for k, v in values.items()}


def _table(descriptions: Mapping[str, str], indent: str = "  ") -> str:
    return "\n".join(f"{indent}{name:<28}{description}" for name, description in descriptions.items())


def _quoted(words: Mapping[str, str]) -> dict[str, str]:
    return {f'"{word}"': meaning for word, meaning in words.items()}


def _not_found(call: Call) -> Reply:
    return text_reply(f"Not found: {call.method} {call.path}. See GET {_ROOT} for the pages.\n", status=404)


def _indented(document: Mapping[str, object] | Sequence[object]) -> Reply:
    return Reply(body=json.dumps(document, indent=2, default=str).encode() + b"\n")
