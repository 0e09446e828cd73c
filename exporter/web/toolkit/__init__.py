"""What exporter-toolkit is for exporters in Go, for exporters in Python: uvicorn, made fit to be scraped.

Nothing here knows what is exported: an import contract in pyproject.toml keeps it so. To use it, wrap an ASGI
application, bind sockets, and serve:

    settings = LiveSettings(Path("web.yml"), clock)                     # config_file
    tls = ReloadingTls(lambda: settings().tls, clock)                   # tls
    guarded = OriginForm(Guard(application, settings))                  # request_target, guard
    server = WebServer(guarded, on_start=start, on_reload=reload, tls=tls)
    server.run(listen([":10058"]))                                      # listening, server

What stock uvicorn lacks (0.54 on Python 3.11, tried against a running server)
------------------------------------------------------------------------------
- Deadlines. A silent client, half a header, or an answer that nobody takes is never closed, and asyncio gives a TLS
  handshake 60 s, until no scrape gets a connection. `protocol` has a deadline for the handshake, the header, the answer
  and the close.
- A cap that spares scrapers. With `limit_concurrency`, idle connections turn every scrape into a 503.
  `accepting` counts every socket from its acceptance on, which asyncio does after the handshake, and `places` lets the
  longest in the most crowded stage give way, be it a handshake, idle, slow, or waiting for a page: never the newest.
  Where an eighth of the places is taken, `protocol` answers the first of pipelined requests and closes, and `surplus`
  turns away unparsed what monitoring didn't ask for, above 50 requests a second.
  `server` keeps half of the file descriptors, and at least 48, for files and polls. benchmarks/held_connections.py
  holds 1,000 connections.
- A limit for headers. With httptools, 30 MB of headers pass, and even h11 checks the length only while a header is
  incomplete. `protocol` uses h11 and parses in pieces.
- Requests with one end. h11 prefers Transfer-Encoding where there is a Content-Length too, and takes line feeds alone
  and continued lines. `framing` refuses what a proxy may read differently, and the connection ends with a body.
- Calm when descriptors run out. asyncio writes a traceback for each failed accept, 2,048 a round. `accepting` lets a
  connection give way for each, and `server` logs one line in ten seconds.
- An exit. SIGTERM ends with status 143, and code after `run()` never executes; a slow reader, or from Python 3.12 on a
  half-open handshake, blocks it. `server` handles the signals itself, finishes answers in progress and aborts the rest:
  status 0 in 0.2 s with the clients above.
- Errors at startup. A port in use is status 3 and a log line. `listening` binds first, on several addresses or
  systemd's sockets, and says what to do.
- Memory. asyncio buffers 256 KiB for each TLS connection, half-open ones too, and uvicorn's timer keeps a connection in
  memory after a reset. Connections, and above all handshakes that end early, are left to the garbage collector, which
  doesn't know how much OpenSSL holds for each. `handshake` and `protocol` cure all three. `response` sends a large body
  in pieces: 158 MB took 134 ms and 223 MB at the peak, instead of 387 ms and 555 MB.
- Certificates that change. uvicorn reads them once. `tls` hands each connection to the newest good context.
- Reasons for refusals in TLS. asyncio drops OpenSSL's alert. `handshake` sends it, and answers plain HTTP with 400.
- Names of clients. OpenSSL checks who signed a client's certificate; `handshake` compares its SANs too.
- Authentication. `guard` checks passwords on a thread and remembers results: a flood of wrong passwords delays no known
  scraper. In `turns`, addresses take turns: it delays no other address either. uvicorn lets clients on this machine
  choose their address with X-Forwarded-For: `server` switches that off.
- Slow answers. With Starlette's threads, any number of clients may wait for one, whether they are still there or not,
  and the exit waits for what runs. `one_at_a_time` bounds who waits and how much of the CPU is used, and runs calls on
  daemon threads.
- Forms of a target. `GET http://host/metrics` is a path that nothing has. `request_target` answers it like `/metrics`.
- Negotiation. prometheus_client's raises on odd headers, offers formats that `q=0` refuses, and lets a client ask for
  mangled names. `negotiation` offers two fixed formats.

docs/web-config.md says which keys of exporter-toolkit's format are supported, and which are refused by name. What
exporter-toolkit refuses is refused too: a test compares with promtool. Unlike there, /-/healthy and /-/ready need no
password, as probes have none; and neither can TLS be switched on or off without a restart, nor passwords or client
certificates off.
"""
