"""Simulators in a process of their own, so that what is measured in this one is the exporter's alone."""

import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.managers import BaseManager
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from partnercenter_simulator import Dataset, Fault, Simulator

# A run of years is not to remember every request and every token.
_REMEMBERED = 500


class Served:
    """A simulator there. `ahead` is by how many seconds its clock leads the machine's monotonic one."""

    def __init__(self, seed: int, ahead: float) -> None:
        self._ahead = ahead
        self._simulator = Simulator(seed=seed, now=lambda: time.monotonic() + self._ahead)
        self._simulator.requests.keep(_REMEMBERED)
        self._simulator.entra.refresh_tokens.remembered = _REMEMBERED

    def leap(self, ahead: float) -> None:
        """Set the clock."""
        self._ahead = ahead

    def get(self, name: str) -> Any:
        """Return an attribute of the simulator, or of a part of it: `entra.issued_refresh_tokens`."""
        return attrgetter(name)(self._simulator)

    def call(self, name: str, *arguments: Any) -> Any:
        """Call a method of the simulator, or of a part of it: `faults.clear`."""
        return self.get(name)(*arguments)


class UpstreamProcess(BaseManager):
    """The process; `start` it, and `shutdown` ends it."""

    if TYPE_CHECKING:
        Served: Callable[[int, float], Served]

    def __init__(self) -> None:
        # spawn: a fork would copy the threads' locks of this process.
        super().__init__(ctx=get_context("spawn"))


UpstreamProcess.register("Served", Served)


class RemoteEntra:
    """The login host of a simulator in another process."""

    def __init__(self, served: Served) -> None:
        self._served = served

    def issue_refresh_token(self) -> str:
        """Sign the user in."""
        return str(self._served.call("entra.issue_refresh_token"))

    def register_certificate(self, pem: bytes) -> None:
        """Accept client assertions that this certificate signs."""
        self._served.call("entra.register_certificate", pem)

    def revoke_all(self) -> None:
        """Refuse every token handed out so far."""
        self._served.call("entra.revoke_all")

    @property
    def issued_refresh_tokens(self) -> tuple[str, ...]:
        """The newest tokens handed out, oldest first."""
        return tuple(self._served.get("entra.issued_refresh_tokens"))

    @property
    def issued_refresh_token_count(self) -> int:
        """How many were ever handed out."""
        return int(self._served.get("entra.issued_refresh_token_count"))


class RemoteSimulator:
    """A simulator in another process, as far as a long run needs one."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self.entra = RemoteEntra(served)
        self.ca_pem: bytes = served.get("ca_pem")
        self.client_secret: str = served.get("client_secret")
        self.tenant_id: str = served.get("tenant_id")
        self.client_id: str = served.get("client_id")
        self.authority: str = served.get("authority")
        self.base_url: str = served.get("base_url")
        # Figures are a function of seed and time, and so the same here as there.
        self.dataset: Dataset = served.get("dataset")
        self.leap = served.leap

    def start(self) -> None:
        """Serve."""
        self._served.call("start")

    def stop(self) -> None:
        """Close every connection."""
        self._served.call("stop")

    def hang_up(self) -> None:
        """Close every connection at once; serve on."""
        self._served.call("hang_up")

    def plan(self, fault: Fault) -> None:
        """Let something go wrong."""
        self._served.call("faults.add", fault)

    def clear_faults(self) -> None:
        """Let nothing go wrong from now on."""
        self._served.call("faults.clear")

    def request_count(self) -> int:
        """Return how many requests there ever were."""
        return int(self._served.call("requests.count"))
