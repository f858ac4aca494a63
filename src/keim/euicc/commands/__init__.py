"""The commands of the card, one file each, found by instruction byte in `table.COMMANDS`."""
