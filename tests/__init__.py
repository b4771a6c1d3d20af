"""The tests: one module per module, and suites that cross them."""
