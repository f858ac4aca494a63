"""Building packages: an IoT minimal profile (version 3.3) and a Full profile (version 2.3) from a
recipe.

Explicit content is given wherever the defaults of the IoT template are not public, so that every eUICC
makes the same files. Must never import anything above floor 0.
"""

from __future__ import annotations

from functools import cache

from keim.der import Oid, Sequence
from keim.saip.access import RULE_LENGTH, default_rules
from keim.saip.codings import (
    access_class,
    apn_octets,
    dir_record,
    msisdn_record,
    plmn_octets,
    service_octets,
    smsp_record,
    spn_octets,
)
from keim.saip.edit import number_octets
from keim.saip.elements import (
    AdfRfmAccess,
    AkaParameter,
    Algorithm,
    AlgorithmConfiguration,
    AlgorithmParameter,
    ApplicationInstance,
    ApplicationParameters,
    End,
    Fcp,
    FileItem,
    FileManagement,
    GenericFileManagement,
    IotOptions,
    KeyComponent,
    KeyObject,
    PeHeader,
    PinCodes,
    PinCodesChoice,
    PinConfiguration,
    ProfileHeader,
    PukCodes,
    PukConfiguration,
    Rfm,
    SecurityDomain,
    Services,
)
from keim.saip.file_element import FileSystemElement, Steps, new_element
from keim.saip.package import Package
from keim.saip.recipe import DomainKeys, Recipe
from keim.saip.refusals import BadRecipe
from keim.saip.templates import OID_PREFIX

SHAPES = ("iot-minimal", "full")
USIM_PIX = bytes.fromhex("1002FF49FF0589")
USIM_AID = bytes.fromhex("A000000087") + USIM_PIX
USIM_FID = b"\x7f\xd0"
ECC = bytes.fromhex("11F2FF00")
MINIMUM_SECURITY = b"\x16"
"""SPI1 of remote commands: checksum, ciphering, counter higher than the last."""

Value = Sequence | FileSystemElement


def new(recipe: Recipe, shape: str = "iot-minimal", *, is_smallest: bool = False) -> Package:
    """A package of one of `SHAPES`. The smallest leaves out all that authentication does not need."""
    if shape == "iot-minimal":
        values = _smallest(recipe) if is_smallest else _iot_minimal(recipe)
    elif shape == "full" and not is_smallest:
        values = _full(recipe)
    elif shape == "full":
        raise BadRecipe("only an IoT minimal profile can be the smallest", key="shape")
    else:
        raise BadRecipe(f"{shape!r} is none of {', '.join(SHAPES)}", key="shape")
    return Package.of(values)


# --- the IoT minimal profile ---------------------------------------------------------------------------


def _smallest(recipe: Recipe) -> list[Value]:
    unused = [
        key
        for key in ("smsp", "msisdn", "pin", "puk", "apn", "domain_keys")
        if getattr(recipe, key) not in (None, ())
    ]
    if unused:
        raise BadRecipe("has no place in the smallest profile", key=unused[0])
    return [
        _iot_header(recipe, (17,), profile_type=None),
        new_element(
            "iot", 1, {"ef-imsi": _content(recipe.imsi.octets), "ef-acc": _content(access_class(recipe.imsi))}
        ),
        _authentication(recipe, 2),
        End(header=_header(3)),
    ]


