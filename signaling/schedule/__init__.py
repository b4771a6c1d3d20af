"""When sessions are held: time zones, series, overlaps, calendars.

``zones`` is the only place where wall clocks meet instants, ``recurrence`` says when something recurs,
``series`` what follows from that for the sessions of a room, ``overlap`` what else lies at the same time,
``calendar`` writes a feed of it; ``service`` and ``feeds`` are the shells that read and commit.
"""
