/* SPDX-License-Identifier: Apache-2.0 */
/* The executable's main, called in this process with its output caught. */
#include "runtime/num/num.h"
#include "runtime/scrtio.h"
#include "tests/harness.h"
#include "tests/runtime/failing.h"
#include "tests/runtime/scratch.h"
#include "tests/runtime/toy_model.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char *out, *err; /* what the last run printed */
static const ScrtModel *model = &toy;

static void forget(void)
{
    free(out);
    free(err);
    out = err = NULL;
}

/* Runs the tool with the given words, NULL at the end; its status. */
static int tool(const char *word, ...)
{
    char *argv[32] = {(char *)"/some/where/toy"};
    int argc = 1;
    va_list ap;
    va_start(ap, word);
    for (; word; word = va_arg(ap, const char *))
        argv[argc++] = (char *)word;
    va_end(ap);
    forget();
    fflush(stdout);
    fflush(stderr);
    int old[2] = {dup(1), dup(2)};
    const char *path[2] = {scratch("stdout"), scratch("stderr")};
    for (int i = 0; i < 2; i++) {
        int fd = open(path[i], O_CREAT | O_TRUNC | O_WRONLY, 0600);
        ck_assert_int_ge(fd, 0);
        dup2(fd, i + 1);
        close(fd);
    }
    int status = scrt_main(model, argc, argv);
    fflush(stdout);
    fflush(stderr);
    for (int i = 0; i < 2; i++) {
        dup2(old[i], i + 1);
        close(old[i]);
    }
    out = sct_read(path[0], NULL);
    err = sct_read(path[1], NULL);
    unlink(path[0]);
    unlink(path[1]);
    return status;
}

