"""Simulation: devices, networks and time, as many and as fast as wanted. Programs of floor 3."""
