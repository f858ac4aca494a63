"""keim.der beside asn1tools and pycrate on the same octets, in one run: `keim bench codec`.

All three compile the same types; theirs come from an ASN.1 module that asn1_module.py writes from ours, with
certificates as full X.509 structures (as the published modules have them) and, for comparison, opaque.
`./keim bench` installs them; without them keim alone is timed. KEIM_BENCH_QUICK=1 only shows that it runs.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json as json_module
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from benchmarks.asn1_module import module
from benchmarks.timing import side_by_side, sized
from keim import messages as m
from keim.der import Certificate
from keim.ids import Eid, Iccid

Functions: TypeAlias = dict[str, Callable[[], object]]

TARGETS = {
    "EuiccPackageRequest": (4, 6),
    "EuiccPackageResult": (4, 6),
    "GetEimPackageRequest": (4, 6),
    "ProvideEimPackageResult": (4, 6),
    "IpaEuiccData": (20, None),
    "BoundProfilePackage": (3, None),
}
"""Times faster than asn1tools that we aim at: (decode, encode)."""


def certificate(name: str) -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "ES"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "keim benchmark"),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )
    builder = (
        x509.CertificateBuilder(subject, subject, key.public_key(), 1)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2046, 1, 1, tzinfo=UTC))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    )
    return Certificate(builder.sign(key, SHA256()).public_bytes(Encoding.DER))


def samples() -> dict[str, tuple[Any, Any]]:
    """Name -> (the type that is decoded, a value)."""
    eid = Eid("89049032123451234512345678901235").octets
    iccid = Iccid("8944500102198304826").octets
    signature = bytes(range(64))
    request = m.EuiccPackageRequest(
        euicc_package_signed=m.EuiccPackageSigned(
            eim_id="eim.example.com",
            eid_value=eid,
            counter_value=17,
            eim_transaction_id=bytes(8),
            euicc_package=m.EuiccPackage(
                psmo_list=(m.Psmo(enable=m.EnablePsmo(iccid=iccid, rollback_flag=True)),)
            ),
        ),
        eim_signature=signature,
    )
    result = m.EuiccPackageResult(
        euicc_package_result_signed=m.EuiccPackageResultSigned(
            euicc_package_result_data_signed=m.EuiccPackageResultDataSigned(
                eim_id="eim.example.com",
                counter_value=17,
                eim_transaction_id=bytes(8),
                seq_number=42,
                euicc_result=(m.EuiccResultData(enable_result=m.EnableProfileResult.OK),),
            ),
            euicc_sign_epr=signature,
        )
    )
    ski = bytes(20)
    version = bytes((2, 5, 0))
    info = m.EUICCInfo2(
        profile_version=bytes((2, 3, 1)),
        svn=version,
        euicc_firmware_ver=bytes((1, 0, 0)),
        ext_card_resource=bytes.fromhex("8101008204000600008302100000"),
        uicc_capability=m.UICCCapability.USIM_SUPPORT | m.UICCCapability.AKA_MILENAGE,
        rsp_capability=m.RspCapability.ADDITIONAL_PROFILE,
        euicc_ci_pk_id_list_for_verification=(ski,),
        euicc_ci_pk_id_list_for_signing=(ski,),
        pp_version=bytes((1, 0, 0)),
        sas_acreditation_number="XX-YY-UP-0000",
        ipa_mode=m.IpaMode.IPAD,
        iot_specific_info=m.IoTSpecificInfo(iot_version=(bytes((1, 2, 0)),)),
    )
    data = m.IpaEuiccDataResponse(
        ipa_euicc_data=m.IpaEuiccData(
            default_smdp_address="smdp.example.com",
            euicc_info1=m.EUICCInfo1(
                svn=version,
                euicc_ci_pk_id_list_for_verification=(ski,),
                euicc_ci_pk_id_list_for_signing=(ski,),
            ),
            euicc_info2=info,
            eum_certificate=certificate("EUM"),
            euicc_certificate=certificate("eUICC"),
        )
    )
    poll = m.EsipaMessageFromIpaToEim(get_eim_package_request=m.GetEimPackageRequest(eid_value=eid))
    provide = m.EsipaMessageFromIpaToEim(
        provide_eim_package_result=m.ProvideEimPackageResult(
            eid_value=eid, eim_package_result=m.EimPackageResult(euicc_package_result=result)
        )
    )
    package = m.BoundProfilePackage(
        initialise_secure_channel_request=m.InitialiseSecureChannelRequest(
            remote_op_id=m.RemoteOperation.INSTALL_BOUND_PROFILE_PACKAGE,
            transaction_id=bytes(16),
            control_ref_template=m.ControlRefTemplate(key_type=b"\x88", key_len=b"\x10", host_id=bytes(8)),
            smdp_otpk=bytes(65),
            smdp_sign=signature,
        ),
        first_sequence_of87=(bytes(24),),
        sequence_of88=(bytes(100),),
        sequence_of86=(bytes(1016),) * 19 + (bytes(600),),
    )
    esipa = m.EsipaMessageFromIpaToEim
    return {
        "EuiccPackageRequest": (m.EuiccPackageRequest, request),
        "EuiccPackageResult": (m.EuiccPackageResult, result),
        "GetEimPackageRequest": (esipa, poll),
        "ProvideEimPackageResult": (esipa, provide),
        "IpaEuiccData": (m.IpaEuiccDataResponse, data),
        "BoundProfilePackage": (m.BoundProfilePackage, package),
    }


def pycrate_module(text: str) -> Any:
    """The module compiled by pycrate; its own process, for its compiler talks on stdout."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "keim.asn"), Path(folder, "compiled.py")
        source.write_text(text)
        script = (
            "import sys; from pycrate_asn1c.asnproc import *; compile_text(open(sys.argv[1]).read());"
            "generate_modules(PycrateGenerator, sys.argv[2])"
        )
        command = [sys.executable, "-c", script, str(source), str(target)]
        subprocess.run(command, check=True, capture_output=True)
        spec = importlib.util.spec_from_file_location("benchmarks_pycrate", target)
        assert spec is not None
        assert spec.loader is not None
        loaded = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)
    return loaded.Keim


