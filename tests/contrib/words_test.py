#!/usr/bin/python3
"""Nothing that a user reads has a word of retired_words.txt: manuals, README, NEWS, contrib, --help,
and the texts in the sources, which become log lines, errors, JSON and metrics."""

import os
import re
import subprocess
import sys

SOURCE = os.environ.get("srcdir", ".")
LIST = "tests/contrib/retired_words.txt"
TEXTS = re.compile(r"\.([1-9]|md|conf|yml|json|in|def)$|^contrib/[^/]+$|^contrib/(debian|systemd)/")
SOURCES = re.compile(r"\.(cc|h|hpp|c)$")
FOLDERS = ("contrib", "core", "modules")
PROGRAMS = ("rum", "rum-map", "rum-check", "rumctl")
# Its table of old names, and texts that are not rum's own.
EXEMPT = {"contrib/debian/copyright"}
RENAMED = {"NEWS.md", "contrib/doc/architecture.md"}  # a part "Renamed" is about the old words
TIMEOUT = 60  # seconds

LITERAL = re.compile(r'R"\((.*?)\)"|"((?:[^"\\\n]|\\.)*)"', re.DOTALL)
COMMENT = re.compile(r'("(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'|R"\(.*?\)")|//[^\n]*|/\*.*?\*/',
                     re.DOTALL)


def read_list(text):
    """Pairs of a pattern and what is said now."""
    rows = []
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        pattern, tab, now = line.partition("\t")
        if not tab or not now:
            raise ValueError("no replacement: " + line)
        flags = 0 if pattern.startswith("(?-i:") else re.IGNORECASE
        # A phrase may be broken over two lines.
        rows.append((re.compile(pattern.replace(" ", r"\s+"), flags), now))
    return rows


def without_renamed(text):
    """Blank lines in place of the part about old names."""
    lines, skip = [], False
    for line in text.splitlines():
        if line.startswith(("#", "**")):
            skip = "Renamed" in line
        lines.append("" if skip else line)
    return "\n".join(lines)


def literals(text):
    """What is between quotes, each at its line: pieces of one text are joined."""
    text = COMMENT.sub(lambda found: found.group(1) or "\n" * found.group().count("\n"), text)
    text = re.sub(r"^\s*#\s*include.*$", "", text, flags=re.MULTILINE)
    lines = [""] * (text.count("\n") + 1)
    for found in LITERAL.finditer(text):
        line = text.count("\n", 0, found.start())
        for i, part in enumerate((found.group(1) or found.group(2) or "").split("\n")):
            lines[line + i] += " " + part.replace("\\n", " ").replace('\\"', '"')
    # A text that goes on in the next line goes on without a blank of its own.
    return "\n".join(lines)


def faults(rows, name, text):
    for pattern, now in rows:
        for found in pattern.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            yield "%s:%d: '%s' (say: %s)" % (name, line, " ".join(found.group().split()), now)


def files():
    yield from (name for name in os.listdir(SOURCE) if name.endswith(".md"))
    for top in FOLDERS:
        for folder, _, names in os.walk(os.path.join(SOURCE, top)):
            yield from (os.path.relpath(os.path.join(folder, name), SOURCE) for name in sorted(names))


def read(name):
    try:
        with open(os.path.join(SOURCE, name), encoding="utf-8") as file:
            return file.read()
    except UnicodeDecodeError:
        return ""


def help_texts():
    environment = dict(os.environ, RUM_MODULE_DIR=os.path.abspath(".libs"), LC_ALL="C")
    calls = [[program, "--help"] for program in PROGRAMS if os.path.exists(program)]
    calls += [["rum", "-P", module, "--help"] for module in ("mysql.so", "sni.so")
              if os.path.exists(os.path.join(".libs", module))]
    for call in calls:
        done = subprocess.run(["./" + call[0]] + call[1:], env=environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=TIMEOUT)
        yield " ".join(call), done.stdout


def self_test(rows):
    """What the test is to find, and what not."""
    def found(text):
        return bool(list(faults(rows, "x", text)))
    good = (found("a server is\nwell") and found("Unwell") and found("turned away")
            and found(literals('Log("it is resting");')) and found(literals('x = R"(for ever)";'))
            and found(literals('Log("it is left "\n    "alone");'))
            and not found(literals('int resting;  // left alone "for ever"'))
            and not found("as well as the others") and not found("systemctl --kill-whom=main")
            and not found(without_renamed("### Renamed\nunwell\n"))
            and found(without_renamed("### Renamed\nx\n### New\nunwell\n")))
    return [] if good else ["words_test: it does not find what it is to find"]


def main():
    rows = read_list(read(LIST))
    failures = self_test(rows)
    looked = 0
    for name in files():
        if name in EXEMPT or not (TEXTS.search(name) or SOURCES.search(name)):
            continue
        text = read(name)
        if SOURCES.search(name):
            text = literals(text)
        elif name in RENAMED:
            text = without_renamed(text)
        looked += 1
        failures += faults(rows, name, text)
    if looked < 100:
        failures.append("words_test: only %d files were found in %s" % (looked, SOURCE))
    texts = list(help_texts())
    for name, text in texts:
        failures += faults(rows, name, text)
    if not texts:
        failures.append("words_test: no program to ask for --help")
    print("%d patterns, %d files, %d programs" % (len(rows), looked, len(texts)))
    for failure in failures:
        print(failure)
    return 1 if failures else 0


sys.exit(main())
