import pytest


@pytest.fixture(scope="session", autouse=True)
def program_cache(tmp_path_factory):
    """Programs are built in a folder of the tests, not in that of the user."""
    patch = pytest.MonkeyPatch()
    patch.setenv("CHAINRULE_CACHE", str(tmp_path_factory.mktemp("programs")))
    yield
    patch.undo()
