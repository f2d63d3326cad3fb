"""A stand-in for a language model, which this machine has not: a server that says its text."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler

from tests.qdrant_stand_in import Served, send


class Model(Served):
    """Speaks OpenAI's chat protocol, and says what it is told to, piece by piece.

    While ``goes_on`` is clear, it pauses after the first piece; ``pieces`` counts those sent.
    """

    def __init__(self, *answers: str, pause: float = 0.0, breaks: str = "") -> None:
        self.answers = list(answers)
        self.pause, self.breaks = pause, breaks
        self.requests: list[dict] = []
        self.keys: list[str] = []
        self.pieces = 0
        self.goes_on = threading.Event()
        self.goes_on.set()
        super().__init__(self._handle)

    def _handle(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        self.requests.append(json.loads(body))
        self.keys.append(handler.headers.get("Authorization", ""))
        if self.breaks == "missing":
            send(handler, 404, {"error": {"message": "model 'scripted' not found"}})
            return
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.end_headers()
        text = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        for start in range(0, len(text), 7):
            time.sleep(self.pause)
            if not self._event(handler, {"content": text[start : start + 7]}):
                return
            self.pieces += 1
            self.goes_on.wait()
            if self.breaks == "halfway" and start > len(text) / 2:
                return  # the connection ends without the end of the stream
            if self.breaks == "garbage" and start > len(text) / 2:
                handler.wfile.write(b"data: {\x00\xff no json\n\n")
                return
        self._event(handler, {}, "stop")
        handler.wfile.write(b"data: [DONE]\n\n")

    @staticmethod
    def _event(handler: BaseHTTPRequestHandler, delta: dict, reason: str | None = None) -> bool:
        """Send an event; False when the client has closed the connection."""
        chunk = {
            "id": "1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "scripted",
            "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
        }
        try:
            handler.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
            handler.wfile.flush()
        except OSError:
            return False
        return True

    @property
    def environment(self) -> dict[str, str]:
        return {"TWOTOWER_LLM": "vllm:scripted", "TWOTOWER_LLM_URL": f"{self.url}/v1"}

    def prompt(self, number: int = -1) -> str:
        return "\n".join(message["content"] for message in self.requests[number]["messages"])
