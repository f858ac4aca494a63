"""Verifying an audit export, and what appending costs beside the result logged: `keim bench audit`.

Half of the leaves are packages that an eIM signed, half are results of an eUICC. Each verification is
a process of its own, so that its peak of memory is its own; the time of ECDSA is taken out by a clock around
each signature check. 20,000 leaves by default and 1,000,000 with KEIM_BENCH_LONG=1, as
`python -m benchmarks.audit --long` sets it; targets of issue 9 stand beside the figures.
"""

from __future__ import annotations

import json as json_module
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from benchmarks.timing import side_by_side
from keim.audit.append import append
from keim.audit.checkpoint import Checkpoint
from keim.audit.export import export
from keim.audit.leaf import Leaf, leaf
from keim.audit.note import NoteSigner
from keim.audit.tree import Edge
from keim.audit.verification import Options, verify_export
from keim.crypto.ecdsa import MemorySigner, VerifyingKey
from keim.crypto.signed import euicc_package_result_tbs, euicc_package_tbs
from keim.crypto.suites import signer_of_key
from keim.deciding import alone
from keim.eim import answer
from keim.eim.events import ResultReceived
from keim.eim.facts import Context, Decision, Facts
from keim.eim.rows import Device as EimDevice
from keim.eim.rows import Kind, Knowledge, Offer
from keim.eim.settings import Eim
from keim.ids import Eid, Iccid
from keim.io.audit_files import write_export
from keim.io.audit_memory import SpillingMemory
from keim.io.eim_store.leaves import leaves_of
from keim.io.entropy import OsEntropy
from keim.messages.esipa import EimPackageResult, ProvideEimPackageResult
from keim.messages.package import (
    EnableProfileResult,
    EnablePsmo,
    EuiccPackage,
    EuiccPackageRequest,
    EuiccPackageResult,
    EuiccPackageResultDataSigned,
    EuiccPackageResultSigned,
    EuiccPackageSigned,
    EuiccResultData,
    Psmo,
)
from keim.pki import TrustStore
from keim.pki.world import World, WorldPlan, create_world, example_eids

NOW: Final = datetime(2026, 11, 20, 12, tzinfo=UTC)
EIM: Final = "eim.example.com"
DEFAULT, LONG = 20_000, 1_000_000
EUICCS: Final = 1_000
TARGET_S: Final = 120.0
"""For 1,000,000 leaves, without ECDSA."""
TARGET_APPEND: Final = 0.10
"""Of the result path."""


class Device:
    """One eUICC and what its eIM sends it: two profiles, switched to and fro."""

    def __init__(self, world: World, eid: Eid, eim: MemorySigner) -> None:
        credential = world.euicc(eid)
        self.eid, self.eim, self.signer = eid, eim, signer_of_key(credential.private_key)
        self.chain = (credential.certificate.der, world.get("eum").certificate.der)
        self.eim_certificate = world.get("eim-sign").certificate.der
        self.counter = 0

    def package(self) -> bytes:
        self.counter += 1
        iccid = Iccid(f"8900010000000{self.counter % 2:07d}").octets
        signed = EuiccPackageSigned(
            eim_id=EIM,
            eid_value=self.eid.octets,
            counter_value=self.counter,
            eim_transaction_id=self.counter.to_bytes(8, "big"),
            euicc_package=EuiccPackage(psmo_list=(Psmo(enable=EnablePsmo(iccid=iccid)),)),
        )
        signature = self.eim.sign(euicc_package_tbs(signed.encode(), None))
        return EuiccPackageRequest(euicc_package_signed=signed, eim_signature=signature).encode()

    def result(self) -> bytes:
        data = EuiccPackageResultDataSigned(
            eim_id=EIM,
            counter_value=self.counter,
            eim_transaction_id=self.counter.to_bytes(8, "big"),
            seq_number=self.counter,
            euicc_result=(EuiccResultData(enable_result=EnableProfileResult.OK),),
        )
        signature = self.signer.sign(euicc_package_result_tbs(data.encode(), None))
        signed = EuiccPackageResultSigned(euicc_package_result_data_signed=data, euicc_sign_epr=signature)
        return EuiccPackageResult(euicc_package_result_signed=signed).encode()

    def leaves(self, number: int) -> tuple[Leaf, Leaf]:
        at = NOW + timedelta(milliseconds=number)
        operation = f"op-{number}"
        return (
            leaf("package_signed", at, "alice", eid=self.eid, operation=operation, package=self.package(),
                 package_signer=self.eim_certificate),
            leaf("result_received", at, "device", eid=self.eid, operation=operation, result=self.result(),
                 euicc_chain=self.chain),
        )  # fmt: skip


