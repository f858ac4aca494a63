"""PINs, authentication parameters, security domains, remote management and applications of a package.

Must never import anything above floor 0.
"""

from __future__ import annotations

from keim.der import read_tlv
from keim.errors import Malformed
from keim.saip.elements import (
    DEFAULT_SQN_INIT,
    AkaParameter,
    Algorithm,
    Application,
    ApplicationInstance,
    CdmaParameter,
    PinCodes,
    PukCodes,
    Rfm,
    SecurityDomain,
)
from keim.saip.filesystem import (
    ApplicationEntry,
    Authentication,
    CdmaCredentials,
    LoadPackage,
    Pin,
    Puk,
    RemoteFileManagement,
    SdKey,
    SecurityDomainEntry,
)
from keim.saip.installing.tree import Fault, Tree
from keim.saip.refusals import Status

IOT_PIN1 = Pin(reference=1, value=b"0000\xff\xff\xff\xff", puk=1, attributes=6)
IOT_ADM1 = Pin(reference=0x0A, value=None, attributes=3, tries_max=10, tries_left=10)
IOT_PUK1 = Puk(reference=1, value=b"00000000")
"""What an IoT profile has without saying so: our assumption (§12.3), ADM1 is known to nobody."""
PERSONALIZED = 0x0F
SD_PACKAGE = bytes.fromhex("A0000001515350")


class Holdings:
    """What a profile has besides files, under construction."""

    def __init__(self) -> None:
        self.puks: dict[int, Puk] = {}
        self.authentications: dict[bytes, Authentication] = {}
        self.cdma: list[CdmaCredentials] = []
        self.domains: list[SecurityDomainEntry] = []
        self.remote: list[RemoteFileManagement] = []
        self.applications: list[ApplicationEntry] = []
        self.load_packages: list[LoadPackage] = []

    @property
    def charge(self) -> int:
        """Octets of memory for keys and applications, counted as `FileSystem.charge` does."""
        entries = (self.puks, self.authentications, self.applications, self.remote)
        total = 64 * sum(len(entry) for entry in entries)
        total += sum(64 + 64 * len(domain.keys) for domain in self.domains)
        return total + sum(package.size for package in self.load_packages)


def define_puks(holdings: Holdings, element: PukCodes) -> None:
    for puk in element.puk_codes:
        holdings.puks[puk.key_reference] = Puk(
            reference=puk.key_reference,
            value=puk.puk_value,
            tries_max=puk.tries >> 4,
            tries_left=puk.tries & 0x0F,
        )


def define_pins(tree: Tree, element: PinCodes) -> None:
    """Into the current directory; after PE-IoT a global reference is one of the MF all the same (§9)."""
    context = tree.context
    if context is None or tree.mf is None:
        raise Fault("MF-FIRST", "there is no directory whose PINs these are")
    if element.pin_codes.file_path is not None:
        shared = tree.directory(element.pin_codes.file_path, "filePath")
        context.pins_of = shared.key
        return
    for pin in element.pin_codes.pinconfig or ():
        holder = tree.mf if tree.iot_aid is not None and not pin.key_reference & 0x80 else context
        holder.pins[pin.key_reference] = Pin(
            reference=pin.key_reference,
            value=pin.pin_value,
            puk=pin.unblocking_pin_reference,
            attributes=pin.pin_attributes,
            tries_max=pin.tries >> 4,
            tries_left=pin.tries & 0x0F,
        )


def define_authentication(tree: Tree, holdings: Holdings, element: AkaParameter) -> None:
    naa = tree.naa
    if naa is None or naa.aid is None:
        raise Fault("AKA-CTX", "akaParameter stands in no network access application")
    given = element.algo_configuration
    shared_with = None
    if given.mapping_parameter is not None:
        shared_with = given.mapping_parameter.mapping_source
        source = next((e for aid, e in holdings.authentications.items() if aid.startswith(shared_with)), None)
        if source is None or source.shared_with is not None:
            raise Fault("AKA-MAP", "mappingSource names no application with an algorithm of its own")
        shared_with = source.aid
    parameter = given.algo_parameter
    if parameter is None and shared_with is None:
        raise Fault("AKA-CTX", "unknown kind of configuration", status=Status.INVALID_PARAMETER)
    sqn_init: tuple[int, ...] = ()
    if element.sqn_init != DEFAULT_SQN_INIT:
        sqn_init = tuple(int.from_bytes(seq, "big") for seq in element.sqn_init)
    holdings.authentications[naa.aid] = Authentication(
        aid=naa.aid,
        algorithm=parameter.algorithm_id if parameter else Algorithm.MILENAGE,
        options=_octet(parameter.algorithm_options) if parameter else 0,
        key=parameter.key if parameter else b"",
        opc=parameter.opc if parameter else b"",
        rotation=parameter.rotation_constants if parameter else b"",
        xoring=parameter.xoring_constants if parameter else b"",
        keccak_rounds=parameter.number_of_keccak if parameter else 1,
        counter_max=_number(parameter.auth_counter_max) if parameter else None,
        sqn_options=_octet(element.sqn_options),
        sqn_delta=int.from_bytes(element.sqn_delta, "big"),
        sqn_age_limit=int.from_bytes(element.sqn_age_limit, "big"),
        sqn_init=sqn_init,
        shared_with=shared_with,
    )


