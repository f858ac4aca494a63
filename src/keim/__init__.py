"""keim: the eSIM world of GSMA SGP.32 v1.2 in one package.

This file stays almost empty: `keim --version` must not import anything heavy.
"""

__version__ = "0.1.0"
