"""Webhooks, the pure part: who wants which event, its body, its signature, when it is tried again.

Must never open a connection or read a clock: `keim.app.webhooks` does, and calls this. Imports floor 0 and
keim.eim only.
"""
