"""How much memory the C library has given out (man 3 mallinfo2, glibc 2.33 and later)."""

import ctypes
import math

# arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost
_FIELDS = 10
_MAPPED, _USED = 4, 7


class _Mallinfo2(ctypes.Structure):
    _fields_ = [("fields", ctypes.c_size_t * _FIELDS)]


def allocated_bytes() -> float:
    """Return the bytes in use in all arenas and in mappings of their own; NaN on another C library."""
    try:
        ask = ctypes.CDLL(None).mallinfo2
    except AttributeError:
        return math.nan
    ask.restype = _Mallinfo2
    fields = ask().fields
    return float(fields[_USED] + fields[_MAPPED])
