"""Child processes whose writes fail, and the book that they keep of it."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import duckstore
from tests.processes import ROOT

# What the children share: numbered batches, and a book of what became of each.
BOOK = """
import json, os, random, resource, signal, sys
import duckstore, duckstore.upkeep
from duckstore import errors

path, end = sys.argv[1:3]
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
dice = random.Random(1)
acknowledged, failed = [], []

def write(number):
    try:
        conversation.add([f"{number} " + dice.randbytes(size // 2).hex()])
    except errors.StoreWriteError as error:
        assert path in str(error) and "Nothing of this call was stored" in str(error), error
        failed.append(number)
    else:
        acknowledged.append(number)
    assert [int(i.split()[0]) for i in conversation.items()] == acknowledged, "a read is wrong"

def finish():
    print(json.dumps([acknowledged, failed]), flush=True)
    if end == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    store.close()
"""

# A library that is loaded before all others, so that calls of the system fail.
# While the file named by $FAULT_TRIGGER is there, it says what fails: an errno, the endings of the
# files that are meant, and the calls, such as "5 .journal,.wal fsync,pwrite".
LIBRARY = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int in_list(char *list, const char *text, int is_ending) {
    char *rest = NULL;
    for (char *part = strtok_r(list, ",", &rest); part; part = strtok_r(NULL, ",", &rest)) {
        size_t skipped = is_ending && strlen(text) > strlen(part) ? strlen(text) - strlen(part) : 0;
        if (!strcmp(text + skipped, part)) return 1;
    }
    return 0;
}

static int is_failing(int file, const char *call) {
    char told[256] = "", endings[128], calls[128], link[64], name[4096];
    int code, before = errno;
    const char *trigger = getenv("FAULT_TRIGGER");
    int opened = trigger ? open(trigger, O_RDONLY | O_CLOEXEC) : -1;
    if (opened < 0) { errno = before; return 0; }
    ssize_t length = read(opened, told, sizeof told - 1);
    close(opened);
    errno = before;
    if (length <= 0 || sscanf(told, "%d %127s %127s", &code, endings, calls) != 3) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t size = readlink(link, name, sizeof name - 1);
    errno = before;
    if (size <= 0) return 0;
    name[size] = 0;
    if (!in_list(endings, name, 1) || !in_list(calls, call, 0)) return 0;
    errno = code;
    return 1;
}

#define FAULTY(call, type, parameters, arguments, kind)                  \
    type call parameters {                                               \
        static type (*real) parameters = NULL;                           \
        if (!real) real = (type (*) parameters)dlsym(RTLD_NEXT, #call);  \
        if (is_failing(file, kind)) return -1;                           \
        return real arguments;                                           \
    }

FAULTY(write, ssize_t, (int file, const void *data, size_t size), (file, data, size), "write")
FAULTY(pwrite, ssize_t, (int file, const void *data, size_t size, off_t at),
       (file, data, size, at), "write")
FAULTY(pwrite64, ssize_t, (int file, const void *data, size_t size, off_t at),
       (file, data, size, at), "write")
FAULTY(fsync, int, (int file), (file), "sync")
FAULTY(fdatasync, int, (int file), (file), "sync")
"""


def build(folder: Path) -> Path:
    """Compile the library; skips the test where that is not possible."""
    compiler = shutil.which("gcc")
    if compiler is None or not Path("/proc/self/fd").exists():
        pytest.skip("needs gcc and /proc to make writes fail")
    source, library = folder / "faulty.c", folder / "faulty.so"
    source.write_text(LIBRARY)
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


def environment(library: Path, trigger: Path) -> dict[str, str]:
    """What a child process needs for its writes to fail while the trigger is there."""
    return {**os.environ, "LD_PRELOAD": str(library), "FAULT_TRIGGER": str(trigger)}


def told(code: int, endings: str, calls: str) -> str:
    """What stands in a trigger."""
    assert code in errno.errorcode
    return f"{code} {endings} {calls}"


def outcome(code: str, path: Path, end: str, *arguments: str, **options: object) -> list[list[int]]:
    """Run a child to its end. Returns the batches that were acknowledged, and those that failed."""
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), end, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=ROOT,
        **options,  # type: ignore[call-overload]
    )
    assert done.returncode == (-signal.SIGKILL if end == "kill" else 0), done.stderr
    book: list[list[int]] = json.loads(done.stdout.splitlines()[-1])
    return book


def batches(path: Path) -> list[int]:
    """The batches that a store holds, each once, whichever way it is asked."""
    with duckstore.open(path) as store:
        found = [int(item.split()[0]) for item in store.conversation("s").items()]
        assert store.check() == []
        assert store.sql("select count(*) as n from items")["n"][0] == len(found)
        store.conversation("s").add(["-1"])
    with duckstore.open(path) as store:
        assert [int(item.split()[0]) for item in store.conversation("s").items()] == [*found, -1]
    return found
