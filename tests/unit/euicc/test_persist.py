"""What is journalled is the state: octets follow a whole life, and a file loses no more than memory does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from tests.card_lab import Lab, iccid, identity

from keim.euicc.faults import Faults, PowerLost
from keim.euicc.nvm import MemoryMedium, Write
from keim.euicc.persist import Cell, apply, decode_snapshot, encode_snapshot, encode_write
from keim.euicc.state import CardState
from keim.io.card_file import CardFile
from keim.messages.package import DeletePsmo, EnablePsmo, Psmo


class Mirror(MemoryMedium):
    """Keeps the card a second time, as octets only."""

    def __init__(self) -> None:
        super().__init__(CardState())
        self.octets = encode_snapshot(identity(), CardState())
        self.cells: list[bytes] = []
        self.transactions: list[str] = []

    def put(self, write: Write) -> None:
        self.cells.append(msgspec.msgpack.encode(encode_write(write)))

    def seal(self, transaction: str, state: CardState) -> None:
        cells = [msgspec.msgpack.decode(octets, type=Cell) for octets in self.cells]
        mirrored = apply(decode_snapshot(self.octets).state, cells)
        assert mirrored == state, transaction
        self.octets, self.cells = encode_snapshot(identity(), mirrored), []
        self.transactions.append(transaction)
        super().seal(transaction, state)


def enable(number: int, *, rollback: bool = False) -> Psmo:
    return Psmo(enable=EnablePsmo(iccid=iccid(number), rollback_flag=rollback))


def life(lab: Lab) -> None:
    """Association, two downloads, a switch with rollback, files, notifications, deletion, memory reset."""
    lab.download(1)
    lab.run(enable(1))
    lab.power_on()
    lab.download(2)
    lab.run(enable(2, rollback=True))
    lab.es10("BF5803800100")
    lab.es10("BF2B00")
    lab.es10("BF3003800101")
    lab.card.transmit(bytes.fromhex("0020000A08") + bytes(8))
    lab.power_on()
    lab.run(Psmo(delete=DeletePsmo(iccid=iccid(2))))
    lab.es10("BF6404820201FE")


def test_every_transaction_of_a_life_is_journalled_exactly() -> None:
    mirror = Mirror()
    lab = Lab(medium=mirror)
    life(lab)
    assert decode_snapshot(mirror.octets).state == lab.card.state
    assert len(mirror.transactions) > 15
    assert lab.card.state.profiles == ()


def test_a_life_on_disk_is_the_same_life(tmp_path: Path) -> None:
    path = tmp_path / "one.card"
    in_memory = Lab(has_reproducible_signatures=True)
    life(in_memory)
    with CardFile.create(path, identity(has_reproducible_signatures=True)) as medium:
        on_disk = Lab(medium=medium, has_reproducible_signatures=True)
        life(on_disk)
        assert on_disk.card.state == in_memory.card.state
    with CardFile.open(path) as again:
        assert again.reload() == in_memory.card.state


def cut_at(lab: Lab, write: int, operation: Callable[[Lab], object]) -> bool:
    """Runs with the power cut at this write of the operation; False when it has fewer writes than that."""
    lab.card.faults = Faults(cut_at_write=write)
    try:
        operation(lab)
    except PowerLost:
        lab.card.faults = None
        lab.power_on()
        return True
    lab.card.faults = None
    return False


OPERATIONS = {
    "enable": lambda lab: lab.chain(lab.package(enable(2))),
    "delete": lambda lab: lab.chain(lab.package(Psmo(delete=DeletePsmo(iccid=iccid(2))))),
    "reset": lambda lab: lab.chain(bytes.fromhex("BF6404820201FE")),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_power_loss_leaves_the_file_what_it_leaves_memory(tmp_path: Path, name: str) -> None:
    """The same cut at every write, with the same randomness: the booted cards are equal."""
    cuts = 0
    while True:
        path = tmp_path / f"{cuts}.card"
        with CardFile.create(path, identity(has_reproducible_signatures=True)) as medium:
            pair = [
                Lab(has_reproducible_signatures=True),
                Lab(medium=medium, has_reproducible_signatures=True),
            ]
            for lab in pair:
                lab.download(1)
                lab.run(enable(1))
                lab.power_on()
                lab.download(2)
            was_cut = {cut_at(lab, cuts, OPERATIONS[name]) for lab in pair}
            assert len(was_cut) == 1
            assert pair[0].card.state == pair[1].card.state
        if was_cut == {False}:
            break
        cuts += 1
    assert cuts >= 4
