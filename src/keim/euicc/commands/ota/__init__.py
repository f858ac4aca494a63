"""Remote management of the enabled profile: short message, secured packet, commands, proof of receipt."""
