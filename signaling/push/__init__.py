"""Doorbells: devices that are away are told that something waits for them, and nothing else.

    service    registrations, and what runs
    plan       whether a doorbell is rung now, later or not at all    pure
    ringer     finds doorbells that are to be rung, and rings them
    addresses  where doorbells may be sent                            pure
    vapid      how the server proves itself to push services          pure
    calling    one request to a push service: connection and time
    keys       the key of this deployment

What is known of doorbells is kept by the store (:mod:`relay.push`); ``docs/push.md`` is for users.
"""
