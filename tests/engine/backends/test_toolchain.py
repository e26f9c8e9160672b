"""The compiler and its cache: what goes wrong on real machines, one test each."""

import ctypes
import errno
import importlib.util
import os
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import chainrule
import chainrule as cr
from chainrule.engine.backends.c import cache, toolchain
from chainrule.engine.backends.c.toolchain import CompilerError

SOURCE = "int answer(void) { return 42; }\n"
PACKAGE = str(Path(chainrule.__file__).parents[1])


@pytest.fixture(autouse=True)
def fresh_cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("CHAINRULE_CACHE", str(folder))
    monkeypatch.delenv("CHAINRULE_CC", raising=False)
    toolchain._examine.cache_clear()
    cache._usable.cache_clear()
    yield folder
    toolchain._examine.cache_clear()
    cache._usable.cache_clear()


def script(path: Path, text: str) -> str:
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return str(path)


def python(code: str, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": PACKAGE, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_build_and_load(fresh_cache):
    assert toolchain.load(SOURCE).answer() == 42
    assert stat.S_IMODE(fresh_cache.stat().st_mode) == 0o700
    suffixes = sorted(path.suffix for path in cache.entries())
    assert suffixes == [".c", ".json", ".sha256", ".so"]
    assert not list(fresh_cache.glob("build-*"))


def test_second_build_takes_the_first_ones_file():
    first = toolchain.build(SOURCE)
    before = first.stat().st_mtime_ns
    assert toolchain.build(SOURCE) == first
    assert first.stat().st_mtime_ns == before


def test_what_was_examined_with_other_flags_is_not_taken(monkeypatch):
    with monkeypatch.context() as less:
        less.setattr(toolchain, "BASE_FLAGS", ("-O1", "-fPIC", "-shared"))
        assert "-O1" in toolchain.find().flags
    toolchain._examine.cache_clear()
    assert "-O1" not in toolchain.find().flags


def test_a_compiler_is_examined_once(tmp_path, monkeypatch):
    log = tmp_path / "log"
    command = script(tmp_path / "cc", f'echo x >> {log}\nexec cc "$@"\n')
    monkeypatch.setenv("CHAINRULE_CC", command)
    first, calls = toolchain.find(), log.read_text()
    toolchain._examine.cache_clear()
    assert toolchain.find() == first
    assert log.read_text() == calls


def test_threads_examine_a_compiler_once_in_few_calls(tmp_path, monkeypatch):
    log = tmp_path / "log"
    command = script(tmp_path / "cc", f'echo x >> {log}\nexec cc "$@"\n')
    monkeypatch.setenv("CHAINRULE_CC", command)
    toolchain._examine.cache_clear()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: toolchain.find(), range(4)))
    assert all(one is found[0] for one in found)
    if "-fno-ipa-modref" in found[0].flags:  # GCC, which accepts all of them at once
        assert len(log.read_text().split()) == 3


def test_a_compiler_that_refuses_a_flag_is_asked_for_each(tmp_path, monkeypatch):
    refuse = 'case " $* " in *" -fno-trapping-math "*) exit 1;; esac\nexec cc "$@"\n'
    monkeypatch.setenv("CHAINRULE_CC", script(tmp_path / "cc", refuse))
    flags = toolchain.find().flags
    assert "-fno-trapping-math" not in flags
    assert {"-O3", "-ffp-contract=off"} <= set(flags)


def test_flags_are_part_of_the_key():
    assert toolchain.build(SOURCE) != toolchain.build(SOURCE, ("-O1",))
    keys = {toolchain.Compiler(("cc", *more), "1", ()).key("") for more in ((), ("-mno-fma",))}
    assert len(keys) == 2  # of the command, too


def test_no_unsafe_floating_point():
    flags = toolchain.find().flags
    assert "-O3" in flags
    assert not {"-ffast-math", "-Ofast", "-ffinite-math-only"} & set(flags)


def test_chosen_compiler(tmp_path, monkeypatch):
    log = tmp_path / "log"
    command = script(tmp_path / "my cc", f'echo x >> {log}\nexec cc "$@"\n')
    monkeypatch.setenv("CHAINRULE_CC", shlex.quote(command))
    assert toolchain.load(SOURCE).answer() == 42
    assert log.exists()


