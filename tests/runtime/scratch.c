/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/runtime/scratch.h"

#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[64];

void scratch_make(void)
{
    strcpy(folder, "/tmp/sct-runtime-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

const char *scratch(const char *name)
{
    static char path[16][256];
    static unsigned turn;
    char *p = path[turn++ % 16];
    snprintf(p, sizeof path[0], "%s/%s", folder, name);
    return p;
}

void scratch_write(const char *path, const void *data, size_t n)
{
    unlink(path); /* a file that is truncated instead is flushed to the disk when it is closed */
    FILE *f = fopen(path, "wb");
    ck_assert_msg(f != NULL, "cannot write %s", path);
    ck_assert_uint_eq(fwrite(data, 1, n, f), n);
    ck_assert_int_eq(fclose(f), 0);
}

/* Calls fn, if any, for each file; answers their number. */
static unsigned each(void (*fn)(const char *path))
{
    unsigned n = 0;
    DIR *d = opendir(folder);
    ck_assert_ptr_nonnull(d);
    for (struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.') {
            n++;
            if (fn)
                fn(scratch(e->d_name));
        }
    closedir(d);
    return n;
}

static void drop(const char *path)
{
    unlink(path);
}

unsigned scratch_count(void)
{
    return each(NULL);
}

void scratch_remove(void)
{
    each(drop);
    ck_assert_int_eq(rmdir(folder), 0);
}
