"""Files of devices, CSV or JSON lines, read piece by piece into rows: good ones and bad ones with the reason.

Nothing is guessed: an EID that a spreadsheet has rounded, a formula, an unknown column are told by line.
Pure. Imports floor 0 and its neighbours only.
"""

from keim.eim.device_file.reader import DeviceFileReader, Format
from keim.eim.device_file.rows import BadRow, DeviceRow

__all__ = ["BadRow", "DeviceFileReader", "DeviceRow", "Format"]
