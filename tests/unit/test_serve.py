"""The server of pages, attacked: from other origins, by other users, with paths that leave the folder, with records."""

from __future__ import annotations

import os
import re
import shutil
import socket
import threading
from typing import TYPE_CHECKING, BinaryIO

import pytest
from handshake_lab.cli import replayed as replayed_module
from handshake_lab.cli.commands import demo as demo_verb
from handshake_lab.cli.commands import record as record_verb
from handshake_lab.cli.replayed import replayed
from handshake_lab.errors import RecordUnreadable, UsageError
from handshake_lab.kernel.lab import provide_lab
from handshake_lab.recording.run_files import EVENTS
from handshake_lab.serve import changes
from handshake_lab.serve.folder import LONGEST_FILE, Folder
from handshake_lab.serve.guard import LONGEST_BODY
from handshake_lab.serve.server import Server
from handshake_lab.serve.what_if import can_be_had_again
from handshake_lab.shell.session import write_new
from msgspec.structs import replace
from recordings import RUNS
from report_records import normal
from served import Served, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OUTSIDE = """\
runs/../../secret.txt runs/normal/../../../outside runs/%2e%2e/%2e%2e/etc/passwd runs/..%2f..%2fetc%2fpasswd
runs/%252e%252e%252fetc runs//etc/passwd runs/%2fetc%2fpasswd runs/normal/events.jsonl runs/normal/index.html
runs/normal%00 runs/..\\..\\etc runs/normal/. runs/./normal runs/normal/ runs/%ff%fe runs/linked runs/to-file
runs/to-pipe runs/directory runs/.hidden files/..%2f..%2fserve%2fapp.py files/../app.py ../../etc/passwd xx/
""".split()  # noqa: SIM905 -- paths are read more easily one beside the other
UNSERVED = "what must not be served"
NASTY = "<script>document.title='owned'<>&\"'{{7*7}}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs, and with all kinds of ways out of it."""
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret.txt").write_text(UNSERVED)
    (outside / "run").mkdir()
    (outside / "run" / EVENTS).write_text(UNSERVED)
    top = tmp_path_factory.mktemp("served")
    for name in ("normal", f"deep/er/{NASTY.replace('/', '')}"):
        (top / name).mkdir(parents=True)
        shutil.copyfile(RUNS / "normal.jsonl", top / name / EVENTS)
    (top / "normal" / "index.html").write_text(UNSERVED)
    (top / "linked").symlink_to(outside / "run")
    for name in ("to-file", "to-pipe", "directory", "damaged", "empty", "long", ".hidden"):
        (top / name).mkdir()
    (top / "to-file" / EVENTS).symlink_to(outside / "run" / EVENTS)
    os.mkfifo(top / "to-pipe" / EVENTS)
    (top / "directory" / EVENTS).mkdir()
    (top / "damaged" / EVENTS).write_text(f'{{"type": "run", "version": 4, "x": "{NASTY}"}}\n')
    (top / "empty" / EVENTS).touch()
    with (top / "long" / EVENTS).open("wb") as file:
        file.truncate(LONGEST_FILE + 1)
    shutil.copyfile(RUNS / "normal.jsonl", top / ".hidden" / EVENTS)
    return top


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Served]:
    """The folder, served."""
    with serving(folder) as found:
        yield found


def test_pages_are_served_in_both_languages(served: Served) -> None:
    """The first page leads to the index, the index to the runs; the policy permits no inline script and no style."""
    status, head, _ = served.ask("ROOT/")
    assert status == 307
    assert f"location: {served.root}/en/".encode() in head
    for lang, word in (("en", "Skip to the content"), ("ko", "본문")):
        status, head, body = served.ask(f"ROOT/{lang}/")
        assert status == 200
        assert word in body.decode()
        assert f'href="{served.root}/{lang}/runs/normal"' in body.decode()
        policy = next(line for line in head.split(b"\r\n") if line.startswith(b"content-security-policy:"))
        assert b"unsafe" not in policy
        assert b"default-src 'none'" in policy
        status, _, body = served.ask(f"ROOT/{lang}/runs/normal")
        assert status == 200
        assert b"SYN-RECEIVED" in body
        assert b"<style" not in body
        assert b"<script>" not in body
    for name in ("page.css", "page.js", "plots.css", "plots.js", "served.css", "served.js"):
        assert served.ask(f"ROOT/files/{name}")[0] == 200


