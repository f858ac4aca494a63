"""`keim up`: the whole world on this machine, and the zero-touch story played in it."""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from keim.cli.exit_codes import ExitCode
from keim.cli.output import coloured, note, print_json
from keim.cli.parser import Nouns

if TYPE_CHECKING:
    from keim.sim.home import Home
    from keim.sim.mishaps import Mishap
    from keim.sim.proof import Proof
    from keim.sim.story import Line
    from keim.sim.world import World

FAILURES: Final = ("no-coverage", "power-cut", "bad-result", "smdp-down")


def register(nouns: Nouns) -> None:
    parser = nouns.add_parser(
        "up",
        help="run the whole world on this machine: servers, devices, the zero-touch story",
        description="Start an eIM, an SM-DP+, an SM-DS and devices with software eUICCs on loopback, and "
        "play the zero-touch story: wake, enrol, download, enable, report, audit. A second start goes on "
        "with what is there.",
    )
    parser.add_argument("--once", action="store_true", help="end after the story instead of serving on")
    parser.add_argument("--devices", type=int, metavar="N", help="how many devices (12)")
    parser.add_argument("--seed", type=int, metavar="N", help="another world, always the same for one number")
    parser.add_argument("--fail", choices=FAILURES, metavar="|".join(FAILURES), help="let something go wrong")
    parser.add_argument("--fresh", action="store_true", help="throw away the world that is there")
    parser.add_argument("--dir", type=Path, default=Path(".keim"), metavar="DIR", help="its folder (.keim)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON document at the end of the story")
    form.add_argument("--jsonl", action="store_true", help="one JSON document a line, as it goes")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from keim.sim.home import open_home

    with open_home(args.dir, devices=args.devices, seed=args.seed, is_fresh=args.fresh) as home:
        return Play(home, args).run()


