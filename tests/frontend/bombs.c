/* SPDX-License-Identifier: Apache-2.0 */
/* Small files that ask for much, and files that are none: each is refused, or done, within bounds
 * of time and memory (bounds.h), in one process. */
#include "frontend/frontend.h"
#include "passes/passes.h"
#include "tests/frontend/bounds.h"
#include "tests/graphs.h"
#include "tests/runtime/toy_model.h"
#include "tools/libscalec/scalec.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

/* --- Messages of protobuf --------------------------------------------------------------------- */

typedef struct Message {
    char *p;
    size_t n, cap;
} Message;

static void add(Message *m, const void *bytes, size_t n)
{
    if (m->n + n > m->cap) {
        m->cap = 2 * (m->n + n);
        void *p = realloc(m->p, m->cap);
        ck_assert_ptr_nonnull(p);
        m->p = p;
    }
    if (n)
        memcpy(m->p + m->n, bytes, n);
    m->n += n;
}

static void add_varint(Message *m, uint64_t x)
{
    do {
        char c = (char)((x & 0x7f) | (x > 0x7f ? 0x80 : 0));
        add(m, &c, 1);
        x >>= 7;
    } while (x);
}

static void add_int(Message *m, uint32_t field, int64_t x)
{
    add_varint(m, field << 3);
    add_varint(m, (uint64_t)x);
}

static void add_bytes(Message *m, uint32_t field, const void *bytes, size_t n)
{
    add_varint(m, field << 3 | 2);
    add_varint(m, n);
    add(m, bytes, n);
}

static void add_text(Message *m, uint32_t field, const char *text)
{
    add_bytes(m, field, text, strlen(text));
}

static void add_message(Message *m, uint32_t field, Message *inner) /* takes it over */
{
    add_bytes(m, field, inner->p, inner->n);
    free(inner->p);
}

/* Fields of onnx.proto. */
enum { GRAPH_NODE = 1, GRAPH_INIT = 5, GRAPH_IN = 11, GRAPH_OUT = 12 };
enum { NODE_IN = 1, NODE_OUT = 2, NODE_NAME = 3, NODE_OP = 4, NODE_ATTR = 5 };

static void add_node(Message *g, const char *op, const char *name, const char *a, const char *b,
                     const char *out, Message *attr)
{
    Message n = {0};
    add_text(&n, NODE_IN, a);
    if (b)
        add_text(&n, NODE_IN, b);
    add_text(&n, NODE_OUT, out);
    add_text(&n, NODE_NAME, name);
    add_text(&n, NODE_OP, op);
    if (attr)
        add_message(&n, NODE_ATTR, attr);
    add_message(g, GRAPH_NODE, &n);
}

/* dtype as ONNX numbers it; its data are n bytes. */
static void add_const(Message *g, const char *name, int dtype, uint32_t rank, const int64_t *dims,
                      const void *data, size_t n)
{
    Message t = {0};
    for (uint32_t i = 0; i < rank; i++)
        add_int(&t, 1, dims[i]);
    add_int(&t, 2, dtype);
    add_text(&t, 8, name);
    add_bytes(&t, 9, data, n);
    add_message(g, GRAPH_INIT, &t);
}

static void add_port(Message *g, uint32_t field, const char *name, uint32_t rank,
                     const char *const *dims)
{
    Message v = {0}, type = {0}, tensor = {0}, shape = {0};
    for (uint32_t i = 0; i < rank; i++) {
        Message d = {0};
        add_text(&d, 2, dims[i]);
        add_message(&shape, 1, &d);
    }
    add_int(&tensor, 1, 1);
    if (field == GRAPH_IN)
        add_message(&tensor, 2, &shape);
    else
        free(shape.p);
    add_message(&type, 1, &tensor);
    add_text(&v, 1, name);
    add_message(&v, 2, &type);
    add_message(g, field, &v);
}

static Message model_of(Message *g)
{
    Message m = {0}, opset = {0};
    add_int(&m, 1, 8);
    add_message(&m, 7, g);
    add_int(&opset, 2, 17);
    add_message(&m, 8, &opset);
    return m;
}

/* Import and, where that succeeds, all passes; the bytes are freed. True where it was refused with
 * a short message. */
static bool run(Message *g, const char *what)
{
    Bounds b;
    Message m = model_of(g);
    bounds_begin(&b, true);
    ScCtx *cx = sc_ctx_new();
    ScGraph *graph = sc_import(cx, "bomb.onnx", m.p, m.n, NULL);
    ScPipeline p = {.env.recipe = sc_recipe(cx, "f32")};
    if (graph)
        graph = sc_pipeline_run(cx, graph, &p);
    bool refused = !graph;
    ck_assert_msg(!refused || sc_n_errors(cx) > 0, "%s: refused without a word", what);
    ck_assert_msg(!refused || strlen(sct_messages(cx)) < 8000, "%s: a long message", what);
    sc_graph_free(graph);
    sc_ctx_free(cx);
    bounds_end(&b, what);
    free(m.p);
    return refused;
}

