"""Helpers shared by several test packages, as plain modules; their fixtures are in tests/conftest.py.

clock         FakeClock: time stands still until a test advances it or something waits; LeapingClock: for many threads
logs          LogStream: captured log lines, as dictionaries, through the real formatting and redaction
config        write_config: a config.yaml against a running simulator, ready to sign in
process       ExporterProcess and run_command: the real program; `until`: a bounded wait for a condition
sign_in       SignInKit: the real sign-in components against a running simulator
renewals      a program that renews a sign-in until it kills itself
proxy         an HTTP proxy that rejects everyone, and a port that refuses connections
certificates  ClientIdentity: a client certificate in every format
"""
