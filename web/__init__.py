"""The browser's side: a JavaScript client and its pages, in :data:`STATIC`; see docs/web-client.md."""

from importlib.resources import files

STATIC = files(__name__) / "static"
"""The folder of the pages, scripts and styles. They refer to each other by relative addresses only."""
