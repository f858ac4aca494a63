"""The profile elements' types, tag by tag (module PEDefinitions 3.3.1, of which 2.3.1 is a subset).

No sizes are checked here: a package with a value of the wrong size must still be read, so that lint can
name the rule (see `keim.saip.rules.sizes`). File-system elements have one shape for all templates, see
`keim.saip.file_element`. Must never import anything above floor 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from keim.der import Choice, Code, Explicit, Null, Oid, Sequence, Tag


class PeHeader(Sequence, tag=0xA0):
    """What every element but the first begins with."""

    mandated: Annotated[bool, Null(0x80)] = False
    identification: Annotated[int, Tag(0x81)]


class Services(Sequence):
    """What the eUICC must be able to do, or the installation is refused."""

    contactless: Annotated[bool, Null(0x80)] = False
    usim: Annotated[bool, Null(0x81)] = False
    isim: Annotated[bool, Null(0x82)] = False
    csim: Annotated[bool, Null(0x83)] = False
    milenage: Annotated[bool, Null(0x84)] = False
    tuak128: Annotated[bool, Null(0x85)] = False
    cave: Annotated[bool, Null(0x86)] = False
    gba_usim: Annotated[bool, Null(0x87)] = False
    gba_isim: Annotated[bool, Null(0x88)] = False
    mbms: Annotated[bool, Null(0x89)] = False
    eap: Annotated[bool, Null(0x8A)] = False
    javacard: Annotated[bool, Null(0x8B)] = False
    multos: Annotated[bool, Null(0x8C)] = False
    multiple_usim: Annotated[bool, Null(0x8D)] = False
    multiple_isim: Annotated[bool, Null(0x8E)] = False
    multiple_csim: Annotated[bool, Null(0x8F)] = False
    tuak256: Annotated[bool, Null(0x90)] = False
    usim_test_algorithm: Annotated[bool, Null(0x91)] = False
    ber_tlv: Annotated[bool, Null(0x92)] = False
    df_link: Annotated[bool, Null(0x93)] = False
    cat_tp: Annotated[bool, Null(0x94)] = False
    get_identity: Annotated[bool, Null(0x95)] = False
    profile_a_x25519: Annotated[bool, Null(0x96)] = False
    profile_b_p256: Annotated[bool, Null(0x97)] = False
    suci_calculator_api: Annotated[bool, Null(0x98)] = False
    dns_resolution: Annotated[bool, Null(0x99)] = False
    scp11ac: Annotated[bool, Null(0x9A)] = False
    scp11c_authorization_mechanism: Annotated[bool, Null(0x9B)] = False
    s16mode: Annotated[bool, Null(0x9C)] = False
    eaka: Annotated[bool, Null(0x9D)] = False

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(n for n in self.__struct_fields__ if n not in ("raw", "ext") and getattr(self, n))


class MandatoryAid(Sequence):
    aid: Annotated[bytes, Tag(0x80)]
    version: Annotated[bytes, Tag(0x81)]


class IotOptions(Sequence):
    """Makes the package an IoT minimal profile."""

    pix: Annotated[bytes, Tag(0x80)]


class ProfileHeader(Sequence, tag=0xA0):
    major_version: Annotated[int, Tag(0x80)]
    minor_version: Annotated[int, Tag(0x81)]
    profile_type: Annotated[str | None, Tag(0x82)] = None
    iccid: Annotated[bytes, Tag(0x83)]
    pol: Annotated[bytes | None, Tag(0x84)] = None
    mandatory_services: Annotated[Services, Tag(0xA5)]
    mandatory_gfste_list: Annotated[tuple[Oid, ...], Tag(0xA6)]
    connectivity_parameters: Annotated[bytes | None, Tag(0x87)] = None
    mandatory_aids: Annotated[tuple[MandatoryAid, ...] | None, Tag(0xA8)] = None
    iot_options: Annotated[IotOptions | None, Tag(0xA9)] = None


class ProprietaryInfo(Sequence):
    special_file_information: Annotated[bytes, Tag(0xC0)] = b"\x00"
    fill_pattern: Annotated[bytes | None, Tag(0xC1)] = None
    repeat_pattern: Annotated[bytes | None, Tag(0xC2)] = None
    maximum_file_size: Annotated[bytes | None, Tag(0x86)] = None
    file_details: Annotated[bytes, Tag(0x84)] = b"\x01"


class Fcp(Sequence, tag=0xA1):
    """File control parameters, only those that differ from the template."""

    file_descriptor: Annotated[bytes | None, Tag(0x82)] = None
    file_id: Annotated[bytes | None, Tag(0x83)] = None
    df_name: Annotated[bytes | None, Tag(0x84)] = None
    lcsi: Annotated[bytes, Tag(0x8A)] = b"\x05"
    security_attributes_referenced: Annotated[bytes | None, Tag(0x8B)] = None
    ef_file_size: Annotated[bytes | None, Tag(0x80)] = None
    pin_status_template: Annotated[bytes | None, Tag(0xC6)] = None
    short_ef_id: Annotated[bytes | None, Tag(0x88)] = None
    proprietary_ef_info: Annotated[ProprietaryInfo | None, Tag(0xA5)] = None
    link_path: Annotated[bytes | None, Tag(0xC7)] = None


class FileItem(Choice):
    """One step of a File in a template element."""

    do_not_create: Annotated[bool | None, Null(0x80)] = None
    file_descriptor: Annotated[Fcp | None, Tag(0xA1)] = None
    fill_file_offset: Annotated[int | None, Tag(0x82)] = None
    fill_file_content: Annotated[bytes | None, Tag(0x83)] = None


class FileManagement(Choice):
    """One step of generic file management; mind the other tags."""

    file_path: Annotated[bytes | None, Tag(0x80)] = None
    create_fcp: Annotated[Fcp | None, Tag(0x62)] = None
    fill_file_offset: Annotated[int | None, Tag(0x02)] = None
    fill_file_content: Annotated[bytes | None, Tag(0x81)] = None


class GenericFileManagement(Sequence, tag=0xA1):
    header: PeHeader
    commands: Annotated[tuple[tuple[FileManagement, ...], ...], Tag(0xA1)]


class PinConfiguration(Sequence):
    key_reference: Annotated[int, Tag(0x80)]
    pin_value: Annotated[bytes, Tag(0x81)]
    unblocking_pin_reference: Annotated[int | None, Tag(0x82)] = None
    pin_attributes: Annotated[int, Tag(0x83)] = 7
    tries: Annotated[int, Tag(0x84)] = 0x33

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return without_secrets(super().__rich_repr__(), "pin_value")


class PinCodesChoice(Choice):
    pinconfig: Annotated[tuple[PinConfiguration, ...] | None, Tag(0xA0)] = None
    file_path: Annotated[bytes | None, Tag(0x81)] = None


class PinCodes(Sequence, tag=0xA2):
    header: PeHeader
    pin_codes: Annotated[PinCodesChoice, Explicit(0xA1)]


class PukConfiguration(Sequence):
    key_reference: Annotated[int, Tag(0x80)]
    puk_value: Annotated[bytes, Tag(0x81)]
    tries: Annotated[int, Tag(0x82)] = 0xAA

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return without_secrets(super().__rich_repr__(), "puk_value")


class PukCodes(Sequence, tag=0xA3):
    header: PeHeader
    puk_codes: Annotated[tuple[PukConfiguration, ...], Tag(0xA1)]


class MappingParameter(Sequence):
    mapping_options: Annotated[bytes, Tag(0x80)]
    mapping_source: Annotated[bytes, Tag(0x81)]


class Algorithm(Code):
    MILENAGE = 1
    TUAK = 2
    USIM_TEST = 3


DEFAULT_ROTATION = bytes.fromhex("4000204060")
DEFAULT_XORING = b"".join(c.to_bytes(16, "big") for c in (0, 1, 2, 4, 8))
DEFAULT_SQN_LIMIT = bytes.fromhex("000010000000")
DEFAULT_SQN_INIT = (bytes(6),) * 32


class AlgorithmParameter(Sequence):
    algorithm_id: Annotated[Algorithm, Tag(0x80)]
    algorithm_options: Annotated[bytes, Tag(0x81)]
    key: Annotated[bytes, Tag(0x82)]
    opc: Annotated[bytes, Tag(0x83)]
    rotation_constants: Annotated[bytes, Tag(0x84)] = DEFAULT_ROTATION
    xoring_constants: Annotated[bytes, Tag(0x85)] = DEFAULT_XORING
    auth_counter_max: Annotated[bytes | None, Tag(0x86)] = None
    number_of_keccak: Annotated[int, Tag(0x87)] = 1

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return without_secrets(super().__rich_repr__(), "key", "opc")


class AlgorithmConfiguration(Choice):
    mapping_parameter: Annotated[MappingParameter | None, Tag(0xA0)] = None
    algo_parameter: Annotated[AlgorithmParameter | None, Tag(0xA1)] = None


class AkaParameter(Sequence, tag=0xA4):
    header: PeHeader
    algo_configuration: Annotated[AlgorithmConfiguration, Explicit(0xA1)]
    sqn_options: Annotated[bytes, Tag(0x82)] = b"\x02"
    sqn_delta: Annotated[bytes, Tag(0x83)] = DEFAULT_SQN_LIMIT
    sqn_age_limit: Annotated[bytes, Tag(0x84)] = DEFAULT_SQN_LIMIT
    sqn_init: Annotated[tuple[bytes, ...], Tag(0xA5)] = DEFAULT_SQN_INIT


class CdmaParameter(Sequence, tag=0xA5):
    header: PeHeader
    authentication_key: Annotated[bytes, Tag(0x81)]
    ssd: Annotated[bytes | None, Tag(0x82)] = None
    hrpd_access_authentication_data: Annotated[bytes | None, Tag(0x83)] = None
    simple_ip_authentication_data: Annotated[bytes | None, Tag(0x84)] = None
    mobile_ip_authentication_data: Annotated[bytes | None, Tag(0x85)] = None

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return without_secrets(
            super().__rich_repr__(),
            *("authentication_key", "ssd", "hrpd_access_authentication_data"),
            *("simple_ip_authentication_data", "mobile_ip_authentication_data"),
        )


class KeyComponent(Sequence):
    key_type: Annotated[bytes, Tag(0x80)]
    key_data: Annotated[bytes, Tag(0x86)]
    mac_length: Annotated[int, Tag(0x87)] = 8

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return without_secrets(super().__rich_repr__(), "key_data")


class KeyObject(Sequence):
    key_usage_qualifier: Annotated[bytes, Tag(0x95)]
    key_access: Annotated[bytes, Tag(0x96)] = b"\x00"
    key_identifier: Annotated[bytes, Tag(0x82)]
    key_version_number: Annotated[bytes, Tag(0x83)]
    key_counter_value: Annotated[bytes | None, Tag(0x85)] = None
    key_components: tuple[KeyComponent, ...]


class ContactlessParameters(Sequence):
    protocol_parameters: Annotated[bytes | None, Tag(0x80)] = None


class SystemSpecificParameters(Sequence):
    volatile_memory_quota: Annotated[bytes | None, Tag(0xC7)] = None
    non_volatile_memory_quota: Annotated[bytes | None, Tag(0xC8)] = None
    global_service_parameters: Annotated[bytes | None, Tag(0xCB)] = None
    implicit_selection_parameter: Annotated[bytes | None, Tag(0xCF)] = None
    volatile_reserved_memory: Annotated[bytes | None, Tag(0xD7)] = None
    non_volatile_reserved_memory: Annotated[bytes | None, Tag(0xD8)] = None
    sim_file_access_toolkit_parameter: Annotated[bytes | None, Tag(0xCA)] = None
    additional_contactless_parameters: Annotated[ContactlessParameters | None, Tag(0xA0)] = None
    contactless_protocol_parameters: Annotated[bytes | None, Tag(0xD9)] = None
    user_interaction_contactless_parameters: Annotated[bytes | None, Tag(0xDA)] = None
    cumulative_granted_volatile_memory: Annotated[bytes | None, Tag(0x82)] = None
    cumulative_granted_non_volatile_memory: Annotated[bytes | None, Tag(0x83)] = None


class ApplicationParameters(Sequence):
    uicc_toolkit: Annotated[bytes | None, Tag(0x80)] = None
    uicc_access: Annotated[bytes | None, Tag(0x81)] = None
    uicc_administrative_access: Annotated[bytes | None, Tag(0x82)] = None


class ControlReferenceTemplate(Sequence):
    application_provider_identifier: Annotated[bytes, Tag(0x5F20)]


class ApplicationInstance(Sequence):
    load_package_aid: Annotated[bytes, Tag(0x4F)]
    class_aid: Annotated[bytes, Tag(0x4F)]
    instance_aid: Annotated[bytes, Tag(0x4F)]
    extradite_security_domain_aid: Annotated[bytes | None, Tag(0x4F)] = None
    application_privileges: Annotated[bytes, Tag(0x82)]
    life_cycle_state: Annotated[bytes, Tag(0x83)] = b"\x07"
    application_specific_parameters: Annotated[bytes, Tag(0xC9)]
    system_specific_parameters: Annotated[SystemSpecificParameters | None, Tag(0xEF)] = None
    application_parameters: Annotated[ApplicationParameters | None, Tag(0xEA)] = None
    process_data: tuple[bytes, ...] | None = None
    control_reference_template: Annotated[ControlReferenceTemplate | None, Tag(0xB0)] = None


class OpenPersoData(Sequence):
    restrict_parameter: Annotated[bytes | None, Tag(0xD9)] = None
    contactless_protocol_parameters: bytes | None = None


class CatTpParameters(Sequence):
    max_sdu: Annotated[int, Tag(0x80)]
    max_pdu: Annotated[int, Tag(0x81)]


class SecurityDomain(Sequence, tag=0xA6):
    header: PeHeader
    instance: Annotated[ApplicationInstance, Tag(0xA1)]
    key_list: Annotated[tuple[KeyObject, ...] | None, Tag(0xA2)] = None
    sd_perso_data: Annotated[tuple[bytes, ...] | None, Tag(0xA3)] = None
    open_perso_data: Annotated[OpenPersoData | None, Tag(0xA4)] = None
    cat_tp_parameters: Annotated[CatTpParameters | None, Tag(0xA5)] = None


class AdfRfmAccess(Sequence):
    adf_aid: Annotated[bytes, Tag(0x80)]
    adf_access_domain: Annotated[bytes, Tag(0x81)]
    adf_admin_access_domain: Annotated[bytes, Tag(0x82)]


class Rfm(Sequence, tag=0xA7):
    header: PeHeader
    instance_aid: Annotated[bytes, Tag(0x4F)]
    security_domain_aid: Annotated[bytes | None, Tag(0x4F)] = None
    tar_list: Annotated[tuple[bytes, ...] | None, Tag(0xA0)] = None
    minimum_security_level: Annotated[bytes, Tag(0x81)]
    uicc_access_domain: bytes
    uicc_admin_access_domain: bytes
    adf_rfm_access: AdfRfmAccess | None = None


class LoadBlock(Sequence):
    load_package_aid: Annotated[bytes, Tag(0x4F)]
    security_domain_aid: Annotated[bytes | None, Tag(0x4F)] = None
    non_volatile_code_limit: Annotated[bytes | None, Tag(0xC6)] = None
    volatile_data_limit: Annotated[bytes | None, Tag(0xC7)] = None
    non_volatile_data_limit: Annotated[bytes | None, Tag(0xC8)] = None
    hash_value: Annotated[bytes | None, Tag(0xC1)] = None
    load_block_object: Annotated[bytes, Tag(0xC4)]


class Application(Sequence, tag=0xA8):
    header: PeHeader
    load_block: Annotated[LoadBlock | None, Tag(0xA1)] = None
    instance_list: Annotated[tuple[ApplicationInstance, ...] | None, Tag(0xA2)] = None


class NonStandard(Sequence, tag=0xA9):
    header: PeHeader
    issuer_id: Annotated[Oid, Tag(0x81)]
    content: Annotated[bytes, Tag(0x82)]


class End(Sequence, tag=0xAA):
    header: PeHeader


def without_secrets(fields: Iterable[tuple[str, Any]], *secret: str) -> list[tuple[str, Any]]:
    return [(name, "***" if name in secret else value) for name, value in fields]


HEADER_TAG = 0xA0
END_TAG = 0xAA
PLAIN_TYPES: dict[int, type[Sequence]] = {
    HEADER_TAG: ProfileHeader,
    0xA1: GenericFileManagement,
    0xA2: PinCodes,
    0xA3: PukCodes,
    0xA4: AkaParameter,
    0xA5: CdmaParameter,
    0xA6: SecurityDomain,
    0xA7: Rfm,
    0xA8: Application,
    0xA9: NonStandard,
    END_TAG: End,
}
NAMES = {
    HEADER_TAG: "header",
    0xA1: "genericFileManagement",
    0xA2: "pinCodes",
    0xA3: "pukCodes",
    0xA4: "akaParameter",
    0xA5: "cdmaParameter",
    0xA6: "securityDomain",
    0xA7: "rfm",
    0xA8: "application",
    0xA9: "nonStandard",
    END_TAG: "end",
    **{0xAB + n: f"rfu{n + 1}" for n in range(5)},
    0xB0: "mf",
    0xB1: "cd",
    0xB2: "telecom",
    0xB3: "usim",
    0xB4: "opt-usim",
    0xB5: "isim",
    0xB6: "opt-isim",
    0xB7: "phonebook",
    0xB8: "gsm-access",
    0xB9: "csim",
    0xBA: "opt-csim",
    0xBB: "eap",
    0xBC: "df-5gs",
    0xBD: "df-saip",
    0xBE: "df-snpn",
    0xBF1F: "df-5gprose",
    0xBF20: "iot",
    0xBF21: "opt-iot",
}
TAGS = {name: tag for tag, name in NAMES.items()}