def define_cdma(tree: Tree, holdings: Holdings, element: CdmaParameter, raw: bytes) -> None:
    if tree.naa is None or tree.naa.aid is None:
        raise Fault("AKA-CTX", "cdmaParameter stands in no application")
    holdings.cdma.append(CdmaCredentials(tree.naa.aid, element.authentication_key, raw))


def define_security_domain(holdings: Holdings, element: SecurityDomain) -> None:
    instance = element.instance
    keys = []
    for key in element.key_list or ():
        components = tuple(
            (_octet(part.key_type), part.key_data, part.mac_length) for part in key.key_components
        )
        keys.append(
            SdKey(
                version=_octet(key.key_version_number),
                identifier=_octet(key.key_identifier),
                usage=key.key_usage_qualifier,
                access=_octet(key.key_access),
                components=components,
                counter=key.key_counter_value,
            )
        )
    if not holdings.domains:
        domain = instance.instance_aid
    else:
        domain = instance.extradite_security_domain_aid or holdings.domains[0].aid
    holdings.domains.append(
        SecurityDomainEntry(_application(instance, domain), tuple(keys), element.sd_perso_data or ())
    )


def define_rfm(holdings: Holdings, element: Rfm) -> None:
    domain = _personalised(holdings, element.security_domain_aid, "RFM-SD")
    access = element.adf_rfm_access
    holdings.remote.append(
        RemoteFileManagement(
            aid=element.instance_aid,
            domain=domain,
            tars=element.tar_list or _tar_of(element.instance_aid),
            minimum_security=_octet(element.minimum_security_level),
            access=element.uicc_access_domain,
            admin_access=element.uicc_admin_access_domain,
            adf=access.adf_aid if access else None,
            adf_access=access.adf_access_domain if access else b"",
            adf_admin_access=access.adf_admin_access_domain if access else b"",
        )
    )


def define_application(holdings: Holdings, element: Application, libraries: frozenset[bytes]) -> None:
    load = element.load_block
    if load is not None:
        domain = _personalised(holdings, load.security_domain_aid, "APP-SD")
        holdings.load_packages.append(
            LoadPackage(load.load_package_aid, domain, len(load.load_block_object), load.hash_value)
        )
    available = {package.aid for package in holdings.load_packages} | libraries | {SD_PACKAGE}
    for instance in element.instance_list or ():
        domain = _personalised(holdings, instance.extradite_security_domain_aid, "APP-SD")
        if instance.load_package_aid not in available:
            raise Fault(
                "APP-REF",
                f"{instance.load_package_aid.hex().upper()} is neither in the package nor on the card",
                status=Status.LIB_NOT_SUPPORTED,
            )
        holdings.applications.append(_application(instance, domain))


def _personalised(holdings: Holdings, aid: bytes | None, rule: str) -> bytes:
    """The AID of the security domain that is meant: the given one, else the MNO-SD; it must be in
    state 0F.
    """
    domain = next((d for d in holdings.domains if aid is None or d.aid == aid), None)
    if domain is None:
        raise Fault(rule, "its security domain does not exist", status=Status.INVALID_PARAMETER)
    if domain.application.life_cycle != PERSONALIZED:
        raise Fault(rule, "its security domain is not PERSONALIZED", status=Status.INVALID_PARAMETER)
    return domain.aid


def _application(instance: ApplicationInstance, domain: bytes) -> ApplicationEntry:
    parameters = instance.application_parameters
    toolkit = parameters.uicc_toolkit if parameters is not None else None
    security, tars = toolkit_parameters(toolkit or b"")
    return ApplicationEntry(
        aid=instance.instance_aid,
        load_package=instance.load_package_aid,
        class_aid=instance.class_aid,
        privileges=instance.application_privileges,
        life_cycle=_octet(instance.life_cycle_state),
        domain=domain,
        parameters=instance.application_specific_parameters,
        tars=tars or _tar_of(instance.instance_aid),
        minimum_security=security,
        process_data=instance.process_data or (),
    )


def toolkit_parameters(octets: bytes) -> tuple[int, tuple[bytes, ...]]:
    """(minimum security level, TARs) of UICC toolkit parameters (TS 102 226): 0 and none where they say
    nothing.
    """
    try:
        position = 3 + 1 + 2 * octets[3] + 1
        security = octets[position + 1 : position + 1 + octets[position]]
        position += 1 + octets[position]
        tars = octets[position + 1 : position + 1 + octets[position]]
    except IndexError:
        return 0, ()
    level = security[1] if len(security) >= 2 and security[0] == 1 else 0
    return level, tuple(tars[i : i + 3] for i in range(0, len(tars) - 2, 3))


def _tar_of(aid: bytes) -> tuple[bytes, ...]:
    return (aid[12:15],) if len(aid) >= 15 else ()


def _octet(value: bytes) -> int:
    return value[0] if value else 0


def _number(value: bytes | None) -> int | None:
    return None if value is None else int.from_bytes(value, "big")


def scp80_parameters(c9: bytes) -> tuple[tuple[int, int], ...]:
    """(secure channel protocol, i) pairs of applicationSpecificParametersC9 (`81 02 80 00`: SCP80, i=00)."""
    found, position = [], 0
    while position < len(c9):
        try:
            part = read_tlv(c9, position)
        except Malformed:
            break
        if part.tag == 0x81 and part.end - part.content == 2:
            found.append((c9[part.content], c9[part.content + 1]))
        position = part.end
    return tuple(found)
