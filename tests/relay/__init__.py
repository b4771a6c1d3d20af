"""Tests of the logs, the delivery to subscribers, the bus and presence."""