@pytest.mark.parametrize("path", ["/", "//", "/en/", "/x/en/", "/%2e/en/", "/ROOT?token=ROOT", "/en/?token=ROOT"])
def test_without_the_token_nothing_is_served(served: Served, path: str) -> None:
    """Nor with a part of it, or with more."""
    path = path.replace("ROOT", served.root.strip("/")[:-1])
    assert served.ask(path)[0] == 403
    for other in (served.root[:-1], served.root + "x", served.root.lower(), served.root.replace("/", "/%00")):
        assert served.ask(f"{other}/en/")[0] in (400, 403)


@pytest.mark.parametrize(
    "host",
    [None, "", "evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:PORT", "127.0.0.1:PORT.evil.example",
     "evil.example:PORT", "0.0.0.0:PORT", "127.0.0.1:PORT@evil.example", "127.0.0.1:PORT, evil.example"],
)  # fmt: skip
def test_another_name_is_refused(served: Served, host: str | None) -> None:
    """A page whose name was made to resolve to 127.0.0.1 sends its own name."""
    named = None if host is None else host.replace("PORT", str(served.port))
    assert served.ask("ROOT/en/", Host=named)[0] in (400, 421)


def test_two_hosts_are_refused(served: Served) -> None:
    """Also if one of them is right, in either order; and a target with another host."""
    for names in ((served.host, "evil.example"), ("evil.example", served.host)):
        lines = "".join(f"Host: {name}\r\n" for name in names)
        assert served.send(f"GET {served.root}/en/ HTTP/1.1\r\n{lines}Connection: close\r\n\r\n".encode())[0] == 400
    assert served.ask("http://evil.exampleROOT/en/")[0] in (400, 403, 404)


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
def test_names_of_this_machine_are_accepted(served: Served, name: str) -> None:
    """With the port."""
    assert served.ask("ROOT/en/", Host=f"{name}:{served.port}")[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://127.0.0.1:PORT"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://127.0.0.1:PORT.evil.example"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
    ids=str,
)
def test_other_origins_are_refused(served: Served, headers: dict[str, str]) -> None:
    """Even where they know the address."""
    sent = {name: value.replace("PORT", str(served.port)) for name, value in headers.items()}
    assert served.ask("ROOT/en/", "GET", b"", **sent)[0] == 403


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "BREW"])
def test_other_methods_are_refused(served: Served, method: str) -> None:
    """Only what the pages use."""
    assert served.ask("ROOT/en/", method)[0] in (400, 405)


def test_a_change_needs_an_origin_and_json(served: Served) -> None:
    """A form of another page can send neither."""
    kind = {"Content_Type": "application/json"}
    assert served.ask("ROOT/en/", "POST", b"{}", **kind)[0] == 403
    assert served.ask("ROOT/en/", "POST", b"{}", Origin=served.origin)[0] == 415
    assert served.ask("ROOT/en/", "POST", b"{}", Origin=served.origin, Content_Type="text/plain")[0] == 415
    assert served.ask("ROOT/en/", "POST", b"{}", Origin=served.origin, **kind)[0] == 405  # this page changes nothing
    assert served.ask("ROOT/en/runs/normal", "POST", b"{}", Origin=served.origin, **kind)[0] == 404  # without a lab
    assert served.ask("ROOT/en/sessions", "POST", b"{}", Origin=served.origin, **kind)[0] == 404


def test_a_long_body_is_refused(served: Served) -> None:
    """With its length stated, without reading it; and in chunks, when it becomes too long."""
    headers = {"Origin": served.origin, "Content_Type": "application/json"}
    assert served.ask("ROOT/en/", "POST", b" ", Content_Length=str(LONGEST_BODY + 1), **headers)[0] == 413
    chunk = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
    assert (
        served.ask("ROOT/en/", "POST", chunk * 3, Transfer_Encoding="chunked", Content_Length=None, **headers)[0] == 413
    )


def test_a_long_head_is_refused(served: Served) -> None:
    """It is not kept in memory to its end: the connection is closed."""
    try:
        status = served.ask("ROOT/en/", X="x" * 1_000_000)[0]
    except ConnectionError:
        status = 0
    assert status in (0, 400, 431)


@pytest.mark.parametrize("path", OUTSIDE)
def test_nothing_outside_of_the_folder_is_served(served: Served, path: str) -> None:
    """Nor anything in it that is not a run: the server looks names up among those that it has found."""
    for lang in ("en/", "ko/", ""):
        status, _, body = served.ask(f"ROOT/{lang}{path}")
        assert status in (400, 403, 404)
        assert UNSERVED.encode() not in body
        assert b"root:" not in body


