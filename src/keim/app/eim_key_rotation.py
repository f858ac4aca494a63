"""Rotation of the eIM's signing key as a fleet operation that any cut may interrupt.

Steps: begin, make the key, order updateEim for every tenant's devices, order again for those who failed,
finish and drop the old key. Each step looks at what is there before it does anything, so it may be run twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import msgspec

from keim.app.eim import SIGNING, EimConfig, current_signer_of, eim_of, signers_of
from keim.app.eim_key_followers import Followers
from keim.app.eim_operators import TRIES
from keim.app.eim_service import EimService
from keim.crypto.suites import suite_named
from keim.eim.events import AlarmRaised, KeyRotated
from keim.eim.key_rotation import (
    LEFT_BEHIND,
    Rotation,
    RotationState,
    has_followed,
    reference_of,
    update_of,
)
from keim.eim.rows import MAIN, Device
from keim.errors import Refused
from keim.io.eim_store.leaves import entry_of
from keim.io.pki_files import changing, save_files
from keim.io.rotation_store import RotationStore
from keim.io.store.engine import Conflict
from keim.pki import Role
from keim.pki.world import Credential, World, rotate


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    rotation: Rotation
    devices: int = 0
    """Active ones."""
    followed: int = 0
    states: dict[str, int] = {}
    """Operations of this round."""

    @property
    def left(self) -> int:
        return self.devices - self.followed


class KeyRotation:
    def __init__(self, service: EimService, config: EimConfig) -> None:
        self._service = service
        self._config = config
        self._store = RotationStore(service.store.engine)
        self._followers = Followers(self._store, service.store)

    async def prepare(self) -> None:
        await self._store.prepare()

    async def start(self, *, actor: str = "") -> Progress:
        """Begins one, or goes on with the one that is under way."""
        with self._alone() as world:
            last = await self._store.last()
            if last is None or last.state is RotationState.FINISHED:
                rotation = Rotation(
                    number=1 if last is None else last.number + 1,
                    state=RotationState.BEGUN,
                    old=self._old(world),
                    begun_at=self._service.clock.now(),
                    actor=actor,
                )
                await self._begin(rotation)
                last = rotation
            return await self._progress(await self._go_on(last, world))

    async def go_on(self, *, actor: str = "") -> Progress:
        """What a cut left undone; then another round for those who failed or came too late for the last."""
        with self._alone() as world:
            rotation = await self._under_way()
            if rotation.state is RotationState.ORDERED and await self._followers.to_ask_again(rotation):
                again = msgspec.structs.replace(
                    rotation, state=RotationState.ORDERING, round=rotation.round + 1, actor=actor
                )
                rotation = await self._store.move(rotation, again)
            return await self._progress(await self._go_on(rotation, world))

    async def finish(self, *, force: bool = False, actor: str = "") -> Progress:
        """The old key goes. With `force` those who have not followed are told, and left behind."""
        with self._alone() as world:
            rotation = await self._under_way()
            if rotation.state in (RotationState.BEGUN, RotationState.ORDERING):
                raise Refused("the new key has not been ordered yet", code="eim.rotation_unfinished")
            if rotation.state is RotationState.ORDERED:
                left = tuple([device.eid async for _, device in self._followers.behind(rotation)])
                if left and not force:
                    raise Refused(
                        f"{len(left)} devices have not followed: {', '.join(left[:5])}"
                        + (", …" if len(left) > 5 else ""),
                        code="eim.rotation_unfinished",
                    )
                finishing = msgspec.structs.replace(
                    rotation, state=RotationState.FINISHING, left=left, actor=actor
                )
                rotation = await self._store.move(rotation, finishing)
            return await self._progress(await self._go_on(rotation, world))

    async def status(self) -> Progress | None:
        last = await self._store.last()
        return None if last is None else await self._progress(last)

    async def left_behind(self) -> AsyncIterator[Device]:
        """Active devices that do not know the new key, as far as they have proved."""
        last = await self._store.last()
        if last is not None:
            async for _, device in self._followers.behind(last):
                yield device

    # one step after the other

    async def _go_on(self, rotation: Rotation, world: World) -> Rotation:
        if rotation.state is RotationState.BEGUN:
            new, world = self._made(rotation, world)
            ordering = msgspec.structs.replace(rotation, state=RotationState.ORDERING, new=new)
            rotation = await self._store.move(rotation, ordering)
        if rotation.state is RotationState.ORDERING:
            self._service.eim = eim_of(world, self._config)
            count = await self._order(rotation)
            ordered = msgspec.structs.replace(rotation, state=RotationState.ORDERED)
            told = self._event(ordered, devices=count)
            rotation = await self._store.move(rotation, ordered, [entry_of(told, MAIN)])
        if rotation.state is RotationState.FINISHING:
            for eid in rotation.left:
                await self._leave_behind(eid)
            self._drop(world, rotation)
            finished = msgspec.structs.replace(
                rotation, state=RotationState.FINISHED, ended_at=self._service.clock.now()
            )
            told = self._event(finished, devices=len(rotation.left))
            rotation = await self._store.move(rotation, finished, [entry_of(told, MAIN)])
        return rotation

    async def _begin(self, rotation: Rotation) -> None:
        try:
            await self._store.begin(rotation)
        except Conflict:
            raise Refused("another rotation has just begun", code="eim.rotation_under_way") from None

    def _made(self, rotation: Rotation, world: World) -> tuple[str, World]:
        """The new key, which a run before this one may have made already."""
        if self._config.signing_key:
            return self._current(world), world
        if self._current(world) == rotation.old:
            world = rotate(world, SIGNING, now=self._service.clock.now())
            save_files(self._config.pki, world)
        return self._current(world), world

    async def _order(self, rotation: Rotation) -> int:
        """For every tenant, unless a run before this one has done so. How many devices."""
        eim = self._service.eim
        signer = eim.signers[rotation.new]
        spki = suite_named(signer.algorithm).curve.spki(signer.public_point)
        work = update_of(eim.eim_id, spki)
        before = msgspec.structs.replace(rotation, round=rotation.round - 1)
        again = None if rotation.round == 1 else await self._followers.to_ask_again(before)
        count = 0
        for tenant in await self._store.tenants():
            reference = reference_of(rotation, tenant)
            known = await self._service.store.order(reference)
            if known is None:
                await self._store.forget_selection(reference)
                eids = None if again is None else [one.eid for one in again if one.tenant == tenant]
                if eids == []:
                    continue
                placed = await self._service.order_for_many(
                    work, eids=eids, reference=reference, tenant=tenant, actor=rotation.actor
                )
                count += placed.devices
            else:
                count += known[0].devices
        return count

    async def _leave_behind(self, eid: str) -> None:
        """Told in its row, so that nobody wonders why it refuses everything."""
        service = self._service
        for _ in range(TRIES):
            device = await service.store.device(eid)
            if device is None or device.alarm == LEFT_BEHIND:
                return
            changed = msgspec.structs.replace(device, alarm=LEFT_BEHIND, version=device.version + 1)
            told = AlarmRaised(at=service.clock.now(), eid=eid, why=LEFT_BEHIND)
            try:
                await service.store.change(changed, [told])
            except Conflict:
                continue
            return

    def _drop(self, world: World, rotation: Rotation) -> None:
        """Old signing keys leave the PKI; their certificates stay for those who verify the audit log."""
        after = World(world.credentials, tuple(map(_without_key, world.previous)), world.crls)
        save_files(self._config.pki, after)
        self._service.eim = eim_of(after, self._config)
        assert rotation.new in self._service.eim.signers

    # small things

    @contextmanager
    def _alone(self) -> Iterator[World]:
        """One rotation command at a time: the PKI's lock is held for all of its steps."""
        with changing(self._config.pki) as world:
            yield world

    def _current(self, world: World) -> str:
        return current_signer_of(world, self._config)

    def _old(self, world: World) -> str:
        """What is current until the new key is made; a key in a token is made by its owner, beforehand."""
        if not self._config.signing_key:
            return self._current(world)
        *before, _ = signers_of(world, self._config)
        if not before:
            raise Refused(
                "make a key in the token, name it as signing_key and the one before it under"
                " previous_signing_keys, then begin",
                code="eim.new_key_needed",
            )
        return before[-1]

    async def _under_way(self) -> Rotation:
        last = await self._store.last()
        if last is None or last.state is RotationState.FINISHED:
            raise Refused("no rotation is under way", code="eim.rotation_not_found")
        return last

    def _event(self, rotation: Rotation, *, devices: int) -> KeyRotated:
        return KeyRotated(
            at=self._service.clock.now(),
            actor=rotation.actor,
            state=rotation.state.value,
            old=rotation.old,
            new=rotation.new,
            devices=devices,
        )

    async def _progress(self, rotation: Rotation) -> Progress:
        devices = followed = 0
        async for _, device in self._followers.active():
            devices += 1
            followed += has_followed(device, rotation)
        states: Counter[str] = Counter()
        for tenant in await self._store.tenants():
            known = await self._service.store.order(reference_of(rotation, tenant))
            if known is not None:
                states.update(await self._service.store.counts(known[0].id))
        return Progress(rotation=rotation, devices=devices, followed=followed, states=dict(states))


def _without_key(credential: Credential) -> Credential:
    return msgspec.structs.replace(credential, key=None) if credential.role is Role.EIM_SIGN else credential
