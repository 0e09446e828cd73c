"""Requests over plain HTTP. Without a context, httpx reads the authorities of all the world for each: 25 ms."""

import ssl

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""httpx's `verify` where nothing is to be verified. It trusts nobody."""