/* --- Models ----------------------------------------------------------------------------------- */

static Message *axis_0(Message *m)
{
    *m = (Message){0};
    add_text(m, 1, "axis");
    add_int(m, 3, 0);
    add_int(m, 20, 2);
    return m;
}

/* Towards 2^50 elements, of constants; towards 2^62 of an input. */
START_TEST(doublings)
{
    for (int of_input = 0; of_input < 2; of_input++) {
        const int64_t four = 4;
        const char *const dims[] = {"n"};
        Message g = {0}, attr;
        if (of_input)
            add_port(&g, GRAPH_IN, "x0", 1, dims);
        else
            add_const(&g, "x0", 1, 1, &four, "0123456789abcdef", 16);
        char from[16], to[16];
        for (int i = 0; i < 48; i++) {
            snprintf(from, sizeof from, "x%d", i);
            snprintf(to, sizeof to, "x%d", i + 1);
            add_node(&g, "Concat", to, from, from, to, axis_0(&attr));
        }
        add_port(&g, GRAPH_OUT, "x48", 0, NULL);
        run(&g, "doublings");
    }
}
END_TEST

/* A few bytes that fill, repeat or stretch what is huge. */
START_TEST(huge_shapes)
{
    static const char *const op[] = {"ConstantOfShape", "Expand", "Tile", "Reshape"};
    const int64_t dims[] = {2, 1}, huge[] = {INT64_C(1) << 20, INT64_C(1) << 20};
    const int64_t most[] = {INT64_MAX, INT64_MAX};
    for (size_t i = 0; i < sizeof op / sizeof *op; i++)
        for (int k = 0; k < 2; k++) {
            Message g = {0};
            add_const(&g, "x", 1, 1, &dims[1], "1234", 4);
            add_const(&g, "s", 7, 1, dims, k ? most : huge, 16);
            add_node(&g, op[i], "n", i ? "x" : "s", i ? "s" : NULL, "y", NULL);
            add_port(&g, GRAPH_OUT, "y", 0, NULL);
            run(&g, op[i]);
        }
    Message g = {0};
    add_const(&g, "w", 1, 2, huge, "1234", 4);
    add_port(&g, GRAPH_OUT, "w", 0, NULL);
    ck_assert(run(&g, "a tensor that is not there"));
}
END_TEST

/* Names of 1 MB for whatever has one. */
START_TEST(long_names)
{
    enum { N = 1 << 20 };
    char *name = malloc(N + 1);
    ck_assert_ptr_nonnull(name);
    memset(name, 'A', N);
    name[N] = '\0';
    for (int which = 0; which < 6; which++) {
        const char *const dims[] = {which == 5 ? name : "n"};
        Message g = {0}, attr = {0};
        add_text(&attr, 1, which == 4 ? name : "alpha");
        const char *x = which == 0 ? name : "x";
        add_port(&g, GRAPH_IN, which == 1 ? name : "x", 1, dims);
        add_node(&g, which == 2 ? name : "MatMul", which == 3 ? name : "n", x, x, "y", &attr);
        add_port(&g, GRAPH_OUT, "y", 0, NULL);
        ck_assert_msg(run(&g, "long names"), "%d", which);
    }
    free(name);
}
END_TEST

/* Ten thousand nodes, each of which uses the one before it 100 times. */
START_TEST(wide_and_long)
{
    Message g = {0};
    const char *const dims[] = {"n"};
    add_port(&g, GRAPH_IN, "x0", 1, dims);
    for (int i = 0; i < 10000; i++) {
        char from[16], to[16];
        Message n = {0};
        snprintf(from, sizeof from, "x%d", i);
        snprintf(to, sizeof to, "x%d", i + 1);
        for (int k = 0; k < 100; k++)
            add_text(&n, NODE_IN, from);
        add_text(&n, NODE_OUT, to);
        add_text(&n, NODE_OP, "Frobnicate");
        add_message(&g, GRAPH_NODE, &n);
    }
    add_port(&g, GRAPH_OUT, "x10000", 0, NULL);
    ck_assert(run(&g, "wide and long"));
}
END_TEST

/* --- Files ------------------------------------------------------------------------------------ */

static const char digit_model[] = "tests/model/data/mnist/mnist.onnx";

