"""Where simulated cards come from: certificates, the bootstrap profile, the first eIM, the IPAe set going."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final

from keim.app.ipa import closing
from keim.app.new_card import identity_from, with_euicc, with_preloaded
from keim.errors import Refused
from keim.euicc.card import Card
from keim.euicc.identity import Options
from keim.euicc.state import CardState
from keim.io.card_file import CardFile
from keim.io.drive import drive
from keim.io.entropy import OsEntropy
from keim.ipa.card import open_isdr
from keim.ipa.configuration import Configuration
from keim.ipa.context import Ipa
from keim.ipa.effects import Effect, Procedure, Remember, ResetCard, Tell, Transmit
from keim.ipa.es10 import call
from keim.ipa.provisioning import add_initial_eim
from keim.messages.es10b import IpaeActivationRequest, IpaeActivationResponse, IpaeOption
from keim.messages.package import EimConfigurationData
from keim.pki.world import World
from keim.sim.plan import PlannedDevice

PLAIN: Final = Configuration()


def make_card(
    path: Path, planned: PlannedDevice, world: World, *, eim: EimConfigurationData, smdp: str, smds: str
) -> None:
    """A card as it leaves the factory. A file that is half made is made anew."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name("card.new")
    half.unlink(missing_ok=True)
    state = with_preloaded(
        CardState(), planned.bootstrap.package().encode(), is_enabled=True, fallback_allowed=True
    )
    identity = identity_from(
        world,
        planned.eid,
        options=Options(has_ipae=planned.kind.is_inside),
        default_smdp_address=smdp,
        root_smds_address=smds,
    )
    with CardFile.create(half, identity, state) as medium:
        card = Card(identity, OsEntropy(), medium=medium)
        card.reset()
        _personalise(card, eim, has_ipae=planned.kind.is_inside)
    half.rename(path)


def _personalise(card: Card, eim: EimConfigurationData, *, has_ipae: bool) -> None:
    def perform(effect: Effect[object]) -> object:
        match effect:
            case Transmit(apdu):
                return card.transmit(apdu)
            case ResetCard():
                return card.reset()
            case Tell() | Remember():  # a factory has no memory of single cards
                return None
        raise TypeError(f"a factory does not perform {effect!r}")

    def steps(ipa: Ipa) -> Procedure[None]:
        yield from open_isdr(ipa)
        added = yield from add_initial_eim(ipa, (eim,))
        if added.add_initial_eim_ok is None:
            raise Refused(f"the card takes no eIM: {added.add_initial_eim_error!r}", code="sim.factory")
        if has_ipae:
            request = IpaeActivationRequest(ipae_option=IpaeOption.ACTIVATE_IPAE)
            yield from call(ipa, request, IpaeActivationResponse)

    drive(closing(steps)(Ipa(PLAIN)), perform)


def world_with_devices(world: World, plan: tuple[PlannedDevice, ...], *, now: datetime) -> World:
    """The PKI with a certificate for each device."""
    for planned in plan:
        world = with_euicc(world, planned.eid, now=now)
    return world