def _iot_minimal(recipe: Recipe) -> list[Value]:
    """The operational shape: service table, administrative data and emergency numbers are explicit."""
    services = {33, 85} | ({12} if recipe.smsp else set()) | ({21} if recipe.msisdn else set())
    services |= {35} if recipe.apn else set()
    extra = _extra_iot_files(recipe)
    adf: dict[str, Steps] = {}
    if recipe.pin or extra:
        references = b"\x81\x01\x0a" if recipe.pin else None
        adf["adf-usim"] = (_fcp(file_id=USIM_FID if extra else None, pin_status_template=references),)
    values: list[Value] = [_iot_header(recipe, (17, 18), profile_type=recipe.name)]
    number = 0

    def add(value: Value) -> None:
        values.append(value)

    def header() -> PeHeader:
        nonlocal number
        number += 1
        return _header(number)

    if recipe.puk:
        add(
            PukCodes(header=header(), puk_codes=(PukConfiguration(key_reference=0x81, puk_value=recipe.puk),))
        )
    number += 1
    add(
        new_element(
            "iot",
            number,
            adf
            | {
                "ef-imsi": _content(recipe.imsi.octets),
                "ef-ust": _content(service_octets(services, 17)),
                "ef-acc": _content(access_class(recipe.imsi)),
                "ef-ad": _content(_administrative_data(recipe)),
                "ef-ecc": (_fcp(file_descriptor=_records(4), ef_file_size=b"\x04"), *_content(ECC)),
            },
        )
    )
    number += 1
    optional: dict[str, Steps] = {"ef-epsloci": (), "ef-epsnsc": ()}
    if recipe.smsp:
        optional["ef-smsp"] = _content(smsp_record(recipe.smsp))
    add(new_element("opt-iot", number, optional))
    if recipe.pin:
        unblocking = 0x81 if recipe.puk else None
        pin = PinConfiguration(key_reference=0x81, pin_value=recipe.pin, unblocking_pin_reference=unblocking)
        add(PinCodes(header=header(), pin_codes=PinCodesChoice(pinconfig=(pin,))))
    number += 1
    add(_authentication(recipe, number))
    if extra:
        add(GenericFileManagement(header=header(), commands=(extra,)))
    if recipe.domain_keys:
        number += 2
        add(_security_domain(recipe.domain_keys, number - 1))
        add(_remote_files(number))
    add(End(header=header()))
    return values


def _extra_iot_files(recipe: Recipe) -> tuple[FileManagement, ...]:
    """Files that no IoT template has: access point names and the own number."""
    steps: list[FileManagement] = []
    if recipe.apn:
        octets = apn_octets(recipe.apn)
        steps += _managed_file(0x6F57, b"\x41\x21", len(octets), 8, octets)
    if recipe.msisdn:
        steps += _managed_file(0x6F40, _records(24), 24, 2, msisdn_record(recipe.msisdn))
    return (FileManagement(file_path=USIM_FID), *steps) if steps else ()


def _managed_file(fid: int, descriptor: bytes, size: int, rule: int, content: bytes) -> list[FileManagement]:
    fcp = Fcp(
        file_descriptor=descriptor,
        file_id=fid.to_bytes(2, "big"),
        security_attributes_referenced=b"\x6f\x06" + bytes((rule,)),
        ef_file_size=number_octets(size),
        short_ef_id=b"",
    )
    return [FileManagement(create_fcp=fcp), FileManagement(fill_file_content=content)]


def _iot_header(recipe: Recipe, templates: tuple[int, ...], profile_type: str | None) -> ProfileHeader:
    return ProfileHeader(
        major_version=3,
        minor_version=3,
        profile_type=profile_type,
        iccid=recipe.iccid.header_octets,
        mandatory_services=_services(recipe),
        mandatory_gfste_list=tuple(Oid(f"{OID_PREFIX}{number}") for number in templates),
        iot_options=IotOptions(pix=USIM_PIX),
    )


# --- the Full profile ----------------------------------------------------------------------------------

_FULL_TEMPLATES = ("1", "4", "5", "7", "13")
_FULL_SERVICES = frozenset({12, 19, 20, 27, 28, 33, 38, 42, 43, 71, 85, 122})
_OFF: Steps = (FileItem(do_not_create=True),)
_FULL_ABSENT = ("ef-fdn", "ef-est", "ef-netpar")


def _full(recipe: Recipe) -> list[Value]:
    """A USIM with its own access rules (numbered as clause 9.9), PINs, GSM access and 5GS files."""
    values: list[Value] = [
        ProfileHeader(
            major_version=2,
            minor_version=3,
            profile_type=recipe.name,
            iccid=recipe.iccid.header_octets,
            mandatory_services=_services(recipe),
            mandatory_gfste_list=tuple(Oid(OID_PREFIX + number) for number in _FULL_TEMPLATES),
        ),
        _full_mf(recipe),
        PukCodes(
            header=_header(2),
            puk_codes=(
                PukConfiguration(key_reference=1, puk_value=recipe.puk or b"00000000"),
                PukConfiguration(key_reference=0x81, puk_value=recipe.puk or b"00000000"),
            ),
        ),
        _global_pins(recipe),
        _full_usim(recipe),
        _full_optional(recipe),
        PinCodes(
            header=_header(6),
            pin_codes=PinCodesChoice(
                pinconfig=(
                    PinConfiguration(
                        key_reference=0x81,
                        pin_value=recipe.pin or b"0000\xff\xff\xff\xff",
                        unblocking_pin_reference=0x81,
                        pin_attributes=3,
                    ),
                )
            ),
        ),
        _authentication(recipe, 7),
        _old(new_element("gsm-access", 8, {"df-gsm-access": (), "ef-kc": (), "ef-kcgprs": ()}), "7"),
        _old(
            new_element(
                "df-5gs",
                9,
                {
                    "df-df-5gs": (),
                    "ef-5gs3gpploci": (),
                    "ef-5gsn3gpploci": (),
                    "ef-5gs3gppnsc": (),
                    "ef-5gsn3gppnsc": (),
                },
            ),
            "13",
        ),
    ]
    number = 10
    if recipe.domain_keys:
        values += [_security_domain(recipe.domain_keys, number), _remote_files(number + 1)]
        number += 2
    values.append(End(header=_header(number)))
    return values


