/* SPDX-License-Identifier: Apache-2.0 */
/* Several graphs in one model: they share constants, kernels and states. */
#include "tests/codegen/compiled.h"

#include <string.h>

enum { MOST = 3 };

typedef struct Entries {
    ScCtx *cx;
    uint32_t n;
    ScGraph *kernels[MOST];
    ScCodegenEntry entry[MOST];
    ScObject *o;
    ScLoaded *loaded;
    const ScrtModel *model;
    ScrtSession *s[MOST]; /* which share their states */
} Entries;

static void add(Entries *e, const char *name, const char *text)
{
    ScPassEnv env = {0};
    ScGraph *g = sct_graph(e->cx, text), *kernels = sc_pass_fuse(e->cx, g, &env);
    ck_assert_msg(kernels != NULL, "%s", sct_messages(e->cx));
    sc_graph_free(g);
    e->kernels[e->n] = kernels;
    e->entry[e->n++] = (ScCodegenEntry){name, kernels};
}

static void build(Entries *e, const ScCodegenOptions *opt)
{
    e->o = sc_codegen_entries(e->cx, e->n, e->entry, opt, SC_EMIT_OBJ);
    ck_assert_msg(e->o != NULL, "%s", sct_messages(e->cx));
    e->loaded = sc_load(e->cx, e->o);
    ck_assert_msg(e->loaded != NULL, "%s", sct_messages(e->cx));
    e->model = sc_loaded_model(e->loaded);
    ck_assert_uint_eq(e->model->n_entry, e->n);
    for (uint32_t i = 0; i < e->n; i++) {
        ScrtOptions o = {.entry = i, .n_thread = 1, .states = i ? scrt_states(e->s[0]) : NULL};
        ck_assert_int_eq(scrt_open(e->model, &o, &e->s[i]), SCRT_OK);
        ck_assert_uint_eq(scrt_entry_named(e->model, e->entry[i].name), i);
    }
    ck_assert_uint_eq(scrt_entry_named(e->model, "none"), e->n);
}

static void compile(Entries *e)
{
    build(e, NULL);
}

static void drop(Entries *e)
{
    for (uint32_t i = 0; i < e->n; i++) {
        scrt_close(e->s[i]);
        sc_graph_free(e->kernels[i]);
    }
    sc_unload(e->loaded);
    sc_object_free(e->o);
    sc_ctx_free(e->cx);
}

/* Runs entry i on `rows` rows of 16 equal numbers; the sum of output 0. */
static double run(Entries *e, uint32_t i, int64_t rows, float number)
{
    float x[8 * 16];
    double sum = 0;
    for (int k = 0; k < 8 * 16; k++)
        x[k] = number;
    ScrtTensor in = {.dtype = SCRT_F32, .rank = 2, .dims = {rows, 16}, .data = x}, out[2] = {0};
    ScrtStatus st = scrt_run(e->s[i], &in, out);
    ck_assert_msg(st == SCRT_OK, "%s", scrt_error(e->s[i]));
    for (int64_t k = 0; k < scrt_count(&out[0]); k++)
        sum += scrt_load(SCRT_F32, out[0].data, (size_t)k);
    for (uint32_t k = 0; k < scrt_entry(e->s[i])->n_out; k++)
        scrt_free(out[k].data);
    return sum;
}

static double state(Entries *e, uint32_t i, int64_t *ret_rows)
{
    ScrtTensor t;
    double sum = 0;
    ck_assert_int_eq(scrt_state_get(e->s[0], i, &t), SCRT_OK);
    for (int64_t k = 0; k < scrt_count(&t); k++)
        sum += scrt_load((ScrtDtype)t.dtype, t.data, (size_t)k);
    *ret_rows = t.rank ? t.dims[0] : 1;
    return sum;
}

#define WEIGHT "  %w = const [1,2,1,2,1,2,1,2,1,2,1,2,1,2,1,2] : f32[16]\n"
#define PREFILL                                                                                    \
    "graph @g(%x: f32[s,16]) -> (%y) {\n"                                                          \
    "  state @runs (%r: i64[] -> %q)\n"                                                            \
    "  state @k (%p: f32[p,16] up to p = 8 -> %n)\n" WEIGHT "  %1 = mul %x, %w : f32[s,16]\n"      \
    "  %n = concat %p, %1 {axis = 0} : f32[p+s,16]\n"                                              \
    "  %y = reduce_sum %n {axes = [0]} : f32[1,16]\n"                                              \
    "  %o = const 1 : i64[]\n"                                                                     \
    "  %q = add %r, %o : i64[]\n"                                                                  \
    "}\n"

