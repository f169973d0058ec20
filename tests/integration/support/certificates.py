"""Certificates for tests, made by the openssl command: an authority, and certificates that it signs."""

import subprocess


def openssl(*arguments):
    subprocess.run(("openssl",) + arguments, check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.PIPE)


class Authority:
    def __init__(self, folder, name="test authority"):
        self.folder = folder
        self.certificate = "%s/%s.pem" % (folder, name.replace(" ", "-"))
        self.key = self.certificate + ".key"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-subj", "/CN=" + name, "-days", "30", "-keyout", self.key, "-out", self.certificate)

    def sign(self, name, names="DNS:localhost,IP:127.0.0.1", days=30):
        """(certificate, key) for `names`."""
        base = "%s/%s" % (self.folder, name)
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-subj", "/CN=" + name, "-keyout", base + ".key", "-out", base + ".csr")
        with open(base + ".ext", "w") as f:
            f.write("subjectAltName=%s\n" % names)
        openssl("x509", "-req", "-in", base + ".csr", "-CA", self.certificate, "-CAkey", self.key,
                "-CAcreateserial", "-days", str(days), "-extfile", base + ".ext", "-out", base + ".pem")
        return base + ".pem", base + ".key"
