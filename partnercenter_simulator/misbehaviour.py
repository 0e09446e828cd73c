"""What each kind of fault does to an answer: pure functions, one a kind."""

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from partnercenter_simulator.exchange import HTML, TEXT, Call, Pace, Reply, json_reply
from partnercenter_simulator.faults import Fault
from partnercenter_simulator.partner_center import api_fault
from partnercenter_simulator.wire import BOM, dump

_MEGABYTE = 1024 * 1024
_PIECES = 100
_BIG_HEADER = "x" * (256 * 1024)
_PAGE = b"<!DOCTYPE html><html><head><title>Service unavailable</title></head><body>Try later.</body></html>"


@dataclass(frozen=True, slots=True)
class Mishap:
    """A fault that strikes a call, how to make the healthy answer, and how Entra ID would refuse."""

    fault: Fault
    call: Call
    healthy: Callable[[], Reply]
    refuse: Callable[[int, Call], Reply]


def misbehave(mishap: Mishap) -> Reply:
    """Return the answer that the fault makes of a call."""
    return EFFECTS[mishap.fault.kind](mishap)


def _status(m: Mishap) -> Reply:
    status = m.fault.status or 503
    bodies: Mapping[str, Callable[[], Reply]] = {
        "fault": lambda: api_fault(
            m.call, status, m.fault.code or status, m.fault.text or "Simulated fault."
        ),
        "gateway": lambda: json_reply(
            {"statusCode": status, "message": m.fault.text or "Simulated fault."}, status=status
        ),
        "html": lambda: Reply(status, _PAGE, HTML),
        "empty": lambda: Reply(status),
    }
    return _retry_later(bodies[m.fault.body](), m.fault.retry_after)


def _throttled(m: Mishap) -> Reply:
    # The gateway's own shape: no code, no byte-order mark (Microsoft: api-throttling-guidance).
    after = 57 if m.fault.retry_after is None else m.fault.retry_after
    words = f"Rate limit is exceeded. Try again in {_spelled(after)} seconds."
    return _retry_later(json_reply({"statusCode": 429, "message": words}, status=429), after)


def _retry_later(reply: Reply, after: float | str | None) -> Reply:
    return reply if after is None else reply.plus(Retry_After=_spelled(after))


def _spelled(after: float | str) -> str:
    return after if isinstance(after, str) else f"{after:g}"


def _mfa_required_2019(_m: Mishap) -> Reply:
    reply = Reply(401, b"401 Unauthorized - MFA required", TEXT)
    return reply.plus(WWW_Authenticate='Bearer error="invalid_token"')


def _without(name: str) -> Callable[[Mishap], Reply]:
    def effect(m: Mishap) -> Reply:
        return _edited(m, lambda document: {k: v for k, v in document.items() if k != name})

    return effect


def _rows(m: Mishap, rows: Sequence[object]) -> Reply:
    def edit(document: dict[str, Any]) -> dict[str, Any]:
        if "items" in document:
            return {**document, "items": rows, "totalCount": len(rows)}
        return {"Value": rows, "@nextLink": None, "TotalCount": len(rows)}

    return _edited(m, edit)


def _wrong_charset(m: Mishap) -> Reply:
    reply = m.healthy()
    text = json.dumps({"region": "Zürich", **_document(reply)}, ensure_ascii=False)
    return replace(reply, body=text.encode("latin-1", "replace"))


def _edited(m: Mishap, edit: Callable[[dict[str, Any]], dict[str, Any]]) -> Reply:
    """Return the healthy answer with its JSON object changed, and with its byte-order mark if it had one."""
    reply = m.healthy()
    mark = BOM if reply.body.startswith(BOM) else b""
    return replace(reply, body=mark + dump(edit(_document(reply))))


def _document(reply: Reply) -> dict[str, Any]:
    document = json.loads(reply.body.decode("utf-8-sig") or "{}")
    return document if isinstance(document, dict) else {}


def _body(change: Callable[[bytes], bytes]) -> Callable[[Mishap], Reply]:
    def effect(m: Mishap) -> Reply:
        reply = m.healthy()
        return replace(reply, body=change(reply.body))

    return effect