/* As a model or as samples for one: refused, with words that name it and these. */
static void refuse(const char *path, bool as_samples, const char *words)
{
    Bounds b;
    ScalecModel m = {0};
    ScCtx *cx = sc_ctx_new();
    if (as_samples)
        ck_assert(scalec_load(cx, sct_source(digit_model), NULL, &m));
    bounds_begin(&b, true);
    if (as_samples)
        ck_assert_ptr_null(scalec_samples_open(cx, m.graph, path, NULL));
    else
        ck_assert(!scalec_load(cx, path, NULL, &m));
    bounds_end(&b, path);
    const char *said = sct_messages(cx);
    ck_assert_msg(strstr(said, path) && strstr(said, words), "'%s' is not in: %s", words, said);
    if (as_samples)
        sc_graph_free(m.graph);
    sc_ctx_free(cx);
}

START_TEST(no_regular_files)
{
    static const char *const suffix[] = {"", ".npy", ".npz", ".safetensors", ".onnx"};
    char folder[] = "/tmp/scalec-bombs-XXXXXX", path[64];
    ck_assert_ptr_nonnull(mkdtemp(folder));
    for (size_t i = 0; i < sizeof suffix / sizeof *suffix; i++)
        for (int kind = 0; kind < 3; kind++) {
            snprintf(path, sizeof path, "%s/file%s", folder, suffix[i]);
            if (kind == 0) {
                ck_assert_int_eq(mkfifo(path, 0600), 0);
            } else if (kind == 1) { /* a hole of 3 GB */
                int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
                ck_assert(fd >= 0 && ftruncate(fd, INT64_C(3) << 30) == 0 && close(fd) == 0);
            } else {
                ck_assert_int_eq(symlink("/dev/zero", path), 0);
            }
            refuse(path, false, "");
            refuse(path, true, "");
            ck_assert_int_eq(unlink(path), 0);
        }
    ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

/* Appends n bytes, deflated so that more may follow. */
static void add_deflated(Message *m, unsigned char *bytes, size_t n)
{
    static unsigned char packed[1 << 17];
    z_stream z = {.next_in = bytes, .avail_in = (unsigned)n, .next_out = packed};
    z.avail_out = sizeof packed;
    ck_assert_int_eq(deflateInit2(&z, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
    ck_assert_int_eq(deflate(&z, Z_FULL_FLUSH), Z_OK);
    ck_assert_uint_eq(z.avail_in, 0);
    add(m, packed, sizeof packed - z.avail_out);
    deflateEnd(&z);
}

static void add_number(Message *m, uint64_t x, int bytes)
{
    for (int i = 0; i < bytes; i++)
        add(m, (char[]){(char)(x >> 8 * i)}, 1);
}

enum { ZEROS = 16 << 20, TIMES = 64 };

/* A .npz of one entry: a header of this shape, then 1 GB of zeros, in 1 MB. */
static void add_archive(Message *m, const char *name, const char *shape)
{
    unsigned char header[128] = "\x93NUMPY\1\0\x76";
    unsigned char *zeros = calloc(1, ZEROS);
    ck_assert_ptr_nonnull(zeros);
    Message body = {0}, piece = {0}, common = {0};
    memset(header + 10, ' ', 117);
    header[127] = '\n';
    char text[118];
    int n = snprintf(text, sizeof text, "{'descr': '<f4', 'fortran_order': False, 'shape': %s, }",
                     shape);
    memcpy(header + 10, text, (size_t)n);
    add_deflated(&body, header, sizeof header);
    add_deflated(&piece, zeros, ZEROS);
    for (int i = 0; i < TIMES; i++)
        add(&body, piece.p, piece.n);
    add(&body, "\3", 2);                 /* the last block, empty */
    add_number(&common, 0x800000014, 8); /* version, flags, deflated, time */
    add_number(&common, 0, 6);           /* date, sum */
    add_number(&common, body.n, 4);
    add_number(&common, sizeof header + (uint64_t)ZEROS * TIMES, 4);
    add_number(&common, strlen(name), 4); /* and nothing beside the name */
    add_number(m, 0x04034b50, 4);
    add(m, common.p, common.n);
    add(m, name, strlen(name));
    add(m, body.p, body.n);
    size_t central = m->n;
    add_number(m, 0x02014b50, 4);
    add_number(m, 20, 2);
    add(m, common.p, common.n);
    add_number(m, 0, 8);
    add_number(m, 0, 6);
    add(m, name, strlen(name));
    uint64_t size = m->n - central;
    add_number(m, 0x06054b50, 4);
    add_number(m, 0x1000100000000, 8); /* one entry */
    add_number(m, size | (uint64_t)central << 32, 8);
    add_number(m, 0, 2);
    free(zeros);
    free(body.p);
    free(piece.p);
    free(common.p);
}

START_TEST(archives)
{
    static const char *const as[][3] = {
        {"Input3.npy", "(268435456,)", "f32[268435456]"}, /* another shape */
        {"Input3.npy", "(1, 1, 28, 28)",
         "bytes after its last element"}, /* the shape wanted, and more */
        {"Input3.npy", "(-1,)", "its header is not understood"},
        {"other.npy", "(268435456,)", "the model takes"},
        {"Input3", "(1, 1, 28, 28)", "Input3"},
    };
    char path[] = "/tmp/scalec-bomb-XXXXXX.npz";
    int fd = mkstemps(path, 4);
    ck_assert_int_ge(fd, 0);
    for (size_t i = 0; i < sizeof as / sizeof *as; i++) {
        Message m = {0};
        add_archive(&m, as[i][0], as[i][1]);
        ck_assert_int_eq(pwrite(fd, m.p, m.n, 0), (ssize_t)m.n);
        ck_assert_int_eq(ftruncate(fd, (off_t)m.n), 0);
        free(m.p);
        refuse(path, true, as[i][2]);
    }
    ck_assert_int_eq(close(fd) | unlink(path), 0);
}
END_TEST

/* The program's own reading of inputs and states: nothing is unpacked that is not wanted. */
START_TEST(archives_of_a_program)
{
    static const char *const as[][4] = {
        {"-i", "x.npy", "(89478485, 3)", "bytes after its last element"},
        {"-i", "x.npy", "(268435456,)", "has the shape [268435456]"},
        {"-i", "other.npy", "(268435456,)", "none of its arrays is an input"},
        {"--state-load", "s.npy", "(268435456,)", "state 's' has the shape [3]"},
        {"--state-load", "steps.npy", "(268435456,)", "has no state 's'"},
    };
    char path[] = "/tmp/scalec-bomb-XXXXXX.npz", said[1000];
    int fd = mkstemps(path, 4);
    FILE *err = tmpfile();
    ck_assert(fd >= 0 && err);
    for (size_t i = 0; i < sizeof as / sizeof *as; i++) {
        Bounds b;
        Message m = {0};
        char *argv[] = {(char *)"toy", (char *)as[i][0], path};
        add_archive(&m, as[i][1], as[i][2]);
        ck_assert_int_eq(pwrite(fd, m.p, m.n, 0), (ssize_t)m.n);
        ck_assert_int_eq(ftruncate(fd, (off_t)m.n), 0);
        free(m.p);
        int old = dup(STDERR_FILENO);
        ck_assert(old >= 0 && ftruncate(fileno(err), 0) == 0 &&
                  lseek(fileno(err), 0, SEEK_SET) == 0 && dup2(fileno(err), STDERR_FILENO) >= 0);
        bounds_begin(&b, true);
        int status = scrt_main(&toy, 3, argv);
        bounds_end(&b, as[i][3]);
        dup2(old, STDERR_FILENO);
        close(old);
        ssize_t n = pread(fileno(err), said, sizeof said - 1, 0);
        ck_assert_int_ge(n, 0);
        said[n] = '\0';
        ck_assert_msg(status == 1 && strstr(said, as[i][3]), "status %d, '%s' is not in: %s",
                      status, as[i][3], said);
    }
    ck_assert_int_eq(fclose(err) | close(fd) | unlink(path), 0);
}
END_TEST

/* A text's constants are beside it, and as many as it says. */
START_TEST(constants_of_a_text)
{
    static const char text[] = "graph @g(%x: f32[4]) -> (%y) {\n  %w = const @w : f32[4]\n"
                               "  %y = add %x, %w : f32[4]\n}\n";
    char path[] = "/tmp/scalec-bomb-XXXXXX.sc", beside[sizeof path + 4];
    int fd = mkstemps(path, 3);
    ck_assert(fd >= 0 && write(fd, text, sizeof text - 1) == sizeof text - 1);
    snprintf(beside, sizeof beside, "%s.npz", path);
    int npz = open(beside, O_WRONLY | O_CREAT | O_EXCL, 0600);
    Message m = {0};
    add_archive(&m, "w.npy", "(268435456,)");
    ck_assert(npz >= 0 && write(npz, m.p, m.n) == (ssize_t)m.n);
    free(m.p);
    refuse(path, false, "has 268435456 elements, its type 4");
    ck_assert_int_eq(close(fd) | close(npz) | unlink(path) | unlink(beside), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("frontend-bombs");
    TCase *t = tcase_create("bombs");
    tcase_set_timeout(t, 300);
    tcase_add_test(t, doublings);
    tcase_add_test(t, huge_shapes);
    tcase_add_test(t, long_names);
    tcase_add_test(t, wide_and_long);
    tcase_add_test(t, no_regular_files);
    tcase_add_test(t, archives);
    tcase_add_test(t, archives_of_a_program);
    tcase_add_test(t, constants_of_a_text);
    suite_add_tcase(s, t);
    return sct_main("frontend-bombs", s);
}
