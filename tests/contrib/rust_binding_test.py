"""The Rust binding (contrib/rust/src/ffi.rs) says what rum/module.h says: every struct with its size
and the offset, size and type of each member, every constant, every name of a group; and nothing
that the header does not have. Fails when one of the two grows alone.

The names come out of the header. A C program and a Rust program are made of them, which print what
each side knows, and the lines are compared. The types of functions are compared by rustc.
"""

import difflib
import os
import re
import shutil
import subprocess
import sys
import tempfile

SOURCE = os.environ.get("srcdir", ".")
INCLUDE = os.path.join(SOURCE, "core", "include")
HEADER = os.path.join(INCLUDE, "rum", "module.h")
CRATE = os.path.join(SOURCE, "contrib", "rust", "src")
RUSTC = os.environ.get("RUSTC", "rustc")
SKIP = 77

SIMPLE = {"int32_t": "i32", "uint32_t": "u32", "int64_t": "i64", "uint64_t": "u64", "size_t": "usize",
          "uint8_t": "u8", "char": "c_char", "void": "c_void"}


class Header:
    """What is in module.h: structs as {name: [(member, type)]}, opaque types, constants, groups."""

    def __init__(self, text):
        # What is for C alone stands at the end; a continued line is one.
        text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
        self.groups = re.findall(r'^#define (RUM_\w+_\d+) "', text, re.M)
        kinds = {"INT": "i32", "UINT": "u32"}
        self.constants = {name: kinds[kind] for kind, name in re.findall(
            r"^RUM_(U?INT)\((RUM_\w+), -?\d+\);", text, re.M)}
        text = re.sub(r"^#.*$", "", text, flags=re.M)
        self.structs = {}
        for name, body in re.findall(r"typedef struct (\w+) \{(.*?)\n\}", text, re.S):
            members = [" ".join(m.split()) for m in body.split(";")]
            self.structs[name] = [self.member(m) for m in members if m]
        self.opaque = re.findall(r"typedef struct (\w+) \w+;", text)

    @classmethod
    def member(cls, text):
        """Name and Rust type of a member or an argument."""
        function = re.match(r"(.*?)\(\*(\w+)\)\((.*)\)$", text)
        if function:
            result, name, arguments = function.groups()
            return name, cls.function_type(result.strip(), arguments)
        kind, name = re.match(r"(.*?)(\w+)$", text).groups()
        return name, cls.rust_type(kind)

    @classmethod
    def function_type(cls, result, arguments):
        parts, depth = [""], 0
        for c in arguments:
            depth += {"(": 1, ")": -1}.get(c, 0)
            if c == "," and not depth:
                parts.append("")
            else:
                parts[-1] += c
        kinds = [cls.member(p.strip())[1] for p in parts if p.strip() != "void"]
        back = "" if result == "void" else " -> " + cls.rust_type(result)
        return 'Option<unsafe extern "C" fn(%s)%s>' % (", ".join(kinds), back)

    @staticmethod
    def rust_type(text):
        words = re.findall(r"const|\*|\w+", text)
        base = next(w for w in words if w not in ("const", "*"))
        kind, constant = SIMPLE.get(base, base), words[0] == "const"
        for word in words[1:]:
            if word == "*":
                kind, constant = ("*const " if constant else "*mut ") + kind, False
            elif word == "const":
                constant = True
        return kind


def c_program(header):
    lines = ["#include <rum/module.h>", "#include <stddef.h>", "#include <stdio.h>", "int main(void) {"]
    for name, members in header.structs.items():
        lines.append('  printf("%s %%zu\\n", sizeof(%s));' % (name, name))
        for member, _ in members:
            lines.append('  printf("%s.%s %%zu %%zu\\n", offsetof(%s, %s), sizeof(((%s *)0)->%s));'
                         % (name, member, name, member, name, member))
    for name in header.constants:
        lines.append('  printf("%s %%lld\\n", (long long)%s);' % (name, name))
    for name in header.groups:
        lines.append('  printf("%s %%s\\n", %s);' % (name, name))
    return "\n".join(lines + ["  return 0;", "}", ""])


def rust_program(header):
    lines = ["use ffi::*;", "#[allow(unused_imports)]", "use std::ffi::c_void;",
             "#[allow(unused_imports)]", "use std::os::raw::c_char;",
             "#[allow(dead_code, non_camel_case_types)]", "mod ffi;",
             "fn size<T>(_: *const T) -> usize { std::mem::size_of::<T>() }", "fn main() {"]
    for name, members in header.structs.items():
        lines.append('    println!("%s {}", std::mem::size_of::<%s>());' % (name, name))
        lines.append("    let place = std::mem::MaybeUninit::<%s>::uninit();" % name)
        lines.append("    let p = place.as_ptr();")
        for member, kind in members:
            lines.append("    let m: *const %s = unsafe { std::ptr::addr_of!((*p).r#%s) };"
                         % (kind, member))
            lines.append('    println!("%s.%s {} {}", m as usize - p as usize, size(m));'
                         % (name, member))
    for name, kind in header.constants.items():
        lines.append('    println!("%s {}", %s as i64);' % (name, name))
        lines.append("    let _: %s = %s;" % (kind, name))
    for name in header.groups:
        lines.append('    println!("%s {}", %s.to_str().unwrap());' % (name, "c_text(%s)" % name))
    lines += ["}", "fn c_text(text: &str) -> &std::ffi::CStr {",
              "    std::ffi::CStr::from_bytes_with_nul(text.as_bytes()).unwrap()", "}"]
    return "\n".join(lines + [""])


def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit("rust_binding_test: %s ended with %d:\n%s" % (command[0], done.returncode, done.stdout))
    return done.stdout


def only_here(header, binding):
    """Names of the binding that the header does not have."""
    known = set(header.structs) | set(header.opaque) | set(header.constants) | set(header.groups)
    return sorted(set(re.findall(r"^pub (?:const|struct|type) (\w+)", binding, re.M)) - known)


def main():
    if not shutil.which(RUSTC):
        print("no rustc here: apt-get install rustc")
        return SKIP
    with open(HEADER, encoding="utf-8") as f:
        header = Header(f.read())
    # That this test reads the header right.
    assert len(header.structs) >= 9 and len(header.constants) >= 60 and len(header.groups) >= 5
    assert dict(header.structs["rum_host"])["send"] == \
        'Option<unsafe extern "C" fn(*mut rum_session, u32, *const c_void, usize) -> i32>'
    work = tempfile.mkdtemp(prefix="rum-")
    try:
        def path(name):
            return os.path.join(work, name)
        for name, text in (("header.c", c_program(header)), ("binding.rs", rust_program(header))):
            with open(path(name), "w", encoding="utf-8") as f:
                f.write(text)
        shutil.copyfile(os.path.join(CRATE, "ffi.rs"), path("ffi.rs"))
        run(*os.environ.get("CC", "cc").split(), "-std=c11", "-I", INCLUDE, "-o", path("header"),
            path("header.c"))
        run(RUSTC, "--edition", "2021", "-o", path("binding"), path("binding.rs"))
        one, other = (run(path(name)).splitlines() for name in ("header", "binding"))
    finally:
        shutil.rmtree(work)
    differences = list(difflib.unified_diff(one, other, "rum/module.h", "ffi.rs", n=0, lineterm=""))
    with open(os.path.join(CRATE, "ffi.rs"), encoding="utf-8") as f:
        differences += ["only in ffi.rs: " + name for name in only_here(header, f.read())]
    print("\n".join(differences) or "ffi.rs says what module.h says, in %d lines" % len(one))
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
