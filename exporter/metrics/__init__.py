"""Rows into metric families, families into ready bytes, and the exporter's own metrics."""
