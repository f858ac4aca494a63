"""Judging the EUM-to-eUICC chain beside two bare verifications, in one run: `keim bench chains`.

Every chain of the first rows is one that nobody saw before: manufacturer and eUICC of its own, as octets.
"Bare" is cryptography's verify of the two signatures and no more. A first chain brings the EUM's key with it,
so bare there means that the root's key is held and the EUM's is made of its point and used once. The rows say
also what they are beside two keys that are held and were used before, which a first chain cannot have.
"""

from __future__ import annotations

import gc
import json as json_module
import statistics
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from benchmarks.timing import microseconds
from keim.pki import Certificate, Curve, Revocations, Role, TrustStore, validate
from keim.pki.cache import ChainCache
from keim.pki.issue import Particulars
from keim.pki.world import World, WorldPlan, add, create_world, example_eids

NOW: Final = datetime(2026, 11, 20, 12, tzinfo=UTC)
ALGORITHM: Final = ec.ECDSA(hashes.SHA256())
ROUNDS, COUNT = 31, 48
FRESH, HELD = "two bare verifications, the EUM's key made of its point", "two bare verifications, keys held"
TARGETS: Final = {"both new": 1.4, "cached": 0.05, "cached, with a current list": 0.05}
BASES: Final = {"both new": FRESH}
"""What the target of a row is beside; the others are beside keys that are held."""


class Chain(msgspec.Struct, frozen=True):
    eum: Certificate
    leaf: Certificate


def make_chains(world: World, curve: Curve) -> list[Chain]:
    """One manufacturer per chain, with a name, an EIN and a key of its own."""
    root, chains = world.get("ci", curve), []
    for number in range(COUNT):
        ein, organization = f"8988{number:04d}", f"Manufacturer {number}"
        subject = {"C": "DE", "O": organization}
        eum = add(
            f"eum-{number}",
            Role.EUM,
            root,
            Particulars(subject=subject | {"CN": "EUM"}, eins=(ein,), oid="2.999.5", path_length=0),
            now=NOW,
        )
        eid = example_eids(1, ein)[0]
        leaf = add(
            f"euicc/{eid}",
            Role.EUICC,
            eum,
            Particulars(subject=subject | {"CN": "eUICC"}, eid=eid),
            now=NOW,
        )
        chains.append(Chain(eum.certificate, leaf.certificate))
    return chains


def variants(chains: Sequence[Chain], world: World, curve: Curve) -> dict[str, Callable[[Chain], object]]:
    trust, crls = TrustStore(world.roots), world.revocations
    root_key = trust.roots[0].public_key
    assert trust.roots[0].is_signed_by(trust.roots[0])
    domain = curve.parameters
    held = {chain.eum.der: chain.eum.public_key for chain in chains}
    authorities = {chain.eum.der: Certificate(chain.eum.der) for chain in chains}
    assert all(eum.is_signed_by(trust.roots[0]) for eum in authorities.values())
    warm = ChainCache()

    def bare(chain: Chain) -> None:
        root_key.verify(chain.eum.signature, chain.eum.tbs, ALGORITHM)
        eum_key = ec.EllipticCurvePublicKey.from_encoded_point(domain, chain.eum.point)
        eum_key.verify(chain.leaf.signature, chain.leaf.tbs, ALGORITHM)

    def bare_held(chain: Chain) -> None:
        root_key.verify(chain.eum.signature, chain.eum.tbs, ALGORITHM)
        held[chain.eum.der].verify(chain.leaf.signature, chain.leaf.tbs, ALGORITHM)

    def first(chain: Chain) -> None:
        assert validate(chain.leaf.der, [chain.eum.der], trust, role=Role.EUICC, now=NOW).ok

    def eum_known(chain: Chain) -> None:
        fresh = ChainCache()
        fresh._authorities = authorities  # what a cache knows after the first eUICC of a manufacturer
        assert fresh.validate(chain.leaf.der, [chain.eum.der], trust, role=Role.EUICC, now=NOW).ok

    def cached(chain: Chain, lists: Revocations = Revocations()) -> None:  # noqa: B008 - empty and immutable
        assert warm.validate(chain.leaf.der, [chain.eum.der], trust, role=Role.EUICC, now=NOW, crls=lists).ok

    for chain in chains:
        cached(chain)
    return {
        FRESH: bare,
        HELD: bare_held,
        "both new": first,
        "EUM known, eUICC new": eum_known,
        "cached": cached,
        "cached, with a current list": lambda chain: cached(chain, crls),
    }


class ChainRow(msgspec.Struct, frozen=True):
    """One variant: µs per chain, beside what a first chain needs, and beside keys that are held."""

    name: str
    us: float
    ratio: float
    ratio_held: float
    target: float | None
    target_is_beside: str


def measure(curve: Curve) -> list[ChainRow]:
    """Processor time; the variants take turns in short rounds, and medians of the rounds' ratios count."""
    world = create_world(WorldPlan(curves=(curve,), eids=example_eids(1)), now=NOW)
    chains = make_chains(world, curve)
    runs = variants(chains, world, curve)
    times: dict[str, list[float]] = {name: [] for name in runs}
    gc.collect()
    gc.freeze()
    order = list(runs)
    for _ in range(ROUNDS):
        order = order[1:] + order[:1]
        for name in order:
            run_one = runs[name]
            times[name].append(microseconds(lambda: [run_one(chain) for chain in chains], 1) / COUNT)  # noqa: B023 - called at once
    gc.unfreeze()

    def ratio(name: str, base: str) -> float:
        return statistics.median(v / b for v, b in zip(times[name], times[base], strict=True))

    return [
        ChainRow(
            name=name,
            us=statistics.median(times[name]),
            ratio=ratio(name, FRESH),
            ratio_held=ratio(name, HELD),
            target=TARGETS.get(name),
            target_is_beside=BASES.get(name, HELD),
        )
        for name in runs
    ]


Line = tuple[str, float, str | None, float | None, float | None, float | None]


def rows() -> list[Line]:
    """For `keim bench crypto`: (name, us, base, us of the base, ratio, target)."""
    found: list[Line] = []
    for curve in Curve:
        measured = measure(curve)
        us = {row.name: row.us for row in measured}
        for row in measured:
            base = row.target_is_beside
            ratio = row.ratio if base == FRESH else row.ratio_held
            is_base = row.name in (FRESH, HELD)
            found.append(
                (f"{curve.value} chain: {row.name}", row.us, None, None, None, None)
                if is_base
                else (f"{curve.value} chain: {row.name}", row.us, base, us[base], ratio, row.target)
            )
    return found


def run(json: bool) -> int:
    results = {curve.value: measure(curve) for curve in Curve}
    if json:
        document = {
            curve: {row.name: msgspec.structs.asdict(row) for row in measured}
            for curve, measured in results.items()
        }
        print(json_module.dumps(document, indent=2))
        return 0
    for curve, measured in results.items():
        print(f"EUM to eUICC on {curve:<42}   µs per chain   x first   x held")
        for row in measured:
            target = ""
            if row.target is not None:
                word = "first" if row.target_is_beside == FRESH else "held"
                target = f"   target {row.target} x {word}"
            print(f"  {row.name:<58} {row.us:12.2f} {row.ratio:9.3f} {row.ratio_held:8.3f}{target}")
    return 0
