"""Entra ID and Partner Center in a box, for demonstrations, tests and faults.

It shares no code with the exporter's own client side, so that no mistake can hide on both sides at once.
"""

from exporter.simulator.commercial import Quirks
from exporter.simulator.customers import MOST_CUSTOMERS
from exporter.simulator.dataset import Dataset
from exporter.simulator.faults import Fault
from exporter.simulator.server import Simulator

__all__ = ["MOST_CUSTOMERS", "Dataset", "Fault", "Quirks", "Simulator"]
