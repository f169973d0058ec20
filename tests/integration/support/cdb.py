"""Writes constant databases (cdb) and the records of the user map, independent of rum's own code."""

import os
import struct


def _hash(key):
    h = 5381
    for byte in key:
        h = ((h << 5) + h & 0xFFFFFFFF) ^ byte
    return h


def encode(records):
    """The bytes of a database with these (key, value) records."""
    body, tables, at = [], [[] for _ in range(256)], 2048
    for key, value in records:
        h = _hash(key)
        tables[h & 255].append((h, at))
        body.append(struct.pack("<II", len(key), len(value)) + key + value)
        at += 8 + len(key) + len(value)
    head, tail = [], []
    for entries in tables:
        slots = 2 * len(entries)
        head.append(struct.pack("<II", at, slots))
        table = [(0, 0)] * slots
        for h, where in entries:
            i = (h >> 8) % slots
            while table[i][1]:
                i = (i + 1) % slots
            table[i] = (h, where)
        tail.append(b"".join(struct.pack("<II", *slot) for slot in table))
        at += 8 * slots
    return b"".join(head + body + tail)


def user_record(user, password_hash, destination, rest=b""):
    """One user: the hash as *HEX or '', the destination as tcp:host:port."""
    user = user if isinstance(user, bytes) else user.encode()
    return user, password_hash.encode() + b"\0" + destination.encode() + b"\0" + rest


def users(*rows):
    return encode([user_record(*row) for row in rows])


def replace(path, data):
    """Replaces a file by rename."""
    with open(path + ".new", "wb") as f:
        f.write(data)
    os.rename(path + ".new", path)