START_TEST(states_and_weights_are_shared)
{
    Entries e = {.cx = sc_ctx_new()};
    int64_t rows;
    add(&e, "main", PREFILL);
    add(&e, "decode",
        "graph @h(%token: f32[1,16]) -> (%y) {\n"
        "  state @k (%past: f32[past,16] up to past = 8 -> %n)\n" WEIGHT
        "  %1 = mul %token, %w : f32[1,16]\n"
        "  %n = concat %past, %1 {axis = 0} : f32[past+1,16]\n"
        "  %y = reduce_sum %n {axes = [0]} : f32[1,16]\n"
        "}\n");
    compile(&e);
    ck_assert_uint_eq(e.model->weights_size, 64); /* once */
    ck_assert_uint_eq(e.model->n_state, 2);
    ck_assert_uint_eq(e.model->entry[1].n_state, 1);
    ck_assert(e.model->state_info[1].in_place);
    ck_assert(strstr(e.o->header, "entry 1, decode") && strstr(e.o->header, "state[1]  k"));
    ck_assert(run(&e, 0, 3, 1) == 3 * 24);
    ck_assert(run(&e, 1, 1, 2) == 5 * 24);
    ck_assert(run(&e, 1, 1, 1) == 6 * 24);
    ck_assert(run(&e, 0, 2, 1) == 8 * 24);
    ck_assert(state(&e, 1, &rows) == 8 * 24 && rows == 7);
    ck_assert(state(&e, 0, &rows) == 2); /* decode does not know it */
    drop(&e);
}
END_TEST

START_TEST(equal_kernels_are_one)
{
    Entries e = {.cx = sc_ctx_new()};
    add(&e, "main", PREFILL);
    add(&e, "again", PREFILL);
    compile(&e);
    ck_assert_uint_eq(e.o->n_kernel, 2 * e.model->entry[0].n_kernel);
    for (uint32_t i = e.model->entry[0].n_kernel; i < e.o->n_kernel; i++)
        ck_assert_msg(strstr(e.o->kernel[i].what, "(the code of "), "%s", e.o->kernel[i].what);
    ck_assert(run(&e, 0, 3, 1) == 3 * 24);
    ck_assert(run(&e, 1, 3, 1) == 6 * 24);
    drop(&e);
}
END_TEST

/* What one entry cannot write in place has two memories in all. */
START_TEST(in_place_in_all_or_none)
{
    Entries e = {.cx = sc_ctx_new()};
    int64_t rows;
    add(&e, "main", PREFILL);
    add(&e, "shows",
        "graph @h(%x: f32[s,16]) -> (%n, %p) {\n"
        "  state @k (%p: f32[p,16] up to p = 8 -> %n)\n"
        "  %n = concat %x, %p {axis = 0} : f32[p+s,16]\n"
        "}\n");
    compile(&e);
    ck_assert(!e.model->state_info[1].in_place && e.model->state_info[0].in_place);
    ck_assert(run(&e, 0, 1, 1) == 24);
    ck_assert(run(&e, 1, 2, 1) == 24 + 32);
    ck_assert(run(&e, 0, 1, 1) == 48 + 32);
    ck_assert(state(&e, 1, &rows) == 48 + 32 && rows == 4);
    drop(&e);
}
END_TEST

/* --- Levels ---------------------------------------------------------------------------------- */

#define PRODUCT                                                                                    \
    "graph @g(%x: f32[s,16]) -> (%y) {\n"                                                          \
    "  state @sum (%p: f32[16] -> %n)\n" WEIGHT "  %b = const 0.5 : f32[]\n"                       \
    "  %v = reshape %w {shape = [16,1]} : f32[16,1]\n"                                             \
    "  %m = matmul %x, %v : f32[s,1]\n"                                                            \
    "  %n = add %p, %w : f32[16]\n"                                                                \
    "  %y = mul %m, %b : f32[s,1]\n"                                                               \
    "}\n"

/* A session of each level that runs here, of one entry or another, all over the same states. */
START_TEST(each_level_runs)
{
    Entries e = {.cx = sc_ctx_new()};
    int64_t rows;
    add(&e, "main", PRODUCT);
    add(&e, "other", PREFILL);
    ScCodegenOptions opt = {.cpu = "x86-64-v2,x86-64-v3,x86-64-v4", .embed_limit = 1 << 20};
    build(&e, &opt);
    const ScrtModel *m = e.model;
    ck_assert_uint_eq(m->n_level, 3);
    ck_assert_uint_eq(m->n_entry, 2);
    ck_assert_uint_eq(e.o->n_level, 3);
    uint32_t here = scrt_level_here(m);
    ck_assert_uint_lt(here, 3);
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(scrt_level_named(m, e.o->level[i].name), i);
        ck_assert_uint_eq(m->level[i].weights, e.o->level[i].weights);
        ck_assert(m->level[i].weights <= m->weights_size);
        ck_assert(i == 0 ||
                  (m->level[i].features & m->level[i - 1].features) == m->level[i - 1].features);
        ScrtOptions o = {.level = i + 1, .n_thread = 1, .states = scrt_states(e.s[0])};
        ScrtSession *best = e.s[0], *s = NULL;
        bool runs = !(m->level[i].features & ~scrt_cpu_features());
        ck_assert_int_eq(scrt_open(m, &o, &s), runs ? SCRT_OK : SCRT_E_CPU);
        ck_assert_int_eq(runs, i <= here);
        if (!runs)
            continue;
        ck_assert_ptr_eq(scrt_level(s), &m->level[i]);
        ck_assert_ptr_eq(scrt_entry(s), &m->entry[2 * i]);
        ck_assert_ptr_eq(scrt_level(best), &m->level[here]);
        ck_assert_ptr_eq(scrt_entry(best), &m->entry[2 * here]);
        e.s[0] = s;
        ck_assert(run(&e, 0, 3, 1) == 3 * 24 * 0.5);
        ck_assert(state(&e, 0, &rows) == 24 * (i + 1));
        e.s[0] = best;
        scrt_close(s);
    }
    ck_assert_uint_eq(scrt_level_named(m, "none"), 3);
    drop(&e);
}
END_TEST