class FileSource:
    """Entries in a file, read once from front to back, so that making a large log needs no memory either."""

    def __init__(
        self, path: Path, signer: NoteSigner, notes: list[bytes], objects: dict[bytes, bytes]
    ) -> None:
        self.key, self._notes, self._objects = signer.key, notes, objects
        self._file = path.open("rb")

    def checkpoints(self) -> list[bytes]:
        return self._notes

    def leaves(self, start: int, stop: int) -> Iterator[bytes]:
        for _ in range(start, stop):
            yield self._file.read(int.from_bytes(self._file.read(2), "big"))

    def object(self, digest: bytes) -> bytes:
        return self._objects[digest]


def make(folder: Path, count: int) -> dict[str, Any]:
    """An export of `count` leaves, and where its CI is."""
    from hashlib import sha256

    world = create_world(WorldPlan(eids=example_eids(min(EUICCS, count // 2)), eim_address=EIM), now=NOW)
    eim = signer_of_key(world.get("eim-sign").private_key)
    devices = [Device(world, eid, eim) for eid in example_eids(min(EUICCS, count // 2))]
    signer = NoteSigner.new("eim.example.com/audit")
    edge, notes = Edge(), []
    entries_path = folder / "entries"
    with entries_path.open("wb") as file:
        for number in range(count // 2):
            edge, entries = append(edge, devices[number % len(devices)].leaves(number))
            for entry in entries:
                file.write(len(entry.octets).to_bytes(2, "big") + entry.octets)
            if edge.size % 10_000 == 0:
                notes.append(Checkpoint.of(signer.key.name, edge).signed(signer))
    notes.append(Checkpoint.of(signer.key.name, edge).signed(signer))
    objects = {sha256(octets).digest(): octets for device in devices for octets in device.chain}
    certificate = devices[0].eim_certificate
    objects[sha256(certificate).digest()] = certificate
    source = FileSource(entries_path, signer, notes, objects)
    size = write_export(folder / "audit.tar", export(source))
    (folder / "ci.der").write_bytes(world.get("ci").certificate.der)
    entries_path.unlink()
    return {"leaves": edge.size, "file_mib": size / 2**20, "octets_per_leaf": size / edge.size}


def verify_here(folder: Path) -> None:
    """In a process of its own: prints what it took."""
    spent = 0
    verify = VerifyingKey.verify

    def timed(self: VerifyingKey, *arguments: Any, **words: Any) -> None:
        nonlocal spent
        start = time.process_time_ns()
        try:
            verify(self, *arguments, **words)
        finally:
            spent += time.process_time_ns() - start

    VerifyingKey.verify = timed  # type: ignore[method-assign]  # a clock around each signature
    periods = 0

    def count(_: object) -> None:
        nonlocal periods
        periods += 1

    roots = TrustStore([(folder / "ci.der").read_bytes()])
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    start = time.process_time()
    with (folder / "audit.tar").open("rb") as file, SpillingMemory() as memory:
        report = verify_export(file.read, Options(roots=roots, tell_period=count), memory)
    total = time.process_time() - start
    assert report.is_good, report.faults
    print(
        json_module.dumps(
            {
                "leaves": report.leaves,
                "periods": periods,
                "signatures": report.signatures,
                "total_s": total,
                "ecdsa_s": spent / 1e9,
                "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                "start_mib": base,
            }
        )
    )


def measure_verify(count: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        made = make(Path(name), count)
        command = [sys.executable, "-m", "benchmarks.audit", "--verify", name]
        root = Path(__file__).resolve().parent.parent
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(["src", *sys.path])}
        output = subprocess.run(
            command, cwd=root, env=environment, check=True, capture_output=True, text=True
        ).stdout
    found: dict[str, Any] = made | json_module.loads(output)
    rest = found["total_s"] - found["ecdsa_s"]
    return found | {"rest_s": rest, "rest_us_per_leaf": rest / found["leaves"] * 1e6,
                    "million_s": rest / found["leaves"] * 1e6}  # fmt: skip


def measure_append() -> dict[str, float]:
    """What the eIM's role does with a result (decode, verify, decide) and the leaf that goes with it.

    The store's own work comes to both and is left out: `keim bench eim` has it.
    """
    world = create_world(WorldPlan(eids=example_eids(1), eim_address=EIM), now=NOW)
    model = Device(world, example_eids(1)[0], signer_of_key(world.get("eim-sign").private_key))
    package, result = model.package(), EuiccPackageResult.decode(model.result())
    eim = Eim(eim_id=EIM, signers={"": model.eim}, trust=world.trust)
    certificate = world.euicc(model.eid).certificate
    offer = Offer(
        kind=Kind.PACKAGE, order=1, octets=package, counter=model.counter, offered_at=NOW,
        transaction_id=model.counter.to_bytes(8, "big"),
    )  # fmt: skip
    device = EimDevice(
        eid=model.eid, enrolled_at=NOW, point=certificate.point, curve=certificate.curve.value, offer=offer
    )
    knowledge = Knowledge(eid=model.eid, euicc_certificate=model.chain[0], eum_certificate=model.chain[1])
    facts = Facts(device=device, knowledge=knowledge)
    message = ProvideEimPackageResult(
        eid_value=model.eid.octets, eim_package_result=EimPackageResult(euicc_package_result=result)
    ).encode()
    context = Context(NOW, OsEntropy())
    edge = Edge().extend(bytes(32) for _ in range(999_999))

    def take_result() -> Decision:
        return alone(answer.decide(eim, facts, answer.read(message), context))

    decision = take_result()
    assert [event.state for event in decision.events if isinstance(event, ResultReceived)] == ["succeeded"]

    def append_leaf() -> None:
        nonlocal edge
        edge = edge.extend(entry.hash for entry in leaves_of(decision).entries)

    times = side_by_side({"result": take_result, "append": append_leaf})
    taken, leaf_us = times["result"], times["append"]
    return {"result_us": taken, "append_us": leaf_us, "share": leaf_us / taken, "target": TARGET_APPEND}


def run(json: bool) -> int:
    count = LONG if os.environ.get("KEIM_BENCH_LONG") else DEFAULT
    rows = [measure_verify(max(2_000, count // 10)), measure_verify(count)]
    appended = measure_append()
    if json:
        print(json_module.dumps({"verify": rows, "append": appended, "target_s": TARGET_S}, indent=2))
        return 0
    print("audit verify          leaves   total s   ECDSA s    rest s   µs/leaf   peak MiB   octets/leaf")
    for row in rows:
        print(
            f"{'':<18}{row['leaves']:>10,} {row['total_s']:9.2f} {row['ecdsa_s']:9.2f} {row['rest_s']:9.2f} "
            f"{row['rest_us_per_leaf']:9.1f} {row['peak_mib']:10.1f} {row['octets_per_leaf']:13.0f}"
        )
    print(f"1,000,000 leaves without ECDSA: {rows[-1]['million_s']:.1f} s (target {TARGET_S:.0f} s)")
    print(
        f"append of a leaf: {appended['append_us']:.1f} µs, taking its result {appended['result_us']:.1f} µs "
        f"(x {appended['share']:.3f}, target {TARGET_APPEND})"
    )
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--verify"]:
        verify_here(Path(sys.argv[2]))
    else:
        if "--long" in sys.argv:
            os.environ["KEIM_BENCH_LONG"] = "1"
        sys.exit(run("--json" in sys.argv))
