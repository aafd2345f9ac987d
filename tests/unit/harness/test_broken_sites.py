"""A site's checks that are broken are an error with a traceback, are never accepted, and never hide the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from paddle_bootstrap.results.model import judge
from tests.unit.harness.folders import Folder, Run

BROKEN = {
    "syntax": ("def check_it(:\n", "SyntaxError"),
    "import": ("import no_such_module_anywhere\n", "No module named 'no_such_module_anywhere'"),
    "bug": ("1 / 0\n", "ZeroDivisionError"),
    "marker": ("import pytest\n@pytest.mark.levle('quick')\ndef check_it():\n    pass\n", "'levle' not found"),
    "exit": ("import sys\nsys.exit(0)\n", "SystemExit: 0"),
    "pytest_exit": ("import pytest\npytest.exit('enough', returncode=0)\n", "enough"),
    "own_devices": (
        "import pytest\n@pytest.mark.parametrize('device', [0, 1])\ndef check_it(device):\n    pass\n",
        "duplicate parametrization of 'device'",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_file_that_cannot_be_read(site: Folder, run: Run, kind: str) -> None:
    text, told = BROKEN[kind]
    broken = site.put("check_odd.py", text)
    site.checks("def check_it():\n    pass\n")
    results = run()
    odd = results["odd"]
    assert (odd.outcome, odd.cause, odd.required, odd.fix) == ("error", "raised", True, f"mend {broken}")
    assert odd.summary.startswith("check_odd.py cannot be read: ")
    assert told in odd.evidence["traceback"]
    assert results["site.it"].outcome == "passed"
    assert judge(list(results.values())) == "inconclusive"


def test_a_file_that_leaves_itself_out_is_skipped_aloud(site: Folder, run: Run) -> None:
    site.put("check_odd.py", "import pytest\npytest.importorskip('no_such_module_anywhere')\n")
    site.checks("def check_it():\n    pass\n")
    results = run()
    assert (results["odd"].outcome, results["odd"].required) == ("skipped", True)
    assert "no_such_module_anywhere" in results["odd"].summary
    assert judge(list(results.values())) == "inconclusive"


def test_a_fixture_that_does_not_exist(site: Folder, run: Run) -> None:
    site.checks("def check_a(gpu):\n    pass\ndef check_b():\n    pass\n")
    results = run()
    assert (results["site.a"].outcome, results["site.a"].summary) == ("error", "there is no fixture called gpu")
    assert "fixture 'gpu' not found" in results["site.a"].evidence["traceback"]
    assert results["site.b"].outcome == "passed"


CONFTESTS = {
    "syntax": "def (:\n",
    "import": "import no_such_module_anywhere\n",
    "exit": "import sys\nsys.exit(0)\n",
    "pytest_exit": "import pytest\npytest.exit('enough', returncode=0)\n",
    "skip": "import pytest\npytest.skip('no', allow_module_level=True)\n",
    "plugins": "pytest_plugins = ['no_such_module_anywhere']\n",
    "hook": "def pytest_addoption(parser):\n    1 / 0\n",
    "unknown_hook": "def pytest_configure(config, nonsense):\n    pass\n",
}


@pytest.mark.parametrize("kind", CONFTESTS)
def test_a_conftest_that_cannot_be_used(site: Folder, run: Run, kind: str, tmp_path: Path) -> None:
    site.put("conftest.py", CONFTESTS[kind])
    site.checks("def check_it():\n    pass\n")
    other = Folder(tmp_path / "other")
    other.checks("def check_it():\n    pass\n", "check_site_b")
    results = run(folders=[site.path, other.path])
    broken = results["site.conftest"]
    assert broken.outcome == "error"
    assert broken.summary.startswith(f"{site.path}/conftest.py cannot be used, and none of the checks beside it ran: ")
    assert "conftest.py" in broken.evidence["traceback"] or kind in ("plugins", "unknown_hook")
    assert results["site_b.it"].outcome == "passed"
    assert "site.it" not in results
    assert judge(list(results.values())) == "inconclusive"


ENDINGS = {
    "configure": "def pytest_configure(config):\n    1 / 0\n",
    "start": "import pytest\ndef pytest_sessionstart(session):\n    pytest.exit('enough', returncode=0)\n",
    "items": "def pytest_collection_modifyitems(items):\n    1 / 0\n",
    "exit": "import sys\ndef pytest_collection_modifyitems(items):\n    sys.exit(0)\n",
    "stop": "def pytest_runtest_logfinish(nodeid):\n    import pytest\n    pytest.exit('enough', returncode=0)\n",
    "should_stop": "def pytest_runtest_setup(item):\n    item.session.shouldstop = 'enough'\n",
    "swallow": "def pytest_runtest_protocol(item, nextitem):\n    return True\n",
}


@pytest.mark.parametrize("kind", ENDINGS)
def test_a_conftest_that_ends_the_run_hides_nothing(site: Folder, run: Run, kind: str, tmp_path: Path) -> None:
    site.put("conftest.py", ENDINGS[kind])
    site.checks("def check_a():\n    pass\ndef check_b():\n    pass\n")
    other = Folder(tmp_path / "other")
    other.checks("def check_it():\n    pass\n", "check_site_b")
    results = run(folders=[site.path, other.path])
    assert results["site.all_checks_ran"].outcome == "error"
    assert results["site_b.it"].outcome == "passed"
    assert judge(list(results.values())) == "inconclusive"
    if kind in ("stop", "should_stop"):
        assert results["site.a"].outcome == "passed"
        assert results["site.all_checks_ran"].summary.endswith("without a result: site.b")


def test_a_conftest_below_the_folder(site: Folder, run: Run) -> None:
    site.put("sub/conftest.py", "1 / 0\n")
    site.put("sub/check_sub.py", "def check_it():\n    pass\n")
    site.checks("def check_it():\n    pass\n")
    results = run()
    assert results["sub"].outcome == "error"
    assert results["site.it"].outcome == "passed"


def test_sys_exit_in_a_teardown_judges_nothing_wrongly(site: Folder, run: Run) -> None:
    site.checks("""
    import sys
    @pytest.fixture
    def odd():
        yield
        sys.exit(0)
    def check_a(odd):
        pass
    def check_b():
        pass
    """)
    site.put("sub/check_site_b.py", "def check_b():\n    pass\n")
    results = run()
    assert results["site.a"].outcome == "error"
    assert "site.a called sys.exit in its teardown; without a result: site" in results["site.all_checks_ran"].summary
    assert not any(result.outcome == "failed" for result in results.values())
    assert judge(list(results.values())) == "inconclusive"


def test_the_conftest_of_one_site_reaches_no_other_check(site: Folder, run: Run, tmp_path: Path) -> None:
    site.put("conftest.py", "import pytest\n@pytest.fixture(autouse=True)\ndef run():\n    pytest.skip('hidden')\n")
    site.checks("def check_it():\n    pass\n")
    other = Folder(tmp_path / "other")
    other.checks("def check_it(run):\n    assert run is not None\n", "check_site_b")
    results = run(folders=[site.path, other.path])
    assert {name: result.outcome for name, result in results.items()} == {"site.it": "skipped", "site_b.it": "passed"}


def test_a_conftest_may_add_fixtures(site: Folder, run: Run) -> None:
    site.put(
        "conftest.py", "import pytest\n@pytest.fixture\ndef scratch(host):\n    return f'/scratch/{host.hostname}'\n"
    )
    site.checks("def check_it(scratch):\n    assert scratch == '/scratch/node1'\n")
    assert run()["site.it"].outcome == "passed"


def test_sites_may_name_their_files_alike(run: Run, tmp_path: Path) -> None:
    """Also in packages of the same name: each folder's own file is what runs."""
    folders = []
    for name in ("a", "b"):
        folder = Folder(tmp_path / name / "checks")
        folder.put("__init__.py", "")
        folder.checks(f"def check_{name}():\n    assert __file__.startswith({str(folder.path)!r})\n")
        folders.append(folder.path)
    assert {name: result.outcome for name, result in run(folders=folders).items()} == {
        "site.a": "passed",
        "site.b": "passed",
    }


