"""Sessions through a real rum: two users reach their own servers. Run by `make check`,
which sets RUM_BIN, the folder of rum and rum-map (the search path's if it is empty).
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

SECONDS = 60  # timeout, much longer than the test takes


def program(name):
    return os.path.join(os.environ.get("RUM_BIN", ""), name)


def serve(path):
    """A server that sends its name to each client."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(8)

    def loop():
        while True:
            client, _ = listener.accept()
            with client:
                client.sendall(b"this is " + os.path.basename(path).encode() + b"\n")
    threading.Thread(target=loop, daemon=True).start()


def visit(front, name):
    """What a client with this name receives."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(SECONDS)
        s.connect(front)
        s.sendall(name.encode() + b"\r\n")
        told = b""
        while part := s.recv(4096):
            told += part
        return told.decode()


def main():
    folder = tempfile.mkdtemp(prefix="rum-")
    front, users, text = (os.path.join(folder, n) for n in ("front", "users.cdb", "users"))
    servers = {"alice": os.path.join(folder, "one"), "bob": os.path.join(folder, "two")}
    rum = None
    try:
        with open(text, "w") as f:
            for name, path in servers.items():
                serve(path)
                f.write("%s - sock:%s\n" % (name, path))
        subprocess.run([program("rum-map"), "build", users, text], check=True, stdout=subprocess.DEVNULL)
        rum = subprocess.Popen([program("rum"), "-P", os.path.abspath("greeting.so"), "-M", users, "-s",
                                "sock:" + front, "-l", os.path.join(folder, "log")])
        end = time.monotonic() + SECONDS
        while not os.path.exists(front):
            if rum.poll() is not None or time.monotonic() > end:
                sys.exit("session_test: rum does not start")
            time.sleep(0.02)
        for name, path in servers.items():
            told = visit(front, name)
            if "this is " + os.path.basename(path) not in told:
                sys.exit("session_test: %s is told %r" % (name, told))
        print("session_test: alice and bob are at their servers")
    finally:
        if rum and rum.poll() is None:
            rum.terminate()
            rum.wait(SECONDS)
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
