"""`keim ipa doctor`: the way to the card, the card's functions, each eIM's address and TLS.

It asks no eIM for anything: after the handshake it goes away, so that no poll shows in an eIM's log and no
package counts as delivered.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

from keim.app.ipa import Assistant, EimSettings, IpaConfig, assistant, closing, now
from keim.cli.exit_codes import ExitCode
from keim.cli.ipa.common import config_of
from keim.cli.output import coloured, print_json
from keim.error_table import error_row
from keim.errors import KeimError, Refused
from keim.io.card_address import UNTRIED
from keim.io.ipa_tls import is_clock_set
from keim.ipa.card import open_isdr
from keim.ipa.context import Ipa
from keim.ipa.effects import Procedure
from keim.ipa.es10 import get_eid, get_eim_configuration_data, get_euicc_info2
from keim.ipa.trust import Trust, peer_of
from keim.messages.info import IpaMode
from keim.messages.package import EimConfigurationData

Finding = dict[str, Any]
TRUSTED_BY = {
    Trust.PINNED_KEY: "the key that the card pins",
    Trust.ANCHOR: "the certificate that the card pins",
    Trust.DEVICE_STORE: "eim_ca, or the system's store",
}


def doctor(args: argparse.Namespace) -> int:
    config = config_of(args)
    findings: list[Finding] = []
    _look(findings, "clock", _clock)
    if (untried := UNTRIED.get(config.card.partition(":")[0])) is not None:
        findings.append({"name": "tried so far", "ok": True, "detail": untried})
    try:
        with assistant(config, is_alone=False) as ipa:
            _examine(ipa, config, findings)
    except KeimError as failure:
        findings.append(_bad("way to the card", failure))
    if args.json:
        print_json({"fit": all(one["ok"] for one in findings), "findings": findings})
    else:
        for one in findings:
            mark = coloured("ok     ", "green") if one["ok"] else coloured("missing", "red")
            print(f"{mark}  {one['name']:<18}  {one['detail']}")
            if "code" in one:
                print(f"{'':<29}next: {error_row(one['code']).next}")
    return ExitCode.OK if all(one["ok"] for one in findings) else ExitCode.FAULT


def _clock() -> str:
    moment = now()
    if not is_clock_set(moment):
        raise Refused(
            f"{moment:%Y-%m-%d}: not set; certificate dates are not checked", code="ipa.peer_untrusted"
        )
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _look(findings: list[Finding], name: str, look: Callable[[], str]) -> None:
    try:
        findings.append({"name": name, "ok": True, "detail": look()})
    except KeimError as failure:
        findings.append(_bad(name, failure))


def _bad(name: str, failure: KeimError) -> Finding:
    return {"name": name, "ok": False, "detail": str(failure), "code": failure.code}


def _examine(ipa: Assistant, config: IpaConfig, findings: list[Finding]) -> None:
    _look(findings, "ISD-R", lambda: _select(ipa, config))
    if not findings[-1]["ok"]:
        return  # the same would be told of everything else
    _look(findings, "EID", lambda: ipa.run(closing(_eid)))
    _look(findings, "IoT functions", lambda: ipa.run(closing(_iot)))
    try:
        eims = ipa.run(closing(get_eim_configuration_data))
    except KeimError as failure:
        findings.append(_bad("eIMs", failure))
        return
    findings.append(
        {
            "name": "eIMs",
            "ok": bool(eims),
            "detail": f"{len(eims)} associated" if eims else "none: keim ipa provision",
        }
    )
    for eim in eims:
        own = config.eims.get(eim.eim_id)
        _look(findings, f"eIM {eim.eim_id}", partial(_reach, ipa, eim, own))


def _select(ipa: Assistant, config: IpaConfig) -> str:
    ipa.run(closing(open_isdr))
    return f"selected by {config.card}"


def _eid(ipa: Ipa) -> Procedure[str]:
    ipa.eid = yield from get_eid(ipa)
    return ipa.eid_text


def _iot(ipa: Ipa) -> Procedure[str]:
    info = yield from get_euicc_info2(ipa)
    if info.iot_specific_info is None:
        raise Refused("a consumer card without the functions of SGP.32", code="ipa.card_refused")
    mode = "IPAe" if info.ipa_mode == IpaMode.IPAE else "IPAd"
    versions = ", ".join(".".join(map(str, version)) for version in info.iot_specific_info.iot_version)
    return f"SGP.32 {versions}, {mode} active"


def _reach(ipa: Assistant, eim: EimConfigurationData, own: EimSettings | None) -> str:
    """Name, way, TLS and trust."""
    peer = peer_of(eim, ipa.configuration.eim_addresses.get(eim.eim_id), eid=ipa.run(closing(_eid)))
    ipa.peers.reach_eim(peer, ipa.configuration.timers.request_s)
    if own is not None and own.mqtt is not None:
        return f"subscribed at the broker {own.mqtt.broker}"
    if own is not None and own.lwm2m is not None:
        return f"registered at the LwM2M server {own.lwm2m.server}"
    return f"TLS at {peer.address}, trusted by {TRUSTED_BY[peer.trust]}"
