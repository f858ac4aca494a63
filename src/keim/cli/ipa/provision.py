"""`keim ipa provision`: AddInitialEim from a file that the eIM's operator exported."""

from __future__ import annotations

import argparse
from contextlib import suppress
from pathlib import Path

from keim.app.ipa import assistant
from keim.cli.exit_codes import ExitCode
from keim.cli.ipa.common import config_of
from keim.cli.output import print_json
from keim.der import TOLERANT, read_tlv
from keim.errors import Malformed, PeerError, Refused
from keim.ipa.context import Ipa
from keim.ipa.effects import Procedure
from keim.ipa.initialise import initialise
from keim.ipa.provisioning import add_initial_eim
from keim.messages.es10b import AddInitialEimRequest, AddInitialEimResponse
from keim.messages.package import EimConfigurationData


def provision(args: argparse.Namespace) -> int:
    entries = read_entries(args.file)

    def procedure(ipa: Ipa) -> Procedure[tuple[str, AddInitialEimResponse]]:
        yield from initialise(ipa)
        response = yield from add_initial_eim(ipa, entries)
        return ipa.eid_text, response

    with assistant(config_of(args)) as ipa:
        eid, response = ipa.run(procedure)
    if response.add_initial_eim_error is not None:
        word = response.add_initial_eim_error.name.lower()
        raise PeerError(f"the card answered {word}", code="ipa.provisioning_refused", party="eUICC")
    tokens = [added.association_token for added in response.add_initial_eim_ok or ()]
    eims = [
        {"eim_id": entry.eim_id, "association_token": token}
        for entry, token in zip(entries, tokens, strict=False)
    ]
    if args.json:
        print_json({"eid": eid, "eims": eims})
    else:
        print(f"EID {eid}")
        for eim in eims:
            print(f"  {eim['eim_id']}: association token {eim['association_token']}")
        print("Give EID and tokens to the operator of the eIM: without them it cannot sign packages.")
    return ExitCode.OK


def read_entries(path: Path) -> tuple[EimConfigurationData, ...]:
    """BF57, or one EimConfigurationData (30...), in DER or hexadecimal."""
    try:
        octets = path.read_bytes()
    except OSError as fault:
        raise Refused(f"{path}: {fault.strerror}", code="ipa.bad_provisioning_file") from None
    with suppress(UnicodeDecodeError, ValueError):  # else the octets themselves
        octets = bytes.fromhex(octets.decode("ascii"))
    try:
        if read_tlv(octets).tag == 0xBF57:
            return AddInitialEimRequest.decode(octets, TOLERANT).eim_configuration_data_list
        return (EimConfigurationData.decode(octets, TOLERANT),)
    except Malformed as error:
        raise Refused(f"{path}: {error}", code="ipa.bad_provisioning_file") from None
