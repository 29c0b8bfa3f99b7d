// A disk that lies, for a program that was not built for it: loaded with LD_PRELOAD, it stands between the program and
// libc for the files under one directory, and does what a control file says, which may change while the program runs.
//
//   DISK_DIR      the directory; files elsewhere are left alone
//   DISK_CONTROL  the control file: one mode a line, read again when it was changed
//   DISK_JOURNAL  where `record` writes
//
//   full            writes that make a file longer fail: ENOSPC
//   fsync-fails N   sync number N from now fails, once: EIO
//   fsync-fails N+  and all after it
//   slow MS         each sync takes so much longer
//   read-only       nothing can be opened for writing or written: EROFS
//   record          every change is appended to the journal (see struct entry)
//
// What a program has mapped into memory is not seen: of SQLite that is the -shm file, which no power cut preserves.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { FILES_MAX = 4096, PATH_LENGTH_MAX = 512, CONTROL_MAX = 256 };

// As it stands in the journal, followed by the file's name and by what was written.
struct entry {
    uint64_t sequence, realtime_ns, offset;
    uint32_t length, name_length;
    // The first letter of create, write, truncate, sync, failed sync, directory's sync, unlink, link and rename; the
    // last two name "from NUL to".
    char kind;
    char padding[7];
};

#define REAL(name) real_##name = dlsym(RTLD_NEXT, #name)
static int (*real_open)(const char *, int, ...);
static int (*real_openat)(int, const char *, int, ...);
static int (*real_close)(int);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static int (*real_ftruncate)(int, off_t);
static int (*real_posix_fallocate)(int, off_t, off_t);
static int (*real_fallocate)(int, int, off_t, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_unlink)(const char *);
static int (*real_linkat)(int, const char *, int, const char *, int);
static int (*real_rename)(const char *, const char *);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char names[FILES_MAX][PATH_LENGTH_MAX]; // by descriptor, beneath the directory; "" is not ours, "." is itself
static const char *dir, *control;
static size_t dir_length;
static int journal = -1;
static uint64_t sequence;

static struct {
    int full, read_only, record;
    long sync_fails_at, slow_ms; // 0 is never
    int sync_fails_on;           // and from then on
    struct timespec changed;
    off_t size;
} mode;
static long syncs;

__attribute__((constructor)) static void begin(void) {
    REAL(open), REAL(openat), REAL(close), REAL(pwrite), REAL(write), REAL(writev), REAL(ftruncate);
    REAL(posix_fallocate), REAL(fallocate), REAL(fsync), REAL(fdatasync), REAL(unlink), REAL(linkat), REAL(rename);
    dir = getenv("DISK_DIR"), control = getenv("DISK_CONTROL");
    dir_length = dir ? strlen(dir) : 0;
    const char *path = getenv("DISK_JOURNAL");
    if (path) journal = real_open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static const char *name_of(const char *path) {
    if (!dir || strncmp(path, dir, dir_length) != 0) return NULL;
    if (path[dir_length] == '\0') return ".";
    return path[dir_length] == '/' ? path + dir_length + 1 : NULL;
}

static const char *name_at(int fd) { return fd >= 0 && fd < FILES_MAX && names[fd][0] ? names[fd] : NULL; }

// Reads the control file if it changed: one stat a call, and the test needs no way into the process.
static void look(void) {
    struct stat seen;
    if (!control || stat(control, &seen) != 0) return;
    if (seen.st_mtim.tv_sec == mode.changed.tv_sec && seen.st_mtim.tv_nsec == mode.changed.tv_nsec
        && seen.st_size == mode.size)
        return;
    char text[CONTROL_MAX + 1];
    int fd = real_open(control, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, CONTROL_MAX);
    if (fd >= 0) real_close(fd);
    if (length < 0) return;
    text[length] = '\0';
    memset(&mode, 0, sizeof mode);
    mode.changed = seen.st_mtim, mode.size = seen.st_size, syncs = 0;
    for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
        char more = 0;
        if (strcmp(line, "full") == 0) mode.full = 1;
        else if (strcmp(line, "read-only") == 0) mode.read_only = 1;
        else if (strcmp(line, "record") == 0) mode.record = 1;
        else if (sscanf(line, "fsync-fails %ld%c", &mode.sync_fails_at, &more) > 0) mode.sync_fails_on = more == '+';
        else if (sscanf(line, "slow %ld", &mode.slow_ms) != 1 && *line) {
            dprintf(2, "disk: the control file has %s, which is no mode\n", line);
            abort();
        }
    }
}

