"""The server of pages with a lab kernel: sessions, and other futures of recorded runs."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from command_line import COMMAND
from ctrl_c import hear
from handshake_lab.cli.replayed import replayed
from handshake_lab.errors import UsageError
from handshake_lab.experiment.execute import conducted
from handshake_lab.recording.run_files import EVENTS
from handshake_lab.serve import lab as lab_module
from handshake_lab.serve.folder import Folder
from handshake_lab.serve.lab import Lab
from handshake_lab.serve.what_if import another_run
from kernel_processes import kernels_of, runs
from served import Served, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recorded run."""
    top = tmp_path_factory.mktemp("runs")
    with conducted(*replayed("handshake demo --seed 3"), top / "demo"):
        pass
    return top


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Served]:
    """The folder, served with a lab."""
    with serving(folder, kernel="lab", replayed=replayed) as found:
        yield found


def post(served: Served, path: str, status: int = 200, **body: object) -> dict[str, Any]:
    """The answer to a request of a page."""
    found, _, answer = served.ask(
        path, "POST", json.dumps(body).encode(), Origin=served.origin, Content_Type="application/json"
    )
    assert found == status, answer
    return dict(json.loads(answer))


def test_a_session_in_a_page(served: Served, folder: Path) -> None:
    """Step by step, a lost SYN-ACK, back, and the same one delivered; both futures are there, and it can be saved."""
    address = post(served, "ROOT/ko/sessions", topology="pair", links="delay=25ms")["address"]
    for command in ("py server = h2.listen(80)", "py client = h1.connect(server)", "step"):
        view = post(served, address, command=command)["view"]
    assert "#2 SYN-ACK 세그먼트가 중간에서 대기" in view
    assert 'class="waits"' in view
    assert post(served, address, command="drop")["view"].count('class="mark cross"') == 2  # wide and narrow
    post(served, address, command="run 2s")
    found = post(served, address, number=2, fate="deliver")
    assert found["view"].count('class="mark cross"') == 2
    assert "ESTABLISHED" in found["view"].partition("sockets")[2]
    assert found["lines"][-1].startswith("[2.0262")  # as long as the future before
    page = served.ask(address)[2].decode()
    assert "되돌리기 전의 전개" in page
    assert served.ask(f"{address}/view")[0] == 200

    post(served, address, command="save test_it.py")
    assert "net.play(" in (folder / "test_it.py").read_text("utf-8")
    for name in ("test_it.py", "../test_b.py", "/test_b.py", "sub/test_b.py", "test_b.txt"):
        assert "For example" in post(served, address, 409, command=f"save {name}")["error"]
    assert "none does" in post(served, address, 409, command="drop")["error"]
    assert "is not an earlier moment" in post(served, address, 409, number=77, fate="drop")["error"]
    with ThreadPoolExecutor(4) as pages:
        answers = pages.map(lambda _: post(served, address, command="exit"), range(4))
    assert list(answers) == [{"ended": True}] * 4
    assert served.ask(address)[0] == 404


def test_a_segment_that_passed_is_reached_again(tmp_path: Path) -> None:
    """A run delivered it: its moment is reached step by step, and the other future is that of its commands."""
    lab = Lab(Folder(tmp_path))
    live = lab.start("pair", "delay=25ms", 1)
    try:
        live.execute("py server = h2.listen(80)")
        live.execute("py client = h1.connect(server)")
        live.execute("run 1s")
        live.what_if(2, "drop")
        assert live.session.now.commands[2:4] == ["step", "drop"]
        states = [end.states[-1] for end in live.moments.record(live.session.now).endpoints]
        assert states == ["SYN-SENT", "SYN-RECEIVED"]
        before = live.session.now
        for number, fate in ((2, "explode"), (0, "drop"), (99, "drop")):
            with pytest.raises(UsageError):
                live.what_if(number, fate)
            assert live.session.now is before
    finally:
        lab.close()


