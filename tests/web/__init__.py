"""The browser client: its modules in a real browser, against scripted servers."""
