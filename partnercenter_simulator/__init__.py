"""A simulated Microsoft Entra ID and Partner Center, for demos, tests and fault injection.

One TLS server on one port is both the login host (discovery, authorization code with PKCE, refresh tokens,
client credentials) and the API host: licence usage and deployment, from the legacy and the commercial
analytics endpoints and from Partner Insights, whose report files are on a second port. The data comes from a seed
and moves with time, which can run faster than real time. The package shares no code with the exporter, so that a
mistake cannot hide on both sides.

Start it from the command line with `partnercenter-exporter simulate`, or in a test:

    with Simulator(seed=7) as simulator:
        token = simulator.entra.issue_refresh_token()
        simulator.faults.add(Fault(kind="status", endpoint="usage", status=503, times=2))
        ...  # run the client against simulator.authority and simulator.base_url; trust simulator.ca_pem
        simulator.requests.wait_for(3, "usage")

Ways to make it misbehave:
- `simulator.faults.add(Fault(...))` injects one fault; `faults.KINDS` and `CONNECTION_KINDS` list them all.
- `simulator.commercial.quirks = Quirks(...)` changes how the commercial endpoints page and spell.
- `simulator.insights.quirks = InsightsQuirks(...)` does so for Partner Insights;
  `simulator.insights.reporting.expected(...)` is what a client's figures must come to.
- `simulator.entra.revoke_all()`, `refuse_secret(...)` and their siblings change what signs in.
- The control pages under `/_simulator/` do the same over HTTP; `GET /_simulator/` describes them.

Modules, from the server down:
- `server`: the `Simulator`; `serving`, `handshake`, `delivery`: its event loop, TLS and bytes on the wire
- `control`: the control pages; `request_log`: the requests received
- `faults`: which fault happens when; `fault_effects`: what each kind does to a response
- `entra`: the login host; `credentials`, `tokens`, `entra_errors`: its parts
- `partner_center`: the API host; `wire`: the legacy JSON; `commercial`, `analytics_query`: the commercial API
- `insights`: Partner Insights, a package of its own
- `dataset`: the licence counts by date; `customers`: their split by customer and product
- `exchange`: the request and response values that all of these share
- `configuration`: a config.yaml for an exporter; `private_files`: how it is written
"""

from partnercenter_simulator.commercial import Quirks
from partnercenter_simulator.configuration import write_demo_configuration
from partnercenter_simulator.customers import MAX_CUSTOMERS
from partnercenter_simulator.dataset import Dataset
from partnercenter_simulator.faults import Fault
from partnercenter_simulator.insights import InsightsQuirks
from partnercenter_simulator.server import Simulator

__all__ = ["MAX_CUSTOMERS", "Dataset", "Fault", "InsightsQuirks", "Quirks", "Simulator", "write_demo_configuration"]
