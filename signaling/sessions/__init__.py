"""Sessions: what state each is in, who is in it, and the clock that ends it.

``states`` is the table of states, ``session`` the value that is stored, ``commands`` what can be asked of it,
``core`` decides what a command or the clock does to it, ``agenda`` when to look at the clock. The shells:
``changes`` reads and commits, ``service`` says who may, ``clock`` sleeps.
"""
