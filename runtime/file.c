/* SPDX-License-Identifier: Apache-2.0 */
/* Files whole: read into memory; written under a temporary name and renamed, so that a reader never
 * sees half of one and a failure leaves the old one. */
#include "runtime/scrtio_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

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

static const char *shown(const char *path, bool reading)
{
    return strcmp(path, "-") != 0 ? path : reading ? "standard input" : "standard output";
}

/* Reads to the end of fd into memory that starts at room bytes. */
static ScrtStatus slurp(int fd, const char *name, size_t room, unsigned char **ret, size_t *ret_n,
                        ScrtIoError *err)
{
    size_t n = 0;
    unsigned char *p = scrt_alloc(room);
    while (p) {
        ssize_t got = read(fd, p + n, room - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            scrt_free(p);
            return scrt_io_fail(err, SCRT_E_FILE, "%.300s: cannot be read: %s", name,
                                strerror(errno));
        }
        n += (size_t)got;
        if (got == 0) {
            *ret = p;
            *ret_n = n;
            return SCRT_OK;
        }
        if (n < room)
            continue;
        unsigned char *more = room <= SIZE_MAX / 4 ? scrt_alloc(2 * room) : NULL;
        if (more)
            memcpy(more, p, n);
        scrt_free(p);
        p = more;
        room *= 2;
    }
    return scrt_io_fail(err, SCRT_E_MEMORY, "%.300s: out of memory", name);
}

ScrtStatus scrt_file_read(const char *path, unsigned char **ret, size_t *ret_n, ScrtIoError *err)
{
    bool standard = strcmp(path, "-") == 0;
    const char *name = shown(path, true);
    struct stat st;
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return scrt_io_fail(err, SCRT_E_FILE, "%.300s: cannot be opened: %s", name,
                            strerror(errno));
    size_t room = 1 << 16;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0)
        room = (size_t)st.st_size + 1; /* one more byte than there is: the end is seen at once */
    ScrtStatus s = slurp(fd, name, room, ret, ret_n, err);
    if (!standard)
        close(fd);
    return s;
}

ScrtStatus scrt_out_open(ScrtOut *o, const char *path, ScrtIoError *err)
{
    static const char suffix[] = ".XXXXXX";
    char target[PATH_MAX]; /* renaming over a link (/dev/stdout is one) would replace it */
    struct stat st;
    *o = (ScrtOut){.path = path, .fd = STDOUT_FILENO};
    if (strcmp(path, "-") == 0)
        return SCRT_OK;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        o->fd = open(path, O_WRONLY | O_CLOEXEC);
    } else {
        bool link = lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
        const char *at = !link ? path : realpath(path, target);
        size_t n = at ? strlen(at) : 0;
        o->fd = -1;
        if (at) {
            o->temporary = scrt_alloc(2 * (n + 1) + sizeof suffix); /* and the path after it */
            if (!o->temporary)
                return scrt_io_fail(err, SCRT_E_MEMORY, "%.300s: out of memory", path);
            memcpy(o->temporary, at, n);
            memcpy(o->temporary + n, suffix, sizeof suffix);
            o->target = memcpy(o->temporary + n + sizeof suffix, at, n + 1);
            o->fd = mkostemp(o->temporary, O_CLOEXEC);
        }
    }
    if (o->fd >= 0)
        return SCRT_OK;
    ScrtStatus s =
        scrt_io_fail(err, SCRT_E_FILE, "%.300s: cannot be written: %s", path, strerror(errno));
    scrt_free(o->temporary);
    return s;
}

void scrt_out_write(ScrtOut *o, const void *data, size_t n)
{
    const char *p = data;
    o->n += n;
    while (n && !o->failed) {
        ssize_t put = write(o->fd, p, n);
        if (put < 0 && errno != EINTR) {
            o->failed = true;
            o->error = errno;
        } else if (put > 0) {
            p += put;
            n -= (size_t)put;
        }
    }
}

ScrtStatus scrt_out_close(ScrtOut *o, bool keep, ScrtIoError *err)
{
    if (o->temporary && !o->failed) { /* mkostemp made it for the owner alone */
        mode_t mask = umask(0);
        umask(mask);
        if (fchmod(o->fd, 0666 & ~mask) != 0)
            o->failed = true, o->error = errno;
    }
    if (o->fd != STDOUT_FILENO && close(o->fd) != 0 && !o->failed)
        o->failed = true, o->error = errno;
    if (o->temporary && keep && !o->failed && rename(o->temporary, o->target) != 0)
        o->failed = true, o->error = errno;
    if (o->temporary && (!keep || o->failed))
        unlink(o->temporary);
    scrt_free(o->temporary);
    o->temporary = NULL;
    if (!o->failed || !keep)
        return SCRT_OK;
    return scrt_io_fail(err, SCRT_E_FILE, "%.300s: cannot be written: %s", shown(o->path, false),
                        strerror(o->error));
}

ScrtStatus scrt_file_write(const char *path, const void *bytes, size_t n, ScrtIoError *err)
{
    ScrtOut o;
    ScrtStatus s = scrt_out_open(&o, path, err);
    if (s != SCRT_OK)
        return s;
    scrt_out_write(&o, bytes, n);
    return scrt_out_close(&o, true, err);
}
