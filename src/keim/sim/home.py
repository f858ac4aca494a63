"""The folder of a simulated world: what it is made of, made once and found again; one instance at a time.

world.json     seed and number of devices       pki/            the test PKI
eim.toml ...   configurations of the servers    *.db            their databases
device-NN/     card and assistant's memory      *.log           what the servers said
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from keim.app.config import load
from keim.app.eim import EimConfig, configuration_data
from keim.app.eim import open_service as open_eim
from keim.app.operators import first_token
from keim.app.smdp import SmdpConfig
from keim.app.smdp import open_service as open_smdp
from keim.errors import Refused
from keim.io.pki_files import MANIFEST, create_files, load_world, save_files
from keim.messages.package import EimConfigurationData
from keim.pki.world import World, WorldPlan, create_world
from keim.sim.factory import make_card, world_with_devices
from keim.sim.plan import MOST_DEVICES, PlannedDevice, plan
from keim.sim.radio import LOOPBACK
from keim.smdp.rows import Protection
from keim.smdp.stock import Label, admit

EIM, SMDP, SMDS = "eim.example.com", "smdpplus.example.com", "smds.example.com"
EIN: Final = "89880000"
PROFILE_TYPE: Final = "meters"
MARK: Final = "world.json"


class Made(msgspec.Struct, frozen=True):
    """`world.json`."""

    seed: int
    devices: int
    format: int = 1


class Home:
    """Held by one process from `open_home` to its end."""

    def __init__(self, folder: Path, made: Made, *, is_new: bool) -> None:
        self.folder, self.made, self.is_new = folder, made, is_new
        self.plan: tuple[PlannedDevice, ...] = plan(made.devices, made.seed)

    @property
    def pki(self) -> Path:
        return self.folder / "pki"

    def world(self) -> World:
        return load_world(self.pki)

    def eim_config(self) -> EimConfig:
        return load(EimConfig, self.folder / "eim.toml", prefix="KEIM_UP_EIM", environment={})

    def smdp_config(self) -> SmdpConfig:
        return load(SmdpConfig, self.folder / "smdp.toml", prefix="KEIM_UP_SMDP", environment={})

    # making it: each step does only what is not there yet

    def make_pki(self) -> int:
        """Certificates for all parties and devices; how many there are."""
        now = datetime.now(UTC)
        if not (self.pki / MANIFEST).exists():
            names = WorldPlan(eids=(), eins=(EIN,), smdp_address=SMDP, smds_address=SMDS, eim_address=EIM)
            create_files(self.pki, create_world(names, now=now))
        world = self.world()
        extended = world_with_devices(world, self.plan, now=now)
        if extended is not world:
            save_files(self.pki, extended)
        return len(extended.credentials)

    def write_eim_configuration(self, smdp: tuple[str, int]) -> None:
        """For this start: the eIM is told where the SM-DP+ listens now."""
        _write(
            self.folder / "eim.toml",
            f"""
            pki = "{self.pki}"
            store = "{self.folder / "eim.db"}"
            api_listen = "{LOOPBACK}:0"
            [api]
            tls = false
            [coap]
            listen = "{LOOPBACK}:0"
            state = "{self.folder / "coap.db"}"
            [rules]
            ranges = ["{EIN}"]
            [addresses]
            allowed = ["{SMDP}"]
            [servers."{SMDP}"]
            connect = "{smdp[0]}:{smdp[1]}"
            """,
        )

    def keep_first_token(self) -> None:
        """The operators' first token, made with the eIM's database and readable by its owner only."""
        if not self.token_file.exists():
            token = asyncio.run(self._first_token())
            if token is None:
                raise Refused(
                    f"the token of this world is gone from {self.folder}", code="sim.folder_unusable"
                )
            _write(self.token_file, token)

    async def _first_token(self) -> str | None:
        """As `keim eim init` does."""
        running = await open_eim(self.eim_config(), self.world())
        service = running.service
        try:
            return await first_token(service.store.engine, service.clock, service.entropy)
        finally:
            await running.close()

    @property
    def token_file(self) -> Path:
        return self.folder / "token"

    @property
    def token(self) -> str:
        return self.token_file.read_text("utf-8").strip()

    def write_smdp_configuration(self) -> None:
        _write(
            self.folder / "smdp.toml",
            f"""
            pki = "{self.pki}"
            store = "{self.folder / "smdp.db"}"
            wrap_key = "{self.folder / "smdp.wrap-key"}"
            """,
        )

    def fill_stock(self) -> int:
        """Every device's profile, in the SM-DP+ before it serves; how many were new."""
        return asyncio.run(self._fill_stock())

    async def _fill_stock(self) -> int:
        service = await open_smdp(self.smdp_config(), self.world())
        label = Label(
            profile_type=PROFILE_TYPE,
            service_provider="keim",
            notification_addresses=(SMDP,),
        )
        try:
            known: set[str] = set()
            after = ""
            while page := await service.store.profiles(after=after):
                known |= {row.iccid for row in page}
                after = page[-1].iccid
            missing = [planned for planned in self.plan if planned.home.full_iccid not in known]
            for planned in missing:
                await service.stock(
                    admit(
                        planned.home.package().encode(),
                        label,
                        protection=Protection.SESSION,
                        key_wrap=service.smdp.key_wrap,
                        now=service.clock.now(),
                        entropy=service.entropy,
                    )
                )
        finally:
            await service.store.engine.close()
        return len(missing)

    def make_cards(self) -> int:
        world = self.world()
        eim = self._eim_entry(world)
        missing = [planned for planned in self.plan if not self.card(planned).exists()]
        for planned in missing:
            make_card(self.card(planned), planned, world, eim=eim, smdp=SMDP, smds=SMDS)
        return len(missing)

    def card(self, planned: PlannedDevice) -> Path:
        return self.folder / planned.name / "card"

    def _eim_entry(self, world: World) -> EimConfigurationData:
        return configuration_data(world, self.eim_config())


