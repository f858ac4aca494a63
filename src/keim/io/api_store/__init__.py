"""The database of the operators' API: tenants, tokens, approvals, answers to repeated requests.

Its tables are a component of their own beside those of the eIM, on the same engine. Imports keim.io.store.
"""

from keim.io.api_store.store import ApiStore

__all__ = ["ApiStore"]
