"""What operators see: logs and metrics. Neither ever holds content, tokens, addresses or accounts."""
