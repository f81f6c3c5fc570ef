"""docker-registry over Swift."""

import os

from commands import URL
from registry import drive

USER = os.environ["TRESTLE_USER"]
drive({"redirect": {"disable": True},
       "swift": {"authurl": f"{URL}/auth/v1.0", "authversion": 1, "username": f"{USER}:{USER}",
                 "password": os.environ["TRESTLE_PASSWORD"], "container": "registry",
                 "prefix": "images", "chunksize": 5 << 20}})