def _full_mf(recipe: Recipe) -> FileSystemElement:
    record = dir_record(USIM_AID, "USIM")
    return _old(
        new_element(
            "mf",
            1,
            {
                "mf": (_fcp(pin_status_template=b"\x01\x0a"),),
                "ef-pl": (),
                "ef-iccid": _content(recipe.iccid.octets),
                "ef-dir": (
                    _fcp(file_descriptor=_records(len(record)), ef_file_size=number_octets(len(record))),
                    *_content(record),
                ),
                "ef-arr": _access_rules(),
            },
        ),
        "1",
    )


def _global_pins(recipe: Recipe) -> PinCodes:
    """PIN1 is enabled when the recipe gives one; without a value of its own ADM1 is blocked from the
    start.
    """
    pin = PinConfiguration(
        key_reference=1,
        pin_value=recipe.pin or b"0000\xff\xff\xff\xff",
        unblocking_pin_reference=1,
        pin_attributes=7 if recipe.pin else 6,
    )
    adm = PinConfiguration(
        key_reference=0x0A,
        pin_value=recipe.adm or bytes(8),
        pin_attributes=3,
        tries=0xAA if recipe.adm else 0xA0,
    )
    return PinCodes(header=_header(3), pin_codes=PinCodesChoice(pinconfig=(pin, adm)))


def _full_usim(recipe: Recipe) -> FileSystemElement:
    services = _FULL_SERVICES | ({21} if recipe.msisdn else set()) | ({35} if recipe.apn else set())
    files: dict[str, Steps] = {
        "adf-usim": (_fcp(file_id=USIM_FID, df_name=USIM_AID, pin_status_template=b"\x81\x01\x0a"),),
        "ef-imsi": _content(recipe.imsi.octets),
        "ef-arr": _access_rules(),
        "ef-ust": (_fcp(ef_file_size=b"\x11"), *_content(service_octets(services | {10}, 17))),
        "ef-spn": _content(spn_octets(recipe.name)),
        "ef-acc": _content(access_class(recipe.imsi)),
        "ef-ad": _content(_administrative_data(recipe)),
        "ef-ecc": (_fcp(file_descriptor=_records(4), ef_file_size=b"\x04"), *_content(ECC)),
        "ef-smsp": _content(smsp_record(recipe.smsp)) if recipe.smsp else (),
    }
    files |= dict.fromkeys(_FULL_ABSENT, _OFF)
    if recipe.apn:
        files["ef-est"] = _content(b"\x00")
    return _old(new_element("usim", 4, files), "4")


def _full_optional(recipe: Recipe) -> FileSystemElement:
    home = plmn_octets(recipe.mcc_mnc)
    files: dict[str, Steps] = {
        "ef-li": (),
        "ef-plmnwact": (),
        "ef-oplmnwact": (),
        "ef-hplmnwact": _content(home + b"\xc0\x80"),
        "ef-ehplmn": _content(home),
    }
    if recipe.msisdn:
        files["ef-msisdn"] = _content(msisdn_record(recipe.msisdn))
    if recipe.apn:
        octets = apn_octets(recipe.apn)
        files["ef-acl"] = (_fcp(ef_file_size=number_octets(len(octets))), *_content(octets))
    return _old(new_element("opt-usim", 5, files), "5")


def _old(element: FileSystemElement, number: str) -> FileSystemElement:
    """The same with the template of version 2.3."""
    return FileSystemElement(element.tag, element.header, OID_PREFIX + number, element.fields)


