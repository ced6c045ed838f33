/* SPDX-License-Identifier: Apache-2.0 */
/* Files out: written under a temporary name and renamed, so that a reader never sees half of one
 * and a failure leaves the old one. What is temporary is noted where a signal handler can remove
 * it. */
#include "runtime/scrtio_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* --- What is temporary ------------------------------------------------------------------------ */

/* A handler may come at any time, so a path is live only while it stands whole. A process that
 * writes more at once than there are slots loses no more than this tidiness. */
enum { SLOTS = 16 };
enum { FREE, FILLING, LIVE };
static struct {
    atomic_int state;
    char path[PATH_MAX];
} temporary[SLOTS];

void scrt_temporary(const char *path)
{
    size_t n = strlen(path) + 1;
    for (int i = 0; i < SLOTS && n <= PATH_MAX; i++) {
        int is = FREE;
        if (!atomic_compare_exchange_strong(&temporary[i].state, &is, FILLING))
            continue;
        memcpy(temporary[i].path, path, n);
        atomic_store(&temporary[i].state, LIVE);
        return;
    }
}

void scrt_temporary_done(const char *path)
{
    for (int i = 0; i < SLOTS; i++)
        if (atomic_load(&temporary[i].state) == LIVE && strcmp(temporary[i].path, path) == 0)
            atomic_store(&temporary[i].state, FREE);
}

/* Only calls that a signal handler may make: opendir would allocate. */
static void remove_folder(const char *path)
{
    _Alignas(struct dirent64) char buf[4096];
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    ssize_t n;
    while (fd >= 0 && (n = getdents64(fd, buf, sizeof buf)) > 0)
        for (ssize_t at = 0; at < n;) {
            const struct dirent64 *e = (const struct dirent64 *)(buf + at);
            unlinkat(fd, e->d_name, 0); /* "." and ".." are folders: refused */
            at += e->d_reclen;
        }
    if (fd >= 0)
        close(fd);
    rmdir(path);
}

static void remove_any(const char *path)
{
    if (unlink(path) != 0 && errno != ENOENT)
        remove_folder(path);
}

void scrt_temporary_remove(const char *path)
{
    remove_any(path);
    scrt_temporary_done(path);
}

void scrt_temporaries_remove(void)
{
    for (int i = 0; i < SLOTS; i++)
        if (atomic_load(&temporary[i].state) == LIVE)
            remove_any(temporary[i].path);
}

static void end_by(int signal_number)
{
    scrt_temporaries_remove();
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

void scrt_end_on_signals(void (*handler)(int))
{
    static const int which[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction act = {.sa_handler = handler ? handler : end_by}, was;
    sigemptyset(&act.sa_mask);
    for (size_t i = 0; i < sizeof which / sizeof *which; i++)
        if (sigaction(which[i], NULL, &was) == 0 && was.sa_handler == SIG_DFL)
            sigaction(which[i], &act, NULL);
    signal(SIGXFSZ, SIG_IGN); /* a file beyond the limit is an error of write(2) */
}

/* --- Writing ---------------------------------------------------------------------------------- */

static const char *shown(const char *path)
{
    return strcmp(path, "-") ? path : "standard output";
}

/* A device, or a pipe: one that nobody reads from within a second would hold this process for ever.
 */
static int open_special(const char *path)
{
    const struct timespec pause = {.tv_nsec = 20000000};
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK);
    for (int i = 0; i < 50 && fd < 0 && errno == ENXIO; i++) {
        nanosleep(&pause, NULL);
        fd = open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK);
    }
    if (fd >= 0)
        fcntl(fd, F_SETFL, 0);
    return fd;
}

/* The folder that a file of this path would lie in. */
static bool stat_folder(const char *path, const char *slash, struct stat *ret)
{
    char folder[PATH_MAX];
    size_t n = slash ? (size_t)(slash - path) + 1 : 0;
    if (n >= sizeof folder)
        return false;
    memcpy(folder, path, n);
    folder[n] = '\0';
    return stat(n ? folder : ".", ret) == 0;
}

bool scrt_same_file(const char *a, const char *b)
{
    const char *slash_a = strrchr(a, '/'), *slash_b = strrchr(b, '/');
    struct stat x, y;
    if (strcmp(a, b) == 0)
        return true;
    if (strcmp(a, "-") == 0 || strcmp(b, "-") == 0)
        return false;
    bool is_a = stat(a, &x) == 0, is_b = stat(b, &y) == 0;
    if (is_a != is_b ||
        (!is_a && (strcmp(slash_a ? slash_a + 1 : a, slash_b ? slash_b + 1 : b) != 0 ||
                   !stat_folder(a, slash_a, &x) || !stat_folder(b, slash_b, &y))))
        return false;
    return x.st_dev == y.st_dev && x.st_ino == y.st_ino && (!is_a || S_ISREG(x.st_mode));
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
        o->fd = open_special(path);
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
    if (o->fd >= 0 && o->temporary)
        scrt_temporary(o->temporary);
    if (o->fd >= 0)
        return SCRT_OK;
    ScrtStatus s =
        scrt_io_fail(err, SCRT_E_FILE, "%.300s: cannot be written: %s", path,
                     errno == ENXIO ? "it is a pipe that nothing reads from" : strerror(errno));
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
    if (o->temporary)
        scrt_temporary_done(o->temporary);
    scrt_free(o->temporary);
    o->temporary = NULL;
    if (!o->failed || !keep)
        return SCRT_OK;
    return scrt_io_fail(err, SCRT_E_FILE, "%.300s: cannot be written: %s", shown(o->path),
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
