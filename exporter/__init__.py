"""Prometheus exporter for licence usage in Microsoft Partner Center."""

__version__ = "0.1.0"
PROGRAM = "partnercenter-exporter"
