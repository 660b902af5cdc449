"""Runs a program that may do what it likes: it sees the machine's files and can change none, it
reaches neither a network nor other programs, and all that it has started ends with it. Linux only,
without root.

    python contain.py PLAN.json PROGRAM ARGUMENT..

The plan, all of it absolute paths:
    fresh   folders that are empty copies of their own: what is written there is gone at the end
    filled  those of `fresh` that begin with what they cover, but for hidden files
    hidden  files that are empty for the program
    kept    what stays visible within folders that hold temporary files
    meeting how the names of the sockets begin that the program makes in a folder of the caller's
    sockets how many; from then on that folder cannot be written either

Where one of these means is not to be had, nothing is run and the exit status is 125.
"""

import ctypes
import fcntl
import glob
import json
import os
import resource
import shutil
import signal
import socket
import stat
import struct
import sys
import time
from pathlib import Path

REFUSED = 125
# Where the sockets of other programs and temporary files lie.
COVERED = ["/tmp", "/var/tmp", "/run", "/dev"]
MEMORY = "/tmp"
DEVICES = ["null", "zero", "full", "random", "urandom", "nvidia*", "nvidia-caps/*", "kfd", "dri/*"]
# What all that is written may take, in bytes; it lies in memory.
ROOM = 2 << 30
LARGEST_FILE = 1 << 30
PROCESSES = 4096

# <sched.h>, <sys/mount.h>, <linux/mount.h>, <sys/prctl.h>, <linux/capability.h>
NEW_NAMESPACES = 0x10000000 | 0x00020000 | 0x20000000 | 0x40000000 | 0x08000000 | 0x04000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_RDONLY = 2, 4, 8, 1
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE, ATTR_RDONLY = 442, -100, 0x8000, 1
PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 24, 38
PR_SET_SECUREBITS, SECUREBITS = 28, 0x2F  # root is nobody special, for good
CAPABILITY_VERSION = 0x20080522
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1

libc = ctypes.CDLL(None, use_errno=True)


def call(what, result):
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")


def mount(source, target, kind, flags, options=""):
    words = [os.fsencode(word) for word in (source, target, kind)]
    call(f"mount {target}", libc.mount(*words, ctypes.c_ulong(flags), options.encode()))


def read_only(path, wanted, recursive=False):
    """Makes the mount at this path, or all from there on, read-only, or takes that back."""
    attributes = struct.pack(
        "QQQQ", ATTR_RDONLY if wanted else 0, 0 if wanted else ATTR_RDONLY, 0, 0
    )
    flags = AT_RECURSIVE if recursive else 0
    number, place = ctypes.c_long(MOUNT_SETATTR), os.fsencode(path)
    size = ctypes.c_size_t(len(attributes))
    call(f"mount_setattr {path}", libc.syscall(number, AT_FDCWD, place, flags, attributes, size))


def prctl(what, *values):
    arguments = [ctypes.c_ulong(value) for value in (*values, 0, 0, 0, 0)[:4]]
    call(f"prctl {what}", libc.prctl(what, *arguments))


def enter_namespaces():
    user, group = os.geteuid(), os.getegid()
    call("unshare", libc.unshare(NEW_NAMESPACES))
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def start_loopback():
    """A program may talk to itself."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


def is_within(path, folders):
    return any(Path(path).is_relative_to(folder) for folder in folders)


def open_path(path):
    return os.open(path, os.O_PATH | os.O_CLOEXEC)


def bind(descriptor, target):
    """Shows at `target` what was opened."""
    target = Path(target)
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        target.mkdir(parents=True, exist_ok=True)
    elif not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    mount(f"/proc/self/fd/{descriptor}", target, "none", MS_BIND | MS_REC)


def arrange_files(plan):
    """The files as the program sees them. All that it may write lies in one place in memory."""
    mount("none", "/", "none", MS_REC | MS_PRIVATE)
    covered = [folder for folder in COVERED if os.path.isdir(folder) and not os.path.islink(folder)]
    meeting = os.path.realpath(os.path.dirname(plan["meeting"]))
    kept = [path for path in map(os.path.realpath, plan["kept"]) if is_within(path, covered)]
    devices = [path for name in DEVICES for path in glob.glob(f"/dev/{name}")]
    devices = [path for path in devices if not os.path.isdir(path)]
    shown = {path: open_path(path) for path in [*devices, *kept, meeting]}

    mount("tmpfs", MEMORY, "tmpfs", MS_NOSUID, f"size={ROOM},mode=755")
    places = Path(MEMORY, ".places")
    own = {}
    for folder in [*covered, *plan["fresh"]]:
        if folder != MEMORY:
            place = places / str(len(own))
            place.mkdir(parents=True)
            own[folder] = open_path(place)
    empty = places / "empty"
    empty.touch()
    empty = open_path(empty)

    for folder in covered:
        if folder != MEMORY:
            bind(own[folder], folder)
    for path, descriptor in shown.items():
        bind(descriptor, path)
    Path("/dev/shm").mkdir()
    for name, target in {"fd": "fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}.items():
        os.symlink(f"/proc/self/{target}", f"/dev/{name}")
    for path in plan["hidden"]:
        if os.path.exists(path):
            bind(empty, os.path.realpath(path))
    for folder in plan["fresh"]:
        if folder in plan["filled"]:
            hidden = shutil.ignore_patterns(".*")
            target = f"/proc/self/fd/{own[folder]}"
            shutil.copytree(folder, target, ignore=hidden, dirs_exist_ok=True)
        bind(own[folder], folder)

    read_only("/", True, recursive=True)
    for folder in [MEMORY, *own, meeting]:
        read_only(folder, False)


def give_up_rights():
    """For good: not even a program of root's may have any again."""
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    for capability in range(last + 1):
        prctl(PR_CAPBSET_DROP, capability)
    prctl(PR_SET_SECUREBITS, SECUREBITS)
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    header = struct.pack("Ii", CAPABILITY_VERSION, 0)
    call("capset", libc.capset(header, struct.pack("6I", *[0] * 6)))


def limit():
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: LARGEST_FILE,
        resource.RLIMIT_NPROC: PROCESSES,
    }
    for what, most in limits.items():
        hard = resource.getrlimit(what)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))


def start(command):
    child = os.fork()
    if child:
        return child
    with refused():
        give_up_rights()
        limit()
        os.execvp(command[0], command)


def close_meeting(plan, child):
    """Once the program has its sockets, it can write nothing beside them."""
    while len(glob.glob(glob.escape(plan["meeting"]) + "-*")) < plan["sockets"]:
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return
        time.sleep(0.005)
    read_only(os.path.realpath(os.path.dirname(plan["meeting"])), True)


def run_as_first(plan, command):
    """The first process of its world: when it ends, all others are killed."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY
    mount("proc", "/proc", "proc", flags)
    child = start(command)
    close_meeting(plan, child)
    give_up_rights()
    while True:
        ended, status = os.wait()
        if ended == child:
            return max(os.waitstatus_to_exitcode(status), -1) & 0xFF


class refused:
    """What is not to be had ends this program with a status and a reason of its own."""

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if isinstance(error, OSError):
            print(error.strerror or error, file=sys.stderr, flush=True)
            os._exit(REFUSED)


def main():
    plan = json.loads(Path(sys.argv[1]).read_text())
    with refused():
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        enter_namespaces()
        start_loopback()
        folder = os.getcwd()
        arrange_files(plan)
        # What it was is covered now.
        os.chdir(folder)
        child = os.fork()
        if child == 0:
            os._exit(run_as_first(plan, sys.argv[2:]))
    sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0))


if __name__ == "__main__":
    main()
