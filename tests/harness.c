/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Tests run in forked processes, so skips are counted in a file that all of them append to: a line
 * each of the process, whether its test is skipped altogether, and why. */
static FILE *skips;

void sct_note_skip(bool whole, const char *test, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(skips, "%ld %d %s: ", (long)getpid(), whole, test);
    vfprintf(skips, fmt, ap);
    fputc('\n', skips);
    fflush(skips);
    va_end(ap);
}

static const char *join(char *buf, size_t n, const char *root, const char *relative)
{
    int length = snprintf(buf, n, "%s/%s", root, relative);
    if (length < 0 ||
        (size_t)length >= n) /* also asked outside tests, where Check cannot note it */
        ck_abort_msg("too long a path: %s", relative);
    return buf;
}

const char *sct_source(const char *relative)
{
    static char buf[4096];
    const char *root = getenv("SCT_SOURCE");
    return join(buf, sizeof buf, root ? root : ".", relative);
}

const char *sct_build(const char *relative)
{
    static char buf[4096];
    const char *root = getenv("SCT_BUILD");
    return join(buf, sizeof buf, root ? root : ".", relative);
}

const char *sct_data(const char *relative)
{
    static char buf[4096], fallback[4096];
    const char *root = getenv("SCT_DATA");
    struct stat st;
    if (!root) {
        snprintf(fallback, sizeof fallback, "%s", sct_source("../shared/data"));
        root = fallback;
    }
    join(buf, sizeof buf, root, relative);
    return stat(buf, &st) == 0 ? buf : NULL;
}

char *sct_read(const char *path, size_t *ret_n)
{
    FILE *f = fopen(path, "rb");
    ck_assert_msg(f != NULL, "cannot open %s", path);
    ck_assert_int_eq(fseek(f, 0, SEEK_END), 0);
    long n = ftell(f);
    ck_assert_int_ge(n, 0);
    rewind(f);
    char *p = malloc((size_t)n + 1);
    ck_assert_ptr_nonnull(p);
    ck_assert_uint_eq(fread(p, 1, (size_t)n, f), (size_t)n);
    fclose(f);
    p[n] = '\0';
    if (ret_n)
        *ret_n = (size_t)n;
    return p;
}

int sct_main(const char *name, Suite *s)
{
    skips = tmpfile();
    if (!skips) {
        perror("tmpfile");
        return EXIT_FAILURE;
    }
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    bool forked = srunner_fork_status(r) == CK_FORK;
    int run = srunner_ntests_run(r), failed = srunner_ntests_failed(r), skipped = 0;
    srunner_free(r);

    char line[1024];
    int whole = 0;
    long last = -1; /* a test that left several of its functions is one */
    fflush(skips);
    rewind(skips);
    while (fgets(line, sizeof line, skips)) {
        char *reason;
        long process = strtol(line, &reason, 10);
        if (strtol(reason, &reason, 10) && process != last) {
            whole++;
            last = forked ? process : -1;
        }
        printf("SKIP%s", reason);
        skipped++;
    }
    fclose(skips);
    printf("%s: %d passed, %d failed, %d skipped\n", name, run - failed - whole, failed, skipped);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
