"""What tests of several rooms share, as plain modules; the fixtures around them are in tests/conftest.py.

clock         FakeClock: time stands still until a test moves it, or until somebody waits
logs          LogStream: what was logged, as dictionaries, through the real formatting and redaction
config        write_config: a config.yaml against a running simulator, ready to sign in
process       ExporterProcess and run_command: the real program; `until`: a bounded wait for a condition
sign_in       SignInKit: the real parts of the sign-in against a running simulator
renewals      a program that renews a sign-in until it kills itself
proxy         an HTTP proxy that lets nobody through, and a port that nobody listens at
certificates  ClientIdentity: a client certificate in every form
"""
