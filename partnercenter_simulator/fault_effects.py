"""What each kind of fault does to a response: one pure function per kind."""

import html
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, assert_never

from partnercenter_simulator.exchange import HTML, TEXT, Call, Delivery, Reply, json_reply
from partnercenter_simulator.faults import Fault
from partnercenter_simulator.partner_center import api_error
from partnercenter_simulator.wire import BOM, dump

_MEGABYTE = 1024 * 1024
_CHUNKS = 100
_BIG_HEADER = "x" * (256 * 1024)
_PAGE = b"<!DOCTYPE html><html><head><title>Service unavailable</title></head><body>Try later.</body></html>"


@dataclass(frozen=True, slots=True)
class FailingCall:
    """A call that a fault applies to, with its normal reply and Entra ID's reply for an AADSTS code."""

    fault: Fault
    call: Call
    normal: Callable[[], Reply]
    entra_error: Callable[[int, Call], Reply]


Effect = Callable[[FailingCall], Reply]


def _status(f: FailingCall) -> Reply:
    status, text = f.fault.status or 503, f.fault.text or "Simulated fault."
    match f.fault.body:
        case "fault":
            reply = api_error(f.call, status, f.fault.code or status, text)
        case "gateway":
            reply = _gateway_error(status, text)
        case "html":
            reply = Reply(status, _PAGE, HTML)
        case "empty":
            reply = Reply(status)
        case _:
            assert_never(f.fault.body)
    return _with_retry_after(reply, f.fault.retry_after)


def _throttled(f: FailingCall) -> Reply:
    after = 57 if f.fault.retry_after is None else f.fault.retry_after
    text = f"Rate limit is exceeded. Try again in {_retry_after(after)} seconds."
    return _with_retry_after(_gateway_error(429, text), after)


def _gateway_error(status: int, text: str) -> Reply:
    # The API gateway has its own format: no code, no byte-order mark (Microsoft: api-throttling-guidance).
    return json_reply({"statusCode": status, "message": text}, status=status)


def _with_retry_after(reply: Reply, after: float | str | None) -> Reply:
    return reply if after is None else reply.with_headers(Retry_After=_retry_after(after))


def _retry_after(after: float | str) -> str:
    return after if isinstance(after, str) else f"{after:g}"


def _mfa_required_2019(_f: FailingCall) -> Reply:
    reply = Reply(401, b"401 Unauthorized - MFA required", TEXT)
    return reply.with_headers(WWW_Authenticate='Bearer error="invalid_token"')


def _error_inside(f: FailingCall) -> Reply:
    status, text = f.fault.status or 403, f.fault.text or "Simulated fault."
    return json_reply({"value": [], "nextLink": None, "totalCount": 0, "message": text, "statusCode": status})


def _mfa_header(f: FailingCall) -> Reply:
    reply = f.normal()
    others = {name: value for name, value in reply.headers.items() if name != "isMfaCompliant"}
    asked = f.call.headers.get("validatemfa", "").lower() == "true"
    return replace(reply, headers=others | ({"isMfaCompliant": f.fault.text} if asked and f.fault.text else {}))


def _without(name: str) -> Effect:
    return lambda f: _edited(f, lambda document: {k: v for k, v in document.items() if k != name})


def _rows(f: FailingCall, rows: Sequence[object]) -> Reply:
    def edit(document: dict[str, Any]) -> dict[str, Any]:
        for name in ("items", "value"):
            if name in document:
                return {**document, name: rows, "totalCount": len(rows)}
        return {"Value": rows, "@nextLink": None, "TotalCount": len(rows)}

    return _edited(f, edit)


def _wrong_charset(f: FailingCall) -> Reply:
    reply = f.normal()
    text = json.dumps({"region": "Zürich", **_document(reply)}, ensure_ascii=False)
    return replace(reply, body=text.encode("latin-1", "replace"))


def _edited(f: FailingCall, edit: Callable[[dict[str, Any]], dict[str, Any]]) -> Reply:
    """Return the normal reply with its JSON object edited; a byte-order mark is kept."""
    reply = f.normal()
    mark = BOM if reply.body.startswith(BOM) else b""
    return replace(reply, body=mark + dump(edit(_document(reply))))


def _document(reply: Reply) -> dict[str, Any]:
    document = json.loads(reply.body.decode("utf-8-sig") or "{}")
    return document if isinstance(document, dict) else {}


def _body(change: Callable[[bytes], bytes]) -> Effect:
    def effect(f: FailingCall) -> Reply:
        reply = f.normal()
        return replace(reply, body=change(reply.body))

    return effect


def _delivered(delivery: Callable[[Fault], Delivery]) -> Effect:
    return lambda f: replace(f.normal(), delivery=delivery(f.fault))


def _gzip_bomb(f: FailingCall) -> Reply:
    compressor = zlib.compressobj(wbits=31)  # 31: with a gzip header
    spaces = b" " * _MEGABYTE
    chunks = [compressor.compress(spaces) for _ in range(f.fault.megabytes)]
    reply = f.normal()
    body = b"".join([*chunks, compressor.compress(_without_bom(reply.body)), compressor.flush()])
    return replace(reply, body=body).with_headers(Content_Encoding="gzip")


def _without_bom(body: bytes) -> bytes:
    return body.removeprefix(BOM)


