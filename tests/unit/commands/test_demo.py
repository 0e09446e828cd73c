"""A demo that can't start."""

import signal

import pytest

from exporter.arguments import Demo
from exporter.commands import demo
from exporter.errors import ConfigurationError


def test_a_demo_that_can_not_start_leaves_the_signals_as_they_were() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with pytest.raises(ConfigurationError, match="--customers"):
        demo.run(Demo(customers=0))
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
