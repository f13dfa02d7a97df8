"""A certificate authority of the test's own: certificates for any name, of any time, with any flaw."""
import os
import subprocess

from harness.process import FAKETIME

ECDSA = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
GOOD = ("IP:127.0.0.1", "DNS:localhost")


def openssl(*words, days_ago=0):
    """As if it ran so many days ago: openssl 3.5 makes no certificate that ends before it begins."""
    assert FAKETIME or not days_ago, "libfaketime is not installed"
    past = {"LD_PRELOAD": str(FAKETIME), "FAKETIME": f"-{days_ago}d"} if days_ago else {}
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True, env={**os.environ, **past})
    assert done.returncode == 0, done.stderr


class Authority:
    def __init__(self, folder, name="authority", issuer=None):
        self.folder, self.name = folder, name
        self.certificate, self.key = folder / f"{name}.crt", folder / f"{name}.key"
        extensions = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign"]
        if issuer is None:
            openssl("req", "-x509", *ECDSA, "-days", 2, "-subj", f"/CN={name}", "-keyout", self.key, "-out", self.certificate)
        else:
            issuer.sign(self, f"/CN={name}", extensions)

    def sign(self, made, subject, extensions, days=2):
        """Fills `made.key` and `made.certificate`."""
        request = made.certificate.with_suffix(".csr")
        openssl("req", "-new", *ECDSA, "-subj", subject, *extensions, "-keyout", made.key, "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial",
                "-copy_extensions", "copy", "-days", max(days, 1), "-out", made.certificate, days_ago=max(0, 1 - days))

    def issue(self, name, alternatives=GOOD, days=2, subject=None):
        """A certificate; days below 0: it has ended."""
        return Issued(self, name, alternatives, days, subject or f"/CN={name}")


class Issued:
    def __init__(self, authority, name, alternatives, days, subject):
        self.certificate, self.key = authority.folder / f"{name}.crt", authority.folder / f"{name}.key"
        authority.sign(self, subject, ["-addext", "subjectAltName=" + ",".join(alternatives)], days)
