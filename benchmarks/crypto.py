"""`keim bench crypto`: signatures and profile protection beside `openssl speed`, in one run, as ratios.

What is compared takes turns in short rounds, and medians count, so that the ratios hold on a busy machine.
Standalone: `PYTHONPATH=src python -m benchmarks.crypto [--json]`. Without the program `openssl` the library's
own bare calls stand in, and the output says so. Rows on chains come from benchmarks/chains.py if it is there.
"""

from __future__ import annotations

import json as json_module
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Final

import msgspec
from cryptography.hazmat.backends.openssl.backend import backend
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from benchmarks.timing import calibrated, microseconds
from keim.crypto import engine
from keim.crypto.bpp import binding, profile_protection_keys, protect_profile
from keim.crypto.bpp_events import BppSession
from keim.crypto.bpp_segments import load_segments
from keim.crypto.bpp_whole import open_bpp
from keim.crypto.bsp import Bsp
from keim.crypto.ecdsa import VerifyingKey
from keim.crypto.suites import SUITES, Suite
from keim.deciding import alone
from keim.der import tlv

ROUNDS: Final = 7
SLICES: Final = 5
SLICE_S: Final = 0.04
SHORT: Final = {"ecdsa-p256-sha256": "P-256", "ecdsa-brainpoolp256r1-sha256": "brainpool"}
OPENSSL_NAME: Final = {"ecdsa-p256-sha256": "ecdsap256", "ecdsa-brainpoolp256r1-sha256": "ecdsabrp256r1"}
MESSAGE: Final = bytes(range(200))
UPP: Final = tlv(0xA0, bytes(20 * 1024 - 4))
METADATA: Final = tlv(0xBF25, tlv(0x5A, bytes(10)), tlv(0x91, b"provider"), tlv(0x92, b"profile"))
ALGORITHM: Final = ec.ECDSA(hashes.SHA256())


class Row(msgspec.Struct, frozen=True):
    """One line of the table: what, how long, against what, and the ratio that was aimed at."""

    name: str
    us: float
    base: str | None = None
    base_us: float | None = None
    ratio: float | None = None
    target: float | None = None

    @property
    def per_s(self) -> float:
        return 1e6 / self.us


Times = dict[str, list[float]]


def take_turns(
    functions: Mapping[str, Callable[[], object]], openssl: Callable[[], dict[str, float]] | None = None
) -> Times:
    """Microseconds of each function, once per round.

    `openssl speed` runs before and after each round and its two figures are averaged, so that a machine that
    grows slower or faster meanwhile shifts both sides alike. A function's figure is the mean of short slices
    spread over the round: whoever comes first after another process finds cold caches, so all have it.
    """
    numbers = {name: calibrated(function, SLICE_S) for name, function in functions.items()}
    order = list(functions)
    times: Times = {}
    before = openssl() if openssl is not None else {}
    for _ in range(ROUNDS):
        slices: Times = {name: [] for name in functions}
        for _ in range(SLICES):
            order = order[1:] + order[:1]
            for name in order:
                slices[name].append(microseconds(functions[name], numbers[name]))
        for name, values in slices.items():
            times.setdefault(name, []).append(statistics.fmean(values))
        after = openssl() if openssl is not None else {}
        for name, value in after.items():
            times.setdefault(name, []).append((value + before[name]) / 2)
        before = after
    return times


def row(
    times: Times, key: str, *, name: str, base: str = "", against: str = "", target: float | None = None
) -> Row:
    """The ratio is the median of the rounds' ratios: both halves of each were measured side by side."""
    us = statistics.median(times[key])
    if not base:
        return Row(name=name, us=us)
    ratios = [own / other for own, other in zip(times[key], times[base], strict=True)]
    return Row(
        name=name,
        us=us,
        base=against,
        base_us=statistics.median(times[base]),
        ratio=statistics.median(ratios),
        target=target,
    )


def openssl_speed(suite: Suite) -> Callable[[], dict[str, float]] | None:
    program = shutil.which("openssl")
    if program is None:
        return None
    command = [program, "speed", "-mr", "-seconds", "1", OPENSSL_NAME[suite.name]]

    def measure() -> dict[str, float]:
        """The line `+F4:...:256:signs per second:verifications per second`."""
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        fields = next(line for line in output.splitlines() if line.startswith("+F4:")).split(":")
        return {"openssl sign": 1e6 / float(fields[-2]), "openssl verify": 1e6 / float(fields[-1])}

    return measure


def signature_rows(suite: Suite) -> list[Row]:
    signer = suite.new_signer()
    raw, point = signer.sign(MESSAGE), signer.public_point
    held = VerifyingKey(suite.curve, point)
    library_key = signer.library_key
    library_public = library_key.public_key()
    der = library_key.sign(MESSAGE, ALGORITHM)
    held.verify(raw, MESSAGE)
    speed = openssl_speed(suite)
    times = take_turns(
        {
            "sign": lambda: signer.sign(MESSAGE),
            "verify, key held": lambda: held.verify(raw, MESSAGE),
            "verify, stored point": lambda: VerifyingKey(suite.curve, point).verify(raw, MESSAGE),
            "library sign": lambda: library_key.sign(MESSAGE, ALGORITHM),
            "library verify": lambda: library_public.verify(der, MESSAGE, ALGORITHM),
        },
        speed,
    )
    source = "openssl" if speed is not None else "library"
    against = "openssl speed" if speed is not None else "the library's bare call (no openssl program)"
    # The aims are those of P-256; brainpool is printed beside.
    is_aimed = suite.name == "ecdsa-p256-sha256"
    rows = [
        ("sign", "sign", 1.15),
        ("verify, key held", "verify", 1.10),
        ("verify, stored point", "verify", 1.45),
        ("library sign", "sign", None),
        ("library verify", "verify", None),
    ]
    return [
        row(
            times,
            key,
            name=f"{SHORT[suite.name]} {key}",
            base=f"{source} {operation}",
            against=against,
            target=target if is_aimed else None,
        )
        for key, operation, target in rows
    ]


