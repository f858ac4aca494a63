"""Signatures, key agreement and profile protection: the algorithms of SGP.32 and SGP.22.

Built on pyca/cryptography, with a second engine for signatures (`engine`). Octets in, octets out; everything
that is signed is given as it was received, never re-encoded. Imports floor 0 only; never a role, an edge or a
file.
"""
