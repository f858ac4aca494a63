"""The rows of an eIM in a database: one class on whichever engine, its statements in the shared dialect.

A row is JSON beside the few columns that are searched by. Imports keim.eim, keim.errors and keim.io.store.
"""

from keim.io.eim_store.store import DueErrand, EimStore

__all__ = ["DueErrand", "EimStore"]
