"""Notices, against a server that listens here."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from pipeline.conftest import NEXT, Shop


class Listener:
    """A web server that keeps what is posted to it."""

    def __init__(self, status: int = 200) -> None:
        self.posted: list[dict[str, Any]] = []
        posted = self.posted

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                assert self.headers["Content-Type"] == "application/json"
                posted.append(json.loads(self.rfile.read(length)))
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/secret-path"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    found = Listener()
    yield found
    found.close()


@pytest.fixture
def told(shop: Shop, listener: Listener, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setenv("CLV_WEBHOOK", listener.url)
    text = shop.file.read_text() + '\n[notice]\nwebhook = "${CLV_WEBHOOK}"\ntimeout = 5\n'
    shop.file.write_text(text)
    return shop


def test_a_night_without_news_tells_nobody(told: Shop, listener: Listener) -> None:
    assert told.night(NEXT).outcome == "kept"
    assert listener.posted == []


def test_a_refusal_is_told_with_its_reason(told: Shop, listener: Listener) -> None:
    told.configure('["bg_nbd"]', '["nbd"]')
    told.night(NEXT)
    (notice,) = listener.posted
    assert notice["about"] == ["refused"]
    assert notice["text"].startswith("clv shop, 2025-02-28: refused. log_score is broken")
    assert "\n" not in notice["text"]
    assert (notice["exit_code"], notice["champion"]) == (5, "v000001")
    assert "log_score" in [rule["rule"] for rule in notice["rules"]]


def test_broken_data_and_failures_are_told(
    told: Shop, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = told.folder / "orders.csv"
    content = orders.read_text()
    orders.write_text("customer_id,date,amount\n")
    told.night(NEXT)
    orders.write_text(content)

    def fault(*_: Any, **__: Any) -> None:
        raise RuntimeError("a fault of the program")

    monkeypatch.setattr("clv.pipeline.run.score", fault)
    with pytest.raises(RuntimeError, match="a fault of the program"):
        told.night(NEXT)
    assert [notice["about"] for notice in listener.posted] == [["broken"], ["failed"]]
    assert "orders.csv" in listener.posted[0]["text"]
    assert "a fault of the program" in listener.posted[1]["text"]


def test_drift_is_told_though_the_night_is_good(told: Shop, listener: Listener) -> None:
    told.configure("resamples = 300", "resamples = 300\npsi = 0.000001")
    assert told.night(NEXT).exit_code == 0
    (notice,) = listener.posted
    assert notice["about"] == ["drift"]
    assert "Data drift: psi_" in notice["text"]


def test_a_dry_run_tells_nobody(told: Shop, listener: Listener) -> None:
    told.configure('["bg_nbd"]', '["nbd"]')
    told.night(NEXT, dry_run=True)
    assert listener.posted == []


@pytest.mark.parametrize("answer", ["500", "nobody", "file:///etc/hostname"])
def test_a_webhook_that_does_not_answer_changes_nothing(
    told: Shop,
    answer: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from clv.pipeline import make_logger

    server = Listener(status=500)
    url = {"500": server.url, "nobody": "http://127.0.0.1:9/secret-path"}.get(answer, answer)
    monkeypatch.setenv("CLV_WEBHOOK", url)
    told.configure('["bg_nbd"]', '["nbd"]')
    assert told.night(NEXT, log=make_logger("json")).exit_code == 5
    server.close()
    said = capsys.readouterr().err
    assert "notice not sent" in said
    assert "secret-path" not in said
    for line in said.splitlines():
        assert {"event", "level", "timestamp"} <= set(json.loads(line))
