"""Operations on a card, valid and invalid, for random sequences."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from tests.card_lab import EIM, OTHER_EID, Lab, configuration, iccid

from keim.der import tlv
from keim.euicc.identity import Identity
from keim.messages.common import SetDefaultDpAddressRequest
from keim.messages.package import (
    ConfigureImmediateEnablePsmo,
    DeleteEimEco,
    DeletePsmo,
    DisablePsmo,
    Eco,
    EimConfigurationData,
    EnablePsmo,
    GetRatPsmo,
    ListEimEco,
    Psmo,
    SetFallbackAttributePsmo,
    UnsetFallbackAttributePsmo,
)
from keim.messages.profile import ProfileInfoListRequest

Choices = random.Random
Operation = Callable[[Lab, Choices], None]
PROFILES = 5


def furnished(card_identity: Identity) -> Lab:
    """A (fallback profile) enabled, B disabled, C the emergency profile; nothing pending."""
    lab = Lab(card_identity=card_identity)
    lab.download(1, metadata={"fallback_allowed": True})
    lab.download(2, metadata={"fallback_allowed": True})
    lab.download(3, metadata={"emergency": True})
    lab.run(
        Psmo(set_fallback_attribute=SetFallbackAttributePsmo(iccid=iccid(2))),
        Psmo(enable=EnablePsmo(iccid=iccid(1))),
    )
    for number in range(1, lab.card.state.isdr.next_sequence_number):
        lab.es10(tlv(0xBF30, tlv(0x80, number.to_bytes(2, "big").lstrip(b"\x00"))))
    return lab


def psmo(choose: Choices) -> Psmo:
    target = iccid(choose.randint(1, PROFILES))
    makers: Sequence[Callable[[], Psmo]] = (
        lambda: Psmo(enable=EnablePsmo(iccid=target, rollback_flag=choose.random() < 0.5)),
        lambda: Psmo(enable=EnablePsmo(iccid=target)),
        lambda: Psmo(disable=DisablePsmo(iccid=target)),
        lambda: Psmo(delete=DeletePsmo(iccid=target)),
        lambda: Psmo(list_profile_info=ProfileInfoListRequest()),
        lambda: Psmo(get_rat=GetRatPsmo()),
        lambda: Psmo(set_fallback_attribute=SetFallbackAttributePsmo(iccid=target)),
        lambda: Psmo(unset_fallback_attribute=UnsetFallbackAttributePsmo()),
        lambda: Psmo(
            configure_immediate_enable=ConfigureImmediateEnablePsmo(
                immediate_enable_flag=choose.random() < 0.7
            )
        ),
        lambda: Psmo(
            set_default_dp_address=SetDefaultDpAddressRequest(
                default_dp_address=choose.choice(["", "d.example"])
            )
        ),
    )
    return choose.choice(makers)()


def eco(choose: Choices) -> Eco:
    name = choose.choice(["x.example", "y.example", EIM])
    if name == EIM:  # the one that we speak for stays
        return Eco(update_eim=EimConfigurationData(eim_id=EIM, eim_fqdn="eim2.example.com"))
    makers: Sequence[Callable[[], Eco]] = (
        lambda: Eco(add_eim=configuration(name, token=choose.choice([None, -1, 5]))),
        lambda: Eco(delete_eim=DeleteEimEco(eim_id=name)),
        lambda: Eco(list_eim=ListEimEco()),
    )
    return choose.choice(makers)()


def run_package(lab: Lab, choose: Choices) -> None:
    maker: Callable[[Choices], Psmo | Eco] = psmo if choose.random() < 0.75 else eco
    commands = [maker(choose) for _ in range(choose.randint(1, 4))]
    bent: dict[str, Any] = {}
    if choose.random() < 0.2:
        bent = choose.choice(
            [{"token": 99}, {"eid_value": OTHER_EID.octets}, {"counter_value": 0}, {"eim_id": "stranger"}]
        )
    octets = lab.package(*commands, **bent)
    lab.chain(octets, choose.choice([255, 120, 60]))
    if choose.random() < 0.3:  # a replay
        lab.chain(octets)


def download(lab: Lab, choose: Choices) -> None:
    number = choose.randint(1, PROFILES)
    fields = {"fallback_allowed": choose.random() < 0.5, "emergency": number == 3 or None}
    data, word = lab.chain(lab.authenticate_request(lab.challenge()))
    if word != 0x9000 or data[3:4] == b"":
        return
    lab.sessions -= 1
    bent = choose.choice([{}, {}, {}, {"eid": OTHER_EID.octets}, {"upp": b"\x30\x00"}])
    try:
        otpk = lab.prepare()
    except AssertionError:  # the store of notifications is full
        return
    bpp = lab.bound(otpk, number, metadata=fields, **bent)
    if choose.random() < 0.2:
        bpp = bpp[: choose.randint(3, len(bpp) - 1)]
    lab.chain(bpp, choose.choice([255, 120]))


def local(lab: Lab, choose: Choices) -> None:
    target, flag = iccid(choose.randint(1, PROFILES)), choose.choice([b"\x00", b"\xff"])
    request = choose.choice(
        [
            tlv(0xBF31, tlv(0xA0, tlv(0x5A, target)), tlv(0x81, flag)),
            tlv(0xBF32, tlv(0xA0, tlv(0x5A, target)), tlv(0x81, flag)),
            tlv(0xBF33, tlv(0x5A, target)),
            tlv(0xBF29, tlv(0x5A, target), tlv(0x90, b"name")),
        ]
    )
    lab.chain(request)


def special(lab: Lab, choose: Choices) -> None:
    tag = choose.choice([0xBF58, 0xBF58, 0xBF5A, 0xBF5B, 0xBF5C, 0xBF5C, 0xBF5D, 0xBF5E])
    lab.chain(tlv(tag, tlv(0x80, choose.choice([b"\x00", b"\xff"]))))


def memory_reset(lab: Lab, choose: Choices) -> None:
    bits = choose.choice([0x80, 0x40, 0x20, 0x10, 0x08, 0x02])  # never the eIMs: nobody could go on
    lab.chain(tlv(0xBF64, tlv(0x82, b"\x01", bytes((bits,)))))


def acknowledge(lab: Lab, choose: Choices) -> None:
    isdr = lab.card.state.isdr
    numbers = [n.sequence_number for n in isdr.notifications] + [r.sequence_number for r in isdr.results]
    for number in choose.sample(numbers, min(len(numbers), 8)):
        lab.chain(tlv(0xBF30, tlv(0x80, number.to_bytes(number.bit_length() // 8 + 1, "big"))))


def look(lab: Lab, choose: Choices) -> None:
    lab.chain(
        bytes.fromhex(choose.choice(["BF2000", "BF2200", "BF2D00", "BF2B00", "BF5500", "BF2E00", "BF5F00"]))
    )


def garbage(lab: Lab, choose: Choices) -> None:
    tag = choose.choice([0xBF21, 0xBF2D, 0xBF30, 0xBF36, 0xBF38, 0xBF51, 0xBF57, 0xBF58, 0xBF64, 0xBF65])
    lab.chain(tlv(tag, choose.randbytes(choose.randint(0, 20))))


def restart(lab: Lab, choose: Choices) -> None:
    if choose.random() < 0.5:
        lab.send(bytes.fromhex("8010000023" + "FF" * 35))
    else:
        lab.chain(b"\xbf\x20\x00")


OPERATIONS: Sequence[Operation] = (
    run_package,
    run_package,
    run_package,
    download,
    download,
    local,
    special,
    special,
    memory_reset,
    acknowledge,
    look,
    garbage,
    restart,
)
