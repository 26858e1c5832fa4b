"""Public API, version 1: it does not change in a way that breaks its callers, even when a `v2` exists.

All else in this package is the project's own and may change with any release. It needs the standard library alone.
"""

from .program.emitter import Emit, Emitter
from .program.knobs import InForce, Knob, in_force
from .program.record import record
from .program.surroundings import fingerprint
from .program.system import system_info
from .seeding import set_deterministic, set_deterministic_pytorch

__all__ = [
    "Emit",
    "Emitter",
    "InForce",
    "Knob",
    "fingerprint",
    "in_force",
    "record",
    "set_deterministic",
    "set_deterministic_pytorch",
    "system_info",
]

if __name__ == "__main__":
    import json
    import sys

    json.dump(system_info(), sys.stdout, indent=2)
