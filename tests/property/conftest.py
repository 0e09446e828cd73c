"""Hypothesis without a deadline: the machine may be busy, and no test here is about speed.

HYPOTHESIS_PROFILE=thorough tries ten times as many examples.
"""

import os

from hypothesis import settings

settings.register_profile("quick", deadline=None, max_examples=50)
settings.register_profile("thorough", deadline=None, max_examples=500)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
