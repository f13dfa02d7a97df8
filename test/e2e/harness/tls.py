"""A throw-away certificate for 127.0.0.1, signed by itself."""
import subprocess


class Certificate:
    def __init__(self, folder):
        self.certificate, self.key = folder / "relay.crt", folder / "relay.key"
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        command += ["-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
        command += ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
        command += ["-keyout", str(self.key), "-out", str(self.certificate)]
        subprocess.run(command, check=True, capture_output=True)