@pytest.mark.parametrize("chosen", ["", "/nowhere/cc"])
def test_no_compiler(monkeypatch, chosen):
    monkeypatch.setenv("CHAINRULE_CC", chosen)
    with pytest.raises(CompilerError, match="found"):
        toolchain.build(SOURCE)


def test_failing_compiler_leaves_nothing(tmp_path, monkeypatch, fresh_cache):
    command = script(tmp_path / "cc", "echo 'x.c:1: error: broken' >&2\nexit 3\n")
    monkeypatch.setenv("CHAINRULE_CC", command)
    with pytest.raises(CompilerError, match=r"exit code 3") as caught:
        toolchain.build(SOURCE)
    assert caught.value.found == "x.c:1: error: broken"
    assert list(fresh_cache.iterdir()) == []


def test_ctrl_c_reaches_the_compiler_too(tmp_path, monkeypatch, fresh_cache):
    """An interrupted build is no failure of the compiler, after which NumPy would go on."""
    monkeypatch.setenv("CHAINRULE_CC", script(tmp_path / "cc", "kill -INT $$\nsleep 9\n"))
    with pytest.raises(KeyboardInterrupt):
        toolchain.build(SOURCE)
    assert list(fresh_cache.iterdir()) == []


def test_compiler_that_fails_half_way(tmp_path, monkeypatch, fresh_cache):
    """It writes a part of the library, then fails: nothing of it may be found later."""
    command = script(
        tmp_path / "cc",
        'case "$*" in *answer*|*"-o program.so program.c"*)\n'
        '  if grep -q answer program.c 2>/dev/null; then echo half > program.so; exit 1; fi;;\n'
        'esac\nexec cc "$@"\n',
    )  # fmt: skip
    monkeypatch.setenv("CHAINRULE_CC", command)
    with pytest.raises(CompilerError, match="failed"):
        toolchain.build(SOURCE)
    assert not list(fresh_cache.glob("*.so"))
    assert not list(fresh_cache.glob("build-*"))


def test_syntax_error_is_one_sentence():
    with pytest.raises(CompilerError) as caught:
        toolchain.build("int f( {")
    assert "error" in caught.value.found
    assert "\n" not in caught.value.found


def test_damaged_library_is_built_again():
    path = toolchain.build(SOURCE)
    path.write_bytes(b"\x7fELF damaged")
    assert toolchain.load(SOURCE).answer() == 42


def test_damaged_memory_of_flags(fresh_cache):
    before = toolchain.find()
    (file,) = fresh_cache.glob("compiler-*.json")
    file.write_text("{")
    toolchain._examine.cache_clear()
    assert toolchain.find() == before


def test_planted_symlink_is_not_followed(tmp_path, fresh_cache, caplog):
    target = tmp_path / "elsewhere"
    target.mkdir()
    fresh_cache.symlink_to(target)
    assert toolchain.load(SOURCE).answer() == 42
    assert list(target.iterdir()) == []
    assert "not a plain folder" in caplog.text


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_folder_of_another_owner(fresh_cache, caplog):
    fresh_cache.mkdir()
    os.chown(fresh_cache, 12345, 12345)
    fresh_cache.chmod(0o777)
    assert toolchain.load(SOURCE).answer() == 42
    assert list(fresh_cache.iterdir()) == []
    assert caplog.text.count("belongs to another user") == 1


def test_folder_below_one_that_others_write_to(tmp_path, monkeypatch, caplog):
    open_folder = tmp_path / "open"
    open_folder.mkdir()
    open_folder.chmod(0o777)
    monkeypatch.setenv("CHAINRULE_CACHE", str(open_folder / "cache"))
    assert toolchain.load(SOURCE).answer() == 42
    assert "other users may write" in caplog.text


def test_planted_file_is_not_loaded(tmp_path, fresh_cache):
    """A link in the place of a library is not ours, whatever it points to."""
    path = toolchain.build(SOURCE)
    other = tmp_path / "other.so"
    other.write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(other)
    assert cache.find(path.name) is None
    assert toolchain.load(SOURCE).answer() == 42
    assert not path.is_symlink()


