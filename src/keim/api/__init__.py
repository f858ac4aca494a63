"""The eIM's face to people and programs: HTTP under `/v1` on a listener of its own (`api_listen`).

A floor above `app`; `app` never imports it. Importing this package imports no web framework.
"""
