"""IPA, our card, a scripted eIM and our SM-DP+ in one process, all of one PKI."""

from __future__ import annotations

from typing import Any

from tests import card_lab, scripted_euicc
from tests.card_lab import EID, EIM, Lab, configuration, iccid, signer, upp, world
from tests.roles.ipa_world import IpaWorld
from tests.roles.scripted_eim import ScriptedEim
from tests.smdp_laboratory import Laboratory

from keim.app.new_card import with_preloaded
from keim.authentication.euicc import verifying_key
from keim.euicc.state import CardState
from keim.ipa.configuration import Configuration
from keim.ipa.cycle import Cycle, run_cycle
from keim.ipa.effects import ServerReply, ServerRequest
from keim.ipa.virtual import VirtualClock
from keim.messages.package import EimConfigurationData, EimIdType
from keim.pki import Certificate

OTHER_EIM = "other.example.com"


def entry(eim_id: str = EIM, **fields: Any) -> EimConfigurationData:
    return configuration(
        eim_id,
        **({"eim_id_type": EimIdType.EIM_ID_TYPE_FQDN, "indirect_profile_download": True} | fields),
    )


def verify(signature: bytes, message: bytes) -> None:
    verifying_key(Certificate(world().euicc(EID).certificate.der)).verify(signature, message)


class IpaLab:
    """A device with its card and its peers. Profiles 1 (enabled) and 2 are installed."""

    def __init__(
        self,
        *,
        profiles: int = 2,
        configuration: Configuration | None = None,
        eims: tuple[EimConfigurationData, ...] | None = None,
        seed: int = 0,
        **card: Any,
    ) -> None:
        state = CardState()
        for number in range(1, profiles + 1):
            state = with_preloaded(state, upp(number), is_enabled=number == 1)
        self.lab = Lab(state=state, eim=False, seed=seed, **card)
        entries = (entry(),) if eims is None else eims
        self.eims: dict[str, ScriptedEim] = {}
        self._associate(entries)
        self.smdp = Laboratory(scripted_euicc.smdp(world()))
        self.world = IpaWorld(
            self.lab.card,
            dict(self.eims),
            {card_lab.SMDP: self.smdp.ask},
            configuration=configuration or Configuration(),
            clock=VirtualClock(epoch=card_lab.NOW),
        )

    def _associate(self, entries: tuple[EimConfigurationData, ...]) -> None:
        from keim.messages.es10b import AddInitialEimRequest, AddInitialEimResponse

        if not entries:
            return
        answer = AddInitialEimResponse.decode(
            self.lab.es10(AddInitialEimRequest(eim_configuration_data_list=entries).encode())
        )
        assert answer.add_initial_eim_ok is not None, answer
        for one, added in zip(entries, answer.add_initial_eim_ok, strict=True):
            self.eims[one.eim_id] = ScriptedEim(
                one.eim_id,
                EID,
                signer("eim-sign"),
                verify,
                token=added.association_token,
                server=self.serve,
            )

    @property
    def eim(self) -> ScriptedEim:
        return self.eims[EIM]

    def serve(self, address: str, request: ServerRequest) -> ServerReply:
        """What the eIM reaches: the same servers, whether or not the device has a network."""
        return self.world.servers[address](request)

    def cycle(self) -> Cycle:
        found = self.world.run(run_cycle)
        assert isinstance(found, Cycle)
        return found

    def later(self, seconds: float) -> None:
        self.world.clock.now_s += seconds

    def enabled(self) -> bytes | None:
        return self.lab.enabled()

    def pending(self) -> list[int]:
        """Sequence numbers of everything that the card still keeps."""
        isdr = self.lab.card.state.isdr
        return sorted(
            [one.sequence_number for one in isdr.notifications]
            + [one.sequence_number for one in isdr.results]
        )

    def close(self) -> None:
        self.smdp.close()


__all__ = ["EID", "EIM", "OTHER_EIM", "IpaLab", "entry", "iccid"]