@cache
def _access_rules() -> Steps:
    """EF.ARR with the records of clause 9.9: each record's octets, the rest of it skipped."""
    rules = default_rules()
    items = [_fcp(file_descriptor=_records(RULE_LENGTH), ef_file_size=number_octets(len(rules)))]
    skip = 0
    for start in range(0, len(rules), RULE_LENGTH):
        record = rules[start : start + RULE_LENGTH].rstrip(b"\xff")
        if skip:
            items.append(FileItem(fill_file_offset=skip))
        items.append(FileItem(fill_file_content=record))
        skip = RULE_LENGTH - len(record)
    return tuple(items)


# --- elements of both ----------------------------------------------------------------------------------


def _header(number: int) -> PeHeader:
    return PeHeader(mandated=True, identification=number)


def _services(recipe: Recipe) -> Services:
    is_tuak = recipe.algorithm is Algorithm.TUAK
    return Services(
        usim=True,
        milenage=not is_tuak,
        tuak128=is_tuak and len(recipe.ki) == 16,
        tuak256=is_tuak and len(recipe.ki) == 32,
    )


def _authentication(recipe: Recipe, number: int) -> AkaParameter:
    parameter = AlgorithmParameter(
        algorithm_id=recipe.algorithm, algorithm_options=b"\x00", key=recipe.ki, opc=recipe.opc
    )
    return AkaParameter(
        header=_header(number), algo_configuration=AlgorithmConfiguration(algo_parameter=parameter)
    )


def _administrative_data(recipe: Recipe) -> bytes:
    return b"\x00\x00\x00" + bytes((recipe.mcc_mnc_length - 3,))


def _security_domain(keys: DomainKeys, number: int) -> SecurityDomain:
    """An MNO-SD for SCP80 with one AES key set, and the TARs of remote application management."""
    toolkit = b"\x01\x00\x00\x00\x00\x02\x01" + MINIMUM_SECURITY + b"\x06\xb2\x01\x00\x00\x00\x00\x00"
    instance = ApplicationInstance(
        load_package_aid=bytes.fromhex("A0000001515350"),
        class_aid=bytes.fromhex("A000000151535041"),
        instance_aid=bytes.fromhex("A000000151000000"),
        application_privileges=bytes.fromhex("82DC00"),
        life_cycle_state=b"\x0f",
        application_specific_parameters=bytes.fromhex("810280008201F08301F08701F0"),
        application_parameters=ApplicationParameters(uicc_toolkit=toolkit),
    )
    key_list = tuple(
        KeyObject(
            key_usage_qualifier=bytes((usage,)),
            key_identifier=bytes((identifier,)),
            key_version_number=b"\x01",
            key_components=(KeyComponent(key_type=b"\x88", key_data=value),),
        )
        for identifier, usage, value in ((1, 0x18, keys.kic), (2, 0x14, keys.kid), (3, 0x48, keys.dek))
    )
    return SecurityDomain(header=_header(number), instance=instance, key_list=key_list)


def _remote_files(number: int) -> Rfm:
    """Remote file management of the UICC and, as default directory, the USIM."""
    return Rfm(
        header=_header(number),
        instance_aid=bytes.fromhex("A00000055910100001"),
        tar_list=(b"\xb0\x01\x20",),
        minimum_security_level=MINIMUM_SECURITY,
        uicc_access_domain=b"\x00",
        uicc_admin_access_domain=b"\x00",
        adf_rfm_access=AdfRfmAccess(
            adf_aid=USIM_AID, adf_access_domain=b"\x00", adf_admin_access_domain=b"\x00"
        ),
    )


def _fcp(
    *,
    file_descriptor: bytes | None = None,
    file_id: bytes | None = None,
    df_name: bytes | None = None,
    ef_file_size: bytes | None = None,
    pin_status_template: bytes | None = None,
) -> FileItem:
    return FileItem(
        file_descriptor=Fcp(
            file_descriptor=file_descriptor,
            file_id=file_id,
            df_name=df_name,
            ef_file_size=ef_file_size,
            pin_status_template=pin_status_template,
        )
    )


def _content(octets: bytes) -> Steps:
    return (FileItem(fill_file_content=octets),)


def _records(length: int) -> bytes:
    return b"\x42\x21" + length.to_bytes(2, "big")
