"""The service with the embedded ClickHouse relays by itself: from a request to the statistics."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from {{cookiecutter.package_name}}.settings import PROJECT_ROOT

pytestmark = [pytest.mark.integration, pytest.mark.slow]
