/* SPDX-License-Identifier: Apache-2.0 */
/* Files in, whole: small ones are read, so that nobody can cut them meanwhile, large ones mapped,
 * pipes read until they end. What has no end (a device) is refused, what has a size shows it before
 * memory is spent, and nothing waits for a writer that does not come. */
#include "runtime/scrtio_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    READ_MOST = 64 << 20,  /* bytes of a regular file that is read; a larger one is mapped */
    PIPE_MOST = 128 << 20, /* bytes of what has no size */
    WRITER_MS = 1000,      /* how long a named pipe may have no writer: a shell opens both ends */
};

ScrtStatus scrt_io_fail(ScrtIoError *err, ScrtStatus status, const char *fmt, ...)
{
    if (err) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(err->text, sizeof err->text, fmt, ap);
        va_end(ap);
    }
    return status;
}

/* --- Pipes ------------------------------------------------------------------------------------ */

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The first read of a named pipe, whose fd does not block yet, so that no writer (the end, as it
 * seems) and a slow one (EAGAIN) are told apart. As read(2) answers; ENXIO where no writer came. */
static ssize_t read_first(int fd, void *p, size_t room)
{
    for (int64_t end = now_ms() + WRITER_MS, left; (left = end - now_ms()) > 0;) {
        struct pollfd came = {.fd = fd, .events = POLLIN};
        ssize_t got = read(fd, p, room);
        if (got != 0)
            return got < 0 && errno == EAGAIN ? fcntl(fd, F_SETFL, 0), read(fd, p, room) : got;
        if (poll(&came, 1, left < 20 ? (int)left : 20) > 0 && came.revents == POLLHUP)
            return 0; /* one came and left */
    }
    errno = ENXIO;
    return -1;
}

/* Reads fd to its end into p[room]; the last byte must stay free. A signal whose handler does not
 * restart calls ends it. */
static ScrtStatus read_to_end(int fd, bool named_pipe, unsigned char *p, size_t room, size_t *ret_n,
                              ScrtIoError *err)
{
    size_t n = 0;
    ssize_t got = named_pipe ? read_first(fd, p, room) : read(fd, p, room);
    if (named_pipe)
        fcntl(fd, F_SETFL, 0);
    while (got > 0 && (n += (size_t)got) < room)
        got = read(fd, p + n, room - n);
    if (got == 0) {
        p[n] = '\0';
        *ret_n = n;
        return SCRT_OK;
    }
    if (got > 0)
        return scrt_io_fail(err, SCRT_E_FILE, "it goes on after %zu bytes", room - 1);
    return scrt_io_fail(err, SCRT_E_FILE, "%s",
                        errno == ENXIO ? "it is a pipe that nothing writes to" : strerror(errno));
}

/* Address space for all that may come; only what comes takes memory. */
static ScrtStatus read_stream(int fd, size_t most, bool named_pipe, ScrtFile *ret, ScrtIoError *err)
{
    size_t n, room = most + 1;
    unsigned char *p = mmap(NULL, room, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return scrt_io_fail(err, SCRT_E_MEMORY, "out of memory");
    ScrtStatus s = read_to_end(fd, named_pipe, p, room, &n, err);
    if (s == SCRT_OK)
        *ret = (ScrtFile){.data = p, .n = n, .room = room};
    else
        munmap(p, room);
    return s;
}

/* --- Regular files ---------------------------------------------------------------------------- */

/* A byte beyond the file is mapped too and is zero: text ends there. */
static ScrtStatus map_file(int fd, size_t n, ScrtFile *ret, ScrtIoError *err)
{
    size_t room = n + 1;
    unsigned char *p = mmap(NULL, room, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p != MAP_FAILED && mmap(p, n, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0) == MAP_FAILED) {
        munmap(p, room);
        p = MAP_FAILED;
    }
    if (p == MAP_FAILED)
        return scrt_io_fail(err, SCRT_E_MEMORY, "it cannot be mapped: %s", strerror(errno));
    *ret = (ScrtFile){.data = p, .n = n, .room = room, .mapped = true};
    return SCRT_OK;
}

static ScrtStatus read_small(int fd, size_t size, ScrtFile *ret, ScrtIoError *err)
{
    size_t n;
    unsigned char *p = scrt_alloc(size + 1);
    if (!p)
        return scrt_io_fail(err, SCRT_E_MEMORY, "out of memory");
    ScrtStatus s = read_to_end(fd, false, p, size + 1, &n, err);
    if (s == SCRT_OK)
        *ret = (ScrtFile){.data = p, .n = n};
    else
        scrt_free(p);
    return s;
}

/* A regular file that says it is empty may be one of /proc, whose sizes are not known. */
static ScrtStatus read_regular(int fd, uint64_t size, uint64_t limit, ScrtFile *ret,
                               ScrtIoError *err)
{
    if (size > limit || size >= SIZE_MAX)
        return scrt_io_fail(err, SCRT_E_FILE, "it has %llu bytes of at most %llu",
                            (unsigned long long)size, (unsigned long long)limit);
    if (size > READ_MOST)
        return map_file(fd, (size_t)size, ret, err);
    return size ? read_small(fd, (size_t)size, ret, err)
                : read_stream(fd, PIPE_MOST, false, ret, err);
}

/* --- The door --------------------------------------------------------------------------------- */

/* A terminal is a device that people type at. */
static ScrtStatus read_fd(int fd, bool standard, const struct stat *st, uint64_t limit,
                          ScrtFile *ret, ScrtIoError *err)
{
    if (S_ISREG(st->st_mode))
        return read_regular(fd, (uint64_t)st->st_size, limit, ret, err);
    if (S_ISDIR(st->st_mode))
        return scrt_io_fail(err, SCRT_E_FILE, "it is a folder");
    bool pipe = S_ISFIFO(st->st_mode);
    if (!pipe && !S_ISSOCK(st->st_mode) && !(standard && isatty(fd)))
        return scrt_io_fail(err, SCRT_E_FILE, "it is a device");
    return read_stream(fd, limit < PIPE_MOST ? (size_t)limit : PIPE_MOST, pipe && !standard, ret,
                       err);
}

ScrtStatus scrt_file_open(const char *path, uint64_t limit, ScrtFile *ret, ScrtIoError *err)
{
    bool standard = strcmp(path, "-") == 0;
    struct stat st;
    ScrtFile file = {0};
    if (err)
        err->text[0] = '\0';
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) != 0) {
        ScrtStatus s = scrt_io_fail(err, SCRT_E_FILE, "%s", strerror(errno));
        if (fd >= 0 && !standard)
            close(fd);
        return s;
    }
    ScrtStatus s = read_fd(fd, standard, &st, limit, &file, err);
    if (!standard)
        close(fd);
    if (s != SCRT_OK)
        return s;
    file.device = st.st_dev;
    file.inode = st.st_ino;
    *ret = file;
    return SCRT_OK;
}

void scrt_file_close(ScrtFile *f)
{
    if (f->room)
        munmap((void *)f->data, f->room);
    else
        scrt_free((void *)f->data);
    *f = (ScrtFile){0};
}

ScrtStatus scrt_file_read(const char *path, ScrtFile *ret, ScrtIoError *err)
{
    ScrtIoError why;
    ScrtStatus s = scrt_file_open(path, UINT64_MAX, ret, &why);
    if (err)
        err->text[0] = '\0';
    return s == SCRT_OK ? s
                        : scrt_io_fail(err, s, "%.300s: cannot be read: %.150s",
                                       strcmp(path, "-") ? path : "standard input", why.text);
}