def protection_rows(suite: Suite) -> list[Row]:
    keys = profile_protection_keys(bytes(range(48)))
    piece = bytes(1007)
    protecting = Bsp.from_keys(keys)
    opening_state = Bsp.from_keys(keys).state
    segment = Bsp.from_keys(keys).protect(0x86, piece)
    card_key = suite.new_one_time_key()
    signer = suite.new_signer()
    protected = protect_profile(UPP, keys)
    metadata = {
        "store_metadata": METADATA,
        "transaction_id": bytes(16),
        "host_id": b"host",
        "eid": bytes(16),
        "euicc_otpk": card_key.public_point,
        "signer": signer,
    }
    session = BppSession(
        suite=suite.name,
        transaction_id=bytes(16),
        eid=bytes(16),
        one_time_scalar=card_key.scalar,
        dppb_point=signer.public_point,
    )
    bpp = alone(binding(UPP, **metadata))
    assert open_bpp(session, bpp).upp == UPP
    opening = Bsp(opening_state)

    def unprotect() -> None:
        """Each time from the first state, with the same contexts, as in a stream of segments."""
        opening._chain, opening._counter = opening_state.chain, opening_state.counter
        opening.unprotect(segment)

    peer = ec.EllipticCurvePublicKey.from_encoded_point(suite.curve.library_curve, card_key.public_point)

    def bare() -> None:
        one_time = ec.generate_private_key(suite.curve.library_curve)
        one_time.exchange(ec.ECDH(), peer)
        signer.library_key.sign(MESSAGE, ALGORITHM)

    times = take_turns(
        {
            "protect": lambda: protecting.protect(0x86, piece),
            "unprotect": unprotect,
            "bind": lambda: alone(binding(UPP, **metadata)),
            "bind late": lambda: alone(binding(protected, **metadata)),
            "open": lambda: open_bpp(session, bpp),
            "cut": lambda: list(load_segments(bpp)),
            "bare": bare,
        }
    )
    name, against = SHORT[suite.name], "bare key generation, agreement and signature"
    target = 6.0 if suite.name == "ecdsa-p256-sha256" else None
    rows = [
        ("bind", "bind 20 KiB, session keys", target),
        ("bind late", "bind 20 KiB, protected in advance", target),
        ("open", "open 20 KiB on the card's side", None),
    ]
    return [
        row(times, "protect", name="BPP protect, one segment of 1007 octets"),
        row(times, "unprotect", name="BPP unprotect, one segment"),
        *(
            row(times, key, name=f"{name} {title}", base="bare", against=against, target=aim)
            for key, title, aim in rows
        ),
        row(times, "cut", name="cut a 20 KiB package for the card"),
    ]


def chain_rows() -> list[Row]:
    """(name, us, base, base_us, ratio, target) tuples of benchmarks.chains.rows(), where that exists."""
    if find_spec("benchmarks.chains") is None:
        return []
    make = getattr(import_module("benchmarks.chains"), "rows", None)
    return [] if make is None else [Row(*values) for values in make()]


def table(rows: list[Row]) -> str:
    width = max(len(row.name) for row in rows)
    lines = [f"{'':{width}}  {'per second':>11}  {'us':>8}  {'ratio':>6}  {'target':>6}  against"]
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        target = "" if row.target is None else f"{row.target:.2f}"
        against = "" if row.base is None else f"{row.base} ({row.base_us:.1f} us)"
        missed = " MISSED" if row.ratio and row.target and row.ratio > row.target else ""
        figures = f"{row.per_s:11,.0f}  {row.us:8.1f}  {ratio:>6}  {target:>6}"
        lines.append(f"{row.name:{width}}  {figures}  {against}{missed}".rstrip())
    return "\n".join(lines)


def run(json: bool) -> int:
    rows = [row for suite in SUITES.values() for row in signature_rows(suite)]
    rows += [row for suite in SUITES.values() for row in protection_rows(suite)]
    # Segments cost the same under both suites: one line each is enough.
    rows = list({row.name: row for row in reversed(rows)}.values())[::-1] + chain_rows()
    if json:
        fields = [msgspec.structs.asdict(row) | {"per_s": row.per_s} for row in rows]
        about = {"library": backend.openssl_version_text(), "engine": engine.name(), "rows": fields}
        print(json_module.dumps(about, indent=1))
    else:
        library = f"Library: {backend.openssl_version_text()}; signatures on P-256 by {engine.name()}"
        print(f"{library}; medians of {ROUNDS} rounds, CPU time.\n")
        print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(run("--json" in sys.argv[1:]))
