"""Who lives in a simulated world: the same for the same seed, and more devices only add to it."""

from __future__ import annotations

from keim.ids import Iccid
from keim.sim.plan import Kind, Way, plan


def test_a_seed_decides_the_world_and_more_devices_only_add_to_it() -> None:
    few, many = plan(3, 7), plan(12, 7)
    assert many[:3] == few
    assert plan(3, 8) != few


def test_every_kind_and_every_way_lives_in_a_world_of_twelve() -> None:
    world = plan(12, 1)
    assert {device.kind for device in world} == set(Kind)
    assert {device.way for device in world} == set(Way)
    assert len({(device.kind, device.way) for device in world}) == len(Kind) * len(Way)


def test_all_identities_differ_and_are_valid() -> None:
    world = plan(200, 1)
    profiles = [profile for device in world for profile in (device.bootstrap, device.home)]
    assert len({str(device.eid) for device in world}) == 200
    assert len({profile.imsi for profile in profiles}) == len({profile.ki for profile in profiles}) == 400
    assert len({Iccid(profile.full_iccid) for profile in profiles}) == 400


def test_a_subscriber_shows_no_key() -> None:
    subscriber = plan(1, 1)[0].home
    assert subscriber.ki.hex() not in repr(subscriber).lower()
    assert subscriber.opc.hex() not in repr(subscriber).lower()
