"""Blobs: what rooms keep that is too large for a message, mostly the ciphertext of attachments.

Who may put and get them, how many, for how long. The bytes mean nothing here.
"""
