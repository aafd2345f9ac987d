"""What mirrors do wrong, one by one: the store gets the right bytes, or the error names every mirror and its reason."""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import replace

import pytest

from paddle_bootstrap.errors import NoMirrorServes
from paddle_bootstrap.fetch.block_map import BLOCK
from paddle_bootstrap.fetch.patience import Terms
from paddle_bootstrap.fetch.store import Store
from paddle_bootstrap.mirrors.model import mirror_at
from tests.fakes.mirror import FakeMirror, Fault, make_wheel
from tests.unit.fetch.conftest import HASTE, Bring, Heard

WHEEL, DATA = make_wheel(size=300_000)
NAME = WHEEL.filename
ANOTHER, OTHER_DATA = make_wheel("other")


def good() -> FakeMirror:
    return FakeMirror({NAME: DATA})


@pytest.mark.parametrize("form", ["json", "html"])
@pytest.mark.parametrize("hashes", [True, False])
def test_a_good_mirror(bring: Bring, store: Store, heard: Heard, form: str, hashes: bool) -> None:
    with FakeMirror({NAME: DATA}, form=form, hashes=hashes) as mirror:  # type: ignore[arg-type]
        fetched = bring(WHEEL, mirror.url)
    assert fetched.files[NAME] == store.path(WHEEL.sha256, NAME)
    assert fetched.files[NAME].read_bytes() == DATA
    [record] = fetched.transfers
    assert (record.outcome, record.bytes, record.resumed_bytes, record.error) == ("fetched", len(DATA), 0, None)
    assert heard.transfers[-1] == (NAME, len(DATA), len(DATA))
    assert not any(done == total for _, done, total in heard.transfers[:-1])
    assert list((store.root / "partial").iterdir()) == []


def test_one_connection_serves_all_files_of_a_mirror(bring: Bring) -> None:
    with FakeMirror({NAME: DATA, ANOTHER.filename: OTHER_DATA}) as mirror:
        bring([WHEEL, ANOTHER], mirror.url)
    assert {request.connection for request in mirror.requests} == {1}
    assert len(mirror.requests) == 4


def test_we_say_who_we_are(bring: Bring) -> None:
    with good() as mirror:
        bring(WHEEL, mirror.url)
    page, file = mirror.requests
    assert page.path == "/simple/demo/"
    assert page.headers["Accept"].startswith("application/vnd.pypi.simple.v1+json")
    assert page.headers["User-Agent"].startswith("paddle-bootstrap/")
    assert "(+https://" in file.headers["User-Agent"]
    assert file.headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault(status=403), "the file: HTTP 403 Forbidden"),
        (Fault(status=404), "the file: HTTP 404 Not Found"),
        (Fault(status=429), "the file: HTTP 429 Too Many Requests"),
        (Fault(status=500), "the file: HTTP 500 Internal Server Error"),
        (Fault(status=503), "the file: HTTP 503 Service Unavailable"),
        (Fault(body=b""), "an empty answer or a web page"),
        (Fault(body=b"<html>log in</html>", content_type="text/html"), "an empty answer or a web page"),
        (Fault(cut_after=0), "the transfer was cut at 0 B"),
        (Fault(silent=threading.Event()), "it fell silent"),
    ],
    ids=lambda value: str(value.status or value.content_type) if isinstance(value, Fault) else "",
)
def test_the_next_mirror_is_asked(bring: Bring, fault: Fault, reason: str) -> None:
    with good() as bad, good() as fine:
        bad.faults[NAME] = fault
        fetched = bring(WHEEL, bad.url, fine.url)
    assert fetched.files[NAME].read_bytes() == DATA
    first, last = fetched.transfers
    assert reason in str(first.error)
    assert first.outcome != "fetched"
    assert last.outcome == "fetched"


@pytest.mark.parametrize("status", [500, 503])
def test_a_passing_server_error_is_asked_again(bring: Bring, status: int) -> None:
    with good() as mirror:
        mirror.faults[NAME] = Fault(status=status, times=2)
        mirror.page_status = [status, status]
        fetched = bring(WHEEL, mirror.url)
    assert len(mirror.served(NAME)) == 3
    assert fetched.transfers[0].outcome == "fetched"


@pytest.mark.parametrize("status", [403, 404])
def test_a_refusal_is_not_asked_again(bring: Bring, status: int) -> None:
    with good() as mirror:
        mirror.faults[NAME] = Fault(status=status)
        with pytest.raises(NoMirrorServes):
            bring(WHEEL, mirror.url)
    assert len(mirror.served(NAME)) == 1


