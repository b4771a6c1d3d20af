"""How long messages are kept: the retention of rooms, their purge, and what keeps them from it.

See ``docs/retention.md``.
"""
