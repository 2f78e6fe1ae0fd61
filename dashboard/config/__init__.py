"""cameras.yaml: read strictly, once, into frozen values. What is done with a camera does not belong here.

    reading.py      text -> nodes that know their line; what YAML allows and this file does not
    environment.py  ${NAME} in a text becomes what the environment, or cameras.env, says
    addresses.py    which URLs and devices are accepted, and how credentials are kept out of sight
    models.py       the keys, their meaning, units, limits and defaults: the one place of each
    words.py        what does not fit the models, in words, with the nearest known key
    loading.py      all of that in order: `load`
    watching.py     `ConfigFile`, `ConfigWatcher`, `difference`: the file is read again while the server runs
    schema.py       the JSON Schema that editors complete from

Findings are lines such as `cameras.yaml:12: camera 'door': unknown key 'ulr' (did you mean 'url'?)`. They come
all at once, and no finding repeats a text that could be a password.
"""

from __future__ import annotations

from dashboard.config.loading import load
from dashboard.config.models import Camera, Config, Detect, Motion, Retain, Snapshots, Storage
from dashboard.config.watching import Changes, ConfigFile, ConfigWatcher, difference

__all__ = [
    "Camera",
    "Changes",
    "Config",
    "ConfigFile",
    "ConfigWatcher",
    "Detect",
    "Motion",
    "Retain",
    "Snapshots",
    "Storage",
    "difference",
    "load",
]
