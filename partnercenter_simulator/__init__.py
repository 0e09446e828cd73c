"""Entra ID and Partner Center in a box, for demonstrations, tests and faults.

It shares no code with the exporter's own client side, so that no mistake can hide on both sides at once.
"""

from partnercenter_simulator.commercial import Quirks
from partnercenter_simulator.configuration import write_demo_configuration
from partnercenter_simulator.customers import MOST_CUSTOMERS
from partnercenter_simulator.dataset import Dataset
from partnercenter_simulator.faults import Fault
from partnercenter_simulator.server import Simulator

__all__ = ["MOST_CUSTOMERS", "Dataset", "Fault", "Quirks", "Simulator", "write_demo_configuration"]
