"""Seeded chaos: loss, duplicates, late answers and power cuts at every step, and nothing is ever lost.

Each run lets an eIM work through a list of jobs while messages vanish, come twice or come late and while
power is cut at any effect of the IPA or inside any write of the card. Then the sky clears. Afterwards every
package has a verified result, every trigger has one, nothing is left in the card's lists, and the device has
a profile that it can use.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from tests.card_lab import SMDP
from tests.roles.ipa_lab import IpaLab, iccid

from keim.errors import KeimError, TimedOut, Unreachable
from keim.euicc.faults import Faults
from keim.ids import Iccid
from keim.ipa.configuration import Configuration, Timers
from keim.ipa.effects import AwaitNetwork, CallEim, CallServer, Effect, Tell
from keim.messages.download_trigger import ProfileDownloadData, ProfileDownloadTriggerRequest
from keim.messages.ipa_data import IpaFeatures
from keim.messages.package import DeletePsmo, EnablePsmo, Psmo
from keim.messages.profile import ProfileInfoListRequest

RUNS = int(os.environ.get("KEIM_CHAOS_RUNS", "300"))
LONG_RUNS = 6000
BATCH = 20
DIRECT = IpaFeatures.DIRECT_RSP_SERVER_COMMUNICATION
INDIRECT = IpaFeatures.INDIRECT_RSP_SERVER_COMMUNICATION


class PowerCut(BaseException):
    """The whole device lost power: nothing may catch it."""


@dataclass
class Storm:
    """Bad luck with a seed. `strength` is the chance of trouble at each exchange."""

    luck: random.Random
    strength: float
    effects: int = 0
    cuts: int = 0
    losses: int = 0
    replies: list[bytes] = field(default_factory=list)

    @property
    def strikes(self) -> bool:
        return self.luck.random() < self.strength


def stormy(lab: IpaLab, storm: Storm) -> Callable[[Effect[object]], object]:
    """The world's performer with trouble before, in and after each effect."""
    calm = lab.world.perform

    def perform(effect: Effect[object]) -> object:
        storm.effects += 1
        if isinstance(effect, Tell):
            return calm(effect)
        is_cut = storm.luck.random() < storm.strength / 12
        if is_cut and storm.luck.random() < 0.5:
            storm.cuts += 1
            raise PowerCut  # before anything happened
        if isinstance(effect, AwaitNetwork) and storm.strikes:
            return False
        if isinstance(effect, CallEim | CallServer) and storm.strikes:
            answer = _trouble(effect, storm, calm)
        else:
            answer = calm(effect)
        if isinstance(effect, CallEim) and isinstance(answer, bytes):
            storm.replies.append(answer)
        if is_cut:
            storm.cuts += 1
            raise PowerCut  # after it happened, before anybody knows
        return answer

    return perform


def _trouble(effect: CallEim | CallServer, storm: Storm, calm: Callable[[Effect[object]], object]) -> object:
    storm.losses += 1
    kind = storm.luck.choice(["request lost", "answer lost", "twice", "late", "garbage"])
    if kind == "request lost":
        raise Unreachable("the request was lost")
    if kind == "answer lost":
        calm(effect)
        raise TimedOut("the answer was lost")
    if kind == "twice":
        calm(effect)
        return calm(effect)
    if isinstance(effect, CallServer):
        raise TimedOut("too late")
    if kind == "late" and storm.replies:
        calm(effect)
        return storm.luck.choice(storm.replies)  # the answer to another request
    return storm.luck.randbytes(storm.luck.randrange(1, 40))


JOBS = ("list", "enable", "delete", "download", "data")


def order_jobs(lab: IpaLab, luck: random.Random) -> tuple[int, int]:
    """A random list of jobs for the eIM; how many packages and triggers it holds."""
    packages = triggers = 0
    for _ in range(luck.randrange(2, 6)):
        match luck.choice(JOBS):
            case "list":
                lab.eim.package(Psmo(list_profile_info=ProfileInfoListRequest()))
                packages += 1
            case "enable":
                target = iccid(luck.choice((1, 2)))
                lab.eim.package(Psmo(enable=EnablePsmo(iccid=target, rollback_flag=True)))
                packages += 1
            case "delete":
                lab.eim.package(Psmo(delete=DeletePsmo(iccid=iccid(9))))
                packages += 1
            case "data":
                lab.eim.ask_data("BF20A0A2", eim_transaction_id=luck.randbytes(4))
            case _:
                _, matching_id = lab.smdp.order()
                data = ProfileDownloadData(activation_code=f"1${SMDP}${matching_id}")
                trigger = ProfileDownloadTriggerRequest(
                    profile_download_data=data, eim_transaction_id=luck.randbytes(8)
                )
                lab.eim.trigger(trigger)
                triggers += 1
    return packages, triggers


