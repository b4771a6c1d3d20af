"""Keys of devices, as the server keeps them for those who have to seal something to them.

The server verifies what it hands out, so that a broken client is told of it and not its peers; they verify
everything again, because they do not have to trust it. It never has a private key.
"""
