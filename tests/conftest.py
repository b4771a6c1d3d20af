"""What holds for all tests."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# The machine that runs the tests may be slow or busy, which is no defect of the code: nothing is timed.
settings.register_profile("house", deadline=None, print_blob=True)
settings.register_profile("thorough", settings.get_profile("house"), max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "house"))


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings in the environment of whoever runs the tests do not reach the servers that they start."""
    for variable in [name for name in os.environ if name.startswith("RAPPORT_")]:
        monkeypatch.delenv(variable)
