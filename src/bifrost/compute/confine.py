"""Gives up what a program is not to have, and becomes that program.

Run as `python -I -S -B confine.py <policy as JSON>`: every step is taken in this process, before
`exec`, so that nothing of Python's own process is touched and the program never runs without its
bounds. What the policy asks for and cannot be had ends this process with status 125 and the reason
on standard error; what is to be asked for is found out by `sandbox.py`.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import struct
import sys
from typing import Any, NoReturn

#: Exit status of a launcher that could not do what it was told.
REFUSED = 125

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP = 1, 38, 22
_SECCOMP_MODE_FILTER = 2
# The same numbers on every architecture.
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_EXECUTE, _READ_FILE = 1 << 0, 1 << 2
#: How many rights to files each version of Landlock has; later ones as many as the last.
_FILE_RIGHTS = (13, 14, 15, 15, 16)

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long


def _check(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def _prctl(what: str, option: int, *args: Any) -> None:
    words = [ctypes.c_ulong(arg) if isinstance(arg, int) else arg for arg in args]
    words += [ctypes.c_ulong(0)] * (4 - len(words))
    _check(_LIBC.prctl(ctypes.c_int(option), *words), what)


def landlock_version() -> int:
    """Return the version of Landlock that the kernel has; 0 for none."""
    size, flags = ctypes.c_size_t(0), ctypes.c_uint32(1)
    return max(0, int(_LIBC.syscall(ctypes.c_long(_LANDLOCK_CREATE), None, size, flags)))


def landlock(readable: list[str], executable: list[str]) -> None:
    """Keep this process from all files but these, from TCP, and from others' processes."""
    version = landlock_version()
    handled = (1 << _FILE_RIGHTS[min(version, len(_FILE_RIGHTS)) - 1]) - 1
    attributes = struct.pack("=Q", handled)
    if version >= 4:
        attributes += struct.pack("=Q", 0b11)  # to bind and to connect TCP
    if version >= 6:
        attributes += struct.pack("=Q", 0b11)  # abstract Unix sockets, signals
    rules = _LIBC.syscall(
        ctypes.c_long(_LANDLOCK_CREATE),
        attributes,
        ctypes.c_size_t(len(attributes)),
        ctypes.c_uint32(0),
    )
    _check(rules, "landlock")
    for paths, rights in ((readable, _READ_FILE), (executable, _READ_FILE | _EXECUTE)):
        for path in paths:
            try:
                file = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except FileNotFoundError:
                continue  # /etc/ld.so.cache need not be there
            added = _LIBC.syscall(
                ctypes.c_long(_LANDLOCK_ADD),
                ctypes.c_int(rules),
                ctypes.c_int(1),
                struct.pack("=Qi", rights, file),
                ctypes.c_uint32(0),
            )
            _check(added, f"landlock {path}")
            os.close(file)
    _check(
        _LIBC.syscall(ctypes.c_long(_LANDLOCK_RESTRICT), ctypes.c_int(rules), ctypes.c_uint32(0)),
        "landlock",
    )
    os.close(rules)


_RETURN, _LOAD, _EQUAL, _ABOVE, _BITS = 0x06, 0x20, 0x15, 0x25, 0x45
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS = 1, 38


