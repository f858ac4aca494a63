"""Judging the EUM-to-eUICC chain beside two bare verifications, in one run: `keim bench chains`.

"Bare" is cryptography's verify with both keys held and nothing read; every first check reads two certificates
and makes two keys from their points besides. Targets: 1.4 times bare the first time, 0.05 times when cached.
"""

from __future__ import annotations

import gc
import json as json_module
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from keim.pki import Certificate, Curve, Revocations, Role, validate
from keim.pki.cache import ChainCache
from keim.pki.world import WorldPlan, create_world, example_eids

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
TARGETS = {"both new": 1.4, "cached": 0.05, "cached, with a current list": 0.05}
ROUNDS, COUNT = 41, 40


def measure(curve: Curve) -> dict[str, tuple[float, float]]:
    """Per variant: (µs, ratio to bare); processor time, medians of rounds that take turns."""
    world = create_world(WorldPlan(curves=(curve,), eids=example_eids(COUNT)), now=NOW)
    trust, crls, eum = world.trust, world.revocations, world.get("eum").certificate
    leaves = [euicc.certificate for euicc in world.euiccs()]
    root = world.get("ci").certificate
    algorithm = ec.ECDSA(hashes.SHA256())
    eum_key, root_key = eum.public_key, root.public_key
    above = [eum.der]
    warm = ChainCache()

    def bare(leaf: Certificate) -> None:
        root_key.verify(eum.signature, eum.tbs, algorithm)
        eum_key.verify(leaf.signature, leaf.tbs, algorithm)

    def first(leaf: Certificate) -> None:
        assert validate(leaf.der, above, trust, role=Role.EUICC, now=NOW).ok

    def eum_known(leaf: Certificate) -> None:
        fresh = ChainCache()
        fresh._authorities = {eum.der: eum}  # what a cache knows after the first eUICC of a manufacturer
        assert fresh.validate(leaf.der, above, trust, role=Role.EUICC, now=NOW).ok

    def cached(leaf: Certificate, lists: Revocations = Revocations()) -> None:  # noqa: B008 - empty and immutable
        assert warm.validate(leaf.der, above, trust, role=Role.EUICC, now=NOW, crls=lists).ok

    variants: dict[str, Callable[[Certificate], None]] = {
        "two bare verifications": bare,
        "both new": first,
        "EUM known, eUICC new": eum_known,
        "cached": cached,
        "cached, with a current list": lambda leaf: cached(leaf, crls),
    }
    assert eum.is_signed_by(root)
    times: dict[str, list[float]] = {name: [] for name in variants}
    gc.collect()
    gc.freeze()
    for _ in range(ROUNDS):
        for name, run_one in variants.items():
            start = time.process_time()
            for leaf in leaves:
                run_one(leaf)
            times[name].append((time.process_time() - start) / COUNT * 1e6)
    base = times["two bare verifications"]
    return {
        name: (statistics.median(values), statistics.median(v / b for v, b in zip(values, base, strict=True)))
        for name, values in times.items()
    }


def run(json: bool) -> int:
    results = {curve.value: measure(curve) for curve in Curve}
    if json:
        print(
            json_module.dumps(
                {
                    curve: {
                        name: {"us": round(us, 2), "ratio": round(ratio, 3), "target": TARGETS.get(name)}
                        for name, (us, ratio) in rows.items()
                    }
                    for curve, rows in results.items()
                },
                indent=2,
            )
        )
        return 0
    for curve, rows in results.items():
        print(f"EUM to eUICC on {curve}")
        for name, (us, ratio) in rows.items():
            target = f"   target {TARGETS[name]}" if name in TARGETS else ""
            print(f"  {name:28} {us:9.2f} µs  {ratio:7.3f} x{target}")
    return 0
