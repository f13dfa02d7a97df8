"""A relay that sends any bytes: a WebSocket server of which a script decides every byte after the handshake.

    RawRelay(script) --thread, one connection after the other--> script(send, number)

`send(bytes)` may block for as long as the peer does not read; number counts the connections. Loopback only.
"""
import base64
import hashlib
import socket
import struct
import threading

BINARY, PING = 2, 9


def message(payload, opcode=BINARY, size=None):
    """A whole frame, unmasked as servers send it; `size` is what it says of itself, whatever it is."""
    size = len(payload) if size is None else size
    head = bytes([0x80 | opcode])
    if size < 126:
        head += bytes([size])
    elif size < 1 << 16:
        head += b"\x7e" + struct.pack(">H", size)
    else:
        head += b"\x7f" + struct.pack(">Q", size)
    return head + payload


class RawRelay:
    def __init__(self, script):
        self.script, self.connections, self.sent = script, 0, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.is_stopping, self.current = False, None
        self.thread = threading.Thread(target=self.serve, daemon=True)

    @property
    def url(self):
        return f"ws://127.0.0.1:{self.port}"

    def start(self):
        self.thread.start()
        return self

    def serve(self):
        while not self.is_stopping:
            try:
                self.current, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            with self.current:
                try:
                    self.shake_hands()
                    self.script(self.send, self.connections)
                    self.drain()
                except (OSError, EOFError):
                    pass

    def shake_hands(self):
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.receive()
        key = next(line.split(b": ", 1)[1] for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
        accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        self.current.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")

    def receive(self):
        data = self.current.recv(65536)
        if not data:
            raise EOFError
        return data

    def send(self, data):
        self.current.sendall(data)
        self.sent += len(data)

    def drain(self):
        while True:
            self.receive()

    def stop(self):
        self.is_stopping = True
        for end in (self.listener, self.current):
            try:
                end and end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.listener.close()
        self.thread.join(10)
