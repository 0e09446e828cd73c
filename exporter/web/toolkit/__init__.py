"""What exporter-toolkit gives exporters in Go, on uvicorn: TLS, basic authentication, deadlines, limits."""
