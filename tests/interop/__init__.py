"""Real peers: browsers and stock libraries against the real server."""
