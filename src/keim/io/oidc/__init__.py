"""OpenID Connect as a client: what a provider says of itself, its keys, its tokens, and signing in.

Imports keim.errors, keim.seams, keim.wire.http and its neighbours in keim.io.
"""