def test_the_index_has_only_runs(served: Served) -> None:
    """No links, no pipes, no hidden directories; one that cannot be read has its error."""
    page = served.ask("ROOT/en/")[2].decode()

    assert page.count("<tr data-outcome") == 5
    assert UNSERVED not in page
    for name in ("linked", "to-file", "to-pipe", "directory", ".hidden"):
        assert f"/runs/{name}" not in page
    assert "is not a regular file" not in page


def test_what_a_record_contains_is_only_text(served: Served) -> None:
    """Its directory's name, its fields, and what is wrong with it."""
    index = served.ask("ROOT/en/")[2].decode()
    address = next(part.partition('"')[0] for part in index.split('href="') if "deep/er" in part.partition('"')[0])
    status, _, page = served.ask(address)

    assert status == 200
    for text in (index, page.decode(), served.ask("ROOT/en/runs/damaged")[2].decode()):
        assert "<script>document" not in text
        assert "49" not in text.partition("</title>")[0]


@pytest.mark.parametrize(
    ("name", "why"), [("damaged", "damaged"), ("empty", "no observation"), ("long", "served at most")]
)
def test_a_record_that_cannot_be_read(served: Served, name: str, why: str) -> None:
    """Its page says why."""
    status, _, page = served.ask(f"ROOT/en/runs/{name}")

    assert status == 500
    assert why in page.decode()


def test_a_link_that_appears_between_search_and_reading(folder: Path, tmp_path: Path) -> None:
    """It is not followed, neither for the file nor for a directory on the way."""
    reader = Folder(folder)
    for name in ("linked", "to-file", "to-pipe", "directory", "normal/..", "..", "deep/../normal", "/etc", ""):
        with pytest.raises(RecordUnreadable):
            reader.read(name)
    for name in ("../x.py", "a/b.py", "/x.py", ".x.py", "", "x\n.py", "x" * 101, "normal"):
        with pytest.raises(UsageError):
            reader.create(name, "")
    (tmp_path / "test_x.py").symlink_to(folder / "new.py")
    with pytest.raises(UsageError):
        Folder(tmp_path).create("test_x.py", "")
    assert not (folder / "new.py").exists()


def test_no_file_is_left_that_was_not_written_completely(tmp_path: Path) -> None:
    """Neither where a page saves a test, nor where a terminal does."""
    for write in (Folder(tmp_path).create, lambda name, text: write_new(str(tmp_path / name), text)):
        with pytest.raises(UnicodeEncodeError):
            write("test_it.py", "x" * 100_000 + "\udc80")
        assert list(tmp_path.iterdir()) == []
        write("test_it.py", "pass\n")
        (tmp_path / "test_it.py").unlink()


def test_it_listens_on_loopback_only(served: Served) -> None:
    """Another address of this machine, which loopback also has, is not answered."""
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.2", served.port), timeout=5)


def test_a_port_in_use_and_no_directory(served: Served, tmp_path: Path) -> None:
    """Both are wrong usage."""
    with pytest.raises(UsageError, match="in use"):
        Server(tmp_path, served.port)
    with pytest.raises(UsageError, match="not a directory"):
        Server(tmp_path / "none")


def test_changes_are_reported(tmp_path: Path) -> None:
    """A run that begins, and each line that is added."""
    lines = (RUNS / "normal.jsonl").read_bytes().splitlines(keepends=True)
    with serving(tmp_path) as server, socket.create_connection(("127.0.0.1", server.port), timeout=20) as page:
        page.sendall(f"GET {server.root}/events HTTP/1.1\r\nHost: {server.host}\r\n\r\n".encode())
        stream = page.makefile("rb")
        until(stream, b"retry")
        (tmp_path / "a run").mkdir()
        (tmp_path / "a run" / EVENTS).write_bytes(b"".join(lines[:3]))
        until(stream, b'data: ["a run"]')
        with (tmp_path / "a run" / EVENTS).open("ab") as file:
            file.write(b"".join(lines[3:]))
        until(stream, b'data: ["a run"]')


def test_changes_are_reported_after_the_folder_was_removed(tmp_path: Path) -> None:
    """As soon as there is one again."""
    top = tmp_path / "top"
    (top / "a").mkdir(parents=True)
    shutil.copyfile(RUNS / "normal.jsonl", top / "a" / EVENTS)
    with serving(top) as server, socket.create_connection(("127.0.0.1", server.port), timeout=20) as page:
        page.sendall(f"GET {server.root}/events HTTP/1.1\r\nHost: {server.host}\r\n\r\n".encode())
        stream = page.makefile("rb")
        until(stream, b"data: ")
        shutil.rmtree(top)
        until(stream, b'data: ["a"]')
        assert server.ask("ROOT/en/")[0] == 200
        (top / "b").mkdir(parents=True)
        (top / "b" / EVENTS).touch()
        until(stream, b'data: ["b"]')