def _pycrate_functions(root: Any, octets: bytes) -> tuple[Callable[[], object], Callable[[], object]]:
    root.from_der(octets)
    value = root.get_val()

    def encode() -> object:
        root.set_val(value)
        return root.to_der()

    if encode() != octets:
        raise AssertionError("pycrate does not re-encode what it decoded")
    return lambda: root.from_der(octets), encode


class Rivals:
    """What keim is compared with."""

    def __init__(self, types: tuple[Any, ...]) -> None:
        import asn1tools

        text = module(*types)
        self._full = asn1tools.compile_string(text, "der")
        self._opaque = asn1tools.compile_string(module(*types, opaque=True), "der")
        self._pycrate = pycrate_module(text)

    def functions(self, kind: Any, octets: bytes) -> tuple[Functions, Functions]:
        """To decode and to encode."""
        root = f"Root{kind.__name__}"
        full, opaque = self._full, self._opaque
        theirs, theirs_opaque = full.decode(root, octets), opaque.decode(root, octets)
        if full.encode(root, theirs) != octets:
            raise AssertionError(f"{root}: the codecs disagree")
        slow_decode, slow_encode = _pycrate_functions(getattr(self._pycrate, root), octets)
        decode: Functions = {
            "asn1tools": lambda: full.decode(root, octets),
            "asn1tools, opaque certificates": lambda: opaque.decode(root, octets),
            "pycrate": slow_decode,
        }
        encode: Functions = {
            "asn1tools": lambda: full.encode(root, theirs),
            "asn1tools, opaque certificates": lambda: opaque.encode(root, theirs_opaque),
            "pycrate": slow_encode,
        }
        return decode, encode