class Play:
    """One run of the command: what is told, and how it ends."""

    def __init__(self, home: Home, args: argparse.Namespace) -> None:
        self._home, self._args = home, args
        self._began = time.monotonic()
        self._stop = threading.Event()
        self._lines: list[Line] = []

    def run(self) -> int:
        from keim.sim.api_operator import connect
        from keim.sim.world import World

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._interrupt)
        state = "a new world" if self._home.is_new else "the world goes on"
        self._say("keim up", f"{state}: {len(self._home.plan)} devices, seed {self._home.made.seed}")
        world = World(self._home, self._say, connect)
        try:
            world.start()
            code = self._play(world)
            if not self._args.once and code == ExitCode.OK:
                self._serve(world)
        except Interrupted:
            note("keim up: interrupted; start it again and it goes on")
            code = ExitCode.INTERRUPTED
        finally:
            self._stop.set()
            failed = world.stop()
        if failed:
            note(f"keim up: {', '.join(failed)} did not end as asked; see the logs in {self._home.folder}")
        return code

    def _interrupt(self, number: int, frame: object) -> None:
        """Once more than once is once: what is under way ends first."""
        if not self._stop.is_set():
            self._stop.set()
            raise Interrupted

    # the story and its end

    def _play(self, world: World) -> int:
        mishap = None if self._args.fail is None else world.mishap(self._args.fail)
        if mishap is not None:
            self._say("fail", f"{mishap.name} will strike {mishap.victim} in the chapter {mishap.chapter}")
            self._say("predicted", mishap.prediction)
        is_as_predicted = world.tell(self._tell, mishap)
        proof = world.prove()
        self._say("audit", f"{proof.leaves} leaves, {proof.signatures} signatures verified; {proof.file}")
        failures = self._verdicts(world, proof, mishap)
        if mishap is not None:
            failures += self._lesson(world, mishap)
        code = ExitCode.OK if is_as_predicted and not failures else self._code_of(failures)
        self._end(code, failures, proof)
        return code

    def _code_of(self, failures: list[str]) -> ExitCode:
        return ExitCode.PARTLY_FAILED if len(failures) < len(self._home.plan) else ExitCode.REFUSED_BY_PEER

    def _verdicts(self, world: World, proof: Proof, mishap: Mishap | None) -> list[str]:
        """One line for each device: what an outsider can verify. The names of those that are not proved."""
        failures = [f"audit log: {fault}" for fault in proof.faults]
        for device in world.devices:
            planned = device.planned
            iccid, leaf = proof.enabled.get(str(planned.eid), ("none", -1))
            if mishap is not None and planned.name == mishap.victim and planned.name in world.lost:
                continue  # its lesson says what became of it
            if proof.is_good and iccid == device.enabled and planned.name not in world.lost:
                self._verdict(
                    "PASS",
                    planned.name,
                    f"profile {iccid} enabled, proved by the eUICC's signature (leaf {leaf}) {planned.eid}",
                )
            else:
                failures.append(planned.name)
                words = f"has profile {device.enabled} enabled, the log proves {iccid}"
                self._verdict("FAIL", planned.name, f"{words} {planned.eid}")
        return failures

    def _lesson(self, world: World, mishap: Mishap) -> list[str]:
        device = world.device(mishap.victim)
        faults = mishap.check(device, world.operator)
        told = "came as predicted" if not faults else f"did not come as predicted: {'; '.join(faults)}"
        self._verdict("PASS" if not faults else "FAIL", device.planned.name, f"{mishap.name} {told}")
        if not (self._args.json or self._args.jsonl):
            for label, text in (
                ("what happened", mishap.lesson),
                ("must act", mishap.who),
                ("next", mishap.next),
            ):
                print(textwrap.fill(f"  {label}: {text}", 100, subsequent_indent="    "))
        return faults

    def _end(self, code: int, failures: list[str], proof: Proof) -> None:
        document = {
            "type": "result",
            "code": int(code),
            "failures": failures,
            "devices": len(self._home.plan),
            "seconds": round(time.monotonic() - self._began, 2),
            "audit": {"file": str(proof.file), "leaves": proof.leaves, "signatures": proof.signatures},
        }
        if self._args.jsonl:
            _print_line(document)
        elif self._args.json:
            print_json(document | {"steps": [_plain(line) for line in self._lines]})
        else:
            octets = sum(line.octets_up + line.octets_down for line in self._lines)
            word = coloured("PASS", "green") if code == ExitCode.OK else coloured("FAIL", "red")
            seconds = document["seconds"]
            print(f"{word} {len(self._home.plan)} devices, {octets} octets on the air, {seconds} s")

    # serving on

    def _serve(self, world: World) -> None:
        try:
            self._welcome(world)
            world.keep_going(self._stop, self._say)
        except Interrupted:
            note("keim up: stopping")

    def _welcome(self, world: World) -> None:
        host, port = world.servers["eim"].listen["api"]
        api = f"http://{host}:{port}"
        listen = {
            f"{noun} {name}": f"{where[0]}:{where[1]}"
            for noun, server in world.servers.items()
            for name, where in server.listen.items()
        }
        ready = {"type": "ready", "api": api, "token_file": str(self._home.token_file), "listen": listen}
        if self._args.jsonl:
            _print_line(ready)
        elif self._args.json:
            print_json(ready)
        else:
            self._invite(world, api)
        sys.stdout.flush()

    def _invite(self, world: World, api: str) -> None:
        planned = world.devices[0].planned
        print()
        print(f"The world serves on; devices poll every few seconds. The API is {api}/v1, its token:")
        print(f"  {self._home.token}")
        print("Try, in another terminal:")
        print(f"  export KEIM_API_URL={api} KEIM_API_TOKEN=$(cat {shlex.quote(str(self._home.token_file))})")
        print("  keim device list")
        print("  keim device watch")
        print(f"  keim operation enable {planned.bootstrap.full_iccid} --eid {planned.eid} --wait")
        print("Stop with Ctrl-C; the next `keim up` goes on from here.")

    # words

    def _say(self, what: str, text: str) -> None:
        if self._args.jsonl:
            _print_line({"type": "progress", "what": what, "text": text})
        elif not self._args.json:
            print(f"{self._time()}  {coloured(f'{what:<10}', 'bold')} {text}", flush=True)

    def _tell(self, line: Line) -> None:
        self._lines.append(line)
        if self._args.jsonl:
            _print_line({"type": "progress", **_plain(line)})
        elif not self._args.json:
            mark = "" if line.is_good else coloured("failed: " if line.is_predicted else "FAILED: ", "yellow")
            cost = f"{line.octets_up:>6} up {line.octets_down:>6} down {line.ms:>6.0f} ms"
            print(
                f"{self._time()}  {coloured(f'{line.chapter:<10}', 'cyan')} {line.device}  {line.kind:<10}"
                f" {cost}  {mark}{line.text}",
                flush=True,
            )

    def _verdict(self, word: str, device: str, text: str) -> None:
        if self._args.jsonl:
            _print_line({"type": "verdict", "verdict": word.lower(), "device": device, "text": text})
        elif not self._args.json:
            print(f"{coloured(word, 'green' if word == 'PASS' else 'red')} {device} {text}", flush=True)

    def _time(self) -> str:
        return f"{time.monotonic() - self._began:>7.2f} s"


class Interrupted(Exception):
    """SIGINT or SIGTERM."""


def _plain(line: Line) -> dict[str, Any]:
    import msgspec

    document: dict[str, Any] = msgspec.to_builtins(line)
    return document


def _print_line(document: dict[str, Any]) -> None:
    print(json.dumps(document, ensure_ascii=False), flush=True)
