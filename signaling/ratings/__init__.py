"""Ratings: what each participant says of a session once it is over, once.

They are kept apart from the room's log: nobody of the room sees what somebody else has said. `rating.py`
decides who may rate and what a rating is; `notices.py` what webhooks tell of one; `service.py` keeps ratings
and lists them.
"""