def test_read_only_home(tmp_path):
    """Without a place to write to, programs are built in a temporary folder that is removed."""
    home = tmp_path / "home"
    home.mkdir()
    (home / ".cache").write_text("a file where the folder should be")
    code = """
    import os
    os.environ.pop("CHAINRULE_CACHE"); os.environ.pop("XDG_CACHE_HOME", None)
    from chainrule.engine.backends.c import cache, toolchain
    print(toolchain.load("int answer(void) { return 42; }").answer(), cache.folder())
    """
    process = python(code, HOME=str(home), TMPDIR=str(tmp_path))
    output, errors = process.communicate(timeout=60)
    answer, folder = output.split()
    assert answer == "42"
    assert "is not used because" in errors
    assert not Path(folder).exists()


def test_two_processes_build_at_once(fresh_cache):
    code = """
    from chainrule.engine.backends.c import toolchain
    for number in range(4):
        library = toolchain.load(f"int answer(void) {{ return {number}; }}")
        assert library.answer() == number
    """
    processes = [python(code) for _ in range(3)]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    assert len(list(fresh_cache.glob("*.so"))) == 4
    assert not list(fresh_cache.glob("build-*"))


def test_killed_while_building(tmp_path, fresh_cache, monkeypatch):
    """After kill -9 in the middle of a build the next process builds at once, and sweeps later."""
    toolchain.find()  # remembered, so that the slow compiler is only called to build
    started = tmp_path / "started"
    slow = script(
        tmp_path / "cc",
        f'if grep -q answer program.c 2>/dev/null; then touch {started}; exec sleep 5; fi\n'
        'exec cc "$@"\n',
    )  # fmt: skip
    process = python(
        f"""
        from chainrule.engine.backends.c import toolchain
        toolchain.load({SOURCE!r})
        """,
        CHAINRULE_CC=slow,
    )
    while not started.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    for stream in (process.stdout, process.stderr):
        stream.close()
    (left,) = fresh_cache.glob("build-*")
    assert toolchain.load(SOURCE).answer() == 42
    assert left.exists()  # it may belong to a living process
    os.utime(left, (1.0, 1.0))
    cache.workshop().rmdir()
    assert not left.exists()


def test_clear(fresh_cache):
    toolchain.build(SOURCE)
    (fresh_cache / "build-old").mkdir()
    assert cache.clear() == 4
    assert list(fresh_cache.iterdir()) == []


def test_source_may_name_anything():
    """The text is data: only the compiler reads it, no shell ever does."""
    text = 'const char *name(void) { return "$(touch /tmp/never) `x` ; *"; }\n'
    name = toolchain.load(text).name
    name.restype = ctypes.c_char_p
    assert name() == b"$(touch /tmp/never) `x` ; *"


@pytest.mark.parametrize("value", ["0", "many", "-3", "100000"])
def test_threads_must_make_sense(monkeypatch, value):
    monkeypatch.setenv("CHAINRULE_THREADS", value)
    with pytest.raises(chainrule.errors.ConfigError, match="CHAINRULE_THREADS"):
        toolchain.threads_wanted()


def test_threads_by_default(monkeypatch):
    monkeypatch.delenv("CHAINRULE_THREADS", raising=False)
    assert toolchain.threads_wanted() >= 1
    monkeypatch.setenv("CHAINRULE_THREADS", "3")
    assert toolchain.threads_wanted() == 3


