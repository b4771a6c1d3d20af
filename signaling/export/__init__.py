"""Everything that the server has of one account, for that person: see ``docs/retention.md``."""
