"""`keim ipa status`: what the card and the IPA know right now, told by the running IPA where there is one."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from keim.app.ipa import assistant
from keim.cli.exit_codes import ExitCode
from keim.cli.ipa.common import config_of
from keim.cli.output import note, print_json
from keim.errors import Unreachable
from keim.io.ipa_control import ask_running_ipa
from keim.ipa.status import status_of


def status(args: argparse.Namespace) -> int:
    config = config_of(args)
    document = _running_ipa(Path(config.control)) if config.control else None
    if document is None:
        with assistant(config, is_alone=False) as ipa:
            document = ipa.run(status_of)
    if args.json:
        print_json(document)
    elif "error" in document:
        note(f"keim ipa: the running IPA answered: {document['error']}")
    else:
        _print(document)
    return ExitCode.REFUSED_BY_PEER if "error" in document else ExitCode.OK


def _running_ipa(control: Path) -> dict[str, Any] | None:
    """None when nobody listens there; a killed IPA leaves its socket behind."""
    if not control.exists():
        return None
    try:
        return ask_running_ipa(control, "status")
    except Unreachable:
        return None


def _print(document: dict[str, Any]) -> None:
    print(f"EID {document['eid']}")
    for eim in document["eims"]:
        where = eim["address"] or "no address"
        owed = f", {eim['failures']} failures" if eim["failures"] else ""
        print(f"  eIM {eim['eim_id']} at {where}, counter {eim['counter_value']}{owed}")
    for profile in document["profiles"]:
        state = "enabled " if profile["enabled"] else "disabled"
        extra = ", fallback profile" if profile["fallback"] else ""
        print(f"  profile {profile['iccid']} {state} {profile['name'] or ''}{extra}")
    for one in document.get("results", []):
        print(f"  result {one['sequence_number']} for {one['eim_id']} waits")
    for one in document.get("notifications", []):
        print(f"  notification {one['sequence_number']} for {one['address']} waits")
    for eim_id in document["undelivered"]:
        print(f"  an answer for {eim_id} waits")
