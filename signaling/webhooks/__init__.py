"""Webhooks: what happens is told to back ends, in the order of each room, until they have it.

    notices     what there is to tell, and what of a room's log is told             pure
    endpoints   who is told, from the settings                                      pure
    signing     how a delivery proves where it comes from                           pure
    schedule    what an attempt leads to, and which deliveries are attempted next   pure
    service     deliveries as rows in the commit of what they tell of; what runs
    deliverer   brings the deliveries of one endpoint to it
    exchange    what is said over a connection, and no more                         pure
    posting     one attempt: connections and time
    unreceived  finds messages that nobody has received for too long

The rows are kept by the store (:mod:`relay.webhooks`); ``docs/webhooks.md`` is for those who receive.
"""
