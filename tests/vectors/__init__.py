"""Test vectors of end-to-end encryption, shared with the JavaScript client: ``python -m tests.vectors``."""
