"""A typed, blocking client of the operators' API; standard library and msgspec only.

Must never import the server's side, apart from `local`, which runs it in this process.
"""

from keim.api.client.client import Client

__all__ = ["Client"]
