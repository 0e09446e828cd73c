"""`kill -9` of the whole exporter at random moments: python -m benchmarks.kill --kills 1000.

A child polls, rotates its refresh token and writes its state on a clock that leaps from poll to poll. After
each kill the state is read and the next start must show the old data, keep the schedule, sign in and poll.
The first broken promise ends it with a traceback; a table says what came up.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tabulate import tabulate

from partnercenter_simulator import Simulator
from tests.reliability.crashes import crashing
from tests.support.config import write_config


def main(argv: Sequence[str] | None = None) -> int:
    """Kill and print."""
    parser = argparse.ArgumentParser(description="kill -9 at random moments.")
    parser.add_argument("--kills", type=int, default=1_000, help="how many (default: 1000)")
    parser.add_argument("--seed", type=int, default=9, help="random seed (default: 9)")
    options = parser.parse_args(argv)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, Simulator(seed=7) as simulator:
        # The system's hundred CAs would be read again at each start.
        (Path(folder) / "authorities.pem").touch()
        os.environ["SSL_CERT_FILE"] = f"{folder}/authorities.pem"
        file = write_config(Path(folder), simulator)
        with crashing(simulator, file, seed=options.seed) as crashes:
            for number in range(1, options.kills + 1):
                crashes.crash()
                if number % 100 == 0:
                    print(f"{number} of {options.kills}", file=sys.stderr, flush=True)
        rows = [*crashes.seen.items(), ("tokens issued", simulator.entra.issued_refresh_token_count)]
    print(tabulate([*rows, ("seconds", round(time.monotonic() - began))], headers=("what", "count")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
