"""What results are called in rows, events and reports: the standard's names in small letters.

Pure; imports keim.der only.
"""

from __future__ import annotations

from keim.der import Code


def name_of(code: Code) -> str:
    return code.name.lower() if code.is_known else f"code_{int(code)}"
