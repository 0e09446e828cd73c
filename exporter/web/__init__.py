"""The HTTP side: pre-rendered bytes for scrapes, a page for people, health for probes."""