def test_a_sites_workloads_are_found_first_and_for_its_checks_alone(site: Folder, run: Run, tmp_path: Path) -> None:
    site.workload("cuda_driver", "def probe():\n    return 'the site'\n")
    site.put("sub/workloads/near.py", "def go():\n    return 'near'\n")
    site.put(
        "sub/check_site_b.py",
        """
    def check_it(run):
        assert run("near.go") == "near"
        assert run("cuda_driver.probe") == "the site"
    """,
    )
    site.checks("def check_it(run):\n    assert run('cuda_driver.probe') == 'the site'\n")
    other = Folder(tmp_path / "other")
    other.checks("def check_it(run):\n    assert 'library' in run('cuda_driver.probe')\n", "check_site_c")
    results = run(folders=[site.path, other.path], keyword="check_site or cuda_driver", gpus=1)
    assert {result.outcome for name, result in results.items() if name.startswith("site")} == {"passed"}
    assert (
        "CUDA driver library is missing" in results["device.cuda_driver"].summary
    )  # judged by the tool's own workload


def test_checks_in_folders_that_pytest_would_pass_by(site: Folder, run: Run) -> None:
    site.put("build/check_site.py", "def check_it():\n    pass\n")
    assert run()["site.it"].outcome == "passed"


def test_a_skip_hides_no_error_after_it(site: Folder, run: Run) -> None:
    site.checks("""
    @pytest.fixture
    def odd():
        yield
        1 / 0
    def check_it(odd):
        pytest.skip("not here")
    """)
    assert run()["site.it"].summary == "ZeroDivisionError: division by zero"