/* Functions that kernels share are the level's own: v4's tile under v2's name would end a process.
 */
START_TEST(each_level_has_its_functions)
{
    Entries e = {.cx = sc_ctx_new()};
    add(&e, "main", PRODUCT);
    ScCodegenOptions opt = {.cpu = "x86-64-v2,x86-64-v4", .embed_limit = 1 << 20};
    ScObject *o = sc_codegen_entries(e.cx, 1, e.entry, &opt, SC_EMIT_LLVM);
    ck_assert_msg(o != NULL, "%s", sct_messages(e.cx));
    const char *first = strstr(o->bytes, "@tile_"), *other = strstr(o->bytes, "@stream_");
    ck_assert(first && other && strstr(o->bytes, ".l1("));
    sc_object_free(o);
    drop(&e);
}
END_TEST

START_TEST(levels_in_vain)
{
    static const struct {
        const char *cpu, *says, *target;
    } cases[] = {
        {"x86-64-v4,x86-64-v3", "processors \"x86-64-v4\" and \"x86-64-v3\": the code for the "
                                "second, which needs no more, would run in the place of the first"},
        {"x86-64-v3,x86-64-v3", "would run in the place of the first"},
        {"x86-64-v3,", "processor \"\""},
        {"x86-64-v3,fat", "processor \"fat\""},
        {"haswell,x86-64-v5", "fat, for x86-64-v3,x86-64-v4,sapphirerapids"},
        {"a,b,c,d,e,f,g,h,i", "more than 8 processors"},
        {"fat,generic", "processor \"fat\"", "aarch64-linux-gnu"},
        {"x86-64-v3", "fat, for generic,armv8.2-a+fp16,armv8.6-a+bf16", "aarch64-linux-gnu"},
        {"neoverse-n1,armv8.2-a+fp16", "would run in the place of the first", "aarch64-linux-gnu"},
    };
    Entries e = {.cx = sc_ctx_new()};
    add(&e, "main", PRODUCT);
    ScCodegenOptions opt = {.cpu = cases[_i].cpu, .target = cases[_i].target};
    ck_assert_ptr_null(sc_codegen_entries(e.cx, 1, e.entry, &opt, SC_EMIT_OBJ));
    ck_assert_msg(strstr(sct_messages(e.cx), cases[_i].says), "%s", sct_messages(e.cx));
    drop(&e);
}
END_TEST

static void refused(const char *text, const char *says)
{
    Entries e = {.cx = sc_ctx_new()};
    add(&e, "main", PREFILL);
    add(&e, "other", text);
    ck_assert_ptr_null(sc_codegen_entries(e.cx, 2, e.entry, NULL, SC_EMIT_OBJ));
    ck_assert_msg(strstr(sct_messages(e.cx), says), "%s", sct_messages(e.cx));
    drop(&e);
}

START_TEST(unlike_states)
{
    refused("graph @h(%x: f32[s,16]) -> (%n) {\n"
            "  state @k (%p: f32[p,16] up to p = 9 -> %n)\n"
            "  %n = concat %p, %x {axis = 0} : f32[p+s,16]\n"
            "}\n",
            "state \"k\" is f32[p,16] up to 8 in one entry and f32[p,16] up to 9 in another");
    refused("graph @h(%x: i64[]) -> (%n) {\n"
            "  state @runs (%p: i64[] -> %n) = 7\n"
            "  %n = add %p, %x : i64[]\n"
            "}\n",
            "state \"runs\" begins with other values");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("codegen-entries");
    TCase *t = tcase_create("entries");
    tcase_add_test(t, states_and_weights_are_shared);
    tcase_add_test(t, equal_kernels_are_one);
    tcase_add_test(t, in_place_in_all_or_none);
    tcase_add_test(t, each_level_runs);
    tcase_add_test(t, each_level_has_its_functions);
    tcase_add_loop_test(t, levels_in_vain, 0, 8);
    tcase_add_test(t, unlike_states);
    suite_add_tcase(s, t);
    return sct_main("codegen-entries", s);
}
