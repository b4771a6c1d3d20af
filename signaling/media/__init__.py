"""The media of sessions as signaling sees it: which worker carries which session, and who has to offer again.

``placement`` decides and remembers, ``pool`` keeps the worker processes alive, ``service`` answers offers.
How media is forwarded is the matter of :mod:`rtc`.
"""
