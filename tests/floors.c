/* SPDX-License-Identifier: Apache-2.0 */
/* Reads every #include of the sources: a file includes only its own floor or lower ones, private
 * headers stay in their folder, and LLVM and protobuf are each seen by one folder. */
#include "tests/harness.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const struct Floor {
    const char *folder; /* the longest prefix counts */
    int floor;
} floors[] = {
    {"runtime/num/", 1},
    {"runtime/", 2},
    {"ir/base/", 2},
    {"ir/", 3},
    {"ir/ops/", 4},
    {"frontend/", 5},
    {"passes/", 5},
    {"codegen/codegen.h", 6}, /* the rooms of codegen are storeys of its floor */
    {"codegen/cpus.def", 6},
    {"codegen/target", 6},
    {"codegen/module", 6},
    {"codegen/weights", 6},
    {"codegen/emit/", 7},
    {"codegen/loops/", 8},
    {"codegen/product/", 9},
    {"codegen/program/", 10},
    {"codegen/", 11},
    {"tools/", 12},
    {"tests/", 13},
};

/* Headers of packages, and the one folder that may see each; so may its tests. */
static const struct Package {
    const char *prefix, *folder;
} packages[] = {
    {"llvm-c/", "codegen/"},
    {"protobuf-c/", "frontend/"},
    {"check.h", "tests/"},
};

static bool starts(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

static bool ends(const char *s, const char *suffix)
{
    size_t n = strlen(s), m = strlen(suffix);
    return n >= m && strcmp(s + n - m, suffix) == 0;
}

static int floor_of(const char *path)
{
    int best = 0;
    size_t length = 0;
    for (size_t i = 0; i < sizeof floors / sizeof *floors; i++)
        if (starts(path, floors[i].folder) && strlen(floors[i].folder) > length) {
            length = strlen(floors[i].folder);
            best = floors[i].floor;
        }
    return best;
}

static size_t folder_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) + 1 : 0;
}

/* The path below the root that `#include "name"` in file means, or NULL. */
static const char *resolve(const char *file, const char *name, char *buf, size_t size)
{
    struct stat st;
    if (stat(sct_source(name), &st) == 0) {
        snprintf(buf, size, "%s", name);
        return buf;
    }
    snprintf(buf, size, "%.*s%s", (int)folder_length(file), file, name);
    return stat(sct_source(buf), &st) == 0 ? buf : NULL;
}

/* What is wrong with file including name (in angle brackets where system), or NULL. */
static const char *fault(const char *file, const char *name, bool system)
{
    static char text[3072];
    char buf[1024];
    for (size_t i = 0; i < sizeof packages / sizeof *packages; i++)
        if (starts(name, packages[i].prefix) && !starts(file, packages[i].folder) &&
            !(starts(file, "tests/") && starts(file + 6, packages[i].folder))) {
            snprintf(text, sizeof text, "%s includes <%s>, which only %s may", file, name,
                     packages[i].folder);
            return text;
        }
    if (system)
        return NULL;
    if (ends(name, ".pb-c.h")) { /* generated into the build folder */
        if (starts(file, "frontend/") || starts(file, "tests/"))
            return NULL;
        snprintf(text, sizeof text, "%s includes %s, which only frontend/ may", file, name);
        return text;
    }
    char from[256];
    bool made = ends(name, ".inc"); /* of the page beside it, in the build folder */
    snprintf(from, sizeof from, "%.*shtml", made ? (int)strlen(name) - 3 : 0, name);
    const char *path = resolve(file, made ? from : name, buf, sizeof buf);
    if (!path) {
        snprintf(text, sizeof text, "%s includes %s, which does not exist", file, name);
        return text;
    }
    size_t n = folder_length(path);
    if (ends(path, "_priv.h") && !starts(file, "tests/") &&
        (folder_length(file) != n || strncmp(file, path, n) != 0)) {
        snprintf(text, sizeof text, "%s includes %s, which is private to its folder", file, path);
        return text;
    }
    if (starts(file, "runtime/") && !starts(path, "runtime/")) {
        snprintf(text, sizeof text, "%s includes %s: the runtime is a library of its own", file,
                 path);
        return text;
    }
    if (floor_of(path) <= floor_of(file))
        return NULL;
    snprintf(text, sizeof text, "%s (floor %d) includes %s (floor %d)", file, floor_of(file), path,
             floor_of(path));
    return text;
}