@contextlib.contextmanager
def open_home(folder: Path, *, devices: int | None, seed: int | None, is_fresh: bool) -> Iterator[Home]:
    """The world in that folder, alone; `Refused` names the process that has it already."""
    folder = folder.resolve()
    if devices is not None and not 1 <= devices <= MOST_DEVICES:
        raise Refused(f"--devices is a number from 1 to {MOST_DEVICES}", code="sim.bad_option")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as fault:
        raise Refused(f"{folder}: {fault.strerror}", code="sim.folder_unusable") from None
    try:
        _take(descriptor, folder)
        made, is_new = _made(folder, devices=devices, seed=seed, is_fresh=is_fresh)
        yield Home(folder, made, is_new=is_new)
    finally:
        os.close(descriptor)


def _take(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
        raise Refused(
            f"keim up runs in {folder} already, as process {holder}", code="sim.already_running"
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


def _made(folder: Path, *, devices: int | None, seed: int | None, is_fresh: bool) -> tuple[Made, bool]:
    mark = folder / MARK
    if is_fresh:
        _empty(folder)
    if not mark.exists():
        if any(entry.name != "lock" for entry in folder.iterdir()):
            raise Refused(
                f"{folder} is not empty and was not made by keim up; name another folder",
                code="sim.folder_unusable",
            )
        made = Made(seed=1 if seed is None else seed, devices=12 if devices is None else devices)
        _write(mark, json.dumps(msgspec.to_builtins(made)))
        return made, True
    try:
        made = msgspec.json.decode(mark.read_bytes(), type=Made)
    except msgspec.MsgspecError as error:
        raise Refused(f"{mark}: {error}; --fresh starts anew", code="sim.folder_unusable") from None
    if seed is not None and seed != made.seed:
        raise Refused(
            f"the world in {folder} was made with seed {made.seed}; --fresh starts anew",
            code="sim.bad_option",
        )
    if devices is not None and devices > made.devices:
        made = msgspec.structs.replace(made, devices=devices)
        _write(mark, json.dumps(msgspec.to_builtins(made)))
    return made, False


def _empty(folder: Path) -> None:
    """Removes a world, and nothing that is none."""
    if not (folder / MARK).exists():
        return
    for entry in folder.iterdir():
        if entry.name == "lock":
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _write(path: Path, text: str) -> None:
    lines = "\n".join(line.strip() for line in text.strip().splitlines())
    half = path.with_name(f".{path.name}.new")
    half.write_text(f"{lines}\n", "utf-8")
    half.chmod(0o600)
    half.replace(path)
