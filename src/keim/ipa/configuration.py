"""Every timer, back-off, capability and switch of an IPA, with the defaults of procedures §20.

A frozen value; `app/` reads it from TOML and the environment. Imports keim.messages only.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from keim.messages.info import DeviceCapabilities, DeviceInfo
from keim.messages.ipa_data import IpaCapabilities, IpaFeatures, IpaSupportedProtocols

TERMINAL_CAPABILITY = bytes.fromhex("A903830107")
"""Tag 83 = eUICC-related capabilities; which bit means "IPAd" is not public (bindings §15 #16)."""
ISDR_AID = bytes.fromhex("A0000005591010FFFFFFFF8900000100")


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """What the device says of itself in ctxParams1 and data requests."""

    imei: str | None = None
    """15 digits."""
    tac: str = "35290611"
    """8 digits; taken from the IMEI when there is one."""
    capabilities: DeviceCapabilities = DeviceCapabilities(
        gsm_supported_release=bytes.fromhex("0D0000"),
        eutran_epc_supported_release=bytes.fromhex("0D0000"),
    )

    def info(self) -> DeviceInfo:
        digits = self.tac if self.imei is None else self.imei
        return DeviceInfo(
            tac=_swapped(digits[:8]),
            device_capabilities=self.capabilities,
            imei=None if self.imei is None else _swapped(self.imei + "F"),
        )


def _swapped(digits: str) -> bytes:
    return bytes.fromhex(
        "".join(second + first for first, second in zip(digits[::2], digits[1::2], strict=True))
    )


class Timers(msgspec.Struct, frozen=True, kw_only=True):
    request_s: float = 30.0
    bound_profile_package_s: float = 300.0
    poll_idle_s: float = 86_400.0
    poll_busy_s: float = 60.0
    attach_s: float = 300.0
    """T_attach; 900 on NB-IoT."""
    delivery_pauses_s: tuple[float, ...] = (30.0, 60.0, 120.0)
    """Between the tries before a rollback."""
    fallback_s: float = 1800.0
    """T_fallback: so long without service."""
    return_first_s: float = 3600.0
    return_s: float = 86_400.0
    redelivery_first_s: float = 900.0
    redelivery_most_s: float = 86_400.0
    refresh_s: float = 0.0
    """How long to give the terminal for its own REFRESH before the card is reset (10 behind a modem)."""


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    features: IpaFeatures = (
        IpaFeatures.DIRECT_RSP_SERVER_COMMUNICATION | IpaFeatures.INDIRECT_RSP_SERVER_COMMUNICATION
    )
    protocols: IpaSupportedProtocols = IpaSupportedProtocols.IPA_RETRIEVE_HTTPS
    device: Device = Device()
    timers: Timers = Timers()

    # the eIMs
    eim_order: tuple[str, ...] = ()
    """eimIds by priority; those not named follow in the card's order."""
    eim_addresses: Mapping[str, str] = {}
    """eimId -> host[:port] where the card's entry has no address, or a better one is known."""
    compact_eims: frozenset[str] = frozenset()
    """eimIds to which compact forms may be sent (no bit of EimConfigurationData tells, procedures §11.8)."""
    retries: int = 3
    """Repeats of one request, (i + 1)² seconds apart."""
    delivery_tries: int = 3
    """Before a rollback."""
    polls_per_cycle: int = 100
    """An eIM that never ends with "nothing available" is left after so many packages."""

    v1_0_eims: frozenset[str] = frozenset()
    """eimIds of eIMs that speak SGP.32 v1.0: to them, and to nobody else, `keim.messages.v1_0` applies."""

    # downloads
    is_direct_preferred: bool = True
    """Which way where both are possible and the trigger has data (procedures §11.2)."""
    is_metadata_checked: bool = True
    """Whether profiles and rules of the card are read before a download is accepted (procedures §11.6)."""
    accepted_owners: frozenset[str] = frozenset()
    """MCC and MNC digits of the profile owners that the fleet wants; empty: all."""
    is_immediate_enable_tried: bool = True
    confirmation_codes: Mapping[str, str] = {}
    """matchingId -> confirmation code for direct downloads: no trigger can carry one."""
    smds_depth: int = 3
    """SM-DSs that may name one another."""
    events_per_trigger: int = 32
    """More than so many events of SM-DSs are not fetched for one trigger."""

    # the card
    terminal_capability: bytes = TERMINAL_CAPABILITY
    block_size: int = 255
    """Largest STORE DATA block; 120 behind some modems."""
    logical_channel: int = 1
    has_refresh_flag: bool = False
    """refreshFlag of local switching commands: True where a modem owns the card (procedures §5.3)."""
    answers_proactive_commands: bool = False
    """True on a bare reader: 91xx is fetched and answered; otherwise the terminal does it."""
    is_card_reset_after_switch: bool = True
    is_connectivity_asked: bool = False
    """GetConnectivityParameters after start and switch, for a bearer that can use them."""

    # switches for test suites (procedures §23.1)
    are_results_collected_at_start: bool = True
    are_items_removed_after_data_response: bool = True
    is_list_swept_after_work: bool = True
    """Notifications that this cycle's work made are delivered at its end, not with the next cycle."""

    @property
    def capabilities(self) -> IpaCapabilities:
        return IpaCapabilities(ipa_features=self.features, ipa_supported_protocols=self.protocols)

    def has(self, feature: IpaFeatures) -> bool:
        return feature in self.features


PUBLIC_SUITE = Configuration(
    features=IpaFeatures.INDIRECT_RSP_SERVER_COMMUNICATION,
    are_results_collected_at_start=False,
    are_items_removed_after_data_response=False,
    is_list_swept_after_work=False,
    is_metadata_checked=False,
    delivery_tries=1,
    retries=0,
)
"""What the public IPAd test suite expects: nothing asked of the card that is not in its script."""