def _paced(pace: Callable[[Fault], Pace]) -> Callable[[Mishap], Reply]:
    def effect(m: Mishap) -> Reply:
        return replace(m.healthy(), pace=pace(m.fault))

    return effect


def _gzip_bomb(m: Mishap) -> Reply:
    packer = zlib.compressobj(wbits=31)  # 31: with gzip's own header
    blanks = b" " * _MEGABYTE
    pieces = [packer.compress(blanks) for _ in range(m.fault.megabytes)]
    reply = m.healthy()
    body = b"".join([*pieces, packer.compress(_bare(reply.body)), packer.flush()])
    return replace(reply, body=body).plus(Content_Encoding="gzip")


def _bare(body: bytes) -> bytes:
    return body.removeprefix(BOM)


def _or(seconds: float | None, default: float) -> float:
    return default if seconds is None else seconds


EFFECTS: Mapping[str, Callable[[Mishap], Reply]] = {
    "status": _status,
    "throttled": _throttled,
    "no_content": lambda m: _retry_later(Reply(204), m.fault.retry_after),
    "redirect": lambda m: Reply(m.fault.status or 302).plus(Location=m.fault.location),
    "mfa_required": lambda m: api_fault(m.call, 401, 900421, "The MFA claim is missing in the token."),
    "mfa_required_2019": _mfa_required_2019,
    "mfa_required_2020": lambda m: api_fault(
        m.call, 401, 10001, "Authentication failed. MFA required. (10001)"
    ),
    "entra_error": lambda m: m.refuse(m.fault.code or 50173, m.call),
    "token_without_access_token": _without("access_token"),
    "token_without_refresh_token": _without("refresh_token"),
    "token_bom": _body(lambda body: BOM + body),
    "no_bom": _body(_bare),
    "double_bom": _body(lambda body: BOM + BOM + _bare(body)),
    "utf16": _body(lambda body: body.decode("utf-8-sig").encode("utf-16")),
    "wrong_charset": _wrong_charset,
    "html": lambda _m: Reply(200, _PAGE, HTML),
    "empty": lambda _m: Reply(200),
    "not_json": lambda _m: Reply(200, BOM + b"Everything is fine."),
    "truncated_json": _body(lambda body: body[: len(body) // 2]),
    "truncated": _paced(lambda _fault: Pace(cut=True)),
    "wrong_root": lambda m: Reply(200, BOM + json.dumps(m.fault.root).encode()),
    "replace_body": lambda m: _retry_later(
        Reply(m.fault.status or 200, m.fault.content), m.fault.retry_after
    ),
    "rows": lambda m: _rows(m, m.fault.rows),
    "empty_rows": lambda m: _rows(m, []),
    "gzip_bomb": _gzip_bomb,
    "oversized": lambda m: replace(_body(_bare)(m), pace=Pace(padding_bytes=m.fault.megabytes * _MEGABYTE)),
    "slow_first_byte": _paced(lambda fault: Pace(first_byte_seconds=_or(fault.seconds, 5))),
    "slow_body": _paced(lambda fault: Pace(pieces=_PIECES, piece_seconds=_or(fault.seconds, 1))),
    "stall": _paced(lambda fault: Pace(stall_seconds=_or(fault.seconds, 60))),
    "reset": lambda _m: Reply(0, pace=Pace(reset=True)),
    "reset_midway": _paced(lambda _fault: Pace(stall_seconds=0.1, reset=True)),
    "hang_up": lambda _m: Reply(0),
    "header_drip": lambda m: Reply(0, pace=Pace(drip_seconds=_or(m.fault.seconds, 1))),
    "big_header": lambda m: m.healthy().plus(X_Padding=_BIG_HEADER),
    "interim": _paced(lambda fault: Pace(raw=b"HTTP/1.1 %d Interim\r\n\r\n" % (fault.status or 103))),
    "garbage": lambda _m: Reply(0, pace=Pace(raw=b"\x00\x01 no HTTP \xff\r\n\r\n")),
    "bad_gzip": lambda m: m.healthy().plus(Content_Encoding="gzip"),
}
