"""Which system calls a worker has no use for, and would only need to reach outside of itself.

A list of what is refused, and not of what is allowed: what Node.js and its C library call differs
with their versions. Landlock, rlimits and the permission model refuse the same a second time;
calls that are younger than this list do not exist for a worker.
"""

from __future__ import annotations

import platform
from typing import Any, Final

#: AUDIT_ARCH_*, and the column of the tables below.
_MACHINES: Final = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
#: From here on calls have the same number everywhere; there are none behind it that we know.
_LAST: Final = 450

#: Name, number on x86_64, number on aarch64 (- where there is none).
_FORBIDDEN: Final = """
# sockets of every kind
socket 41 198  socketpair 53 199  connect 42 203  bind 49 200  listen 50 201  accept 43 202
accept4 288 242  sendmsg 46 211  sendmmsg 307 269  recvmsg 47 212  recvmmsg 299 243
# other processes: their memory, their descriptors, their end
ptrace 101 117  process_vm_readv 310 270  process_vm_writev 311 271  process_madvise 440 440
process_mrelease 448 448  kcmp 312 272  pidfd_open 434 434  pidfd_send_signal 424 424
pidfd_getfd 438 438  tkill 200 130  rt_tgsigqueueinfo 297 240  rt_sigqueueinfo 129 138
fork 57 -  vfork 58 -  execveat 322 281  setpgid 109 154  setsid 112 157  setpriority 141 140
ioprio_set 251 30  sched_setscheduler 144 119  sched_setattr 314 274  sched_setparam 142 118
sched_setaffinity 203 122  migrate_pages 256 238  move_pages 279 239
# memory and messages that processes share by name
shmget 29 194  shmat 30 196  shmctl 31 195  semget 64 190  semop 65 193  semtimedop 220 192
semctl 66 191  msgget 68 186  msgsnd 69 189  msgrcv 70 188  msgctl 71 187  mq_open 240 180
mq_unlink 241 181  memfd_create 319 279  memfd_secret 447 447
# who it is, and what it sees of the system
setuid 105 146  setgid 106 144  setreuid 113 145  setregid 114 143  setresuid 117 147
setresgid 119 149  setfsuid 122 151  setfsgid 123 152  setgroups 116 159  capset 126 91
unshare 272 97  setns 308 268  mount 165 40  umount2 166 39  pivot_root 155 41  chroot 161 51
move_mount 429 429  open_tree 428 428  fsopen 430 430  fsconfig 431 431  fsmount 432 432
fspick 433 433  mount_setattr 442 442  personality 135 92
# what is written besides the contents of files
mkdir 83 -  mkdirat 258 34  rmdir 84 -  unlink 87 -  unlinkat 263 35  rename 82 -  renameat 264 38
renameat2 316 276  link 86 -  linkat 265 37  symlink 88 -  symlinkat 266 36  mknod 133 -
mknodat 259 33  chmod 90 -  fchmod 91 52  fchmodat 268 53  chown 92 -  fchown 93 55  lchown 94 -
fchownat 260 54  utime 132 -  utimes 235 -  futimesat 261 -  utimensat 280 88  truncate 76 45
setxattr 188 5  lsetxattr 189 6  fsetxattr 190 7  removexattr 197 14  lremovexattr 198 15
fremovexattr 199 16  creat 85 -  name_to_handle_at 303 264  open_by_handle_at 304 265
inotify_init 253 -  inotify_init1 294 26  fanotify_init 300 262  fanotify_mark 301 263
# the kernel itself
bpf 321 280  perf_event_open 298 241  userfaultfd 323 282  keyctl 250 219  add_key 248 217
request_key 249 218  kexec_load 246 104  kexec_file_load 320 294  init_module 175 105
finit_module 313 273  delete_module 176 106  reboot 169 142  swapon 167 224  swapoff 168 225
acct 163 89  quotactl 179 60  quotactl_fd 443 443  syslog 103 116  sethostname 170 161
setdomainname 171 162  settimeofday 164 170  clock_settime 227 112  adjtimex 159 171
clock_adjtime 305 266  iopl 172 -  ioperm 173 -  modify_ldt 154 -  lookup_dcookie 212 18
vhangup 153 58  vmsplice 278 75  io_setup 206 0  io_submit 209 2
"""

#: Node.js tries these first, and does without: they would pass by the other rules.
_ABSENT: Final = (
    "io_uring_setup 425 425  io_uring_enter 426 426  io_uring_register 427 427  clone3 435 435"
)


def rules() -> dict[str, Any] | None:
    """Return the rules for this machine, as `confine.py` reads them, or None if there are none."""
    if platform.machine() not in _MACHINES:
        return None
    arch, column = _MACHINES[platform.machine()]

    def pick(*numbers: int) -> int:
        return numbers[column]

    return {
        "arch": arch,
        "last": _LAST,
        "forbidden": [*_numbers(_FORBIDDEN, column).values()],
        "absent": [*_numbers(_ABSENT, column).values()],
        # kill, tgkill: only itself, as `abort` does. prlimit64: its own limits, which it calls 0.
        "own": [pick(62, 129), pick(234, 131)],
        "itself": [pick(302, 261)],
        "without": [
            # PR_SET_PDEATHSIG would let it live on; PR_SET_MM rewrites what others see of it.
            [pick(157, 167), 0, [1, 35]],
            [pick(16, 29), 1, [0x5412, 0x541C]],  # TIOCSTI, TIOCLINUX: typing into a terminal
        ],
        # A thread, never a process.
        "with": [[pick(56, 220), 0, 0x00010000]],
        "exec": pick(59, 221),
    }


def numbers() -> dict[str, int]:
    """Return the numbers of the calls that are refused, whatever they are given."""
    column = _MACHINES[platform.machine()][1]
    return _numbers(_FORBIDDEN, column) | _numbers(_ABSENT, column)


def _numbers(table: str, column: int) -> dict[str, int]:
    words = " ".join(line for line in table.splitlines() if not line.startswith("#")).split()
    pairs = zip(words[::3], words[1 + column :: 3], strict=True)
    return {name: int(number) for name, number in pairs if number != "-"}
