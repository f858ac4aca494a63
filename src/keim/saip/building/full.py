"""The Full profile of version 2.3: a USIM that telephones and modems take.

Must never import anything above floor 0.
"""

from __future__ import annotations

from functools import cache

from keim.der import Oid
from keim.saip.access import RULE_LENGTH, default_rules
from keim.saip.building.parts import (
    ECC,
    USIM_AID,
    USIM_FID,
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
    dir_record,
    msisdn_record,
    plmn_octets,
    service_octets,
    smsp_record,
    spn_octets,
)
from keim.saip.edit import number_octets
from keim.saip.elements import (
    End,
    FileItem,
    PinCodes,
    PinCodesChoice,
    PinConfiguration,
    ProfileHeader,
    PukCodes,
    PukConfiguration,
)
from keim.saip.file_element import FileSystemElement, Steps, new_element
from keim.saip.recipe import Recipe
from keim.saip.templates import OID_PREFIX

_FULL_TEMPLATES = ("1", "4", "5", "7", "13")
_FULL_SERVICES = frozenset({12, 19, 20, 27, 28, 33, 38, 42, 43, 71, 85, 122})
_OFF: Steps = (FileItem(do_not_create=True),)
_FULL_ABSENT = ("ef-fdn", "ef-est", "ef-netpar")


def full(recipe: Recipe) -> list[Value]:
    """A USIM with its own access rules (numbered as clause 9.9), PINs, GSM access and 5GS files."""
    values: list[Value] = [
        ProfileHeader(
            major_version=2,
            minor_version=3,
            profile_type=recipe.name,
            iccid=recipe.iccid.header_octets,
            mandatory_services=services(recipe),
            mandatory_gfste_list=tuple(Oid(OID_PREFIX + number) for number in _FULL_TEMPLATES),
        ),
        _full_mf(recipe),
        PukCodes(
            header=pe_header(2),
            puk_codes=(
                PukConfiguration(key_reference=1, puk_value=recipe.puk or b"00000000"),
                PukConfiguration(key_reference=0x81, puk_value=recipe.puk or b"00000000"),
            ),
        ),
        _global_pins(recipe),
        _full_usim(recipe),
        _full_optional(recipe),
        PinCodes(
            header=pe_header(6),
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
        authentication(recipe, 7),
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
        values += [security_domain(recipe.domain_keys, number), remote_files(number + 1)]
        number += 2
    values.append(End(header=pe_header(number)))
    return values


def _full_mf(recipe: Recipe) -> FileSystemElement:
    record = dir_record(USIM_AID, "USIM")
    return _old(
        new_element(
            "mf",
            1,
            {
                "mf": (described(pin_status_template=b"\x01\x0a"),),
                "ef-pl": (),
                "ef-iccid": content_steps(recipe.iccid.octets),
                "ef-dir": (
                    described(
                        file_descriptor=record_descriptor(len(record)),
                        ef_file_size=number_octets(len(record)),
                    ),
                    *content_steps(record),
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
    return PinCodes(header=pe_header(3), pin_codes=PinCodesChoice(pinconfig=(pin, adm)))


def _full_usim(recipe: Recipe) -> FileSystemElement:
    switched_on = _FULL_SERVICES | ({21} if recipe.msisdn else set()) | ({35} if recipe.apn else set())
    files: dict[str, Steps] = {
        "adf-usim": (described(file_id=USIM_FID, df_name=USIM_AID, pin_status_template=b"\x81\x01\x0a"),),
        "ef-imsi": content_steps(recipe.imsi.octets),
        "ef-arr": _access_rules(),
        "ef-ust": (described(ef_file_size=b"\x11"), *content_steps(service_octets(switched_on | {10}, 17))),
        "ef-spn": content_steps(spn_octets(recipe.name)),
        "ef-acc": content_steps(access_class(recipe.imsi)),
        "ef-ad": content_steps(administrative_data(recipe)),
        "ef-ecc": (
            described(file_descriptor=record_descriptor(4), ef_file_size=b"\x04"),
            *content_steps(ECC),
        ),
        "ef-smsp": content_steps(smsp_record(recipe.smsp)) if recipe.smsp else (),
    }
    files |= dict.fromkeys(_FULL_ABSENT, _OFF)
    if recipe.apn:
        files["ef-est"] = content_steps(b"\x00")
    return _old(new_element("usim", 4, files), "4")


def _full_optional(recipe: Recipe) -> FileSystemElement:
    home = plmn_octets(recipe.mcc_mnc)
    files: dict[str, Steps] = {
        "ef-li": (),
        "ef-plmnwact": (),
        "ef-oplmnwact": (),
        "ef-hplmnwact": content_steps(home + b"\xc0\x80"),
        "ef-ehplmn": content_steps(home),
    }
    if recipe.msisdn:
        files["ef-msisdn"] = content_steps(msisdn_record(recipe.msisdn))
    if recipe.apn:
        octets = apn_octets(recipe.apn)
        files["ef-acl"] = (described(ef_file_size=number_octets(len(octets))), *content_steps(octets))
    return _old(new_element("opt-usim", 5, files), "5")


def _old(element: FileSystemElement, number: str) -> FileSystemElement:
    """The same with the template of version 2.3."""
    return FileSystemElement(element.tag, element.header, OID_PREFIX + number, element.fields)


@cache
def _access_rules() -> Steps:
    """EF.ARR with the records of clause 9.9: each record's octets, the rest of it skipped."""
    rules = default_rules()
    items = [
        described(file_descriptor=record_descriptor(RULE_LENGTH), ef_file_size=number_octets(len(rules)))
    ]
    skip = 0
    for start in range(0, len(rules), RULE_LENGTH):
        record = rules[start : start + RULE_LENGTH].rstrip(b"\xff")
        if skip:
            items.append(FileItem(fill_file_offset=skip))
        items.append(FileItem(fill_file_content=record))
        skip = RULE_LENGTH - len(record)
    return tuple(items)