def cycle_in(lab: IpaLab, storm: Storm) -> None:
    """One cycle that may end with the device's power; the card then loses its own, too."""
    calm = lab.world.perform
    lab.world.perform = stormy(lab, storm)  # type: ignore[method-assign]  # the storm is the world for a while
    faults = Faults(cut_at_apdu=None)
    if storm.luck.random() < storm.strength:
        faults = Faults(
            cut_at_apdu=storm.luck.randrange(60), cut_at_write=storm.luck.choice((None, 0, 1, 2, 3))
        )
    lab.lab.card.faults = faults
    try:
        lab.cycle()
    except PowerCut:
        lab.lab.card.power_off()
    except KeimError:
        pass  # the loop of a daemon goes on with its next cycle
    finally:
        lab.world.perform = calm  # type: ignore[method-assign]  # as above
        lab.lab.card.faults = None


def run(seed: int) -> Storm:
    luck = random.Random(seed)
    configuration = Configuration(
        features=luck.choice((DIRECT, INDIRECT, DIRECT | INDIRECT)),
        is_direct_preferred=luck.random() < 0.5,
        timers=Timers(fallback_s=1e9),
    )
    lab = IpaLab(configuration=configuration, seed=seed)
    try:
        packages, _ = order_jobs(lab, luck)
        storm = Storm(luck, luck.choice((0.05, 0.15, 0.3)))
        for _ in range(12):
            cycle_in(lab, storm)
            lab.later(luck.choice((60, 3_600, 90_000)))
        for _ in range(4):
            lab.later(100_000)
            lab.cycle()
        _check(lab, seed, packages)
        return storm
    finally:
        lab.close()


def _check(lab: IpaLab, seed: int, packages: int) -> None:
    assert lab.lab.card.last_error is None, (seed, lab.lab.card.last_error)
    assert lab.eim.queue == [], f"seed {seed}: the eIM still waits for {len(lab.eim.queue)} results"
    # Whatever was executed has its verified result at the eIM: a package that the card executed is either
    # known, or its effect was never there (a replay error says the card consumed it: then it was stored).
    assert lab.pending() == [], f"seed {seed}: {lab.pending()} were never acknowledged"
    assert lab.world.memory.undelivered == (), seed
    assert lab.world.memory.download is None, seed
    consumed = lab.lab.card.state.isdr.eims[0].counter_value
    assert consumed <= packages, seed
    refused = {
        error.eim_transaction_id
        for result in lab.eim.results
        if (error := result.eim_package_result_response_error) is not None
    }
    for counter in range(1, consumed + 1):
        if counter.to_bytes(4, "big") in refused:
            continue  # the IPA said so: the card failed twice and holds no result, so it did not run
        assert counter in lab.eim.executed, f"seed {seed}: the result of package {counter} is lost"
    assert lab.enabled() is not None, f"seed {seed}: no profile is enabled"
    for profile in lab.lab.card.state.profiles:
        assert Iccid.from_octets(profile.iccid)


def _batches(runs: int, size: int = BATCH) -> list[range]:
    return [range(start, min(start + size, runs)) for start in range(0, runs, size)]


def _name(seeds: range) -> str:
    return f"{seeds.start}-{seeds.stop - 1}"


@pytest.mark.parametrize("seeds", _batches(RUNS), ids=_name)
def test_nothing_is_lost_in_any_storm(seeds: range) -> None:
    storms = [run(seed) for seed in seeds]
    assert sum(storm.losses for storm in storms) > len(seeds)


@pytest.mark.long
@pytest.mark.parametrize("seeds", _batches(LONG_RUNS, 500), ids=_name)
def test_nothing_is_lost_in_thousands_of_storms(seeds: range) -> None:
    for seed in seeds:
        run(10_000 + seed)
