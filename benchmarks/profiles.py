"""Profile packages: decode beside a bare TLV walk, build, install, 10,000 of a table: `keim bench profiles`.

The TS.48 package is read in place from the folder named by KEIM_SHARED; without it a Full profile of our own
stands in.
"""

from __future__ import annotations

import csv
import io
import json as json_module
import os
import platform
import sys
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.timing import side_by_side
from keim.cli.profile.files import write_secret
from keim.der import walk
from keim.saip import Package, instantiate, lint, new, recipe_of
from keim.saip.batch import Made, from_recipe

BATCH = 10_000
RECIPE = {
    "iccid": "890010100000000012",
    "imsi": "001010000000012",
    "algorithm": "milenage",
    "ki": "8F1E2D3C4B5A69788796A5B4C3D2E1F0",
    "opc": "0F1E2D3C4B5A69788796A5B4C3D2E1F0",
    "name": "Acme Meters",
}
DOMAIN = {"kic": "A1" + "5C" * 15, "kid": "B2" + "5D" * 15, "dek": "C3" + "5E" * 15}


def bare_walk(octets: bytes, start: int = 0, end: int | None = None) -> int:
    """Every TLV with everything inside the constructed ones: the least that a decoder must do."""
    count = 0
    for tlv in walk(octets, start, end):
        count += 1
        if tlv.is_constructed:
            count += bare_walk(octets, tlv.content, tlv.end)
    return count


def ts48() -> tuple[str, bytes]:
    root = Path(__file__).resolve().parents[1]
    folder = (root / os.environ.get("KEIM_SHARED", "../shared")).resolve() / "profiles"
    path = folder / "TS48v5_SAIP2.3_BERTLV_SUCI.der"
    if path.is_file():
        return path.stem, path.read_bytes()
    return "own Full profile (no TS.48 here)", new(recipe_of(RECIPE | DOMAIN), "full").encode()


def table() -> str:
    """A CSV of 10,000 subscribers."""
    rows = ["iccid,imsi,ki,opc"]
    rows += [f"8900101{n:011d},00101{n:010d},{n:032X},{n + 1:032X}" for n in range(BATCH)]
    return "\n".join(rows)


def batch(text: str) -> dict[str, float]:
    """The whole way: rows, packages, files; seconds, and the most memory that Python held."""
    template = {"algorithm": "milenage", "name": "Acme Meters"} | DOMAIN
    rows: Iterator[dict[str, Any]] = iter(csv.DictReader(io.StringIO(text)))
    with tempfile.TemporaryDirectory() as folder:
        began = perf_counter()
        made = 0
        for result in from_recipe(template, rows, shape="iot-minimal"):
            assert isinstance(result, Made)
            write_secret(Path(folder) / f"{result.iccid}.der", result.package)
            made += 1
        seconds = perf_counter() - began
    return {"profiles": made, "seconds": seconds}


def growth(text: str) -> float:
    """KiB that the batch holds at its end beyond what it held after the first tenth (no files written)."""
    template = {"algorithm": "milenage", "name": "Acme Meters"} | DOMAIN
    rows: Iterator[dict[str, Any]] = iter(csv.DictReader(io.StringIO(text)))
    tracemalloc.start()
    first = last = 0
    for number, _ in enumerate(from_recipe(template, rows, shape="iot-minimal")):
        if number == BATCH // 10:
            first = tracemalloc.get_traced_memory()[0]
        if number == BATCH - 1:
            last = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return (last - first) / 1024


def run(json: bool) -> int:
    name, octets = ts48()
    minimal = recipe_of(RECIPE | DOMAIN)
    small = new(minimal).encode()
    package, small_package = Package.decode(octets), Package.decode(small)
    micro = side_by_side(
        {
            "bare TLV walk": lambda: bare_walk(octets),
            "decode": lambda: Package.decode(octets),
            "install": lambda: instantiate(package),
            "lint": lambda: lint(package),
            "minimal: build and encode": lambda: new(minimal).encode(),
            "minimal: decode": lambda: Package.decode(small),
            "minimal: install": lambda: instantiate(small_package),
        }
    )
    text = table()
    whole = batch(text)
    result = {
        "package": name,
        "octets": len(octets),
        "tlvs": bare_walk(octets),
        "minimal_octets": len(small),
        "microseconds": {key: round(value, 1) for key, value in micro.items()},
        "decode_over_walk": round(micro["decode"] / micro["bare TLV walk"], 2),
        "batch": {**whole, "growth_kib": round(growth(text), 1)},
        "python": platform.python_version(),
    }
    if json:
        print(json_module.dumps(result, indent=2))
        return 0
    print(f"{name}: {len(octets)} octets, {result['tlvs']} TLVs; minimal: {len(small)} octets")
    for key, value in micro.items():
        print(f"  {key:28} {value:10.1f} µs")
    print(f"  decode / bare walk           {result['decode_over_walk']:10.2f}    (target: decode < 5000 µs)")
    print(f"{BATCH} profiles from a CSV into files: {whole['seconds']:.1f} s (target < 60 s)")
    print(f"  memory held beyond the first tenth: {result['batch']['growth_kib']} KiB (the ICCIDs seen)")
    return 0


if __name__ == "__main__":
    sys.exit(run("--json" in sys.argv))
