"""eCOs inside packages, AddInitialEim and GetEimConfigurationData (procedures.md section 3)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.card_lab import EIM, Lab, configuration, eim_spki, signer, world

from keim.crypto.suites import suite_named
from keim.der import Certificate, PublicKeyInfo, tlv
from keim.messages.es10b import (
    AddInitialEimResponse,
    GetEimConfigurationDataResponse,
)
from keim.messages.package import (
    DeleteEimEco,
    Eco,
    EimConfigurationData,
    EimIdType,
    EimPublicKeyData,
    ListEimEco,
)

OTHER = "other.example.com"
SPOILT_KEY = EimPublicKeyData(eim_public_key=PublicKeyInfo(eim_spki()[:-1] + b"\x00"))
SPOILT_CERTIFICATE = EimPublicKeyData(eim_certificate=Certificate(bytes.fromhex("3003020101")))
LIST = Eco(list_eim=ListEimEco())


def add(eim_id: str = OTHER, **fields: Any) -> Eco:
    return Eco(add_eim=configuration(eim_id, **fields))


def update(**fields: Any) -> Eco:
    return Eco(update_eim=EimConfigurationData(**({"eim_id": EIM} | fields)))


def delete(eim_id: str) -> Eco:
    return Eco(delete_eim=DeleteEimEco(eim_id=eim_id))


def ci() -> bytes:
    return world().get("ci").certificate.key_identifier


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"eim_id": EIM}, 2),
        ({"eim_id": EIM, "euicc_ci_pk_id": b"unknown"}, 2),
        ({"euicc_ci_pk_id": b"unknown", "token": 7}, 3),
        ({"euicc_ci_pk_id": b""}, 3),
        ({"token": 7, "counter_value": 0x800000}, 5),
        ({"token": 0}, 5),
        ({"counter_value": 0x800000, "eim_public_key_data": None}, 6),
        ({"counter_value": -1}, 6),
        ({"counter_value": None}, 7),
        ({"eim_public_key_data": None}, 7),
        ({"eim_public_key_data": SPOILT_KEY}, 7),
        (
            {
                "eim_public_key_data": EimPublicKeyData(
                    eim_certificate=Certificate(bytes.fromhex("3003020101"))
                )
            },
            7,
        ),
    ],
)
def test_an_addition_is_refused_with_the_first_code_that_applies(fields: dict[str, Any], code: int) -> None:
    lab = Lab()
    ((kind, value),) = lab.results(add(**fields))
    assert (kind, value.kind, value.value) == ("add_eim_result", "add_eim_result_code", code)
    assert [eim.eim_id for eim in lab.card.state.isdr.eims] == [EIM]


def test_added_eims_get_tokens_that_never_repeat() -> None:
    lab = Lab()
    ((_, first),) = lab.results(add())
    assert first.association_token == 2
    assert lab.results(delete(OTHER)) == [("delete_eim_result", 0)]
    ((_, again),) = lab.results(add(euicc_ci_pk_id=ci()[:4]))
    assert again.association_token == 3
    ((_, plain),) = lab.results(add("third", token=None))
    assert plain.add_eim_result_code == 0
    assert lab.es10(lab.package(LIST)).hex().count("83") > 0


def test_a_lenient_card_takes_a_chosen_token() -> None:
    ((_, value),) = Lab(accepts_chosen_tokens=True).results(add(token=7))
    assert value.association_token == 7


def test_the_store_ends_at_its_capacity() -> None:
    lab = Lab(eims_at_most=2)
    assert lab.results(add())[0][1].association_token == 2
    assert lab.results(add("third"))[0][1].add_eim_result_code == 1


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"eim_id": "stranger"}, 1),
        ({"euicc_ci_pk_id": b"unknown"}, 3),
        ({"counter_value": 0}, 6),
        ({"counter_value": 0x800000}, 6),
        ({"eim_public_key_data": SPOILT_KEY}, 7),
        ({"counter_value": 5}, 0),
        ({"eim_fqdn": "new.example.com", "association_token": 99}, 0),
    ],
)
def test_an_update_is_judged_by_its_fields(fields: dict[str, Any], code: int) -> None:
    lab = Lab()
    assert lab.results(update(**fields)) == [("update_eim_result", code)]
    assert lab.card.state.isdr.eims[0].association_token == lab.token


def test_an_update_replaces_only_what_it_gives() -> None:
    lab = Lab()
    lab.results(update(eim_fqdn="new.example.com"))
    shown = GetEimConfigurationDataResponse.decode(lab.es10("BF5500")).eim_configuration_data_list[0]
    assert shown.eim_fqdn == "new.example.com"
    assert shown.eim_public_key_data == configuration().eim_public_key_data
    assert (shown.counter_value, shown.association_token) == (lab.counter, lab.token)


def test_a_new_key_may_bring_a_lower_counter_and_signs_the_next_package() -> None:
    lab = Lab()
    lab.results(LIST)
    key = suite_named("ecdsa-p256-sha256").new_signer()
    spki = key.curve.spki(key.public_point)
    new = EimPublicKeyData(eim_public_key=PublicKeyInfo(spki))
    assert lab.results(update(eim_public_key_data=new, counter_value=0)) == [("update_eim_result", 0)]
    lab.counter = 0
    assert lab.run(LIST).euicc_package_error_unsigned is not None
    lab.counter = 0
    assert lab.run(LIST, signer=key).euicc_package_result_signed is not None


def test_the_same_key_given_again_is_no_new_key() -> None:
    lab = Lab()
    lab.results(LIST)
    same = configuration().eim_public_key_data
    assert lab.results(update(eim_public_key_data=same, counter_value=0)) == [("update_eim_result", 6)]


def test_an_eim_may_delete_itself_and_still_gets_its_signed_result() -> None:
    lab = Lab()
    lab.results(add())
    assert lab.results(delete("stranger")) == [("delete_eim_result", 1)]
    signed = lab.run(delete(EIM), LIST).euicc_package_result_signed
    assert signed is not None
    entries = signed.euicc_package_result_data_signed.euicc_result
    assert [entry.kind for entry in entries] == ["delete_eim_result", "list_eim_result"]
    assert [info.eim_id for info in entries[1].value.eim_id_list] == [OTHER]


def test_deleting_the_last_eim_succeeds_and_opens_the_card_again() -> None:
    lab = Lab()
    assert lab.results(delete(EIM)) == [("delete_eim_result", 2)]
    lab.associate()
    assert lab.token == 2


def test_listing_shows_types_of_oids_and_names_only() -> None:
    lab = Lab(eim=False)
    entries = (
        configuration("1.2.3", eim_id_type=EimIdType.EIM_ID_TYPE_OID),
        configuration(EIM, eim_id_type=EimIdType.EIM_ID_TYPE_FQDN),
        configuration("own", eim_id_type=EimIdType.EIM_ID_TYPE_PROPRIETARY),
    )
    lab.es10(tlv(0xBF57, tlv(0xA0, *(entry.encode() for entry in entries))))
    lab.token = 2
    ((_, value),) = lab.results(LIST)
    assert [(info.eim_id, info.eim_id_type) for info in value.eim_id_list] == [
        ("1.2.3", 1),
        (EIM, 2),
        ("own", None),
    ]


def initial(lab: Lab, *entries: EimConfigurationData) -> AddInitialEimResponse:
    octets = lab.es10(tlv(0xBF57, tlv(0xA0, *(entry.encode() for entry in entries))))
    found: AddInitialEimResponse = AddInitialEimResponse.decode(octets)
    return found


@pytest.mark.parametrize(
    ("entries", "code"),
    [
        ([], 7),
        ([{"euicc_ci_pk_id": b"x"}], 3),
        ([{"token": 5}], 5),
        ([{"counter_value": 0x800000}], 6),
        ([{}, {}], 7),
        ([{}, {"eim_id": OTHER, "eim_public_key_data": None}], 7),
        ([{"counter_value": None}, {"eim_id": OTHER, "token": 5}], 5),
        ([{"eim_id": f"eim{n}"} for n in range(9)], 1),
    ],
)
def test_one_bad_entry_refuses_the_whole_initial_list(entries: list[dict[str, Any]], code: int) -> None:
    lab = Lab(eim=False)
    answer = initial(lab, *(configuration(**({"eim_id": EIM} | entry)) for entry in entries))
    assert answer.add_initial_eim_error == code
    assert lab.card.state.isdr.eims == ()


def test_initial_eims_are_added_once_and_shown_as_they_are() -> None:
    lab = Lab(eim=False)
    answer = initial(lab, configuration(EIM), configuration(OTHER, token=None))
    assert answer.add_initial_eim_ok is not None
    assert [entry.kind for entry in answer.add_initial_eim_ok] == ["association_token", "add_ok"]
    assert initial(lab, configuration("third")).add_initial_eim_error == 2
    shown = GetEimConfigurationDataResponse.decode(lab.es10("BF5500")).eim_configuration_data_list
    assert [(e.eim_id, e.association_token, e.counter_value) for e in shown] == [
        (EIM, 1, 0),
        (OTHER, None, 0),
    ]
    assert shown[0].replace(association_token=-1) == configuration(EIM)
    one = lab.es10(tlv(0xBF55, tlv(0xA0, tlv(0x80, OTHER.encode()))))
    assert len(GetEimConfigurationDataResponse.decode(one).eim_configuration_data_list) == 1
    assert lab.es10(tlv(0xBF55, tlv(0xA0, tlv(0x80, b"none")))).hex() == "bf5502a000"


def test_an_eim_may_be_given_by_its_certificate() -> None:
    lab = Lab(eim=False)
    certificate = Certificate(world().get("eim-sign").certificate.der)
    key = EimPublicKeyData(eim_certificate=certificate)
    assert initial(lab, configuration(EIM, eim_public_key_data=key)).add_initial_eim_ok is not None
    lab.token = 1
    assert lab.run(LIST, signer=signer("eim-sign")).euicc_package_result_signed is not None
