"""Values: frozen, compared by contents, kept octets left behind by a change."""

from __future__ import annotations

import pytest

from keim import messages as m
from keim.der import BitString, Oid, decode, encode, from_plain, source_of, to_plain
from keim.errors import Malformed, Refused, Unencodable

EID = bytes.fromhex("89049032123451234512345678901235")


def signed(**changes: object) -> m.EuiccPackageSigned:
    fields: dict[str, object] = {
        "eim_id": "eim.example.com",
        "eid_value": EID,
        "counter_value": 7,
        "euicc_package": m.EuiccPackage(
            psmo_list=(m.Psmo(enable=m.EnablePsmo(iccid=bytes(10), rollback_flag=True)),)
        ),
    }
    return m.EuiccPackageSigned(**{**fields, **changes})  # type: ignore[arg-type]  # the test breaks types on purpose


def test_a_signed_part_keeps_the_octets_it_came_in() -> None:
    octets = signed().encode()
    extended = b"\x30" + bytes((octets[1] + 3,)) + octets[2:] + b"\x9e\x01\x05"
    value = m.EuiccPackageSigned.decode(extended)
    assert value.raw == extended
    assert value.ext == b"\x9e\x01\x05"
    assert value.encode() == extended


def test_a_changed_value_is_our_own_and_leaves_octets_and_unknown_elements_behind() -> None:
    octets = signed().encode()
    extended = b"\x30" + bytes((octets[1] + 3,)) + octets[2:] + b"\x9e\x01\x05"
    changed = m.EuiccPackageSigned.decode(extended).replace(counter_value=8)
    assert changed.raw is None
    assert changed.encode() == signed(counter_value=8).encode()


def test_values_are_equal_by_contents_and_not_by_where_they_came_from() -> None:
    ours = signed()
    theirs = m.EuiccPackageSigned.decode(ours.encode())
    assert theirs.raw is not None
    assert ours == theirs
    assert not ours != theirs  # noqa: SIM202  # the inequality of Structs is a function of its own
    assert hash(ours) == hash(theirs)
    assert ours != signed(counter_value=8)


def test_values_cannot_be_changed_in_place() -> None:
    with pytest.raises(AttributeError):
        signed().counter_value = 9  # type: ignore[misc]  # that is what is tested


def test_a_retagged_object_keeps_its_octets_under_its_own_tag() -> None:
    inner = m.CancelSessionResponse(
        cancel_session_response_error=m.CancelSessionResponseError.INVALID_TRANSACTION_ID
    )
    request = m.CancelSessionRequestEs9(transaction_id=b"\x01", cancel_session_response=inner)
    read = m.CancelSessionRequestEs9.decode(request.encode())
    assert request.encode().hex() == "bf4108800101a103810105"
    assert read.cancel_session_response.raw == inner.encode() == bytes.fromhex("bf4103810105")
    assert read.encode() == request.encode()


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"eim_id": ""}, "EuiccPackageSigned.eimId"),
        ({"eim_id": "x" * 129}, "EuiccPackageSigned.eimId"),
        ({"eim_id": None}, "EuiccPackageSigned.eimId"),
        ({"eim_id": "\ud800"}, "EuiccPackageSigned.eimId"),
        ({"eid_value": bytes(15)}, "EuiccPackageSigned.eidValue"),
        ({"eid_value": "0" * 16}, "EuiccPackageSigned.eidValue"),
        ({"counter_value": "7"}, "EuiccPackageSigned.counterValue"),
        ({"counter_value": None}, "EuiccPackageSigned.counterValue"),
        ({"eim_transaction_id": b""}, "EuiccPackageSigned.eimTransactionId"),
        ({"euicc_package": m.EuiccPackage()}, "EuiccPackageSigned.euiccPackage"),
        ({"euicc_package": m.EuiccPackage(psmo_list=(), eco_list=())}, "EuiccPackageSigned.euiccPackage"),
        ({"euicc_package": m.EuiccPackage(psmo_list=(m.Psmo(delete=m.DeletePsmo(iccid=b"")),))},
         "EuiccPackageSigned.euiccPackage.psmoList[0].delete.iccid"),
        ({"euicc_package": 5}, "EuiccPackageSigned.euiccPackage.psmoList"),
    ],
)  # fmt: skip
def test_a_value_without_encoding_is_refused_by_the_name_of_its_field(
    changes: dict[str, object], path: str
) -> None:
    with pytest.raises(Unencodable) as caught:
        signed(**changes).encode()
    assert caught.value.path == path


