"""A whole world on this machine: servers as child processes, devices in threads, everything over loopback.

`World.start` brings it up step by step, `tell` plays the zero-touch story, `prove` lets the audit log speak,
`keep_going` lets the devices poll until somebody stops it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Final

from keim.errors import KeimError, Refused
from keim.io.entropy import OsEntropy
from keim.ipa.events import DownloadEnded, PackageExecuted, ProfileSwitched, RolledBack
from keim.sim.device import SimulatedDevice, Site, open_device
from keim.sim.home import EIM, SMDP, SMDS, Home
from keim.sim.mishaps import Mishap, mishap_of
from keim.sim.network import HomeNetworks
from keim.sim.operator import Operator
from keim.sim.plan import Subscriber
from keim.sim.processes import ServerProcess
from keim.sim.profiles_office import ProfilesOffice
from keim.sim.proof import Proof, prove
from keim.sim.radio import LOOPBACK, Radio
from keim.sim.story import Story, Tell

Say = Callable[[str, str], None]
"""(what, in words)"""
POLL_S: Final = 5.0
NOTEWORTHY: Final = (PackageExecuted, DownloadEnded, ProfileSwitched, RolledBack)


class World:
    def __init__(self, home: Home, say: Say, connect: Callable[[Home, tuple[str, int]], Operator]) -> None:
        """`connect` makes the operator, from the address of the eIM's API."""
        self.home, self._say, self._connect = home, say, connect
        self.radio = Radio()
        self.devices: list[SimulatedDevice] = []
        self.servers: dict[str, ServerProcess] = {}
        subscribers: list[Subscriber] = []
        for planned in home.plan:
            subscribers += (planned.bootstrap, planned.home)
        self.networks = HomeNetworks(subscribers, OsEntropy())
        self.operator: Operator
        self.lost: set[str] = set()

    def start(self) -> None:
        home = self.home
        self._say("pki", f"{home.make_pki()} certificates under a CI of this world's own, in {home.pki}")
        home.write_smdp_configuration()
        home.fill_stock()
        self._start_servers()
        self._say(
            "cards",
            f"{home.make_cards()} cards made, {len(home.plan)} in all, each with its bootstrap profile",
        )
        self.radio.start()
        self.radio.add_server(EIM, *self.servers["eim"].listen["esipa"])
        self.radio.datagram_servers[EIM] = self.servers["eim"].listen["coap"]
        self.radio.add_server(SMDP, *self.servers["smdp"].listen["es9+"])
        self.radio.add_server(SMDS, *self.servers["smds"].listen["es11"])
        site = Site(
            radio=self.radio,
            networks=self.networks,
            roots=tuple(home.world().roots),
            folder=home.folder,
        )
        self.devices = [open_device(planned, site) for planned in home.plan]

    def _start_servers(self) -> None:
        """SM-DS and SM-DP+ come up side by side; the eIM is told where the SM-DP+ listens."""
        home = self.home
        pki = ("--pki", str(home.pki))
        self._launch("smds", *pki, "--store", str(home.folder / "smds.db"), "--servers-listen", _free())
        self._launch("smdp", "--config", str(home.folder / "smdp.toml"), "--operators-listen", _free())
        self._await("smds", "smdp")
        home.write_eim_configuration(self.servers["smdp"].listen["es9+"])
        home.keep_first_token()
        self._launch("eim", "--config", str(home.folder / "eim.toml"))
        self._await("eim")
        self.operator = self._connect(home, self.servers["eim"].listen["api"])

    def _launch(self, noun: str, *arguments: str) -> None:
        listen = ("--listen", _free(), "--status-listen", _free())
        self.servers[noun] = ServerProcess(noun, (*arguments, *listen), self.home.folder / f"{noun}.log")
        self.servers[noun].launch()

    def _await(self, *nouns: str) -> None:
        for noun in nouns:
            server = self.servers[noun]
            server.await_ready()
            where = ", ".join(f"{name} {host}:{port}" for name, (host, port) in server.listen.items())
            self._say(noun, where)

    def mishap(self, name: str) -> Mishap:
        """Strikes a device for which the chapter is still to come."""
        chance = Random(f"{self.home.made.seed}/{name}")
        story = self._story(lambda line: None)
        open_for = [
            device.planned
            for device in self.devices
            if story.is_to_come(device, "download" if name == "smdp-down" else "enable")
        ]
        if not open_for:
            raise Refused(
                f"every device has its profile already, so {name} can strike none",
                code="sim.nothing_to_strike",
            )
        return mishap_of(
            name, open_for, chance.choice, uncovered=self.networks.uncovered, smdp=self.servers["smdp"]
        )

    def _story(self, tell: Tell, mishap: Mishap | None = None) -> Story:
        office = ProfilesOffice(
            self.home.world(),
            address=SMDP,
            es2=self.servers["smdp"].listen["es2+"],
            smds=self.servers["smds"].listen["es12"],
        )
        return Story(
            self.devices, self.operator, office, tell=tell, mishap=mishap, goes_on=not self.home.is_new
        )

    def tell(self, tell: Tell, mishap: Mishap | None = None) -> bool:
        """Whether all ended as predicted; `lost` are the devices for which it ended early."""
        story = self._story(tell, mishap)
        is_as_predicted = story.run()
        self.lost = story.lost
        return is_as_predicted

    def prove(self) -> Proof:
        home = self.home
        return prove(home.folder / "eim.toml", home.pki / "ca.pem", home.folder / "audit-log.tar")

    def device(self, name: str) -> SimulatedDevice:
        return next(device for device in self.devices if device.planned.name == name)

    def keep_going(self, stop: threading.Event, say: Say) -> None:
        """Every device polls every few seconds; what happened to one is said."""
        with ThreadPoolExecutor(4, "keim-device") as threads:
            while not stop.wait(POLL_S):
                for device, words in zip(self.devices, threads.map(_poll, self.devices), strict=True):
                    for word in words:
                        say(device.planned.name, word)

    def stop(self) -> list[str]:
        """The names of servers that did not end as they should."""
        for device in self.devices:
            device.close()
        self.radio.stop()
        ended = {noun: server.stop() for noun, server in reversed(self.servers.items())}
        return [noun for noun, code in ended.items() if code]


def _poll(device: SimulatedDevice) -> list[str]:
    seen = len(device.events)
    try:
        device.cycle()
    except KeimError as failure:
        return [f"failed: {failure} ({failure.code})"]
    new = device.events[seen:]
    device.events.clear()
    return [_words(event) for event in new if isinstance(event, NOTEWORTHY)]


def _words(event: PackageExecuted | DownloadEnded | ProfileSwitched | RolledBack) -> str:
    match event:
        case PackageExecuted(outcome=outcome, sequence_number=number):
            return f"package executed: {outcome}" + ("" if number is None else f", result number {number}")
        case DownloadEnded(outcome=outcome, detail=detail):
            return f"download ended: {outcome} {detail}".rstrip()
        case ProfileSwitched(cause=cause, connected=connected):
            return f"profile switched ({cause}), {'in service' if connected else 'without service'}"
        case RolledBack(result=result):
            return f"rolled back: {result}"


def _free() -> str:
    return f"{LOOPBACK}:0"
