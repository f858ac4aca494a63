"""`keim ipa`: run the assistant on a gateway, provision and control it."""

from __future__ import annotations

import argparse
from pathlib import Path

from keim.cli.parser import Nouns


def register(nouns: Nouns) -> None:
    parser = nouns.add_parser(
        "ipa",
        help="run the assistant of a gateway on a card: poll eIMs, execute, download, report",
        description="An IPAd. The way to the card: pcsc:[READER], at:PORT, at-csim:PORT, mbim:DEVICE, "
        "qmi:DEVICE[#SLOT], tcp:HOST:PORT, card:FILE. "
        "pcsc:, at:, mbim: and qmi: have been tried with virtual and scripted peers, never on hardware.",
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    run = verbs.add_parser("run", help="poll until told to stop, or once")
    _add_common(run)
    run.add_argument("--once", action="store_true", help="one cycle, then end")
    run.add_argument("--trace", action="store_true", help="print every message decoded, with octets and time")
    run.add_argument("--state", metavar="FILE", help="what must survive a power cut")
    run.add_argument("--control", metavar="SOCKET", help="Unix socket for local control")
    run.set_defaults(run=_run)
    provision = verbs.add_parser("provision", help="add the first eIM (AddInitialEim) from a file")
    _add_common(provision)
    provision.add_argument("file", type=Path, help="EimConfigurationData or AddInitialEimRequest: DER or hex")
    provision.set_defaults(run=_provision)
    status = verbs.add_parser("status", help="what the card and the IPA know: eIMs, profiles, what is owed")
    _add_common(status)
    status.add_argument("--state", metavar="FILE", help="the state file of the IPA")
    status.set_defaults(run=_status)
    doctor = verbs.add_parser("doctor", help="check the way to the card, its eIMs and their TLS")
    _add_common(doctor)
    doctor.set_defaults(run=_doctor)
    control = verbs.add_parser("control", help="local control: fallback, return, emergency, poll")
    _add_common(control)
    control.add_argument("word", choices=("fallback", "return", "emergency-on", "emergency-off", "poll"))
    control.add_argument("--control", metavar="SOCKET", help="of the running IPA; else the card is opened")
    control.add_argument("--state", metavar="FILE", help="the state file, when no IPA is running")
    control.add_argument("--yes", action="store_true", help="switch profiles without asking")
    control.set_defaults(run=_control)


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML (or KEIM_IPA_CONFIG)")
    parser.add_argument("--card", metavar="WAY", help="the way to the card")
    parser.add_argument("--json", action="store_true", help="machine-readable output")


def _run(args: argparse.Namespace) -> int:
    from keim.cli.ipa.run import run

    return run(args)


def _provision(args: argparse.Namespace) -> int:
    from keim.cli.ipa.provision import provision

    return provision(args)


def _status(args: argparse.Namespace) -> int:
    from keim.cli.ipa.status import status

    return status(args)


def _doctor(args: argparse.Namespace) -> int:
    from keim.cli.ipa.check import doctor

    return doctor(args)


def _control(args: argparse.Namespace) -> int:
    from keim.cli.ipa.control import control

    return control(args)