// Called with the lock held, after what it tells of took place.
static void note(char kind, const char *name, size_t name_length, uint64_t offset, const void *data, size_t length) {
    if (!mode.record || journal < 0) return;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct entry entry = {++sequence, now.tv_sec * 1000000000ULL + now.tv_nsec, offset,
                          length,     name_length,                              kind,   {0}};
    struct iovec parts[] = {{&entry, sizeof entry}, {(void *)name, name_length}, {(void *)data, data ? length : 0}};
    ssize_t whole = sizeof entry + name_length + parts[2].iov_len;
    if (real_writev(journal, parts, 3) != whole) {
        dprintf(2, "disk: the journal cannot be written\n");
        abort();
    }
}

static int fails(int error) {
    pthread_mutex_unlock(&lock);
    errno = error;
    return -1;
}

static void hold(void) { pthread_mutex_lock(&lock), look(); }
static void let_go(void) { pthread_mutex_unlock(&lock); }

static int opened(int at, const char *path, int flags, mode_t permissions) {
    const char *name = name_of(path);
    if (!name) return real_openat(at, path, flags, permissions);
    hold();
    int missing = access(path, F_OK) != 0, writes = (flags & O_ACCMODE) != O_RDONLY;
    if (mode.read_only && (writes || (missing && flags & O_CREAT))) return fails(EROFS);
    if (mode.full && missing && flags & O_CREAT) return fails(ENOSPC);
    int fd = real_openat(at, path, flags, permissions);
    if (fd >= FILES_MAX || strlen(name) >= PATH_LENGTH_MAX) abort();
    if (fd >= 0) {
        strcpy(names[fd], name);
        if (missing) note('c', name, strlen(name), 0, NULL, 0);
        else if (writes && flags & O_TRUNC) note('t', name, strlen(name), 0, NULL, 0);
    }
    let_go();
    return fd;
}

static mode_t permissions_of(int flags, va_list rest) {
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
}
#define OPEN(symbol, at, ...)                                                                                          \
    int symbol(__VA_ARGS__ const char *path, int flags, ...) {                                                        \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        mode_t permissions = permissions_of(flags, rest);                                                             \
        va_end(rest);                                                                                                  \
        return opened(at, path, flags, permissions);                                                                   \
    }
OPEN(open, AT_FDCWD, )
OPEN(open64, AT_FDCWD, )
OPEN(openat, at, int at, )
OPEN(openat64, at, int at, )

int close(int fd) {
    if (name_at(fd)) {
        pthread_mutex_lock(&lock);
        names[fd][0] = '\0';
        let_go();
    }
    return real_close(fd);
}

// 0, or the error of a write that ends there. Called with the lock held.
static int refused(int fd, off_t end) {
    struct stat seen;
    if (mode.read_only) return EROFS;
    if (mode.full && fstat(fd, &seen) == 0 && end > seen.st_size) return ENOSPC;
    return 0;
}

static ssize_t written(int fd, const void *data, size_t length, off_t offset, int moves) {
    hold();
    int error = refused(fd, offset + length);
    if (error) return fails(error);
    ssize_t done = moves ? real_write(fd, data, length) : real_pwrite(fd, data, length, offset);
    if (done > 0) note('w', names[fd], strlen(names[fd]), offset, data, done);
    let_go();
    return done;
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) {
    return name_at(fd) ? written(fd, data, length, offset, 0) : real_pwrite(fd, data, length, offset);
}
ssize_t pwrite64(int fd, const void *data, size_t length, off_t offset) { return pwrite(fd, data, length, offset); }
ssize_t write(int fd, const void *data, size_t length) {
    return name_at(fd) ? written(fd, data, length, lseek(fd, 0, SEEK_CUR), 1) : real_write(fd, data, length);
}

