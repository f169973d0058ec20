"""Finds the programs to test (in a build tree or installed) and builds the helper programs."""

import os
import shutil
import subprocess

SUPPORT = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(SUPPORT)))


def _busy():
    """How many runnable processes share a CPU here, 1 to 4."""
    return max(1, min(4, round(os.getloadavg()[0] / (os.cpu_count() or 1))))


class Build:
    def __init__(self, folder, scratch):
        self.folder = os.path.abspath(folder)
        self.scratch = scratch
        self.rum = self._program("rum")
        self.rum_map = self._program("rum-map", required=False)
        self.rumctl = self._program("rumctl")
        self.modules = self._collect_modules()
        self.sanitizer = self._find_sanitizer()
        # Longer deadlines for a program that sanitizers make slow, and on a machine with other work.
        self.scale = {"": 1, "address": 3, "thread": 5}[self.sanitizer] * _busy()

    def _program(self, name, required=True):
        for place in ("", "bin", "sbin", "core", "core/map"):
            # The program itself is in .libs; the file above it is libtool's wrapper.
            for path in (os.path.join(self.folder, place, ".libs", name),
                         os.path.join(self.folder, place, name)):
                if os.path.isfile(path) and os.access(path, os.X_OK):
                    return path
        if required:
            raise SystemExit("%s: no program '%s' (build it first)" % (self.folder, name))
        return None

    def _collect_modules(self):
        """One folder with links to all modules that libtool has built."""
        place = os.path.join(self.scratch, "modules")
        os.mkdir(place)
        for top, folders, files in os.walk(self.folder):
            folders[:] = [f for f in folders if f not in ("tests", "autom4te.cache")]
            for name in files:
                if name in ("passthrough.so", "mysql.so", "pgsql.so", "sni.so") and not os.path.exists(
                        os.path.join(place, name)):
                    os.symlink(os.path.join(top, name), os.path.join(place, name))
        return place

    def has_module(self, name):
        if os.path.exists(os.path.join(self.modules, name)):
            return True
        # A static rum that contains the modules.
        done = subprocess.run([self.rum, "-P", name, "--help"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.returncode == 0

    def _find_sanitizer(self):
        # gcc links a library, clang the sanitizer itself: both leave these names in the program.
        with open(self.rum, "rb") as f:
            program = f.read()
        if b"__tsan_init" in program:
            return "thread"
        if b"__asan_init" in program:
            return "address"
        return ""

    def module_compiler(self):
        """Compiles modules with the sanitizer of the program, thus with its compiler: two sanitizers in
        one process refuse each other."""
        if not self.sanitizer:
            return ["cc"]
        needed = subprocess.run(["ldd", self.rum], stdout=subprocess.PIPE).stdout
        linked = b"libasan" in needed or b"libtsan" in needed
        return ["cc" if linked else "clang", "-fsanitize=" + self.sanitizer]

    # Programs and libraries for tests; built once per run, before the first test.

    def build_help(self, with_mysql):
        self.login_load = self._compile("login_load.cc", "login_load", ["g++", "-std=c++20", "-O2"],
                                        ["-lpthread"])
        self.preload = self._compile("fail_calls.c", "fail_calls.so",
                                     ["cc", "-O1", "-shared", "-fPIC"], ["-ldl"])
        self.fail_memory = self._compile("fail_memory.c", "fail_memory.so",
                                         ["cc", "-O1", "-shared", "-fPIC"], ["-ldl"])
        self.libmariadb_client = None
        if with_mysql and program("mariadb_config"):
            def ask(what):
                return subprocess.run(["mariadb_config", what], stdout=subprocess.PIPE, check=True,
                                      text=True).stdout.split()
            self.libmariadb_client = self._compile("clients/libmariadb_client.c", "libmariadb_client",
                                                   ["cc", "-O1"] + ask("--cflags"), ask("--libs"))

    def _compile(self, source, name, command, libraries):
        for place in ("tests/integration", "tests/integration/support"):
            built = os.path.join(self.folder, place, name)
            if os.path.exists(built):
                return built
        target = os.path.join(self.scratch, name)
        if not os.path.exists(target):
            subprocess.run(command + [os.path.join(SUPPORT, source), "-o", target] + libraries,
                           check=True)
        return target

    def compile_module(self, folder, name, text, flags=()):
        """Builds a module from a source text of the test."""
        source = os.path.join(folder, name + ".c")
        with open(source, "w") as f:
            f.write(text)
        target = os.path.join(folder, name + ".so")
        subprocess.run(["cc", "-shared", "-fPIC", "-I", self.include(), source, "-o", target,
                        *flags], check=True)
        return target

    def include(self):
        installed = os.path.join(self.folder, "include")
        if os.path.exists(os.path.join(installed, "rum", "module.h")):
            return installed
        return os.path.join(SOURCE, "core", "include")


def program(name):
    """The path of an installed program, or None."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/bin:/bin")
