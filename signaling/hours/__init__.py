"""When therapists are there: office hours, quiet hours, and the automatic reply of rooms outside them.

``calendar`` turns weekly times of a zone into instants, ``offices`` decides from them when a room is closed;
``service`` keeps the hours, ``replies`` writes the automatic replies.
"""