def until(stream: BinaryIO, wanted: bytes) -> None:
    """Read lines up to one with a text."""
    for _ in range(20):
        line = stream.readline()
        assert line, "the stream has ended"
        if wanted in line:
            return
    pytest.fail(f"no {wanted!r}")


def test_pages_without_end_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections for events are limited; those that are closed make room."""
    monkeypatch.setattr(changes, "MOST_PAGES", 2)
    with serving(tmp_path) as server:
        pages = [socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(2)]
        for page in pages:
            page.sendall(f"GET {server.root}/events HTTP/1.1\r\nHost: {server.host}\r\n\r\n".encode())
            until(page.makefile("rb"), b"retry")
        assert server.ask("ROOT/events")[0] == 503
        for page in pages:
            page.close()
        again = threading.Event()
        found = (server.ask("ROOT/events", "HEAD")[0] for _ in range(200) if not again.wait(0.05))
        assert next(status for status in found if status != 503) == 200


def test_only_what_can_be_had_again_is_offered() -> None:
    """Runs of demo and record on a lab kernel."""
    lab = normal().header
    for replay, kind, offered in (
        ("handshake demo --seed 3", "lab", True),
        ("handshake record --client true", "lab", True),
        ("handshake demo --kernel host", "host", False),
        ("handshake test -k lost", "lab", False),
        ("sh -c evil", "lab", False),
        ("", "lab", False),
    ):
        header = replace(lab, replay=replay, kernel=replace(lab.kernel, kind=kind))
        assert can_be_had_again(replace(normal(), header=header)) is offered


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("", "cannot be run again here"),
        ("ls", "cannot be run again here"),
        ("handshake", "cannot be run again here"),
        ("handshake run evil.py", "cannot be run again here"),
        ("handshake test --seed 1", "cannot be run again here"),
        ("handshake demo --help", "cannot be run again"),
        ("handshake demo --no-such-option", "No such option"),
        ("handshake demo 'unbalanced", "No closing quotation"),
        ("handshake demo --topology ./evil.py", "is a file"),
        ("handshake demo --topology TMP/evil.py:topo", "is a file"),
        ("handshake demo --kernel host", "is not a lab kernel"),
        ("handshake demo --kernel labour", "is not a lab kernel"),
        ("handshake demo --kernel lab:2.4", "is not installed. For example: handshake kernel build --version 2.4"),
        ("handshake demo --memory 1048576", "is more than the 1024 MiB"),
        ("handshake record --kernel vm --client true", "is not a lab kernel"),
        ("handshake record", "--client"),
        ("sh -c 'handshake demo'", "cannot be run again here"),
    ],
)
def test_no_record_has_commands_executed_on_this_machine(
    command: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record names the command that made it, and can come from anybody: nothing is executed, and nothing is built."""
    monkeypatch.setattr(provide_lab, "ensure", None)
    monkeypatch.setattr(replayed_module, "LabImages", _Images)
    (tmp_path / "evil.py").write_text("open('mark', 'w').close()\n")
    monkeypatch.chdir(tmp_path)

    with pytest.raises(UsageError, match=re.escape(why)):
        replayed(command.replace("TMP", str(tmp_path)))
    assert [each.name for each in tmp_path.iterdir()] == ["evil.py"]


class _Images:
    """A machine with the usual lab kernel only."""

    def find(self, version: str | None) -> object:
        """The kernel of a version."""
        return None if version else self


@pytest.mark.parametrize(
    ("command", "limit"),
    [("record --client true --wall-limit 600s", 60), ("record --client true --wall-limit 5s", 5), ("demo", 60)],
)
def test_a_repeated_run_has_a_limit(command: str, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a minute of real time, whatever its record names."""
    limits: list[float] = []

    class Chosen(Exception):
        """The kernel was chosen."""

    def choose(_name: str, _seed: int, wall: float, **_: object) -> None:
        limits.append(wall)
        raise Chosen

    monkeypatch.setattr(replayed_module, "LabImages", _Images)
    for verb in (demo_verb, record_verb):
        monkeypatch.setattr(verb, "choose_kernel", choose)
    with pytest.raises(Chosen):
        replayed(f"handshake {command} --kernel lab")
    assert limits == [limit]