def measure(rivals: Rivals | None, rounds: int = 7) -> list[dict[str, Any]]:
    rows = []
    for name, (kind, value) in samples().items():
        octets = value.encode()
        fresh = value  # made by hand: nothing is kept, so everything is encoded anew
        if kind.decode(octets) != fresh or fresh.encode() != octets:
            raise AssertionError(f"{name}: what was decoded is not what was encoded")
        decoders, encoders = ({}, {}) if rivals is None else rivals.functions(kind, octets)
        decode = side_by_side({"keim": lambda k=kind, o=octets: k.decode(o), **decoders}, rounds)
        encode = side_by_side({"keim": fresh.encode, **encoders}, rounds)
        target_decode, target_encode = TARGETS[name]
        row = {"message": name, "octets": len(octets), "decode_us": decode, "encode_us": encode}
        if rivals is not None:
            row["decode_times_asn1tools"] = decode["asn1tools"] / decode["keim"]
            row["encode_times_asn1tools"] = encode["asn1tools"] / encode["keim"]
        rows.append(row | {"target_decode": target_decode, "target_encode": target_encode})
    return rows


class _Struct(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    eim_id: str
    eid_value: bytes
    counter_value: int
    transaction_id: bytes | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Frozen:
    eim_id: str
    eid_value: bytes
    counter_value: int
    transaction_id: bytes | None = None


def measure_classes() -> dict[str, float]:
    """What one value costs to make: the reason why messages are msgspec Structs."""
    made = {
        "eim_id": "eim.example.com",
        "eid_value": bytes(16),
        "counter_value": 17,
        "transaction_id": bytes(8),
    }
    return side_by_side(
        {"frozen msgspec Struct": lambda: _Struct(**made), "frozen dataclass": lambda: _Frozen(**made)}
    )


def measure_import() -> float:
    """Milliseconds of processor time of `import keim.messages` in a fresh interpreter; median of 5."""
    script = "import time; t = time.process_time(); import keim.messages; print(time.process_time() - t)"
    command = [sys.executable, "-c", script]
    runs = [subprocess.run(command, check=True, capture_output=True, text=True).stdout for _ in range(5)]
    return statistics.median(float(run) * 1000 for run in runs)


def _beside(row: dict[str, Any], way: str) -> str:
    us, target = row[f"{way}_us"], row[f"target_{way}"]
    aim = f" (target {target})" if target else ""
    others = f" {us['asn1tools']:9.2f} {us['asn1tools, opaque certificates']:8.2f} {us['pycrate']:8.1f}"
    return f"{others}   {row[f'{way}_times_asn1tools']:.1f}{aim}"


def run(json: bool) -> int:
    rivals = None
    if importlib.util.find_spec("asn1tools") and importlib.util.find_spec("pycrate_asn1c"):
        rivals = Rivals(tuple(dict.fromkeys(kind for kind, _ in samples().values())))
    else:
        print("asn1tools and pycrate are left out: ./keim bench installs them", file=sys.stderr)
    rows, classes, import_ms = measure(rivals, sized(7, 1)), measure_classes(), measure_import()
    if json:
        document = {"messages": rows, "value_classes_us": classes, "import_keim_messages_ms": import_ms}
        print(json_module.dumps(document))
        return 0
    print("microseconds, medians; the codecs take turns in every round\n")
    head = f" {'asn1tools':>9} {'(opaque)':>8} {'pycrate':>8}   times faster"
    print(f"{'message':24} {'octets':>6}  {'keim':>7}{head if rivals is not None else ''}")
    for way in ("decode", "encode"):
        print(way)
        for row in rows:
            others = "" if rivals is None else _beside(row, way)
            print(f"  {row['message']:22} {row['octets']:>6}  {row[f'{way}_us']['keim']:7.2f}{others}")
    print(f"\nimport keim.messages: {import_ms:.0f} ms (target 150)")
    print("one value made: " + ", ".join(f"{name} {us:.2f}" for name, us in classes.items()))
    return 0


if __name__ == "__main__":
    raise SystemExit(run("--json" in sys.argv))
