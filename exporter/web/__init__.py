"""The HTTP side: ready bytes for scrapes, a page for people, health for probes."""
