"""The inbox of an account, what keeps it current, urgent messages, and what others see of one's reading.

``entries`` puts an inbox together, ``service`` answers for it, ``teller`` signals its changes,
``preferences`` keeps what an account wants others to see, ``receipts`` tells what they may.
"""