def test_the_only_mirror_is_asked_again_after_a_rest(bring: Bring, heard: Heard) -> None:
    with good() as mirror:
        mirror.faults[NAME] = Fault(status=429)
        with pytest.raises(NoMirrorServes, match="no mirror could serve"):
            bring(WHEEL, mirror.url)
    assert len(mirror.served(NAME)) == 1 + HASTE.retries
    assert "429 Too Many Requests; it is not asked again" in heard.text


def test_a_mirror_that_asks_for_peace_is_left_alone(bring: Bring) -> None:
    with FakeMirror({NAME: DATA, ANOTHER.filename: OTHER_DATA}) as tired, FakeMirror(tired.wheels) as fine:
        tired.faults[NAME] = Fault(status=429, retry_after="60")
        fetched = bring([WHEEL, ANOTHER], tired.url, fine.url)
    assert len(tired.requests) == 2
    assert [record.bytes for record in fetched.transfers] == [0, len(DATA), len(OTHER_DATA)]
    assert (fetched.transfers[0].outcome, fetched.transfers[0].error) == (
        "failed",
        "the file: HTTP 429 Too Many Requests",
    )


def test_a_dead_mirror_is_named_once(bring: Bring, heard: Heard) -> None:
    with FakeMirror({}) as empty, pytest.raises(NoMirrorServes) as caught:
        bring([WHEEL, ANOTHER], "http://127.0.0.1:9/simple", empty.url)
    refused, *missing = caught.value.tried
    assert refused == "http://127.0.0.1:9/simple: connection refused"
    assert missing == [f"{empty.url}: its index page: HTTP 404 Not Found"]
    assert heard.text.count("connection refused; it is not asked again") == 1


def test_a_mirror_that_refuses_twice_is_not_asked_a_third_time(bring: Bring) -> None:
    files = {wheel.filename: data for wheel, data in map(make_wheel, ("a", "b", "c"))}
    with FakeMirror(files) as strict, FakeMirror(files) as fine:
        strict.faults = {name: Fault(status=403) for name in files}
        fetched = bring([make_wheel(name)[0] for name in ("a", "b", "c")], strict.url, fine.url)
    assert len(strict.requests) == 4
    assert [record.outcome for record in fetched.transfers] == ["failed", "fetched", "failed", "fetched", "fetched"]


def test_stale_page(bring: Bring) -> None:
    with FakeMirror({NAME: DATA, "demo-0.9-py3-none-any.whl": b"x"}, hidden={NAME}) as stale, good() as fine:
        fetched = bring(WHEEL, stale.url, fine.url)
    assert fetched.transfers[0].error == "it does not list the file, nor any of version 1.0"
    assert fetched.transfers[0].outcome == "missing"


def test_empty_page_with_status_200(bring: Bring) -> None:
    with FakeMirror({NAME: DATA}, empty_pages=True) as empty, pytest.raises(NoMirrorServes) as caught:
        bring(WHEEL, empty.url)
    assert "does not list the file" in caught.value.tried[0]


def test_no_page(bring: Bring) -> None:
    with FakeMirror({}) as without, pytest.raises(NoMirrorServes) as caught:
        bring(WHEEL, without.url)
    assert "its index page: HTTP 404 Not Found" in caught.value.tried[0]
    assert caught.value.exit_code == 12
    assert "--mirror" in caught.value.hint


@pytest.mark.parametrize("page", [("application/vnd.pypi.simple.v1+json", b"{"), ("application/json", b"[1]")])
def test_a_broken_page(bring: Bring, page: tuple[str, bytes]) -> None:
    with FakeMirror({NAME: DATA}, page_body=page) as broken, pytest.raises(NoMirrorServes) as caught:
        bring(WHEEL, broken.url)
    assert "its index page cannot be read" in caught.value.tried[0]


def test_nobody_listens(bring: Bring) -> None:
    with good() as gone:
        url = gone.url
    with pytest.raises(NoMirrorServes) as caught:
        bring(WHEEL, url)
    assert "connection refused" in caught.value.tried[0]
    with good() as fine:
        assert bring(WHEEL, url, fine.url).transfers[0].outcome == "failed"


