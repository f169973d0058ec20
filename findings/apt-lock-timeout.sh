#!/bin/bash
# Finding: apt-get's DPkg::Lock::Timeout waits for dpkg's lock, but not for the lock of the package lists
#
# Guess before the run: the option makes every command of apt-get wait for whatever lock it needs.
# Seen with apt 2.6.2 of Debian 12: `apt-get install` waits for dpkg's lock for as long as the
# option says; `apt-get update` fails at once when another process has the lock of the lists:
#   E: Could not get lock .../var/lib/apt/lists/lock. It is held by process N (python3)
# So a script that runs `update` and then `install` needs a loop of its own.
set -eu
version=2.6.2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq download "apt=$version" "libapt-pkg6.0=$version"
for package in *.deb; do dpkg-deb -x "$package" files; done
export LD_LIBRARY_PATH LC_ALL=C APT_CONFIG=$folder/apt.conf
LD_LIBRARY_PATH=$(dirname "$(find "$folder/files" -name 'libapt-pkg.so.6.0')")
mkdir -p root/etc/apt root/var/lib/{apt/lists/partial,dpkg} root/var/cache/apt/archives/partial
touch root/etc/apt/sources.list root/var/lib/dpkg/status
printf '%s\n' "Dir \"$folder/root\";" "Dir::State::status \"$folder/root/var/lib/dpkg/status\";" \
  'APT::Sandbox::User "";' >apt.conf
apt_get() { "$folder/files/usr/bin/apt-get" -q -o DPkg::Lock::Timeout=3 "$@"; }
apt_get --version | head -n 1

# `locked LOCK COMMAND...`: runs the command while another process has the lock.
locked() {
  python3 - "$@" <<'END'
import fcntl, subprocess, sys, time
with open(sys.argv[1], "a") as f:
    fcntl.lockf(f, fcntl.LOCK_EX)
    begin = time.monotonic()
    done = subprocess.run(sys.argv[2:], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    print(done.stdout, end="")
    print("ended with %d, %s" % (done.returncode, "waited" if time.monotonic() - begin > 2.5 else
                                 "at once"))
END
}
export -f apt_get
export folder
update=$(locked root/var/lib/apt/lists/lock bash -c 'apt_get update')
install=$(locked root/var/lib/dpkg/lock-frontend bash -c 'apt_get install none')
printf -- '-- update, the lists are locked:\n%s\n-- install, dpkg is locked:\n%s\n' "$update" "$install"
[[ $update == *"Could not get lock"*"ended with 100, at once" ]]
[[ $install == *"Waiting for cache lock"*"ended with 100, waited" ]]
