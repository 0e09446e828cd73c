"""The customers' report: figures from Prometheus' HTTP API, as a page or a table."""
