"""One file for a host without a network: lock, wheels, the tool itself, and the way to start it."""
