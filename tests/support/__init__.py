"""Helpers shared by several test packages, as plain modules; their fixtures are in tests/conftest.py.

The exporter, in this process and as a program:
application   InProcess: the whole exporter but for its HTTP server
builder       new_builder: what builds partners, with a clock and a chance of our own
config        write_config: a config.yaml against a running simulator, ready to sign in
plan          a PollPlan, whose fields a test may replace
forked        the program forked from a process that has imported it: how a desk starts it
process       ExporterProcess and run_command: the real program; `until`: a bounded wait for a condition
sign_in       SignInKit: the real sign-in components against a running simulator
crashing      a program that polls as fast as it can until it is killed
renewals      a program that renews a sign-in until it kills itself

What it meets:
certificates  ClientIdentity: a client certificate in every format
clock         FakeClock: time stands still until a test advances it or something waits; LeapingClock: for many threads
files         UNUSABLE: files that can't be read or have no end
draws         random numbers from the ends of their range
logs          LogStream: captured log lines, as dictionaries, through the real formatting and redaction
plain_http    NO_TLS: for requests without TLS
planted       what another user can put in place of a file
proxy         an HTTP proxy that rejects everyone, and ports that refuse connections or never answer

Prometheus and Grafana:
daemon        third-party servers that run on this machine for the duration of a test
dashboard     the dashboard's queries, as Grafana sends them
monitoring    real Prometheus and Alertmanager with the shipped rules and examples
past          days of history for a dashboard
prometheus    a real Prometheus, with history if there is any
promql        the labels that an expression's series have
rules         the rules of prometheus/rules, and promtool's tests of them
"""
