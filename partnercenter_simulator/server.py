"""The simulator's server: one TLS address that is both the login host and the API host, and one for files."""

import hashlib
import socket
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Self

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from partnercenter_simulator.commercial import Commercial
from partnercenter_simulator.control import Control
from partnercenter_simulator.customers import DEFAULT_CUSTOMERS, Customers
from partnercenter_simulator.dataset import Dataset, SimulatedTime
from partnercenter_simulator.delivery import deliver
from partnercenter_simulator.entra import Entra
from partnercenter_simulator.exchange import Call, Reply, Route, text_reply
from partnercenter_simulator.fault_effects import EFFECTS, FailingCall
from partnercenter_simulator.faults import CONNECTION, FILES_CONNECTION, Fault, FaultPlan
from partnercenter_simulator.handshake import Certificates
from partnercenter_simulator.insights import Insights
from partnercenter_simulator.partner_center import API_ROOTS, PartnerCenter, with_trace_headers
from partnercenter_simulator.request_log import RequestLog
from partnercenter_simulator.serving import ServingThread
from partnercenter_simulator.tokens import Identity


class Simulator:
    """Entra ID and Partner Center on one TLS port, in a daemon thread. Also a context manager.

    `seed` determines identity and data. `now` is the clock, in seconds since 1970; the data's time runs
    `speed` times faster. The number of licences is in proportion to the number of `customers`. The port is
    bound at construction (0: any free port); after `stop`, `start` resumes on the same port, with its state.
    Report files of Partner Insights have an origin of their own, on `files_port`, which is bound likewise.
    The certificate is valid for 127.0.0.1, localhost and the host.
    """

    def __init__(  # noqa: PLR0913 -- the options of a simulation
        self,
        *,
        seed: int = 1,
        speed: float = 1.0,
        host: str = "127.0.0.1",
        port: int = 0,
        files_port: int = 0,
        now: Callable[[], float] = time.time,
        mfa_enforced: bool = True,
        customers: int = DEFAULT_CUSTOMERS,
    ) -> None:
        identity = Identity.of(seed)
        self.tenant_id, self.client_id, self.user = identity.tenant_id, identity.client_id, identity.user
        self.client_secret = "sim8Q~" + hashlib.sha256(f"secret {seed}".encode()).hexdigest()[:34]
        self.faults = FaultPlan()
        self.requests = RequestLog()
        self.entra = Entra(identity, self.client_secret, now)
        self._now = now
        self._host = host
        self._listeners = _listen(host, port, files_port)
        self.port, self.files_port = (int(listener.getsockname()[1]) for listener in self._listeners)
        self._certificates = Certificates(host)
        self.ca_pem = self._certificates.authority_pem
        self._serving: ServingThread | None = None
        self.time = SimulatedTime(speed, now)
        self.dataset = Dataset(seed, self.time.data_now().date(), size=customers / DEFAULT_CUSTOMERS)
        self.commercial = Commercial(self.dataset, self.time, Customers(seed, customers))
        self.insights = Insights(
            self.dataset, self.time, self.commercial.customers, user=self.user, files_port=self.files_port, now=now
        )
        self.partner_center = PartnerCenter(
            self.dataset,
            self.time,
            self.entra.access_tokens,
            self.commercial,
            self.insights,
            now=now,
            mfa_enforced=mfa_enforced,
        )
        self._control = Control(
            entra=self.entra,
            faults=self.faults,
            requests=self.requests,
            dataset=self.dataset,
            simulated_time=self.time,
            commercial=self.commercial,
            insights=self.insights,
            settings=self._settings(),
            ca_pem=self.ca_pem,
        )

    @property
    def base_url(self) -> str:
        """Scheme, host and port, without a path: both the login host and the API host."""
        return self._url(self.port)

    @property
    def files_url(self) -> str:
        """Scheme, host and port of the report files' origin."""
        return self._url(self.files_port)

    @property
    def authority(self) -> str:
        """The authority as MSAL expects it: base URL and tenant."""
        return f"{self.base_url}/{self.tenant_id}"

    def start(self) -> None:
        """Serve in a new thread; return once it accepts connections."""
        if self._listeners[0].fileno() < 0:
            self._listeners = _listen(self._host, self.port, self.files_port)
        self._serving = ServingThread(self._answer_call, self._listeners, self._certificates, self._connection_fault)

    def stop(self) -> None:
        """Close every connection immediately and release the port."""
        if self._serving is not None:
            self._serving.stop()
            self._serving = None
        for listener in self._listeners:
            listener.close()

    def hang_up(self) -> None:
        """Close every connection immediately but keep serving, so that connection faults take effect."""
        if self._serving is not None:
            self._serving.hang_up()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    async def _answer_call(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            call = await _read(Request(scope, receive))
        except ClientDisconnect:
            return
        route = self.insights.files.route(call) if scope["server"][1] == self.files_port else self._route(call)
        reply = self._answer(route, call)
        if route.endpoint != "control":
            self.requests.add(call, endpoint=route.endpoint, status=reply.status, time=self._now())
        await deliver(reply, scope, receive, send, now=self._now)

    def _route(self, call: Call) -> Route:
        for service in (self._control, self.entra, self.partner_center):
            route = service.route(call)
            if route is not None:
                return route
        return Route("unknown", lambda call: text_reply(f"Not found: {call.path}\n", status=404))

    def _answer(self, route: Route, call: Call) -> Reply:
        try:
            reply = self._reply(route, call)
        except Exception:  # noqa: BLE001 -- a bug in the simulator must show up in the test that hits it
            return text_reply(f"Internal error in the simulator.\n{traceback.format_exc()}", status=500)
        return with_trace_headers(call, reply) if call.path.startswith(API_ROOTS) else reply

    def _reply(self, route: Route, call: Call) -> Reply:
        fault = None if route.endpoint == "control" else self.faults.take(route.endpoint)
        if fault is None:
            return route.answer(call)
        return EFFECTS[fault.kind](FailingCall(fault, call, partial(route.answer, call), self.entra.error))

    def _connection_fault(self, port: int) -> Fault | None:
        return self.faults.take(FILES_CONNECTION if port == self.files_port else CONNECTION)

    def _url(self, port: int) -> str:
        host = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(self._host, self._host)  # noqa: S104 -- compared, not bound
        return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"

    def _settings(self) -> dict[str, str]:
        return {
            "authority": self.authority,
            "api_url": self.base_url,
            "files": self.files_url,
            "scope": f"{self.base_url}/user_impersonation",
            "tenant_id": self.tenant_id,
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "user": self.user,
        }


async def _read(request: Request) -> Call:
    return Call(
        method=request.method,
        path=request.url.path,
        # The address that the client uses, which in a container is not the one that the server listens on.
        origin=f"https://{request.headers.get('host', '')}",
        query=dict(request.query_params),
        headers=dict(request.headers),
        body=await request.body(),
    )


def _listen(host: str, *ports: int) -> list[socket.socket]:
    """Return a listening socket for each port, or none of them. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with ExitStack() as opened:
        listeners = []
        for port in ports:
            listener = opened.enter_context(socket.create_server((host, port), family=family, backlog=128))
            listener.settimeout(0)
            listeners.append(listener)
        opened.pop_all()
        return listeners
