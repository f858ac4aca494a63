"""Bindings: between the functions of the standard and what travels, as pure functions.

Nothing here opens a socket or looks at a clock; keim.io does, and imports this package, never the reverse.
"""
