"""What exporter-toolkit is for exporters in Go, for exporters in Python: uvicorn, made fit to be scraped.

Nothing here knows what is exported: an import contract in pyproject.toml keeps it so. To use it, bind
sockets, wrap an ASGI application, and serve:

    settings = LiveSettings(Path("web.yml"), clock=clock, log=log)         # config_file
    tls = ReloadingTls(lambda: settings().tls, clock=clock, log=log)       # tls
    server = WebServer(Guard(application, settings), listen([":10058"]), log=log, on_reload=reload, tls=tls)
    server.serve_until_stopped(on_start)                                   # guard, listening, server

What stock uvicorn lacks (0.54 on Python 3.11, tried against a running server)
------------------------------------------------------------------------------
- Deadlines. A client that stays silent, sends half a header, or takes no answer is never closed, and asyncio
  gives a TLS handshake 60 s. Such connections add up until no scrape gets one. `protocol` has a deadline
  for the header, the answer and the close; `server` gives a handshake 3 s.
- A cap that spares scrapers. Once idle connections fill `limit_concurrency`, every scrape is answered with
  503. `protocol.Evictable` closes the connection that was idle longest instead, as a scraper's is the
  youngest, and `server` keeps half of the file descriptors for files and polls. With 400 descriptors, 150
  half-open and 300 idle clients, a scrape took 9 ms; benchmarks/held_connections.py holds 1,000.
- A limit for headers. With httptools, 30 MB of headers pass, and even h11 checks the length only while a
  header is incomplete. `protocol` uses h11 and parses in pieces.
- Calm when descriptors run out. asyncio then writes a traceback for each accept that fails, 2,048 a round,
  and the log fills up. `server` accepts in smaller rounds and logs one line in ten seconds.
- An exit. SIGTERM ends with status 143 and code after `run()` never executes, so that polls aren't stopped; a
  slow reader, or from Python 3.12 on a half-open handshake, blocks it. `server` handles the signals itself,
  finishes answers in progress and aborts the rest: status 0 in 0.2 s with the clients above.
- Errors at startup. A port in use is status 3 and a log line. `listening` binds first, on several addresses
  or systemd's sockets, and says what to do.
- Memory. asyncio buffers 256 KiB for each TLS connection, half-open ones too, and uvicorn leaves a timer
  after a reset, and so the connection in memory. `server` and `protocol` cure both. `response` sends a large
  body in pieces: 158 MB took 134 ms and 223 MB at the peak, instead of 387 ms and 555 MB.
- Certificates that change. uvicorn reads them once. `tls` hands each connection to the newest good context.
- Reasons for refusals in TLS. asyncio drops OpenSSL's alert, so that a client without a certificate sees a
  closed connection. `tls` sends the alert, and answers plain HTTP with 400.
- Authentication. `guard` checks passwords on a thread, remembers results, and bounds who may wait: a flood of
  wrong passwords delays no known scraper.
- Negotiation. prometheus_client's raises on odd headers, offers formats that `q=0` refuses, and lets a client
  ask for mangled names. `negotiation` offers two fixed formats.

What of exporter-toolkit's format is supported (docs/web-config.md)
-------------------------------------------------------------------
- tls_server_config: cert_file, key_file, client_auth_type (NoClientCert, VerifyClientCertIfGiven,
  RequireAndVerifyClientCert), client_ca_file, min_version, max_version, cipher_suites by Go's names.
  prefer_server_cipher_suites is accepted and ignored, as there.
- http_server_config.headers, the same five; basic_auth_users, with bcrypt hashes of every kind. Unlike there,
  /-/healthy and /-/ready need no password, as probes have none.
- Changes of the file and of what it names, without a restart; but TLS can't be switched on or off.

Refused by name: RequestClientCert and RequireAnyClientCert (Python's ssl can't accept a client certificate
without verifying it), inline cert, key and client_ca (it reads certificates from files only),
client_allowed_sans, curve_preferences, http2 and rate_limit. What exporter-toolkit refuses is refused too: a
test compares with promtool.
"""
