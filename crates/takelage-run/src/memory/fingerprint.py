import hashlib
import json
import os
import stat
import subprocess

# File systems that show the kernel's state, and those whose files a snapshot holds.
SHOWN = {
    "autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "fusectl", "hugetlbfs",
    "mqueue", "proc", "pstore", "securityfs", "sysfs", "tracefs",
}
# Where systemd keeps what it makes anew at every start, under other names.
SYSTEMD = ("/run/systemd", "/run/udev", "/run/log", "/run/credentials", "/run/utmp", "/run/initctl")
LIMIT = 20000


class TooMuch(Exception):
    pass


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except (IOError, OSError):
        return b""


def lineage():
    """Returns this process and those that it comes from."""
    found, process = set(), os.getpid()
    while process > 1:
        found.add(process)
        fields = read("/proc/%d/stat" % process).rpartition(b")")[2].split()
        process = int(fields[1]) if len(fields) > 1 else 0
    return found


def processes():
    ours, found = lineage(), []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) not in ours:
            command = read("/proc/%s/cmdline" % name)
            if command:
                try:
                    found.append([command.decode("latin-1"), os.stat("/proc/" + name).st_uid])
                except OSError:
                    pass
    return sorted(found)


def mounts():
    """Returns mount points with their type and options."""
    found = []
    for line in read("/proc/self/mountinfo").decode("latin-1").splitlines():
        before, _, after = line.partition(" - ")
        found.append((before.split()[4], after.split()[0], before.split()[5]))
    return sorted(found)


def files(points):
    """Returns what lies on mounts: what it is, and by which it can be told that it was touched."""
    stable, exact = [], []
    tops = {point for point, _, _ in points}
    for point, kind, _ in points:
        if point == "/" or kind in SHOWN or point.startswith(("/proc", "/sys", "/dev/pts")):
            continue
        if not os.path.isdir(point):
            # Of the engine's own making, with addresses in it.
            exact.append([point, hashlib.sha256(read(point)).hexdigest()])
            continue
        for directory, names, others in os.walk(point):
            kept = []
            for name in sorted(names):
                path = os.path.join(directory, name)
                if path not in tops and not path.startswith(SYSTEMD) and not name.startswith("systemd-private-"):
                    kept.append(name)
            names[:] = kept
            for name in sorted(kept + others):
                path = os.path.join(directory, name)
                if path in tops or path.startswith(SYSTEMD):
                    continue
                try:
                    found = os.lstat(path)
                except OSError:
                    continue
                size = found.st_size if stat.S_ISREG(found.st_mode) else 0
                what = [path, found.st_mode, found.st_uid, found.st_gid, size]
                stable.append(what)
                exact.append(what + [str(found.st_ctime), found.st_ino])
                if len(stable) > LIMIT:
                    raise TooMuch
    return stable, exact


def units():
    """Returns the units that systemd has brought up: not all of them leave a process."""
    if not os.path.isdir("/run/systemd/system"):
        return []
    command = ["systemctl", "list-units", "--no-legend", "--no-pager", "--plain", "--all"]
    command.append("--type=service,socket,timer,path,target,swap")
    output = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    lines = output.communicate()[0].decode("latin-1").splitlines()
    if output.returncode != 0:
        raise TooMuch
    words = [line.split()[:4] for line in lines]
    return sorted(words for words in words if len(words) == 4 and words[2] == "active")


def may_change_network():
    """Whether processes here may: then it is theirs, or else the host's with whatever happens there."""
    for line in read("/proc/self/status").splitlines():
        if line.startswith(b"CapEff:"):
            return bool(int(line.split()[1], 16) >> 12 & 1)
    return True


def kernel():
    """Returns what a privileged process may have changed in the kernel for this container."""
    names = ["sysvipc/shm", "sysvipc/sem", "sysvipc/msg", "sys/kernel/hostname"]
    if may_change_network():
        names += ["net/route", "net/if_inet6", "net/ip_tables_names", "net/ip6_tables_names", "sys/net/ipv4/ip_forward"]
    return [read("/proc/" + name).decode("latin-1") for name in names]


def digest(value):
    return hashlib.sha256(json.dumps(value).encode("utf-8")).hexdigest()


try:
    points = mounts()
    lie, touched = files(points)
    common = [processes(), units()]
    print("%s %s" % (digest([common, points, lie]), digest([common, points, touched, kernel()])))
except TooMuch:
    print("-")
