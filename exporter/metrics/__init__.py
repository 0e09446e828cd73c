"""Rows into metric families, families into pre-rendered bytes, and the exporter's own metrics."""
