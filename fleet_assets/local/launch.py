"""Last step before a child's own program: drop root, ask to die with the supervisor, then exec.

Run as a script (``python -I -S launch.py …``), never imported: it must start in milliseconds, and
it may use nothing but the standard library. It stands between fork and exec because Python code
between them (``preexec_fn``) can deadlock in a process with threads, and because the kernel
forgets a parent-death signal when the user id changes, so it has to be set after that.

Usage: launch.py PARENT_PID DEATH_SIGNAL UID GID KEEP_READ PROGRAM [ARG…]
UID -1 keeps the user. KEEP_READ 1 keeps, of all of root's rights, the one to pass and read files
that belong to others: a server whose folder lies in a home that only root may enter needs it.
"""

import ctypes
import os
import struct
import sys

PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2
CAPABILITY_VERSION_3 = 0x20080522


def main() -> None:
    """Do what the command line says; errors end with a line on stderr and status 126."""
    parent, death_signal, uid, gid, keep_read = (int(word) for word in sys.argv[1:6])
    command = sys.argv[6:]
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
    if uid >= 0:
        if libc is not None and keep_read:
            libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
        if libc is not None and keep_read:
            _keep_right_to_read(libc)
    if libc is not None:
        libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
        if os.getppid() != parent:  # it died before we asked
            sys.exit(0)
    try:
        os.execv(command[0], command)
    except OSError as error:
        print(f"cannot run {command[0]}: {error.strerror}", file=sys.stderr)
        sys.exit(126)


def _keep_right_to_read(libc: ctypes.CDLL) -> None:
    """Keep CAP_DAC_READ_SEARCH (in a container: CAP_DAC_OVERRIDE), pass it on, drop the rest."""
    for capability in (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE):
        mask = 1 << capability
        header = struct.pack("=Ii", CAPABILITY_VERSION_3, 0)
        # effective, permitted, inheritable of capabilities 0-31, then of 32-63
        if libc.capset(header, struct.pack("=6I", mask, mask, mask, 0, 0, 0)) == 0:
            libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0)
            return
    print("this system lets no right to read other users' folders be kept", file=sys.stderr)
    sys.exit(126)


if __name__ == "__main__":
    main()
