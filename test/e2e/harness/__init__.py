"""Private services and processes for the end-to-end tests and the bench; nothing of the machine's own."""