def test_links_to_another_host(bring: Bring) -> None:
    with good() as host, FakeMirror({NAME: DATA}, files_at=f"{host.root}/files") as index:
        fetched = bring(WHEEL, index.url)
    assert fetched.transfers[0].outcome == "fetched"
    assert host.paths() == [f"/files/{NAME}"]


def test_redirect_to_another_host(bring: Bring) -> None:
    with good() as host, good() as index:
        index.faults[NAME] = Fault(redirect=f"{host.root}/files/{NAME}")
        assert bring(WHEEL, index.url).transfers[0].outcome == "fetched"


@pytest.mark.parametrize("target", ["ftp://host/x", "http://[::1/x", "file:///etc/passwd", ""])
def test_redirect_to_nonsense(bring: Bring, target: str) -> None:
    with good() as index:
        index.faults[NAME] = Fault(redirect=target or f"{index.root}/files/{NAME}")
        with pytest.raises(NoMirrorServes):
            bring(WHEEL, index.url)


def test_a_page_may_not_point_into_our_own_files(bring: Bring) -> None:
    with FakeMirror({NAME: DATA}, files_at="file:///etc") as index, pytest.raises(NoMirrorServes) as caught:
        bring(WHEEL, index.url)
    assert "this host's own files" in caught.value.tried[0]


def test_cut_again_and_again(bring: Bring) -> None:
    with good() as mirror:
        mirror.faults[NAME] = Fault(cut_after=40_000)
        fetched = bring(WHEEL, mirror.url)
    asked = mirror.served(NAME)
    assert [request.headers.get("Range") for request in asked[:3]] == [
        None,
        f"bytes=40000-{len(DATA) - 1}",
        f"bytes=80000-{len(DATA) - 1}",
    ]
    assert fetched.transfers[0].bytes == len(DATA)
    assert len(asked) == len(DATA) // 40_000 + 1


def test_cut_chunked_answer(bring: Bring) -> None:
    with FakeMirror({NAME: DATA}, chunked=True) as mirror:
        mirror.faults[NAME] = Fault(cut_after=100_000, times=2)
        fetched = bring(WHEEL, mirror.url)
    assert fetched.files[NAME].read_bytes() == DATA
    assert mirror.served(NAME)[1].headers["Range"] == f"bytes=100000-{len(DATA) - 1}"


def test_the_next_mirror_continues(bring: Bring) -> None:
    with good() as first, good() as second:
        first.faults[NAME] = Fault(cut_after=200_000, times=1, then=Fault(status=403))
        fetched = bring(WHEEL, first.url, second.url)
    assert second.served(NAME)[0].headers["Range"] == f"bytes={BLOCK}-{len(DATA) - 1}"
    assert [record.bytes for record in fetched.transfers] == [200_000, len(DATA) - BLOCK]


def test_without_ranges_it_starts_over(bring: Bring) -> None:
    with FakeMirror({NAME: DATA}, ranges=False) as mirror:
        mirror.faults[NAME] = Fault(cut_after=200_000, times=1)
        fetched = bring(WHEEL, mirror.url)
    assert fetched.files[NAME].read_bytes() == DATA
    assert fetched.transfers[0].bytes == len(DATA) + 200_000


def test_without_ranges_and_always_cut_it_ends(bring: Bring) -> None:
    with FakeMirror({NAME: DATA}, ranges=False) as mirror:
        mirror.faults[NAME] = Fault(cut_after=200_000)
        with pytest.raises(NoMirrorServes) as caught:
            bring(WHEEL, mirror.url)
    assert "cut at 200 kB" in caught.value.tried[0]
    assert len(mirror.served(NAME)) <= 4


def test_a_wrong_content_range(bring: Bring) -> None:
    with good() as bad, good() as fine:
        bad.faults[NAME] = Fault(cut_after=200_000, times=1, then=Fault(range_shift=7))
        fetched = bring(WHEEL, bad.url, fine.url)
    assert fetched.transfers[0].error == "it answers with another range than the one asked for"
    assert fetched.transfers[1].bytes == len(DATA) - BLOCK


def test_a_stalled_answer_is_continued(bring: Bring) -> None:
    with good() as mirror:
        mirror.faults[NAME] = Fault(stall_after=200_000, silent=threading.Event(), times=1)
        fetched = bring(WHEEL, mirror.url, terms=Terms(connections=1))
    assert mirror.served(NAME)[1].headers["Range"] == f"bytes=200000-{len(DATA) - 1}"
    assert fetched.files[NAME].read_bytes() == DATA


