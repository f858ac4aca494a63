"""`keim profile metadata`: the StoreMetadata that goes with a package."""

from __future__ import annotations

import argparse
from typing import Any

from keim.cli.exit_codes import ExitCode
from keim.cli.output import print_json
from keim.cli.profile import add_json
from keim.cli.profile.files import read_bytes, write_output
from keim.errors import Refused


def register(verbs: Any) -> None:
    parser = verbs.add_parser("metadata", help="the metadata for a package", description=__doc__)
    parser.add_argument("package", metavar="PACKAGE")
    parser.add_argument("-o", "--output", metavar="FILE", help="the DER object (BF25)")
    parser.add_argument("--provider", help="service provider name (default: EF.SPN or profileType)")
    parser.add_argument("--name", help="profile name (default: profileType)")
    parser.add_argument(
        "--class",
        dest="profile_class",
        choices=("test", "provisioning", "operational"),
        default="operational",
    )
    parser.add_argument("--owner", metavar="MCCMNC", help="default: from the IMSI")
    parser.add_argument(
        "--notify", action="append", default=[], metavar="ADDRESS", help="hears of all four events"
    )
    parser.add_argument(
        "--ppr", action="append", default=[], choices=("ppr1", "ppr2"), help="1: no disabling, 2: no deletion"
    )
    parser.add_argument("--fallback-allowed", action="store_true", default=None)
    parser.add_argument("--icon", metavar="FILE", help="PNG or JPEG, at most 1024 octets")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from keim.messages.profile import PprIds, ProfileClass
    from keim.saip.package import Package
    from keim.saip.store_metadata import metadata

    rules = PprIds(0)
    for name in args.ppr:
        rules |= PprIds[name.upper()]
    icon = read_bytes(args.icon) if args.icon else None
    if icon is not None and len(icon) > 1024:
        raise Refused("an icon has at most 1024 octets")
    made = metadata(
        Package.decode(read_bytes(args.package)),
        service_provider_name=args.provider,
        profile_name=args.name,
        profile_class=ProfileClass[args.profile_class.upper()],
        owner=args.owner,
        notification_addresses=tuple(args.notify),
        policy_rules=rules or None,
        fallback_allowed=args.fallback_allowed,
        icon=icon,
    )
    octets = made.encode()
    if args.output:
        write_output(args.output, octets)
    from keim.ids import Iccid, Plmn

    owner = made.profile_owner
    document = {
        "iccid": Iccid.from_octets(made.iccid),
        "service_provider_name": made.service_provider_name,
        "profile_name": made.profile_name,
        "profile_class": made.profile_class.name.lower(),
        "owner": Plmn.from_octets(owner.mcc_mnc) if owner is not None else None,
        "notifications": [
            {
                "address": entry.notification_address,
                "events": [n.lower() for n in entry.profile_management_operation.names],
            }
            for entry in made.notification_configuration_info or ()
        ],
        "policy_rules": [n.lower() for n in rules.names],
        "fallback_allowed": bool(made.fallback_allowed),
        "der": octets.hex().upper(),
    }
    if args.json:
        print_json(document)
    elif args.output != "-":
        for name, value in document.items():
            print(f"{name:22} {value}")
    return ExitCode.OK
