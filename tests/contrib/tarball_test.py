#!/usr/bin/python3
"""Every file of the repository is in the release: automake puts only those there that a .am file names."""

import os
import re
import subprocess
import sys

SOURCE = os.environ.get("srcdir", ".")
# automake distributes these by itself.
KNOWN = {"configure.ac", "contrib/rum.pc.in", "m4/rum.m4"}
# These are of the repository only.
OUTSIDE = re.compile(r"^\.gitignore$|^findings/")


def main():
    os.chdir(SOURCE)
    if not os.path.exists(".git"):
        print("this is a release, not the repository")
        return 77
    listed = subprocess.run(["git", "ls-files", "-z"], capture_output=True, text=True)
    if listed.returncode != 0:
        print("git cannot list the files: " + listed.stderr.strip())
        return 77
    files = [name for name in listed.stdout.split("\0") if name and os.path.exists(name)]
    if len(files) < 500:
        print("only %d files were found" % len(files))
        return 1
    named = set()
    for name in files:
        if name.endswith(".am"):
            with open(name) as f:
                named.update(re.findall(r"[\w.@+-]+(?:/[\w.@+-]+)*", f.read().replace("$(srcdir)/", "")))
    missing = [name for name in files
               if name not in named and name not in KNOWN and not name.endswith(".am")
               and not OUTSIDE.match(name)
               # A whole folder, such as contrib/deploy.
               and not any(name.startswith(folder + "/") for folder in named
                           if re.match("(contrib|tests)/", folder))]
    for name in missing:
        print("no .am file names %s: add it to EXTRA_DIST or to the sources of a program" % name)
    print("%d files, %d missing" % (len(files), len(missing)))
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