static int n_files, n_includes, n_faults;
static char faults[8192]; /* a line each */

static void check_file(const char *path, const char *file)
{
    char *text = sct_read(path, NULL), *line = text;
    while (line) {
        char name[512], close, *next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        if (sscanf(line, " # include \"%511[^\"]%c", name, &close) == 2 ||
            sscanf(line, " # include <%511[^>]%c", name, &close) == 2) {
            const char *f = fault(file, name, close == '>');
            n_includes++;
            n_faults += f != NULL;
            size_t n = strlen(faults);
            if (f)
                snprintf(faults + n, sizeof faults - n, "%s\n", f);
        }
        line = next;
    }
    free(text);
}

static size_t root_length;

static int visit(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    const char *name = path + at->base;
    if (type == FTW_D && at->level == 1 && !floor_of(name) && name[0] != '.') {
        char folder[256];
        snprintf(folder, sizeof folder, "%s/", name);
        if (!floor_of(folder))
            return FTW_SKIP_SUBTREE; /* a build folder */
    }
    if (type == FTW_D && name[0] == '.' && at->level > 0)
        return FTW_SKIP_SUBTREE;
    const char *file = path + root_length + 1;
    if (type == FTW_F && floor_of(file) && (ends(name, ".c") || ends(name, ".h"))) {
        n_files++;
        check_file(path, file);
    }
    return FTW_CONTINUE;
}

START_TEST(every_include_goes_down)
{
    char *root = realpath(sct_source("."), NULL);
    ck_assert_ptr_nonnull(root);
    root_length = strlen(root);
    ck_assert_int_eq(nftw(root, visit, 16, FTW_PHYS | FTW_ACTIONRETVAL), 0);
    free(root);
    ck_assert_int_gt(n_files, 20);
    ck_assert_int_gt(n_includes, 50);
    ck_assert_msg(n_faults == 0, "%d includes are at fault:\n%s", n_faults, faults);
}
END_TEST

/* The check itself, on includes that nobody wrote. */
START_TEST(planted_faults)
{
    static const struct {
        const char *file, *name, *says;
        bool system;
    } t[] = {
        {"ir/type.c", "passes/passes.h", "ir/type.c (floor 3) includes passes/passes.h (floor 5)",
         0},
        {"ir/base/term.c", "ir/ir.h", "ir/base/term.c (floor 2) includes ir/ir.h (floor 3)", 0},
        {"runtime/pool.c", "ir/base/base.h",
         "runtime/pool.c includes ir/base/base.h: the runtime is a library of its own", 0},
        {"passes/fold.c", "llvm-c/Core.h",
         "passes/fold.c includes <llvm-c/Core.h>, which only codegen/ may", 1},
        {"codegen/emit.c", "protobuf-c/protobuf-c.h",
         "codegen/emit.c includes <protobuf-c/protobuf-c.h>, which only frontend/ may", 1},
        {"passes/fold.c", "onnx.pb-c.h",
         "passes/fold.c includes onnx.pb-c.h, which only frontend/ may", 0},
        {"passes/fold.c", "ir/text_priv.h",
         "passes/fold.c includes ir/text_priv.h, which is private to its folder", 0},
        {"passes/fold.c", "ir/nothing.h",
         "passes/fold.c includes ir/nothing.h, which does not exist", 0},
        {"codegen/emit/build.c", "codegen/loops/loops.h",
         "codegen/emit/build.c (floor 7) includes codegen/loops/loops.h (floor 8)", 0},
        {"codegen/program/kernels.c", "codegen/product/product.h", NULL, 0},
        {"ir/op.h", "ops.def", NULL, 0},
        {"codegen/emit.c", "llvm-c/Core.h", NULL, 1},
        {"frontend/import.c", "ir/op.h", NULL, 0},
        {"ir/print.c", "ir/text_priv.h", NULL, 0},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        const char *f = fault(t[i].file, t[i].name, t[i].system);
        if (t[i].says)
            ck_assert_pstr_eq(f, t[i].says);
        else
            ck_assert_msg(f == NULL, "%s", f);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("floors");
    TCase *c = tcase_create("floors");
    tcase_add_test(c, every_include_goes_down);
    tcase_add_test(c, planted_faults);
    suite_add_tcase(s, c);
    return sct_main("floors", s);
}
