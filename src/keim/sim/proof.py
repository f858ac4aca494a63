"""What an outsider can check: the exported audit log, verified by the very command that an outsider has."""

from __future__ import annotations

from pathlib import Path

import msgspec

from keim.sim.processes import run_keim


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    file: Path
    is_good: bool
    leaves: int
    signatures: int
    faults: tuple[str, ...]
    enabled: dict[str, tuple[str, int]]
    """EID -> the profile that is enabled since, and the leaf that proves it."""


def prove(config: Path, root: Path, file: Path) -> Proof:
    """`keim audit export`, then `keim audit verify`."""
    file.unlink(missing_ok=True)
    run_keim("audit", "export", "--config", str(config), "--json", str(file))
    report = run_keim("audit", "verify", "--json", "--root", str(root), str(file), may_fail=True)
    enabled = {
        period["eid"]: (period["iccid"], period["from_leaf"])
        for period in report["periods"]
        if "proved_to" not in period
    }
    return Proof(
        file=file,
        is_good=report["verdict"] == "pass",
        leaves=report["leaves"],
        signatures=report["signatures"],
        faults=tuple(f"{fault['code']}: {fault['text']}" for fault in report["faults"]),
        enabled=enabled,
    )