/* x.npy [2,3], k.npy, all.npz with both, f64.npy [2,3], wide.npy [2,4]. */
static void make_files(void)
{
    scratch_make();
    float x[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    double d[6] = {0};
    int64_t k = 2;
    ScrtNamed item[2] = {
        {(char *)"k", {.dtype = SCRT_I64, .data = &k}},
        {(char *)"x", {.dtype = SCRT_F32, .rank = 2, .dims = {2, 3}, .data = x}},
    };
    ScrtTensor wide = {.dtype = SCRT_F32, .rank = 2, .dims = {2, 4}, .data = x};
    ScrtTensor f64 = {.dtype = SCRT_F64, .rank = 2, .dims = {2, 3}, .data = d};
    ck_assert_int_eq(scrt_npy_write(scratch("x.npy"), &item[1].tensor, NULL), SCRT_OK);
    ck_assert_int_eq(scrt_npy_write(scratch("k.npy"), &item[0].tensor, NULL), SCRT_OK);
    ck_assert_int_eq(scrt_npy_write(scratch("wide.npy"), &wide, NULL), SCRT_OK);
    ck_assert_int_eq(scrt_npy_write(scratch("f64.npy"), &f64, NULL), SCRT_OK);
    ck_assert_int_eq(scrt_npz_write(scratch("all.npz"), item, 2, NULL), SCRT_OK);
}

static void clean(void)
{
    forget();
    scratch_remove();
}

/* "NAME=path of file" */
static const char *is(const char *name, const char *file)
{
    static char buf[4][300];
    static unsigned turn;
    char *p = buf[turn++ % 4];
    snprintf(p, sizeof buf[0], "%s=%s", name, scratch(file));
    return p;
}

START_TEST(prints_its_outputs)
{
    make_files();
    ck_assert_int_eq(tool("-i", scratch("all.npz"), NULL), 0);
    ck_assert_str_eq(err, "");
    ck_assert_str_eq(out, "y: f32[2,3]\n[[ 3  7 11]\n [ 9 13 17]]\ntotal: f32[]\n60\n");
    ck_assert_int_eq(tool("-i", is("x", "x.npy"), "-i", is("k", "k.npy"), "--threads", "1", NULL),
                     0);
    ck_assert_str_eq(out, "y: f32[2,3]\n[[ 3  7 11]\n [ 9 13 17]]\ntotal: f32[]\n60\n");
    ck_assert_int_eq(tool("-i", scratch("all.npz"), "--top", "2", NULL), 0);
    ck_assert_str_eq(out, "y: f32[2,3]\nrow 0\n       2  11\n       1  7\nrow 1\n       2  17\n"
                          "       1  13\ntotal: f32[]\n       0  60\n");
    ck_assert_int_eq(tool("-i", scratch("all.npz"), "--repeat", "2", NULL), 0);
    ck_assert_msg(strstr(out, "[[13 21 29]\n"), "%s",
                  out); /* the state has moved on: x + 5, + 7, + 9 */
    clean();
}
END_TEST

START_TEST(writes_its_outputs)
{
    make_files();
    ScrtNamedList list;
    ck_assert_int_eq(tool("-i", scratch("all.npz"), "-o", scratch("o.npz"), NULL), 0);
    ck_assert_str_eq(out, "");
    ck_assert_int_eq(scrt_npz_read(scratch("o.npz"), &list, NULL), SCRT_OK);
    ck_assert_uint_eq(list.n, 2);
    ck_assert_str_eq(list.item[0].name, "y");
    ck_assert(((float *)list.item[0].tensor.data)[5] == 17);
    ck_assert_str_eq(list.item[1].name, "total");
    scrt_named_free(&list);
    /* to standard output */
    ck_assert_int_eq(tool("-i", scratch("all.npz"), "-o", "-", NULL), 0);
    ck_assert_int_eq(memcmp(out, "PK\3\4", 4), 0);
    clean();
}
END_TEST

START_TEST(keeps_its_states_in_files)
{
    make_files();
    const char *all = scratch("all.npz");
    ck_assert_int_eq(tool("-i", all, "--state-save", scratch("s.npz"), NULL), 0);
    ck_assert_int_eq(tool("-i", scratch("all.npz"), "--state-load", scratch("s.npz"),
                          "--state-save", scratch("s.npz"), NULL),
                     0);
    ck_assert_msg(strstr(out, "[[13 21 29]\n"), "%s", out);
    ScrtNamedList list;
    ck_assert_int_eq(scrt_npz_read(scratch("s.npz"), &list, NULL), SCRT_OK);
    ck_assert(list.n == 2 && *(int64_t *)list.item[1].tensor.data == 7);
    scrt_named_free(&list);
    ck_assert_int_eq(tool("-i", scratch("all.npz"), "--state-load", scratch("all.npz"), NULL), 1);
    ck_assert_msg(strstr(err, "all.npz: has no state 's'"), "%s", err);
    clean();
}
END_TEST

START_TEST(says_what_it_is)
{
    make_files();
    ck_assert_int_eq(tool("--help", NULL), 0);
    ck_assert_msg(strstr(out, "usage: toy [options]") && strstr(out, "  x  f32[batch,3]\n") &&
                      strstr(out, "  steps  i64[]\n") && strstr(out, "--state-load"),
                  "%s", out);
    ck_assert_int_eq(tool("--info", "--dim", "batch=10", "--threads", "1", NULL), 0);
    ck_assert_msg(strstr(out, "options.recipe: f32\n") && strstr(out, "nodes: [1, 2]\n") &&
                      strstr(out, "note: a \"quoted\" word\n") &&
                      strstr(out, "weights: 64 bytes, in the executable\n") &&
                      strstr(out, "none beyond the baseline") &&
                      strstr(out, "peak memory: 244 bytes beside the weights, with x [10,3], k []; "
                                  "1 thread\n"),
                  "%s", out);
    ck_assert_int_eq(tool("--info", "-i", scratch("all.npz"), NULL), 0);
    ck_assert_msg(strstr(out, "with x [2,3], k []"), "%s", out);
    ck_assert_int_eq(tool("--info", "--json", NULL), 0);
    ck_assert_msg(strstr(out, "\"info\": {\"options\"") && strstr(out, "\"peak_bytes\": 64"), "%s",
                  out);
    clean();
}
END_TEST

START_TEST(measures_itself)
{
    make_files();
    ck_assert_int_eq(
        tool("--bench", "--json", "--dim", "batch=4", "--threads", "2", "--profile", NULL), 0);
    double median = 0;
    const char *at = strstr(out, "\"median_ms\": ");
    ck_assert_msg(at && sscanf(at, "\"median_ms\": %lf", &median) == 1 && median > 0, "%s", out);
    ck_assert_msg(strstr(out, "\"inputs\": {\"x\": [4,3], \"k\": []}") &&
                      strstr(out, "\"threads\": 2") && strstr(out, "\"name\": \"k1\""),
                  "%s", out);
    ck_assert_int_eq(tool("--profile", "-i", scratch("all.npz"), NULL), 0);
    ck_assert_msg(strstr(out, "map f32; add0, mul0\n"), "%s", out);
    clean();
}
END_TEST

START_TEST(usage_errors)
{
    make_files();
    static const struct {
        const char *word[4], *says;
    } row[] = {
        {{"--foo"}, "there is no option --foo; see --help"},
        {{"-z"}, "there is no option -z; see --help"},
        {{"-i"}, "-i needs a value"},
        {{"--top"}, "--top needs a value"},
        {{"--top", "0"}, "--top takes a number from 1 to 1048576, not '0'"},
        {{"--threads", "many"}, "--threads takes a number from 1 to 1048576, not 'many'"},
        {{"--repeat", "99999999999999999999"}, "--repeat takes a number"},
        {{"a.npy"}, "'a.npy' is no option; inputs are given as -i NAME=FILE"},
        {{"-o", "o.txt"}, "the name must end in .npz, .npy"},
        {{"-o", "o.npy"}, "the model has 2 outputs, which need an .npz"},
        {{"--json", "--top", "2"}, "--json goes with neither --top nor --data"},
        {{"--labels", "l"}, "--labels goes with --top"},
        {{"--data", "d", "--top", "2"}, "goes with none of"},
        {{"--rtol", "-1"}, "--rtol takes a number"},
        {{"--atol", "inf"}, "--atol takes a number"},
        {{"--threads", "2000000"}, "--threads takes a number from 1 to 1048576, not '2000000'"},
        {{"--repeat", "-3"}, "--repeat takes a number from 1 to 1048576, not '-3'"},
        {{"--bench", "--dim", "batch"}, "--dim takes NAME=NUMBER, not 'batch'"},
        {{"--bench", "--dim", "rows=3"}, "the model has no symbol of that name; it has: batch"},
        {{"--dim", "batch=3"}, "--dim goes with --bench, --profile or --info"},
        {{"--bench", "--repeat", "3"}, "--bench cannot go with"},
        {{"-o", "-", "--top", "3"}, "so --top, --profile and --saturations cannot"},
        {{"--saturations"}, "it was compiled without --saturations"},
        {{"--bench", "--saturations"}, "goes with none of --data, --bench and --info"},
        {{"--weights", "w"}, "this executable holds its weights itself"},
        {{"-i", "z=a.npy"}, "the model has no input 'z'; it has: x, k"},
        {{NULL}, "input 'x', f32[batch,3], is missing: -i NAME=FILE, a .npy"},
    };
    for (unsigned i = 0; i < sizeof row / sizeof *row; i++) {
        int status = tool(row[i].word[0], row[i].word[1], row[i].word[2], row[i].word[3], NULL);
        ck_assert_msg(status == 2 && strstr(err, row[i].says) && strncmp(err, "toy: ", 5) == 0,
                      "status %d, '%s', not '%s'", status, err, row[i].says);
        ck_assert_str_eq(out, "");
    }
    ck_assert_int_eq(tool("-i", scratch("x.npy"), NULL), 2);
    ck_assert_msg(strstr(err, "say which input it is") && strstr(err, "of: x, k"), "%s", err);
    ck_assert_int_eq(tool("-i", scratch("all.npz"), "-i", is("k", "k.npy"), NULL), 2);
    ck_assert_msg(strstr(err, "input 'k' is given twice: ") && strstr(err, "k.npy"), "%s", err);
    clean();
}
END_TEST

START_TEST(faulty_inputs)
{
    make_files();
    const char *k = is("k", "k.npy");
    ck_assert_int_eq(tool("-i", k, "-i", is("x", "wide.npy"), NULL), 1);
    ck_assert_msg(strstr(err, "wide.npy: input 'x' has the shape [2,4], the model takes [batch,3]"),
                  "%s", err);
    ck_assert_int_eq(tool("-i", is("k", "k.npy"), "-i", is("x", "k.npy"), NULL), 1);
    ck_assert_msg(strstr(err, "k.npy: input 'x' is i64, the model takes f32"), "%s", err);
    ck_assert_int_eq(tool("-i", is("x", "f64.npy"), NULL), 1);
    ck_assert_msg(strstr(err, "f64.npy: input 'x' is f64, the model takes f32"), "%s", err);
    ck_assert_int_eq(tool("-i", is("x", "absent.npy"), NULL), 1);
    ck_assert_msg(strstr(err, "input 'x': ") && strstr(err, "absent.npy: cannot be read: No such"),
                  "%s", err);
    scratch_write(scratch("bad.npz"), "PK", 2);
    ck_assert_int_eq(tool("-i", scratch("bad.npz"), NULL), 1);
    ck_assert_msg(strstr(err, "bad.npz: is no .npz file"), "%s", err);
    ck_assert_int_eq(tool("-i", scratch("all.npz"), "-o", "/nonexistent/o.npz", NULL), 1);
    ck_assert_msg(strstr(err, "/nonexistent/o.npz: cannot be written: No such file"), "%s", err);
    ck_assert_int_eq(tool("--bench", "--dim", "batch=2000000", NULL), 1);
    ck_assert_msg(strstr(err, "rows: batch is 2000000 and must be at most 1048576"), "%s", err);
    /* a name that would be a format, and one that would move the cursor */
    ck_assert_int_eq(tool("-i", "%s%n\x1b[2J=a.npy", NULL), 2);
    ck_assert_msg(strstr(err, "has no input '%s%n?[2J'"), "%s", err);
    clean();
}
END_TEST

START_TEST(more_threads_than_processors)
{
    make_files();
    ck_assert_int_eq(tool("-i", scratch("all.npz"), "--threads", "1000", NULL), 0);
    ck_assert_msg(strstr(err, "note: more threads, 1000, than processors"), "%s", err);
    ck_assert_int_eq(tool("-i", scratch("all.npz"), "--threads", "1", NULL), 0);
    ck_assert_str_eq(err, "");
    clean();
}
END_TEST

START_TEST(models_that_cannot_run_here)
{
    make_files();
    ScrtModel m = toy;
    ScrtEntry e = toy_entry;
    model = &m;
    m.entry = &e;
    ScrtLevel own = {"least", (uint64_t)1 << 63 | 1, 0};
    m.level = &own;
    ck_assert_int_eq(tool("-i", scratch("all.npz"), NULL), 1);
    ck_assert_msg(strstr(err, "this processor lacks ") &&
                      strstr(err, "compiled for: compile it for "),
                  "%s", err);
    const char *level = scrt_cpu_level(scrt_cpu_features());
    ck_assert_msg(!level || strstr(err, level), "%s", err);
    ck_assert_int_eq(tool("--info", NULL), 1); /* told all the same */
    ck_assert_msg(strstr(out, "processor features: sse4.1 ?\n") && !strstr(out, "peak memory"),
                  "%s", out);
    m = toy;
    m.abi++;
    ck_assert_int_eq(tool("--help", NULL), 1);
    ck_assert_msg(strstr(err, "another version of the runtime"), "%s", err);
    m = toy;
    m.weights = NULL;
    m.weights_hash = scrt_hash(toy_weights, sizeof toy_weights);
    ck_assert_int_eq(tool("-i", scratch("all.npz"), NULL), 1);
    ck_assert_msg(strstr(err, ".weights: the model's weights cannot be opened: No such"), "%s",
                  err);
    scratch_write(scratch("w"), toy_weights, sizeof toy_weights - 4);
    ck_assert_int_eq(tool("-i", scratch("all.npz"), "--weights", scratch("w"), NULL), 1);
    ck_assert_msg(strstr(err, "w: has 60 bytes, the model's weights have 64"), "%s", err);
    scratch_write(scratch("w"), &toy, sizeof toy_weights);
    ck_assert_int_eq(tool("-i", scratch("all.npz"), "--weights", scratch("w"), NULL), 1);
    ck_assert_msg(strstr(err, "is not this model's weights"), "%s", err);
    scratch_write(scratch("w"), toy_weights, sizeof toy_weights);
    ck_assert_int_eq(tool("-i", scratch("all.npz"), "--weights", scratch("w"), NULL), 0);
    ck_assert_msg(strstr(out, "[[ 3  7 11]"), "%s", out);
    model = &toy;
    clean();
}
END_TEST

static ScrtStatus run_all(void)
{
    int status = tool("-i", scratch("all.npz"), "-o", scratch("o.npz"), "--top", "2", "--profile",
                      "--state-save", scratch("s.npz"), NULL);
    if (strstr(out, "out of memory")) /* a table that is left out */
        return SCRT_E_MEMORY;
    ck_assert_msg(status == 0 || (status == 1 && strstr(err, "out of memory")), "%d: %s", status,
                  err);
    return status ? SCRT_E_MEMORY : SCRT_OK;
}

START_TEST(every_allocation_may_fail)
{
    make_files();
    ck_assert_uint_ge(fail_each_allocation(run_all), 40);
    clean();
}
END_TEST

/* --- Printing --- */

/* A model with one output of three symbolic dims, made up by the allocator. */
static const ScrtEntry show_entry = {
    .name = "main",
    .n_in = 1,
    .n_out = 1,
    .n_sym = 3,
    .in = (const ScrtPort[]){{"x", SCRT_U8, 3, "a,b,max(a,b)"}},
    .out = (const ScrtPort[]){{"y", SCRT_U8, 3, "a,b,c"}},
    .sym = (const char *const[]){"a", "b", "c"},
    .out_dims = (const uint32_t *const[]){(const uint32_t[]){2, 3, 4}},
    .n_value = 6,
    .bind = (const ScrtStep[]){{.kind = SCRT_BIND_EXTENT, .a = 2, .c = 0},
                               {.kind = SCRT_BIND_EXTENT, .a = 3, .c = 1},
                               {.kind = SCRT_BIND_EXTENT, .a = 4, .c = 2},
                               {.kind = SCRT_EVAL, .a = 0, .b = 10},
                               {.kind = SCRT_END}},
    .run = (const ScrtStep[]){{.kind = SCRT_ALLOC, .a = 2, .b = 5}, {.kind = SCRT_END}},
    .word = (const int64_t[]){SCRT_W_VALUE, 2, SCRT_W_VALUE, 3, SCRT_W_MUL, SCRT_W_VALUE, 4,
                              SCRT_W_MUL, SCRT_W_STORE, 5},
    .who = (const ScrtWho[]){{0}},
};
static const ScrtModel show = {
    .abi = SCRT_ABI,
    .n_entry = 1,
    .n_level = 1,
    .name = "show",
    .info = "{}",
    .entry = &show_entry,
    .level = &(const ScrtLevel){"all", 0, 0},
};

static void *sevens(void *self, size_t bytes, size_t align)
{
    (void)self;
    void *p = aligned_alloc(align, (bytes + align - 1) / align * align);
    return p ? memset(p, 7, bytes) : NULL;
}

static void release(void *self, void *p)
{
    (void)self;
    free(p);
}

START_TEST(long_arrays_are_cut_and_wrapped)
{
    make_files();
    model = &show;
    const ScrtAllocator a = {sevens, release, NULL};
    scrt_set_allocator(&a);
    unsigned char x[4000] = {0};
    ScrtTensor t = {.dtype = SCRT_U8, .rank = 3, .dims = {1, 2, 45}, .data = x};
    ck_assert_int_eq(scrt_npy_write(scratch("x.npy"), &t, NULL), SCRT_OK);
    ck_assert_int_eq(tool("-i", scratch("x.npy"), NULL), 0);
    ck_assert_uint_eq(strcspn(strchr(out, '\n') + 1, "\n"), 78); /* 38 sevens, wrapped */
    ck_assert_msg(strstr(out, "7]\n  [7 7") && strstr(out, "\n   7 7"), "%s", out);
    t.dims[0] = 8;
    t.dims[1] = 10;
    t.dims[2] = 50;
    ck_assert_int_eq(scrt_npy_write(scratch("x.npy"), &t, NULL), SCRT_OK);
    ck_assert_int_eq(tool("-i", is("x", "x.npy"), NULL), 0);
    ck_assert_msg(strstr(out, "y: u8[8,10,50]\n[[[7 7 7 ... 7 7 7]\n  [7 7 7 ... 7 7 7]\n"), "%s",
                  out);
    ck_assert_msg(strstr(out, "  ...\n") && strstr(out, "\n ...\n"), "%s", out);
    ck_assert_int_eq(tool("-i", scratch("x.npy"), "--top", "2", NULL), 0);
    ck_assert_str_eq(out, "y: u8[8,10,50]\n   0,0,0  7\n   0,0,1  7\n"); /* the first of equals */
    t.dims[1] = 0;
    ck_assert_int_eq(scrt_npy_write(scratch("x.npy"), &t, NULL), SCRT_OK);
    ck_assert_int_eq(tool("-i", scratch("x.npy"), NULL), 0);
    ck_assert_str_eq(out, "y: u8[8,0,50]\n[]\n");
    /* an expression cannot be made up from symbols */
    ck_assert_int_eq(tool("--bench", NULL), 2);
    ck_assert_msg(strstr(err, "input 'x' has the dimension 'max(a,b)': give the input with -i"),
                  "%s", err);
    scrt_set_allocator(NULL);
    model = &toy;
    clean();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("runtime-main");
    TCase *c = tcase_create("main");
    tcase_add_test(c, prints_its_outputs);
    tcase_add_test(c, writes_its_outputs);
    tcase_add_test(c, keeps_its_states_in_files);
    tcase_add_test(c, says_what_it_is);
    tcase_add_test(c, measures_itself);
    tcase_add_test(c, usage_errors);
    tcase_add_test(c, faulty_inputs);
    tcase_add_test(c, more_threads_than_processors);
    tcase_add_test(c, models_that_cannot_run_here);
    tcase_add_test(c, every_allocation_may_fail);
    tcase_add_test(c, long_arrays_are_cut_and_wrapped);
    suite_add_tcase(s, c);
    return sct_main("runtime-main", s);
}
