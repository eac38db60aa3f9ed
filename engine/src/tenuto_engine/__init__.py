"""The sidecar engine of Tenuto: it records every step of a workflow in a state store and replays it after a crash.

Layers, higher may import lower: `app` > `edge | runtime | storage` > `codec` > `ports` > `core`. Nothing here is a
public Python API; applications meet the engine on the wire (package `tenuto`).
"""

__version__ = "0.1.0"
