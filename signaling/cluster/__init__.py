"""This node among the others that share its store: which of them live, and who does what.

A node alone runs the same code, with itself as the only member.
"""
