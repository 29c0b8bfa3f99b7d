"""A disk that lies to the real binary (e2e/disk/disk.c), and how it may look after the power went."""

import collections
import os
import pathlib
import random
import struct
import subprocess

from conftest import Posthaste

SHIM = pathlib.Path(__file__).parent.parent / "disk" / "disk.c"
SECTOR = 512
# What the kernel writes at once.
PAGE = 4096
ENTRY = struct.Struct("=QQQIIc7x")


class Disk:
    """The disk under a data directory, and what it does."""

    def __init__(self, place):
        self.place = pathlib.Path(os.path.realpath(place))
        self.data_dir = self.place / "data"
        self.data_dir.mkdir()
        self.control, self.journal, library = (self.place / name for name in ("control", "journal", "disk.so"))
        compile_shim = ["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(library), str(SHIM), "-ldl"]
        subprocess.run(compile_shim, check=True)
        self.does()
        self.env = {
            "LD_PRELOAD": str(library),
            "DISK_DIR": str(self.data_dir),
            "DISK_CONTROL": str(self.control),
            "DISK_JOURNAL": str(self.journal),
        }

    def does(self, *modes):
        """From now on. Without a mode: what a disk should do."""
        beside = self.control.with_suffix(".next")
        beside.write_text("".join(mode + "\n" for mode in modes))
        beside.rename(self.control)

    def serve(self, **settings):
        return Posthaste(self.data_dir, **self.env, **settings)


class Entry:
    """One line of the journal."""

    def __init__(self, sequence, realtime_ns, offset, kind, name, data, length):
        self.sequence, self.realtime_ns, self.offset, self.kind = sequence, realtime_ns, offset, kind
        self.name, self.data, self.length = name, data, length


def read_journal(path):
    """Everything that was done to the disk, in its order."""
    with open(path, "rb") as journal:
        while head := journal.read(ENTRY.size):
            sequence, realtime_ns, offset, length, name_length, kind = ENTRY.unpack(head)
            name = journal.read(name_length).decode()
            data = journal.read(length) if kind == b"w" else b""
            yield Entry(sequence, realtime_ns, offset, kind.decode(), name, data, length)


class File:
    """What of one file is certainly on the platter, and what was written since and may be.

    After a sync that failed the kernel holds the pages for clean: no later sync writes them, unless they are written
    again. Whoever syncs once more and believes it has lost them.
    """

    def __init__(self):
        self.cached, self.synced, self.unsynced = bytearray(), bytearray(), []
        self.dice = random.Random("which pages a failed sync had written")

    def note(self, entry):
        if entry.kind in "wt":
            apply(entry, self.cached)
            self.unsynced.append(entry)
            return
        covered = [write for write in self.unsynced if write.sequence <= entry.offset]
        self.unsynced = [write for write in self.unsynced if write.sequence > entry.offset]
        for write in covered:
            if entry.kind == "s" or self.dice.random() < 0.5:
                self.reaches_the_platter(write)

    def reaches_the_platter(self, write):
        if write.kind == "t":
            return apply(write, self.synced)
        first = write.offset - write.offset % PAGE
        last = write.offset + len(write.data) + -(write.offset + len(write.data)) % PAGE
        put(self.synced, first, self.cached[first:last])

    def after_a_power_cut(self, dice):
        """What was synced, and of the rest any part: whole writes, or single sectors of them, in any order."""
        image = bytearray(self.synced)
        kept, torn = dice.choice([0, 0.1, 0.5, 0.9, 1]), dice.choice([0, 0.2, 1])
        for write in self.unsynced:
            if dice.random() >= kept:
                continue
            if write.kind == "w" and dice.random() < torn:
                for start in range(0, len(write.data), SECTOR):
                    if dice.random() < 0.5:
                        put(image, write.offset + start, write.data[start : start + SECTOR])
            else:
                apply(write, image)
        return image


def apply(entry, image):
    if entry.kind == "w":
        put(image, entry.offset, entry.data)
    else:
        del image[entry.offset :]
        image.extend(bytes(entry.offset - len(image)))


def put(image, offset, data):
    if offset > len(image):
        image.extend(bytes(offset - len(image)))
    image[offset : offset + len(data)] = data


class Replay:
    """The database and its log as they were written; goes through the journal once, from instant to instant."""

    FILES = ("posthaste.db", "posthaste.db-wal")

    def __init__(self, journal):
        self.entries = iter(read_journal(journal))
        self.files = {name: File() for name in self.FILES}
        self.next = next(self.entries, None)
        self.syncs, self.failed_syncs = collections.Counter(), 0

    def until(self, realtime_ns):
        while self.next and self.next.realtime_ns <= realtime_ns:
            entry, self.next = self.next, next(self.entries, None)
            if entry.kind in "wtsf" and entry.name in self.files:
                self.files[entry.name].note(entry)
                self.syncs[entry.name] += entry.kind == "s"
                self.failed_syncs += entry.kind == "f"
            else:
                assert entry.kind not in "url" or not entry.name.endswith(self.FILES), f"{entry.kind} {entry.name}"

    def cut(self, dice, place):
        """The two files as the next start may find them. The -shm file lives in memory only and is gone."""
        place.mkdir(parents=True, exist_ok=True)
        for name, file in self.files.items():
            (place / name).write_bytes(file.after_a_power_cut(dice))
