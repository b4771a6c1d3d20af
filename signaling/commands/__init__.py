"""The commands of ``rapport`` that belong to the server: one module each."""
