"""What an encrypted message weighs: bytes of its frames, and of the keys that an epoch begins with.

Two people with one device each, names as long as the pages give them, and a text of 31 characters in the live
chat of a session.
"""

from __future__ import annotations

from loadtest import key_frames, wire
from protocol import frames
from protocol.codec import Subprotocol, client_decoder, encode
from protocol.e2ee.asking import Request, SendKeys, SendMessage
from protocol.e2ee.contents import Text
from protocol.events import EventBody, KeysBody, MessageBody
from protocol.keys import KeysSend
from tests.bench import Measurement
from tests.protocol.e2ee.app import START_MS, App, settle
from tests.protocol.e2ee.server import Log, Server

TEXT = "Until next week. Take good care"
ROOM = "0197a3c2-5a3e-7c1d-9f44-2b6d1e8f0a55"
ADA, BEN = "therapist-2b6d1e8f", "client-2b6d1e8f"
DEVICE = "web-6f1c2c1e-8f0a-4b7e-9d57-0d3f5a1b2c3d"
SESSION = "0197a3c2-6b1d-7c1d-8e21-5a3e2b6d1e8f"

_decoder = client_decoder(Subprotocol.MSGPACK, 1 << 18)


def measure() -> dict[str, Measurement]:
    """Bytes of frames in MessagePack, without those of WebSocket and TLS."""
    measured: dict[str, Measurement] = {}
    for request in asked():
        match request:
            case SendKeys():
                measured |= both_ways("e2ee.wire_keys", request, None)
            case SendMessage():
                measured |= both_ways("e2ee.wire", request, len(TEXT))
            case _:
                pass
    return measured


def asked() -> list[Request]:
    """All that Ada's device asks for, so that Ben can read a text."""
    server = Server()
    ada, ben = App.first(server, ADA, DEVICE), App.first(server, BEN, DEVICE)
    server.memory.rooms[ROOM] = Log(members={ADA, BEN})
    settle([ada, ben])
    ada.device.send(ROOM, Text(TEXT), START_MS, session=SESSION)
    requests = []
    while due := ada.device.requests():
        requests.append(due[0])
        ada.save(ada.answer(due[0], server.serve(ada.who, due[0])))
    return requests


def both_ways(name: str, request: Request, clear: int | None) -> dict[str, Measurement]:
    """The request as it is sent, and the event that becomes of it as it is received."""
    sent = wire.pack({"id": 100, **key_frames.frame_of(request)})
    match _decoder.decode(sent):
        case KeysSend(mid=mid, header=header, signature=signature, slots=slots):
            body: EventBody = KeysBody(mid, header, signature, slots)
        case frames.MessageSend(mid=mid, data=data, session=session):
            body = MessageBody(mid, data, session)
        case other:
            raise AssertionError(f"{type(other).__name__} does not become an event")
    event = frames.Event(ROOM, START_MS // 1000, 100, START_MS, body, ADA, DEVICE)
    received = encode(event, Subprotocol.MSGPACK)
    return {
        f"{name}_sent": Measurement(len(sent), "B", clear),
        f"{name}_received": Measurement(len(received), "B", clear),
    }
