"""The IoT minimal profile of version 3.3: its normal shape, and the smallest that can authenticate.

Explicit content is given where the defaults of the IoT template are not public, so that every eUICC makes the
same files. Must never import anything above floor 0.
"""

from __future__ import annotations

from keim.der import Oid
from keim.saip.building.parts import (
    ECC,
    USIM_FID,
    USIM_PIX,
    Value,
    administrative_data,
    authentication,
    content_steps,
    described,
    pe_header,
    record_descriptor,
    remote_files,
    security_domain,
    services,
)
from keim.saip.codings import (
    access_class,
    apn_octets,
    msisdn_record,
    service_octets,
    smsp_record,
)
from keim.saip.edit import number_octets
from keim.saip.elements import (
    End,
    Fcp,
    FileManagement,
    GenericFileManagement,
    IotOptions,
    PeHeader,
    PinCodes,
    PinCodesChoice,
    PinConfiguration,
    ProfileHeader,
    PukCodes,
    PukConfiguration,
)
from keim.saip.file_element import Steps, new_element
from keim.saip.recipe import Recipe
from keim.saip.refusals import BadRecipe
from keim.saip.templates import OID_PREFIX


def smallest(recipe: Recipe) -> list[Value]:
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
            "iot",
            1,
            {
                "ef-imsi": content_steps(recipe.imsi.octets),
                "ef-acc": content_steps(access_class(recipe.imsi)),
            },
        ),
        authentication(recipe, 2),
        End(header=pe_header(3)),
    ]


def iot_minimal(recipe: Recipe) -> list[Value]:
    """The operational shape: service table, administrative data and emergency numbers are explicit."""
    switched_on = {33, 85} | ({12} if recipe.smsp else set()) | ({21} if recipe.msisdn else set())
    switched_on |= {35} if recipe.apn else set()
    extra = _extra_iot_files(recipe)
    adf: dict[str, Steps] = {}
    if recipe.pin or extra:
        references = b"\x81\x01\x0a" if recipe.pin else None
        adf["adf-usim"] = (described(file_id=USIM_FID if extra else None, pin_status_template=references),)
    values: list[Value] = [_iot_header(recipe, (17, 18), profile_type=recipe.name)]
    number = 0

    def add(value: Value) -> None:
        values.append(value)

    def header() -> PeHeader:
        nonlocal number
        number += 1
        return pe_header(number)

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
                "ef-imsi": content_steps(recipe.imsi.octets),
                "ef-ust": content_steps(service_octets(switched_on, 17)),
                "ef-acc": content_steps(access_class(recipe.imsi)),
                "ef-ad": content_steps(administrative_data(recipe)),
                "ef-ecc": (
                    described(file_descriptor=record_descriptor(4), ef_file_size=b"\x04"),
                    *content_steps(ECC),
                ),
            },
        )
    )
    number += 1
    optional: dict[str, Steps] = {"ef-epsloci": (), "ef-epsnsc": ()}
    if recipe.smsp:
        optional["ef-smsp"] = content_steps(smsp_record(recipe.smsp))
    add(new_element("opt-iot", number, optional))
    if recipe.pin:
        unblocking = 0x81 if recipe.puk else None
        pin = PinConfiguration(key_reference=0x81, pin_value=recipe.pin, unblocking_pin_reference=unblocking)
        add(PinCodes(header=header(), pin_codes=PinCodesChoice(pinconfig=(pin,))))
    number += 1
    add(authentication(recipe, number))
    if extra:
        add(GenericFileManagement(header=header(), commands=(extra,)))
    if recipe.domain_keys:
        number += 2
        add(security_domain(recipe.domain_keys, number - 1))
        add(remote_files(number))
    add(End(header=header()))
    return values


def _extra_iot_files(recipe: Recipe) -> tuple[FileManagement, ...]:
    """Files that no IoT template has: access point names and the own number."""
    steps: list[FileManagement] = []
    if recipe.apn:
        octets = apn_octets(recipe.apn)
        steps += _managed_file(0x6F57, b"\x41\x21", len(octets), 8, octets)
    if recipe.msisdn:
        steps += _managed_file(0x6F40, record_descriptor(24), 24, 2, msisdn_record(recipe.msisdn))
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
        mandatory_services=services(recipe),
        mandatory_gfste_list=tuple(Oid(f"{OID_PREFIX}{number}") for number in templates),
        iot_options=IotOptions(pix=USIM_PIX),
    )
