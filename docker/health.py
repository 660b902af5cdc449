"""Whether the server in this container answers: the image's HEALTHCHECK."""

import os
import sys
from urllib.error import URLError
from urllib.request import urlopen

# JupyterHub gives each person's server a path of its own.
ADDRESS = f"http://127.0.0.1:8888{os.environ.get('JUPYTERHUB_SERVICE_PREFIX', '/')}api"

try:
    urlopen(ADDRESS, timeout=4).close()
except URLError as error:
    sys.exit(f"{ADDRESS}: {error}")
