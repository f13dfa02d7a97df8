"""A minimal Debian in a folder, by debootstrap: made once a release, copied for each use."""
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
    **{name: os.environ[name] for name in PROXIES if name in os.environ},
}
NODES = ("null", "zero", "full", "random", "urandom", "tty")
# In a chroot no service is started by its package.
POLICY = "#!/bin/sh\nexit 101\n"


def check(command, **options):
    """Runs it and returns what it printed; a failure shows the end of its output."""
    options = {"capture_output": True, "text": True, "stdin": subprocess.DEVNULL, "timeout": 1800, **options}
    done = subprocess.run([str(part) for part in command], **options)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{(done.stdout + done.stderr)[-6000:]}"
    return done.stdout


def mirror():
    """The mirror of this machine's apt, where it has one for Debian; else debootstrap's own."""
    files = [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]
    for file in files:
        text = file.read_text() if file.is_file() else ""
        for found in re.findall(r"^(?:URIs:|deb (?:\[[^]]*\] )?)\s*(http\S+/debian/?)(?:\s|$)", text, re.M):
            return [found]
    return []


class Machine:
    def __init__(self, root):
        self.root, self.mounted = Path(root), []

    def bootstrap(self, release):
        check(["debootstrap", "--variant=minbase", release, self.root, *mirror()])
        (self.root / "usr/sbin/policy-rc.d").write_text(POLICY)
        (self.root / "usr/sbin/policy-rc.d").chmod(0o755)
        return self

    def copy_to(self, root):
        check(["cp", "-a", "--reflink=auto", self.root, root])
        return Machine(root)

    def mount(self):
        """What programs expect below /proc and /dev, and how the network is reached."""
        self.mount_one("-t", "proc", "proc", self.root / "proc")
        self.mount_one("-t", "tmpfs", "-o", "mode=755,size=1m", "dev", self.root / "dev")
        for node in NODES:
            check(["cp", "-a", f"/dev/{node}", self.root / "dev"])
        (self.root / "dev/fd").symlink_to("/proc/self/fd")
        (self.root / "dev/shm").mkdir()
        self.mount_one("-t", "tmpfs", "-o", "mode=1777,size=1g", "shm", self.root / "dev/shm")
        for name in ("resolv.conf", "hosts"):
            shutil.copyfile(f"/etc/{name}", self.root / "etc" / name)
        return self

    def mount_one(self, *words):
        check(["mount", *words])
        self.mounted.append(words[-1])

    def command(self, *words, user=None, **environment):
        """The command line that runs `words` inside."""
        settings = [f"{key}={value}" for key, value in {**ENVIRONMENT, **environment}.items()]
        who = [f"--userspec={user}", "--groups="] if user else []
        return ["chroot", *who, str(self.root), "/usr/bin/env", "-i", *settings, *map(str, words)]

    def run(self, *words, cwd="/", user=None, **environment):
        line = ("sh", "-c", 'cd "$0" && exec "$@"', cwd, *words)
        return check(self.command(*line, user=user, **environment))

    def install(self, *packages):
        self.run("apt-get", "-qq", "update")
        self.run("apt-get", "-qq", "install", "-y", "--no-install-recommends", *packages)

    def remove(self):
        """Ends what still runs inside, by where its root is, and takes all of it away."""
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if Path(os.readlink(process / "root")).resolve() == self.root.resolve():
                    os.kill(int(process.name), signal.SIGKILL)
            except OSError:
                continue
        for folder in reversed(self.mounted):
            if subprocess.run(["umount", folder], capture_output=True).returncode != 0:
                check(["umount", "-l", folder])
        self.mounted.clear()
        if f" {self.root.resolve()}/" not in Path("/proc/mounts").read_text():
            check(["rm", "-rf", "--one-file-system", "--", self.root])