def _coded(f: FailingCall) -> Reply:
    reply = f.normal()
    body = reply.body
    for name in f.fault.codings.split(","):
        formats = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
        if (wbits := formats.get(name.strip())) is not None:
            compressor = zlib.compressobj(wbits=wbits)
            body = compressor.compress(body) + compressor.flush()
    return replace(reply, body=body).with_headers(Content_Encoding=f.fault.codings)


def _echo(f: FailingCall) -> Reply:  # noqa: PLR0911 -- one for each place
    call = f.call
    said = (call.headers.get("authorization", "") + " " + call.body.decode("utf-8", "replace")).strip()
    match f.fault.place:
        case "first_line":
            return _raw(said)
        case "reason":
            return _raw(f"HTTP/1.1 403 {said}\r\nContent-Length: 0")
        case "header":
            return _raw(f"HTTP/1.1 200 OK\r\n{said}")
        case "length":
            return _raw(f"HTTP/1.1 200 OK\r\nContent-Length: {said}")
        case "chunk":
            return _raw(f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{said}")
        case "body":
            return Reply(403, f"<html><p>You sent {html.escape(said)}</p></html>".encode(), HTML)
        case "description":
            document = {"code": said, "description": said, "error": "invalid_client", "error_description": said}
            return json_reply(document, status=403 if "authorization" in call.headers else 401)
        case "link":
            link = f"https://elsewhere.example/{said}"
            return _edited(
                f, lambda document: {**document, "nextLink" if "nextLink" in document else "@nextLink": link}
            )
        case _:
            assert_never(f.fault.place)


def _raw(head: str) -> Reply:
    return Reply(0, delivery=Delivery(raw=f"{head}\r\n\r\n".encode()))


def _seconds(fault: Fault, default: float) -> float:
    return default if fault.seconds is None else fault.seconds


EFFECTS: Mapping[str, Effect] = {
    "status": _status,
    "throttled": _throttled,
    "no_content": lambda f: _with_retry_after(Reply(204), f.fault.retry_after),
    "redirect": lambda f: Reply(f.fault.status or 302).with_headers(Location=f.fault.location),
    "mfa_required": lambda f: api_error(f.call, 401, 900421, "The MFA claim is missing in the token."),
    "error_inside": _error_inside,
    "mfa_header": _mfa_header,
    "mfa_required_2019": _mfa_required_2019,
    "mfa_required_2020": lambda f: api_error(f.call, 401, 10001, "Authentication failed. MFA required. (10001)"),
    "entra_error": lambda f: f.entra_error(f.fault.code or 50173, f.call),
    "token_without_access_token": _without("access_token"),
    "token_without_refresh_token": _without("refresh_token"),
    "token_bom": _body(lambda body: BOM + body),
    "no_bom": _body(_without_bom),
    "double_bom": _body(lambda body: BOM + BOM + _without_bom(body)),
    "utf16": _body(lambda body: body.decode("utf-8-sig").encode("utf-16")),
    "wrong_charset": _wrong_charset,
    "html": lambda _f: Reply(200, _PAGE, HTML),
    "empty": lambda _f: Reply(200),
    "not_json": lambda _f: Reply(200, BOM + b"Everything is fine."),
    "truncated_json": _body(lambda body: body[: len(body) // 2]),
    "truncated": _delivered(lambda _fault: Delivery(cut=True)),
    "wrong_root": lambda f: Reply(200, BOM + json.dumps(f.fault.root).encode()),
    "replace_body": lambda f: _with_retry_after(Reply(f.fault.status or 200, f.fault.content), f.fault.retry_after),
    "rows": lambda f: _rows(f, f.fault.rows),
    "empty_rows": lambda f: _rows(f, []),
    "envelope": lambda f: _edited(f, lambda document: {**document, **(f.fault.envelope or {})}),
    "gzip_bomb": _gzip_bomb,
    "oversized": lambda f: replace(
        _body(_without_bom)(f), delivery=Delivery(padding_bytes=f.fault.megabytes * _MEGABYTE)
    ),
    "slow_first_byte": _delivered(lambda fault: Delivery(first_byte_seconds=_seconds(fault, 5))),
    "slow_body": _delivered(lambda fault: Delivery(chunks=_CHUNKS, chunk_seconds=_seconds(fault, 1))),
    "stall": _delivered(lambda fault: Delivery(stall_seconds=_seconds(fault, 60))),
    "reset": lambda _f: Reply(0, delivery=Delivery(reset=True)),
    "reset_midway": _delivered(lambda _fault: Delivery(stall_seconds=0.1, reset=True)),
    "hang_up": lambda _f: Reply(0),
    "header_drip": lambda f: Reply(0, delivery=Delivery(drip_seconds=_seconds(f.fault, 1))),
    "big_header": lambda f: f.normal().with_headers(X_Padding=_BIG_HEADER),
    "interim": _delivered(lambda fault: Delivery(raw=b"HTTP/1.1 %d Interim\r\n\r\n" % (fault.status or 103))),
    "garbage": lambda _f: Reply(0, delivery=Delivery(raw=b"\x00\x01 no HTTP \xff\r\n\r\n")),
    "bad_gzip": lambda f: f.normal().with_headers(Content_Encoding="gzip"),
    "coded": _coded,
    "cookie": lambda f: f.normal().with_headers(Set_Cookie="tracked=1; Path=/; Max-Age=86400; Secure"),
    "echo": _echo,
}
"""The effect of every kind in `faults.KINDS`."""
