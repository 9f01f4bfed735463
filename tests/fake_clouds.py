"""Stand-ins for vendors' clouds: real HTTP on loopback, answers in their documented shapes."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CUT = object()
"""An answer that breaks off in the middle of its body."""


@dataclass
class FakeCloud:
    """A server that gives scripted answers, the last one for ever.

    Attributes:
        answers: ``(status, JSON)``, ``(status, bytes)``, ``CUT``, or seconds to wait before an
            empty 200.
        requests: path, headers and body of each call.
    """

    answers: list[Any]
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""

    def respond(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers.get("Content-Length") or 0)
        body = handler.rfile.read(length)
        self.requests.append((handler.path, dict(handler.headers.items()), body))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, float):
            time.sleep(answer)
            answer = (200, {})
        status, content = (200, {"begins": "well"}) if answer is CUT else answer
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(data) + (100 if answer is CUT else 0)))
        handler.end_headers()
        handler.wfile.write(data)
        if answer is CUT:
            handler.wfile.flush()
            handler.connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def serving(*answers: Any) -> Iterator[FakeCloud]:
    """A running fake cloud; its ``url`` has no trailing slash."""
    cloud = FakeCloud(list(answers))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            try:
                cloud.respond(self)
            except OSError:
                self.close_connection = True  # the client gave up, as it should

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    cloud.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield cloud
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def closed_port() -> str:
    """An address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


# Shapes as in the vendors' reference pages, shortened to what matters here.


def rekognition_face(left: float, width: float, **emotions: float) -> dict[str, Any]:
    """One of ``FaceDetails``; emotions in percent."""
    marks = {"eyeLeft": 0.3, "eyeRight": 0.7, "nose": 0.5, "mouthLeft": 0.35, "mouthRight": 0.65}
    return {
        "BoundingBox": {"Left": left, "Top": 0.1, "Width": width, "Height": 0.5},
        "Confidence": 99.9,
        "Emotions": [{"Type": name, "Confidence": value} for name, value in emotions.items()],
        "Landmarks": [{"Type": name, "X": left + width * x, "Y": 0.3} for name, x in marks.items()],
        "Pose": {"Pitch": 1.0, "Roll": 2.0, "Yaw": 3.0},
        "Quality": {"Brightness": 80.0, "Sharpness": 90.0},
    }


def rekognition_error(kind: str, status: int) -> tuple[int, dict[str, str]]:
    return status, {"__type": kind, "message": "as documented"}


def google_face(left: int, width: int, **likelihoods: str) -> dict[str, Any]:
    """One of ``faceAnnotations``; likelihood words by mood."""
    corners = [(left, 20), (left + width, 20), (left + width, 120), (left, 120)]
    marks = {
        "LEFT_EYE": 0.3,
        "RIGHT_EYE": 0.7,
        "NOSE_TIP": 0.5,
        "MOUTH_LEFT": 0.35,
        "MOUTH_RIGHT": 0.65,
    }
    words = dict.fromkeys(("joy", "sorrow", "anger", "surprise"), "VERY_UNLIKELY") | likelihoods
    return {
        "boundingPoly": {"vertices": [{"x": x, "y": y} for x, y in corners]},
        "detectionConfidence": 0.97,
        "landmarks": [
            {"type": name, "position": {"x": left + width * x, "y": 60.0, "z": 0.0}}
            for name, x in marks.items()
        ],
        **{f"{mood}Likelihood": word for mood, word in words.items()},
    }


def google_answer(*faces: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    return 200, {"responses": [{"faceAnnotations": list(faces)}]}


def google_error(status: int, kind: str) -> tuple[int, dict[str, Any]]:
    return status, {"error": {"code": status, "message": "as documented", "status": kind}}


def watson_answer(**scores: float) -> tuple[int, dict[str, Any]]:
    classes = [{"class": name, "score": score} for name, score in scores.items()]
    classifier = {"classifier_id": "Default_1", "name": "Default", "classes": classes}
    image = {"classifiers": [classifier], "image": "photo.jpg"}
    return 200, {"images": [image], "images_processed": 1, "custom_classes": 7}
