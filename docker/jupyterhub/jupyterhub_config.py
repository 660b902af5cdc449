"""JupyterHub for a class on one machine: each student gets a container of the lab.

compose.yaml starts it. What differs between classes comes from the environment (docs/teaching.md).
"""

import os
import sys

c = get_config()  # noqa: F821

DATA = "/srv/jupyterhub/data"

# ---- The hub
c.JupyterHub.db_url = f"sqlite:///{DATA}/jupyterhub.sqlite"
c.JupyterHub.cookie_secret_file = f"{DATA}/cookie_secret"
# Students' containers find the hub by the name of its own container.
c.JupyterHub.hub_ip = "0.0.0.0"
c.JupyterHub.hub_connect_ip = "hub"
# As many labs as the machine has memory for: those who come later are told to wait.
c.JupyterHub.active_server_limit = int(os.environ["LAB_PLACES"])

# ---- Who may come in: whoever signs up and is let in by the teacher
c.JupyterHub.authenticator_class = "native"
c.Authenticator.allow_all = True
c.Authenticator.admin_users = {os.environ["LAB_TEACHER"]}
c.NativeAuthenticator.open_signup = False
c.NativeAuthenticator.check_common_password = True
c.NativeAuthenticator.minimum_password_length = 10
c.NativeAuthenticator.allowed_failed_logins = 5
c.NativeAuthenticator.seconds_before_next_try = 600

# ---- A student's container
c.JupyterHub.spawner_class = "dockerspawner.DockerSpawner"
c.DockerSpawner.image = os.environ.get("LAB_IMAGE", "googlenet-lab-student")
c.DockerSpawner.cmd = "jupyterhub-singleuser"
c.DockerSpawner.network_name = os.environ["LAB_NETWORK"]
c.DockerSpawner.use_internal_ip = True
# Only the work is kept: every start is that of the image.
c.DockerSpawner.remove = True
c.DockerSpawner.volumes = {"lab-work-{username}": "/lab/notebooks"}
c.DockerSpawner.notebook_dir = "/lab/notebooks"
c.DockerSpawner.default_url = "/lab"
c.DockerSpawner.mem_limit = os.environ["LAB_MEMORY"]
c.DockerSpawner.cpu_limit = float(os.environ["LAB_CPUS"])
# Libtorch would start a thread for every core of the machine.
c.DockerSpawner.environment = {"OMP_NUM_THREADS": os.environ["LAB_THREADS"]}
c.DockerSpawner.extra_host_config = {
    "cap_drop": ["ALL"],
    "pids_limit": 1024,
    "security_opt": ["no-new-privileges"],
}

# One copy of CIFAR-10 for all: the folder of the host that holds its .bin files.
if cifar10 := os.environ.get("LAB_CIFAR10"):
    c.DockerSpawner.read_only_volumes = {cifar10: "/srv/cifar10"}
    c.DockerSpawner.environment["CIFAR10_DIR"] = "/srv/cifar10"

# All students share all GPUs.
if os.environ.get("LAB_GPUS") == "all":
    c.DockerSpawner.extra_host_config["device_requests"] = [
        {"driver": "nvidia", "count": -1, "capabilities": [["gpu"]]}
    ]

# ---- A lab that nobody uses ends
c.JupyterHub.load_roles = [
    {
        "name": "idle-culler",
        "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
        "services": ["idle-culler"],
    }
]
c.JupyterHub.services = [
    {
        "name": "idle-culler",
        "command": [sys.executable, "-m", "jupyterhub_idle_culler", "--timeout=3600"],
    }
]
