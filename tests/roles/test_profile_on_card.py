"""A profile made by `keim profile new` installs in the software eUICC, and the card compares equal with it.

The package is bound for the card, loaded through ES10b, enabled by an eIM's package, and read through APDUs.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.card_lab import Lab
from tests.shared import needs_shared
from tests.vectors.profile_data import MINIMAL_NAMES, package_octets, public_packages

from keim.messages.package import EnablePsmo, Psmo
from keim.saip import Package, Scan, Verdict, compare, instantiate, metadata, new, recipe_of, scan_card

VALUES = {
    "iccid": "890010100000000012",
    "imsi": "001010000000012",
    "algorithm": "milenage",
    "ki": "8F1E2D3C4B5A69788796A5B4C3D2E1F0",
    "opc": "0F1E2D3C4B5A69788796A5B4C3D2E1F0",
    "name": "Acme Meters",
}
MORE = {
    "smsp": "+491710760000",
    "msisdn": "+4917112345678",
    "apn": "iot.example",
    "kic": "A1" + "5C" * 15,
    "kid": "B2" + "5D" * 15,
    "dek": "C3" + "5E" * 15,
}
TUAK = {"algorithm": "tuak", "ki": "8F1E2D3C4B5A6978" * 4, "opc": "", "topc": "0F1E2D3C4B5A6978" * 4}


def card_with(octets: bytes) -> Lab:
    """A card in which the package was installed and enabled."""
    package = Package.decode(octets)
    stored = metadata(package)
    lab = Lab()
    bound = lab.bound(lab.prepare(), 1, upp=octets, metadata=stored.encode())
    lab.load(bound)
    (result,) = lab.results(Psmo(enable=EnablePsmo(iccid=stored.iccid)))
    assert result == ("enable_result", 0)
    lab.card.reset()
    return lab


def scanned(lab: Lab, package: Package, pins: tuple[tuple[int, bytes], ...] = ()) -> Scan:
    procedure = scan_card(instantiate(package), pins)
    command = next(procedure)
    while True:
        try:
            command = procedure.send(lab.card.transmit(command))
        except StopIteration as done:
            scan: Scan = done.value
            return scan


def verdicts(scan: Scan, package: Package) -> dict[str, Verdict]:
    return {i.item: i.verdict for i in compare(scan, package).items if i.verdict is not Verdict.EQUAL}


@pytest.mark.parametrize("shape", ["iot-minimal", "full"])
@pytest.mark.parametrize("values", [{}, MORE, TUAK], ids=["short", "long", "tuak"])
def test_a_new_profile_installs_and_compares_equal(shape: str, values: dict[str, Any]) -> None:
    octets = new(recipe_of(VALUES | values), shape).encode()
    package = Package.decode(octets)
    found = verdicts(scanned(card_with(octets), package), package)
    assert set(found.values()) <= {Verdict.NOT_COMPARABLE}
    assert set(found) == ({"MF/2F06", "ADF.USIM/6F06"} if shape == "iot-minimal" else set())


@pytest.mark.parametrize("name", MINIMAL_NAMES)
def test_the_sample_packages_install_and_compare_equal(name: str) -> None:
    octets = package_octets(name)
    package = Package.decode(octets)
    found = verdicts(scanned(card_with(octets), package), package)
    assert set(found.values()) <= {Verdict.NOT_COMPARABLE}


@needs_shared
@pytest.mark.parametrize(
    "path", [p for p in public_packages() if "UNIQUE" in p.stem], ids=lambda path: path.stem
)
def test_ts48_installs_and_compares_equal_as_far_as_it_may_be_read(path: Any) -> None:
    octets = path.read_bytes()
    package = Package.decode(octets)
    pins = ((0x01, b"0000\xff\xff\xff\xff"), (0x0A, b"55555555"))
    found = verdicts(scanned(card_with(octets), package, pins), package)
    assert set(found.values()) <= {Verdict.NOT_READABLE}
    assert len(found) < 12


def test_a_card_with_another_profile_is_told_file_by_file() -> None:
    octets = new(recipe_of(VALUES | {"imsi": "001010000000099"}), "full").encode()
    package = new(recipe_of(VALUES), "full")
    found = verdicts(scanned(card_with(octets), package), package)
    assert found == {"ADF.USIM/6F07": Verdict.DIFFERS, "ADF.USIM/6F78": Verdict.DIFFERS}