@pytest.mark.parametrize(
    "number", [0, 1, 127, 128, 255, 256, 32767, 32768, 8388607, 2**63, 2**200, -1, -128, -129, -(2**64)]
)
def test_integers_of_any_size_are_written_in_their_shortest_form(number: int) -> None:
    octets = m.NotificationSentRequest(seq_number=number).encode()
    assert m.NotificationSentRequest.decode(octets).seq_number == number
    contents = octets[5:]
    assert len(contents) == max(1, (number + (number < 0)).bit_length() // 8 + 1)


def test_an_unknown_code_keeps_its_number() -> None:
    code = m.EnableProfileResult(77)
    assert (code, code.name, code.is_known) == (77, "unknown_77", False)
    assert m.EnableProfileResult.OK.is_known
    assert len(m.EnableProfileResult) == 7  # no trace of the 77 is left


def test_named_bits_are_counted_from_the_first_on_the_wire() -> None:
    both = m.PprIds.PPR1 | m.PprIds.PPR2
    assert encode(both, m.PprIds).hex() == "03020560"
    assert decode(m.PprIds, bytes.fromhex("03020560")).names == ("PPR1", "PPR2")
    assert m.PprIds(1 << 9).names == ("bit_9",)
    assert encode(m.PprIds(0), m.PprIds).hex() == "030100"


def test_bits_without_names_keep_their_trailing_zeros() -> None:
    capabilities = m.DeviceCapabilities(cat_supported_classes=BitString.of("1010000"))
    octets = capabilities.encode()
    assert octets.hex() == "30048c0201a0"
    assert str(m.DeviceCapabilities.decode(octets).cat_supported_classes) == "1010000"


@pytest.mark.parametrize(
    ("text", "hexadecimal"), [("2.999.10", "88370a"), ("1.2.840.10045.2.1", "2a8648ce3d0201"), ("0.39", "27")]
)
def test_object_identifiers(text: str, hexadecimal: str) -> None:
    octets = m.DpProprietaryData(dp_oid=Oid(text)).encode()
    assert octets[4:].hex() == hexadecimal
    assert m.DpProprietaryData.decode(octets).dp_oid == text


@pytest.mark.parametrize("contents", ["", "80", "8837 8a", "2a80 01", "ff" * 129])
def test_malformed_object_identifiers_are_refused(contents: str) -> None:
    raw = bytes.fromhex(contents)
    inner = b"\x80" + (bytes((len(raw),)) if len(raw) < 128 else bytes((0x81, len(raw)))) + raw
    outer = b"\x30" + (bytes((len(inner),)) if len(inner) < 128 else bytes((0x81, len(inner)))) + inner
    with pytest.raises(Malformed):
        m.DpProprietaryData.decode(outer)


def test_a_plain_form_that_does_not_fit_is_refused_with_the_place() -> None:
    for plain, word in (
        ({"eimId": "a"}, "needs"),
        ({"eimId": "a", "color": 1}, "no color"),
        ({"eimId": "a", "eidValue": "00", "counterValue": 1, "euiccPackage": {"psmoList": []}}, "eidValue"),
        ({"eimId": "a", "eidValue": {"hex": "zz"}, "counterValue": 1, "euiccPackage": {}}, "eidValue"),
        (5, "value"),
    ):
        with pytest.raises(Refused) as caught:
            from_plain(m.EuiccPackageSigned, plain)
        assert word in str(caught.value)
    assert to_plain(from_plain(m.PprIds, {"bits": "011"}), m.PprIds) == {"bits": "011"}


def test_the_generated_functions_can_be_read_and_tracebacks_lead_into_them() -> None:
    text = source_of(m.EuiccPackageSigned)
    assert "def contents_EuiccPackageSigned(b, p, e, raw=None):" in text
    assert "def encoder_EuiccPackageSigned(o):" in text
    import traceback

    try:
        m.EuiccPackageSigned.decode(bytes.fromhex("3003800141"))
    except Malformed as fault:
        shown = "".join(traceback.format_exception(fault))
    assert "EuiccPackageSigned" in shown
    assert "raise" in shown


def test_pattern_matching_reads_like_the_standard() -> None:
    psmo = m.Psmo(enable=m.EnablePsmo(iccid=bytes(10)))
    match psmo:
        case m.Psmo(enable=m.EnablePsmo(iccid=iccid)):
            assert iccid == bytes(10)
        case _:
            pytest.fail("no match")
    assert (psmo.kind, psmo.value) == ("enable", psmo.enable)
