"""SMS-PP download to the enabled profile: secured packets (SCP80) for its remote management
applications.

ENVELOPE -> short message -> secured packet -> TAR -> keys of its security domain -> checks -> commands
-> proof of receipt. The checks stand in the order TAR, minimum security level, checksum, counter; the
counter is stored before the first command runs (ETSI TS 102 225, crypto.md section 7.1).
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from keim.crypto import scp80
from keim.crypto.scp80 import CommandHeader, Security, Status
from keim.der import tlv
from keim.errors import BadSignature, Malformed, Refused
from keim.euicc.apdu import Answer
from keim.euicc.commands.ota.remote_commands import run_remote
from keim.euicc.commands.ota.sms import COMMAND_PACKET, Deliver, read_deliver, submits
from keim.euicc.comprehension_tlv import first_of_each
from keim.euicc.context import CardContext
from keim.euicc.filesystem import Files, files_of
from keim.euicc.state import SmsParts
from keim.euicc.status import OK, WRONG_DATA, StatusError
from keim.saip import RemoteFileManagement, SecurityDomainEntry

TPDU = 0x0B
KEY_KIC, KEY_KID = 1, 2
POR_NEVER, POR_ON_ERROR = 0, 2
BY_SUBMIT = 0x20
COUNTER_UNCHECKED = 0x01
SEND_SHORT_MESSAGE = bytes.fromhex("810301130082028183")
MOST_PARTS = 8

Target = RemoteFileManagement | SecurityDomainEntry


class Destination(NamedTuple):
    """What a TAR leads to, and the security domain whose keys protect it."""

    target: Target
    domain: SecurityDomainEntry
    minimum_security: int


class Exchange(NamedTuple):
    """One packet on its way to its receipt."""

    context: CardContext
    message: Deliver
    header: CommandHeader


def sms_pp_download(context: CardContext, data: bytes) -> Answer:
    tpdu = first_of_each(data).get(TPDU)
    if tpdu is None:
        raise StatusError(WRONG_DATA)
    message = read_deliver(tpdu)
    packet = _joined(context, message)
    if packet is None:
        return Answer()
    return _process(context, files_of(context), message, packet)


def _joined(context: CardContext, message: Deliver) -> bytes | None:
    """The whole packet, or None while parts are missing; parts of another message drop the former ones."""
    part = message.part
    if part is None:
        if COMMAND_PACKET not in message.elements:
            raise StatusError(WRONG_DATA)
        return message.data
    if not 1 <= part.number <= part.total <= MOST_PARTS:
        raise StatusError(WRONG_DATA)
    known = context.volatile.sms
    is_same = known is not None and (known.reference, known.total) == (part.reference, part.total)
    before = known.parts if known is not None and is_same else {}
    parts = {**before, part.number: message.data}
    is_complete = len(parts) == part.total
    sms = None if is_complete else SmsParts(part.reference, part.total, parts)
    context.volatile = msgspec.structs.replace(context.volatile, sms=sms)
    return b"".join(parts[number] for number in sorted(parts)) if is_complete else None


def _process(context: CardContext, files: Files, message: Deliver, packet: bytes) -> Answer:
    try:
        header = scp80.read_command_header(packet)
    except Malformed:
        raise StatusError(WRONG_DATA) from None
    exchange = Exchange(context, message, header)
    destination = _find(files, header.tar)
    if destination is None:
        return _receipt(exchange, _unprotected(header), 0, Status.TAR_UNKNOWN)
    security = _security(destination.domain, header)
    if security is None:
        return _receipt(exchange, _unprotected(header), 0, Status.UNIDENTIFIED_SECURITY_ERROR)
    if not _is_secure_enough(header.spi[0], destination.minimum_security):
        return _receipt(exchange, security, 0, Status.INSUFFICIENT_SECURITY_LEVEL)
    try:
        command = scp80.unwrap_command(security, packet)
    except BadSignature:
        return _receipt(exchange, security, 0, Status.CHECKSUM_FAILED)
    except (Malformed, Refused):
        return _receipt(exchange, security, 0, Status.UNIDENTIFIED_SECURITY_ERROR)
    verdict = _counted(files, destination.domain, header, command.counter)
    if verdict is not Status.OK:
        return _receipt(exchange, security, command.counter, verdict)
    result = run_remote(context, destination.target, command.data)
    return _receipt(exchange, security, command.counter, Status.OK, result)


def _find(files: Files, tar: bytes) -> Destination | None:
    domains = {domain.aid: domain for domain in files.base.security_domains}
    for rfm in files.base.remote:
        if tar in rfm.tars and rfm.domain in domains:
            return Destination(rfm, domains[rfm.domain], rfm.minimum_security)
    for domain in domains.values():
        if tar in domain.application.tars:
            return Destination(domain, domain, domain.application.minimum_security)
    return None


def _security(domain: SecurityDomainEntry, header: CommandHeader) -> Security | None:
    """The keys that KIc and KID name by version; None when one that is needed does not exist."""
    kic, kid = domain.key(header.kic >> 4, KEY_KIC), domain.key(header.kid >> 4, KEY_KID)
    found = Security(
        spi=header.spi,
        kic=header.kic,
        kid=header.kid,
        kic_key=b"" if kic is None else kic.value,
        kid_key=b"" if kid is None else kid.value,
    )
    try:
        needs_kic = found.is_command_ciphered or found.is_response_ciphered
        needs_kid = found.is_command_checked or found.is_response_checked
    except Refused:  # RC and DS are not offered
        return None
    return None if (needs_kic and kic is None) or (needs_kid and kid is None) else found


def _unprotected(header: CommandHeader) -> Security:
    """For a receipt that no key can protect: SPI2 without security."""
    spi = bytes([header.spi[0], header.spi[1] & ~0x1C])
    return Security(spi=spi, kic=header.kic, kid=header.kid, kic_key=b"", kid_key=b"")


def _is_secure_enough(spi1: int, minimum: int) -> bool:
    """Each of the three parts of SPI1 at least as strong as in the minimum security level."""
    return all(spi1 & mask >= minimum & mask for mask in (0x03, 0x04, 0x18))


def _counted(files: Files, domain: SecurityDomainEntry, header: CommandHeader, counter: int) -> Status:
    """The counter rule, and the new counter stored."""
    if header.spi[0] >> 3 & 0x03 <= COUNTER_UNCHECKED:
        return Status.OK
    name = domain.aid + bytes([(header.kid or header.kic) >> 4])
    stored = files.uicc.ota_counters.get(name, 0)
    verdict = scp80.counter_status(header.spi, counter, stored)
    if verdict is Status.OK:
        counters = {**files.uicc.ota_counters, name: counter}
        files.commit("OTA counter", msgspec.structs.replace(files.uicc, ota_counters=counters))
    return verdict


def _receipt(
    exchange: Exchange, security: Security, counter: int, verdict: Status, data: bytes = b""
) -> Answer:
    """The proof of receipt in the ENVELOPE's response, or as SMS-SUBMIT by the terminal, or none at all."""
    wanted, by_submit = exchange.header.spi[1] & 0x03, exchange.header.spi[1] & BY_SUBMIT
    if wanted == POR_NEVER or (wanted == POR_ON_ERROR and verdict is Status.OK):
        return Answer()
    response = scp80.wrap_response(
        security, tar=exchange.header.tar, counter=counter, status=verdict, data=data
    )
    if not by_submit:
        return Answer(response, OK)
    packet = response[len(scp80.RESPONSE_UDH) :]
    for tpdu in submits(exchange.message.sender, packet, counter):
        exchange.context.queue_proactive(tlv(0xD0, SEND_SHORT_MESSAGE, tlv(0x8B, tpdu)))
    return Answer()
