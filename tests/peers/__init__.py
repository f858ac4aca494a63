"""Foreign programs that tests talk to and that no system package brings."""
