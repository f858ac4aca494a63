"""What an eUICC can do, as far as profile packages ask for it.

Must never import anything above floor 0.
"""

from __future__ import annotations

import msgspec

from keim.saip.elements import Services

_UICC_CAPABILITY = (
    *(
        "contactless",
        "usim",
        "isim",
        "csim",
        "milenage",
        "cave",
        "tuak128",
        "tuak256",
        "usim_test_algorithm",
        "",
    ),
    *("gba_usim", "gba_isim", "mbms", "eap", "javacard", "multos", "multiple_usim", "multiple_isim"),
    *("multiple_csim", "ber_tlv", "df_link", "cat_tp", "get_identity", "profile_a_x25519", "profile_b_p256"),
    *(
        "suci_calculator_api",
        "dns_resolution",
        "scp11ac",
        "scp11c_authorization_mechanism",
        "s16mode",
        "eaka",
    ),
    "iot_minimal",
)
ALL_SERVICES = frozenset(name for name in Services.__struct_fields__ if name not in ("raw", "ext"))
OWN_SERVICES = ALL_SERVICES - {
    *("contactless", "cave", "gba_usim", "gba_isim", "mbms", "multos", "cat_tp", "suci_calculator_api"),
    *("dns_resolution", "scp11ac", "scp11c_authorization_mechanism", "s16mode", "eaka"),
}
"""What the software eUICC offers: CSIM files and Java Card load files are stored, never run."""


class Platform(msgspec.Struct, frozen=True):
    """The default is the software eUICC of this project."""

    services: frozenset[str] = OWN_SERVICES
    has_iot_minimal: bool = True
    libraries: frozenset[bytes] = frozenset()
    """AIDs of libraries on the card, for eUICC-Mandatory-AIDs."""
    free_memory: int | None = None
    """Octets left for the profile; None does not count."""

    @property
    def uicc_capability(self) -> int:
        """UICCCapability of EUICCInfo2, bit 0 of the standard as `1 << 0`."""
        offered = self.services | ({"iot_minimal"} if self.has_iot_minimal else set())
        return sum(1 << bit for bit, name in enumerate(_UICC_CAPABILITY) if name in offered)


ANY_CARD = Platform(services=ALL_SERVICES)
"""For tools that do not know the card: a service that some card has is no fault of the package."""
