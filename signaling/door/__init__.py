"""The WebSocket: what one connection may do, what it is sent, and all connections of a node together.

Pure are ``connection``, the rules of one connection, ``outbox`` and ``limits``, its bounds, and ``framing``.
``link`` joins them for one connection with its ``feed`` of events, its ``requests`` and its ``writer``;
``hub`` holds all connections of a node, and ``websocket`` is the socket itself.
"""
