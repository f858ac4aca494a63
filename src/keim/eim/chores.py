"""What the eIM itself wants of a device before the next order: a short list without repetitions.

Pure; imports keim.eim.rows only.
"""

from __future__ import annotations

import msgspec

from keim.eim.rows import Chore, Device


def with_chores(device: Device, *chores: Chore) -> Device:
    """The device with these added behind those that it has."""
    added = tuple(dict.fromkeys((*device.chores, *chores)))
    return device if added == device.chores else msgspec.structs.replace(device, chores=added)


def without_chores(device: Device, *chores: Chore) -> Device:
    left = tuple(chore for chore in device.chores if chore not in chores)
    return device if left == device.chores else msgspec.structs.replace(device, chores=left)
