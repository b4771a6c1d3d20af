"""The front door: WebSocket and HTTP, rooms, sessions and their clock, and the wiring of a node.

The top floor of the house: it stands on :mod:`relay` (logs and bus), :mod:`rtc` (media workers),
:mod:`config` and :mod:`protocol`, and nothing stands on it.
"""