@pytest.mark.parametrize("level", ["-O1", "-O2", "-O3"])
def test_functions_that_copy_are_called(level):
    """GCC 12.2 leaves these calls out when it infers what a function has effect on."""
    source = """
    #include <string.h>
    __attribute__((noinline)) static void copy(double *restrict y, const double *restrict x, long n)
    {
      for (long i = 0; i < n; i++) {
        memcpy(y + i * 6, x + i * 4 + 2, 4 * sizeof *y);
        memcpy(y + i * 6 + 4, x + i * 2, 2 * sizeof *y);
      }
    }
    void run(double *y, const double *x, long n) { copy(y, x, n); }
    """
    x, y = (ctypes.c_double * 6)(1, 2, 3, 4, 5, 6), (ctypes.c_double * 6)()
    toolchain.load(source, (level,)).run(y, x, ctypes.c_long(1))
    assert list(y) == [3, 4, 5, 6, 1, 2]


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize("damage", ["bit", "half", "empty", "digest", "no digest"])
def test_a_damaged_program_is_built_again_and_never_run(damage, caplog):
    path = toolchain.build(SOURCE)
    beside = path.with_name(f"{path.name}.sha256")
    whole = path.read_bytes()
    if damage == "bit":
        flip(path, len(whole) // 2)
    elif damage in ("half", "empty"):
        path.write_bytes(whole[: len(whole) // 2 if damage == "half" else 0])
    elif damage == "digest":
        flip(beside, 3)
    else:
        beside.unlink()
    assert toolchain.load(SOURCE).answer() == 42
    # Earlier versions wrote no digest: their programs are built again without a word.
    assert ("damaged and is built again" in caplog.text) == (damage != "no digest")
    caplog.clear()
    assert toolchain.load(SOURCE).answer() == 42
    assert caplog.text == ""


def test_what_was_kept_is_recalled_only_if_no_bit_has_changed():
    text = '{"größe": 1}'
    path = cache.keep("words.json", text)
    assert cache.recall("words.json") == text
    content = path.read_bytes()
    for position in range(len(content)):
        flip(path, position)
        assert cache.recall("words.json") is None
        path.write_bytes(content)
    assert cache.recall("others.json") is None


def test_a_full_cache_ends_nothing(monkeypatch, caplog):
    toolchain.find()

    def full(source, name):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache, "store", full)
    assert toolchain.load(SOURCE).answer() == 42
    assert "cannot be kept in the cache" in caplog.text


def test_a_compiler_that_hangs_takes_its_children_with_it(tmp_path, monkeypatch):
    slow = tmp_path / "slowcc"
    slow.write_text(f"#!/bin/sh\nsleep 60 & echo $! > {tmp_path}/child\nwait\n")
    slow.chmod(0o755)
    monkeypatch.setenv("CHAINRULE_CC", str(slow))
    monkeypatch.setattr(toolchain, "_TIMEOUT_SECONDS", 0.5)
    with pytest.raises(toolchain.CompilerError, match="cannot be run"):
        toolchain.find()
    child = int((tmp_path / "child").read_text())
    status = Path(f"/proc/{child}/stat")
    for _ in range(100):
        if not status.exists() or status.read_text().split()[2] == "Z":
            return
        time.sleep(0.02)
    pytest.fail("the child of the compiler lives on")


def test_it_is_called_with_the_flags_that_it_accepts(tmp_path):
    compiler = toolchain.find()
    (tmp_path / "empty.c").write_text("int one;\n")
    for flag in toolchain.OPTIONAL_FLAGS:
        command = [*compiler.command, "-Werror", flag, "-c", "empty.c", "-o", "empty.o"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True)
        accepted = done.returncode == 0
        if flag == "-mcpu=native" and "-march=native" in compiler.flags:
            accepted = False  # one of them says it
        assert (flag in compiler.flags) == accepted, flag


@pytest.mark.nightly
@pytest.mark.parametrize("width", [1, 2, 3, 5])
def test_narrow_products_are_built_by_clang(width, monkeypatch):
    """Clang puts no vector of 8 bytes into the registers of vectors, even where it is asked to."""
    if shutil.which("clang"):
        monkeypatch.setenv("CHAINRULE_CC", "clang")
    elif importlib.util.find_spec("ziglang"):
        monkeypatch.setenv("CHAINRULE_CC", f"{sys.executable} -m ziglang cc")
    else:
        pytest.skip("neither clang nor ziglang is installed")
    g = np.random.default_rng(0)
    x, w = g.normal(size=(9, 7)).astype(np.float32), g.normal(size=(7, width)).astype(np.float32)
    compiled = cr.compile(lambda a, b: a @ b, backend="c")
    np.testing.assert_allclose(compiled(x, w).numpy(), x @ w, rtol=1e-5, atol=1e-5)


def test_the_compiler_is_called_with_other_flags(tmp_path):
    (tmp_path / "one.c").write_text("int one = 1;\n")
    toolchain.call(("-c", "one.c", "-o", "one.o"), tmp_path)
    assert (tmp_path / "one.o").stat().st_size
    with pytest.raises(toolchain.CompilerError):
        toolchain.call(("-c", "two.c", "-o", "two.o"), tmp_path)
