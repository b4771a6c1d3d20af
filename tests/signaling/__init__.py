"""Tests of the front door, sessions and the node."""