def test_the_file_changed_between_two_answers(bring: Bring) -> None:
    """What the mirror sent is wrong as a whole: it is named, however right its later bytes were."""
    with good() as mirror, good() as fine:
        mirror.faults[NAME] = Fault(body=bytes(len(DATA)), cut_after=200_000, times=1)
        fetched = bring(WHEEL, mirror.url, fine.url)
    assert fetched.files[NAME].read_bytes() == DATA
    assert [record.outcome for record in fetched.transfers] == ["wrong", "fetched"]


def test_a_whole_page_of_files(bring: Bring) -> None:
    with good() as mirror:
        page = mirror_at(f"{mirror.root}/links.html", kind="find-links")
        assert bring(WHEEL, page).transfers[0].outcome == "fetched"


def test_a_tree_without_pages(bring: Bring) -> None:
    wheel, data = make_wheel("paddlepaddle-gpu", "3.4.0.post20260105+0123456789a")
    with FakeMirror({wheel.filename: data}) as mirror:
        tree = mirror_at(f"{mirror.root}/tree/", kind="files")
        assert bring(wheel, tree).transfers[0].outcome == "fetched"
    assert "%2B" in mirror.paths()[0]


def test_a_folder_per_build(bring: Bring) -> None:
    with good() as mirror:
        rack = mirror_at(mirror.root + "/{build}")
        assert rack.folder_per_build
        with pytest.raises(NoMirrorServes):
            bring(WHEEL, rack)
        assert mirror.requests == []
        assert bring(WHEEL, rack, build="simple").transfers[0].outcome == "fetched"


def test_one_name_many_builds_never_mix(bring: Bring, store: Store) -> None:
    twin_data = make_wheel(size=300_000, seed=1)[1]
    twin = replace(WHEEL, sha256=hashlib.sha256(twin_data).hexdigest(), size=len(twin_data))
    with good() as one, FakeMirror({NAME: twin_data}) as two:
        bring(WHEEL, one.url)
        assert bring(twin, two.url).files[NAME].read_bytes() == twin_data
    assert store.has(WHEEL) != store.has(twin)


def test_a_lock_without_sizes(bring: Bring) -> None:
    with good() as mirror:
        mirror.faults[NAME] = Fault(cut_after=100_000, times=1)
        fetched = bring(replace(WHEEL, size=None), mirror.url)
    assert fetched.files[NAME].read_bytes() == DATA


def test_what_can_be_had_is_had(bring: Bring, store: Store) -> None:
    with FakeMirror({ANOTHER.filename: OTHER_DATA}) as mirror, pytest.raises(NoMirrorServes, match=NAME) as caught:
        bring([WHEEL, ANOTHER], mirror.url)
    assert store.has(ANOTHER)
    assert "kept" in caught.value.hint


def test_no_mirror_at_all(bring: Bring) -> None:
    with pytest.raises(NoMirrorServes) as caught:
        bring(WHEEL)
    assert caught.value.tried == ("no mirror is configured for this lock",)


def test_a_drip_is_as_good_as_silence(bring: Bring) -> None:
    """4 MB/s at first, then next to nothing."""
    with good() as slow, good() as fine:
        slow.faults[NAME] = Fault(drip_after=140_000, silent=threading.Event())
        fetched = bring(WHEEL, slow.url, fine.url, patience=replace(HASTE, floor=1e5, join=0.1))
    assert fetched.files[NAME].read_bytes() == DATA
    assert fetched.transfers[1].bytes > 100_000


def test_a_lone_drip_is_given_up(bring: Bring) -> None:
    with good() as slow:
        slow.faults[NAME] = Fault(drip_after=10_000, silent=threading.Event())
        with pytest.raises(NoMirrorServes) as caught:
            bring(WHEEL, slow.url, patience=replace(HASTE, floor=1e5, stall=0.3))
    assert "it sends only" in caught.value.tried[0]


def test_progress_is_told_ten_times_a_second_at_most(bring: Bring, heard: Heard) -> None:
    with good() as mirror:
        mirror.faults[NAME] = Fault(stall_after=290_000, pace=0.03, silent=threading.Event(), times=1)
        began = time.monotonic()
        bring(WHEEL, mirror.url)
        took = time.monotonic() - began
    counts = [done for _, done, _ in heard.transfers]
    assert counts == sorted(counts)
    assert 2 <= len(counts) <= 10 * took + 1