def test_what_is_asked_for_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions, and topologies that are files, which would be executed on this machine."""
    (tmp_path / "evil.py").write_text("open('mark', 'w').close()\n")
    monkeypatch.chdir(tmp_path)
    lab = Lab(Folder(tmp_path))
    try:
        for topology in (f"{tmp_path}/evil.py", "evil.py:x", "./evil.py", "no-such-name"):
            with pytest.raises(UsageError, match=r"topology: .* is (not|neither) "):
                lab.start(topology, "", 1)
        assert [each.name for each in tmp_path.iterdir()] == ["evil.py"]
        monkeypatch.setattr(lab_module, "MOST_SESSIONS", 0)
        with pytest.raises(UsageError, match="end one first"):
            lab.start("pair", "", 1)
    finally:
        lab.close()


@pytest.mark.parametrize(("fate", "shown"), [("drop", "drop #2"), ("reset", "inject RST to h1 on #2")])
def test_another_future_of_a_recorded_run(served: Served, fate: str, shown: str) -> None:
    """It stands beside the recorded one, with the command that gives it."""
    view = post(served, "ROOT/en/runs/demo", number=2, fate=fate)["view"]

    assert "data-fate" in served.ask("ROOT/en/runs/demo")[2].decode()
    assert f"handshake demo --seed 3 --fault &#34;{shown}&#34;" in view
    assert "The recorded run" in view
    assert "first difference" in view
    assert view.count('class="mark cross"') == (2 if fate == "drop" else 0)


def test_the_other_future_is_that_of_its_command() -> None:
    """Its segments are those of the command that is shown; up to the fate, they are the recorded ones.

    A fault makes segments pass the middlebox, which takes microseconds; initial sequence numbers follow from the time.
    """
    with conducted(*replayed("handshake demo --seed 3")) as run:
        record = run.record
    other, command = another_run(record, 2, "drop", replayed)
    with conducted(*replayed(command)) as again:
        assert again.record.segments == other.segments
    for one, same in zip(record.segments[:2], other.segments, strict=False):
        assert (one.sender, one.flags, one.rel_seq) == (same.sender, same.flags, same.rel_seq)
        assert abs(one.sent - same.sent) < 10_000
    assert other.segments[1].lost


def test_what_is_no_fate_of_a_recorded_run(served: Served) -> None:
    """Segments and fates that there are not, and what is not JSON of this kind."""
    for body in (
        {"number": 999, "fate": "drop"},
        {"number": 2, "fate": "delay #3 5s"},
        {"number": "2", "fate": "drop"},
        {"number": -1, "fate": "drop"},
        {"number": 2, "fate": "drop", "more": 1},
    ):
        assert post(served, "ROOT/en/runs/demo", 409, **body)["error"]


def test_a_course_unit_in_a_page(served: Served, folder: Path) -> None:
    """Started, predicted, run and checked; what was typed is kept in the student's files, for the command line."""
    address = post(served, "ROOT/en/units", unit="04-time-wait", student="2026-7")["address"]
    page = served.ask(address)[2].decode()
    asked = re.findall(r'data-answer="([a-z-]+)"', page)
    assert asked
    assert "is locked" not in page
    assert "not locked yet" in post(served, address, 409, action="run")["error"]
    found = post(served, address, action="predict", answers=dict.fromkeys(asked, 'a "quoted" <b>'))
    assert "&lt;b&gt;" in found["view"]
    assert "<b>" not in found["view"]
    assert "predictions are made once" in post(served, address, 409, action="predict")["error"]
    view = post(served, address, action="run")["view"]
    assert view.count("<svg") >= 2
    (question, *_) = re.findall(r'data-action="check" data-question="([a-z-]+)"', view)
    checked = post(served, address, action="check", question=question, answers={question: "x"})["view"]
    assert re.search(r'class="(good|bad)?" role="status"', checked)
    assert f'{question} = "x"' in (folder / "04-time-wait" / "answers.toml").read_text("utf-8")
    assert "handin.zip" in post(served, address, action="hand-in")["said"]
    assert "already" in post(served, "ROOT/en/units", 409, unit="4", student="2026-7")["error"]


def test_a_course_unit_does_not_lead_out_of_the_folder(
    served: Served, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Units of elsewhere, names that leave the folder, and directories with links."""
    for unit in (str(tmp_path), "../x", "99", ""):
        assert post(served, "ROOT/en/units", 409, unit=unit, student="kim")["error"]
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "unit.toml").touch()
    monkeypatch.chdir(folder)
    assert "is neither a unit" in post(served, "ROOT/en/units", 409, unit="elsewhere", student="kim")["error"]
    assert post(served, "ROOT/en/units", 409, unit="2", student="../../kim")["error"]
    address = post(served, "ROOT/en/units", unit="2", student="kim")["address"]
    (folder / "02-four-way-close" / "runs").symlink_to(tmp_path)
    assert "symbolic links" in post(served, address, 409, action="run")["error"]
    (folder / "02-four-way-close" / "runs").unlink()
    work = folder / "02-four-way-close" / ".course.json"
    text = work.read_text("utf-8")
    work.write_text(text.replace('"lang": "en"', '"lang": "xx"'), "utf-8")
    assert "is not a language" in post(served, address, 409, action="run")["error"]
    status, _, page = served.ask(address)
    assert status == 500
    assert b"is not a language" in page
    work.write_text(text, "utf-8")
    predictions = folder / "02-four-way-close" / "predictions.toml"
    predictions.write_bytes(b"\xff")
    assert post(served, address, 409, action="predict")["error"]
    assert served.ask(address)[0] == 500
    predictions.unlink()
    work.write_text(text.replace('"source": ""', json.dumps({"source": str(tmp_path)})[1:-1]), "utf-8")
    assert post(served, address, 409, action="run")["error"]
    for name in ("..", "02-four-way-close/..", "demo", "%2e%2e"):
        assert served.ask(f"ROOT/en/units/{name}")[0] == 404
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 0), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=str
)
def test_nothing_is_left_after_a_signal(number: signal.Signals, status: int, tmp_path: Path) -> None:
    """No parked kernel, and no file of a run."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with subprocess.Popen(
        [*COMMAND, "serve", str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(scratch)},
        preexec_fn=hear,  # noqa: PLW1509 -- it only restores a signal
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            address = next(line for line in process.stdout if line.startswith("http"))
            post(Served(address.strip()), "ROOT/en/sessions")
            kernels = list(kernels_of(process.pid))
            assert kernels
            assert list(scratch.iterdir())
            process.send_signal(number)
            assert process.wait(60) == status
        finally:
            process.kill()
    assert not [pid for pid in kernels if runs(pid)]
    assert not list(scratch.glob("handshake-*"))


def test_a_shell_is_followed(tmp_path: Path) -> None:
    """Its record up to now is in a directory: it grows, and is shorter after ``back``."""
    lab = Lab(Folder(tmp_path))
    sizes = []
    try:
        live = lab.start("pair", "delay=25ms", 1, out=tmp_path)
        for command in ("py server = h2.listen(80)", "py client = h1.connect(server)", "step", "run 1s", "back #2"):
            live.execute(command)
            sizes.append((tmp_path / EVENTS).stat().st_size)
    finally:
        lab.close()
    assert sizes[:4] == sorted(sizes[:4])
    assert sizes[4] == sizes[2] < sizes[3]