def seccomp_program(rules: dict[str, Any], pid: int, path: int) -> bytes:
    """Return the filter of system calls as BPF.

    Args:
        rules: those of `seccomp.py`.
        pid: this process, which is all that it may send signals to.
        path: where in memory the name of the program lies. The pointer is the one argument by
            which `exec` of it differs from a later one, whose memory is another.
    """
    code: list[tuple[int, int, int, int]] = []

    def guarded(number: int, test: list[tuple[int, int, int, int]]) -> None:
        """Allow a call if a test falls through, otherwise refuse it."""
        code.append((_EQUAL, 0, len(test) + 2, number))
        code.extend([*test, (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _ERROR | _EPERM)])

    def argument(index: int, *, high: bool = False) -> tuple[int, int, int, int]:
        return (_LOAD, 0, 0, 16 + 8 * index + 4 * high)

    code += [
        (_LOAD, 0, 0, 4),
        (_EQUAL, 1, 0, rules["arch"]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, 0),
    ]
    # Calls by another convention (x32), and those that are younger than the rules.
    code += [(_ABOVE, 0, 1, 0x3FFFFFFF), (_RETURN, 0, 0, _KILL)]
    code += [(_ABOVE, 0, 1, rules["last"]), (_RETURN, 0, 0, _ERROR | _ENOSYS)]
    for number in rules["absent"]:
        code += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERROR | _ENOSYS)]
    for number in rules["forbidden"]:
        code += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERROR | _EPERM)]
    for number in rules["own"]:
        guarded(number, [argument(0), (_EQUAL, 0, 1, pid)])
    for number in rules["itself"]:
        guarded(number, [argument(0), (_EQUAL, 0, 1, 0)])
    for number, index, values in rules["without"]:
        # With one of the values it goes to the refusal, which is behind the permission.
        tests = [(_EQUAL, len(values) - place, 0, value) for place, value in enumerate(values)]
        guarded(number, [argument(index), *tests])
    for number, index, bits in rules["with"]:
        guarded(number, [argument(index), (_BITS, 0, 1, bits)])
    guarded(
        rules["exec"],
        [
            argument(0),
            (_EQUAL, 0, 3, path & 0xFFFFFFFF),
            argument(0, high=True),
            (_EQUAL, 0, 1, path >> 32),
        ],
    )
    code.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", op, yes, no, k) for op, yes, no, k in code)


def seccomp(rules: dict[str, Any], path: int) -> None:
    """Filter the system calls of this process from now on."""
    program = seccomp_program(rules, os.getpid(), path)
    memory = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(memory))
    _prctl("seccomp", _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.c_char_p(header))


def limit(limits: dict[str, int]) -> None:
    """Set limits of resources, by their names; those that are stricter stay."""
    import resource

    for name, value in limits.items():
        kind = getattr(resource, f"RLIMIT_{name}", None)
        if kind is not None:
            most = resource.getrlimit(kind)[1]
            bound = value if most == resource.RLIM_INFINITY else min(value, most)
            resource.setrlimit(kind, (bound, bound))


def become(uid: int) -> None:
    """Be a user who owns nothing."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def follow(parent: int) -> None:
    """Die when the thread that started this process does."""
    _prctl("pdeathsig", _PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:
        os._exit(REFUSED)  # it was faster


def apply(policy: dict[str, Any], path: int) -> None:
    """Take every step of a policy; `path` is where the name of the program lies."""
    end = 0
    for file in sorted([*policy["keep"], 1 << 20]):
        if end < file:  # an empty range would be everything
            os.closerange(end, file)
        end = file + 1
    os.chdir("/")
    if policy.get("limits"):
        limit(policy["limits"])
    if policy.get("user") is not None:
        become(policy["user"])
    if policy.get("parent"):
        follow(policy["parent"])  # a change of user would have undone it
    if policy.get("landlock") or policy.get("seccomp"):
        _prctl("no_new_privs", _PR_SET_NO_NEW_PRIVS, 1)
    if policy.get("landlock"):
        landlock(policy["landlock"]["read"], policy["landlock"]["run"])
    if policy.get("seccomp"):
        seccomp(policy["seccomp"], path)


def main() -> NoReturn:
    """Apply the policy, and become the program."""
    policy = json.loads(sys.argv[1])
    program = ctypes.create_string_buffer(os.fsencode(policy["command"][0]))
    words = [os.fsencode(word) for word in policy["command"]]
    argv = (ctypes.c_char_p * (len(words) + 1))(*words, None)
    pairs = [os.fsencode(f"{name}={value}") for name, value in policy["environment"].items()]
    envp = (ctypes.c_char_p * (len(pairs) + 1))(*pairs, None)
    try:
        apply(policy, ctypes.addressof(program))
        _LIBC.execve(program, argv, envp)
        code = ctypes.get_errno()
        raise OSError(code, f"{policy['command'][0]}: {os.strerror(code)}")
    except OSError as error:
        os.write(2, f"confine: {error.strerror or error}\n".encode())
        os._exit(REFUSED)


if __name__ == "__main__":
    main()
