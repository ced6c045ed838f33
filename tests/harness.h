/* SPDX-License-Identifier: Apache-2.0 */
/* What every Check program of the tests shares: a main that counts, names each skipped test with
 * its reason, and closes with one line that tests/run adds up: "name: N passed, N failed, N
 * skipped". */
#ifndef SC_TESTS_HARNESS_H
#define SC_TESTS_HARNESS_H

#include <check.h>
#include <stdbool.h>

#ifdef __has_feature
#define SCT_SANITIZED __has_feature(address_sanitizer)
#else
#define SCT_SANITIZED 0
#endif

/* Marks the running test as skipped and leaves it: sct_skip("no AVX-512 on this machine"). */
#define sct_skip(...)                                                                              \
    do {                                                                                           \
        sct_note_skip(true, __func__, __VA_ARGS__);                                                \
        return;                                                                                    \
    } while (0)
/* ck_assert_msg for inner loops: Check's own writes to a pipe each time, failed or not. */
#define sct_need(condition, ...)                                                                   \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg(__VA_ARGS__);                                                             \
    } while (0)
/* Counts as skipped what the running test leaves out: the whole of it, which then has not passed,
 * or a part, beside which the rest still passes or fails. */
void sct_note_skip(bool whole, const char *test, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Folders that meson passes by environment: SCT_SOURCE (the source root), SCT_BUILD (the build
 * root). */
const char *sct_source(const char *relative); /* a path below the source root; a static buffer */
const char *sct_build(const char *relative);
/* Path of a file of the optional data folder ($SCT_DATA, or ../shared/data beside the source root),
 * or NULL where that is absent: then skip. A static buffer. */
const char *sct_data(const char *relative);
/* Reads a whole file, NUL-terminated, or fails the test. Caller frees. */
char *sct_read(const char *path, size_t *ret_n);

/* Runs the suite and prints the counts; returns the exit status. */
int sct_main(const char *name, Suite *s);

#endif