int ftruncate(int fd, off_t length) {
    if (!name_at(fd)) return real_ftruncate(fd, length);
    hold();
    int error = refused(fd, length);
    if (error) return fails(error);
    int done = real_ftruncate(fd, length);
    if (done == 0) note('t', names[fd], strlen(names[fd]), length, NULL, 0);
    let_go();
    return done;
}
int ftruncate64(int fd, off_t length) { return ftruncate(fd, length); }

// Room is made where a file is only made longer: enough for what SQLite asks of it.
static int allocated(int fd, off_t end) {
    struct stat seen;
    if (fstat(fd, &seen) != 0) return -1;
    return end > seen.st_size ? ftruncate(fd, end) : 0;
}
int fallocate(int fd, int how, off_t offset, off_t length) {
    return name_at(fd) ? allocated(fd, offset + length) : real_fallocate(fd, how, offset, length);
}
int posix_fallocate(int fd, off_t offset, off_t length) {
    if (!name_at(fd)) return real_posix_fallocate(fd, offset, length);
    return allocated(fd, offset + length) == 0 ? 0 : errno;
}
int fallocate64(int fd, int how, off_t offset, off_t length) { return fallocate(fd, how, offset, length); }
int posix_fallocate64(int fd, off_t offset, off_t length) { return posix_fallocate(fd, offset, length); }

static int synced(int fd, int (*real)(int)) {
    if (!name_at(fd)) return real(fd);
    hold();
    syncs += 1;
    int due = mode.sync_fails_on ? syncs >= mode.sync_fails_at : syncs == mode.sync_fails_at;
    if (mode.sync_fails_at && due) {
        note('f', names[fd], strlen(names[fd]), sequence, NULL, 0);
        return fails(EIO);
    }
    long slow_ms = mode.slow_ms;
    uint64_t began_after = sequence;
    let_go();
    struct timespec pause = {slow_ms / 1000, slow_ms % 1000 * 1000000};
    if (slow_ms) nanosleep(&pause, NULL);
    int done = real(fd);
    pthread_mutex_lock(&lock);
    // What was written while the sync ran is not covered by it: its entry says after which one it began.
    if (done == 0) note(strcmp(names[fd], ".") == 0 ? 'd' : 's', names[fd], strlen(names[fd]), began_after, NULL, 0);
    let_go();
    return done;
}
int fsync(int fd) { return synced(fd, real_fsync); }
int fdatasync(int fd) { return synced(fd, real_fdatasync); }

int unlink(const char *path) {
    const char *name = name_of(path);
    if (!name) return real_unlink(path);
    hold();
    if (mode.read_only) return fails(EROFS);
    int done = real_unlink(path);
    if (done == 0) note('u', name, strlen(name), 0, NULL, 0);
    let_go();
    return done;
}

// Called with the lock held.
static int named(char kind, const char *from, const char *to, int done) {
    char both[2 * PATH_MAX];
    int length = snprintf(both, sizeof both, "%s%c%s", name_of(from) ? name_of(from) : from, 0, name_of(to));
    if (done == 0) note(kind, both, length, 0, NULL, 0);
    let_go();
    return done;
}
int rename(const char *from, const char *to) {
    if (!name_of(to)) return real_rename(from, to);
    hold();
    return mode.read_only ? fails(EROFS) : named('r', from, to, real_rename(from, to));
}
int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags) {
    if (!name_of(to)) return real_linkat(from_dir, from, to_dir, to, flags);
    hold();
    return mode.read_only ? fails(EROFS) : named('l', from, to, real_linkat(from_dir, from, to_dir, to, flags));
}
