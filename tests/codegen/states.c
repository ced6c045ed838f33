/* SPDX-License-Identifier: Apache-2.0 */
/* States of compiled programs: those that grow, in place and not, beside the evaluator, which
 * carries its own from step to step. */
#include "tests/codegen/compiled.h"

#include <stdlib.h>
#include <string.h>

/* --- A compiled program and the evaluator, step by step -------------------------------------- */

typedef struct Pair {
    SctModel m;
    ScrtSession *s;
    ScrtTensor *state; /* [n_state] the evaluator's; NULL: as they begin */
    uint64_t seed;
} Pair;

static const SctBound near = {.rel = 1e-5, .abs = 1e-5};

static void forget(Pair *p)
{
    if (p->state)
        sct_free(p->state, p->m.g->n_state);
    p->state = NULL;
}

static Pair begin(const char *text, const char *cpu)
{
    Pair p = {.m = sct_compile(text, cpu, NULL), .seed = 5};
    ck_assert_int_eq(scrt_open(sc_loaded_model(p.m.loaded), NULL, &p.s), SCRT_OK);
    return p;
}

static void end(Pair *p)
{
    forget(p);
    scrt_close(p->s);
    sct_close(&p->m);
}

static ScrtTensor *inputs(Pair *p, int64_t b, int64_t s)
{
    ScBinding env[] = {{sc_intern(p->m.cx, "b"), b}, {sc_intern(p->m.cx, "s"), s}};
    return sct_inputs(p->m.g, &p->seed, -1, 1, 2, env);
}

static void same(const ScrtTensor *got, const ScrtTensor *want, const char *what)
{
    ck_assert_uint_eq(got->rank, want->rank);
    for (uint32_t d = 0; d < got->rank; d++)
        ck_assert_int_eq(got->dims[d], want->dims[d]);
    for (int64_t i = 0; i < scrt_count(want); i++) {
        double x = scrt_load(got->dtype, got->data, (size_t)i);
        double y = scrt_load(want->dtype, want->data, (size_t)i), d = x > y ? x - y : y - x;
        ck_assert_msg(d <= near.abs + near.rel * (y < 0 ? -y : y), "%s, element %lld: %g, not %g",
                      what, (long long)i, x, y);
    }
}

/* Both run; their outputs and their states agree. */
static void step(Pair *p, int64_t b, int64_t s)
{
    const ScGraph *g = p->m.g;
    ScrtTensor *in = inputs(p, b, s), *next = calloc(g->n_state + 1, sizeof *next);
    ScrtTensor *got = calloc(g->n_out + 1, sizeof *got), *want = calloc(g->n_out + 1, sizeof *got);
    ScEvalOptions opt = {.state = p->state, .ret_next = next};
    ck_assert_msg(sc_eval(g, in, want, &opt), "%s", sct_messages(p->m.cx));
    ck_assert_msg(scrt_run(p->s, in, got) == SCRT_OK, "%s", scrt_error(p->s));
    for (uint32_t i = 0; i < g->n_out; i++)
        same(&got[i], &want[i], "an output");
    for (uint32_t i = 0; i < g->n_state; i++) {
        ScrtTensor now;
        ck_assert_int_eq(scrt_state_get(p->s, i, &now), SCRT_OK);
        same(&now, &next[i], "a state");
    }
    forget(p);
    p->state = next;
    sct_free(got, g->n_out);
    sct_free(want, g->n_out);
    sct_free(in, g->n_in);
}

/* The run is refused with this status and these words, and nothing has changed. */
static void refused(Pair *p, int64_t b, int64_t s, ScrtStatus status, const char *words)
{
    const ScGraph *g = p->m.g;
    ScrtTensor *in = inputs(p, b, s), *got = calloc(g->n_out + 1, sizeof *got), now;
    ck_assert_int_eq(scrt_run(p->s, in, got), status);
    ck_assert_msg(strstr(scrt_error(p->s), words) != NULL, "%s", scrt_error(p->s));
    for (uint32_t i = 0; i < g->n_state && p->state; i++) {
        ck_assert_int_eq(scrt_state_get(p->s, i, &now), SCRT_OK);
        same(&now, &p->state[i], "a state");
    }
    sct_free(in, g->n_in);
    free(got);
}

static void are_in_place(const Pair *p, bool yes)
{
    const ScrtModel *m = sc_loaded_model(p->m.loaded);
    for (uint32_t i = 0; i < m->n_state; i++)
        ck_assert_msg((m->state_info[i].in_place != 0) == yes, "state %s", m->state[i].name);
}

static void goes_well(Pair *p)
{
    static const int64_t tokens[] = {5, 1, 1, 3, 1};
    for (int i = 0; i < 5; i++)
        step(p, 2, tokens[i]);
    refused(p, 2, 6, SCRT_E_FULL, "state 'k' would have 17 along dimension 2, and has room for 16");
    refused(p, 3, 1, SCRT_E_SHAPE,
            "state 'k' has the shape [2,2,11,4], these inputs need [3,2,11,4]");
    step(p, 2, 5);
    scrt_state_reset(p->s);
    forget(p);
    step(p, 3, 16);
    scrt_state_reset(p->s);
    forget(p);
    step(p, 1, 1);
    step(p, 1, 1);
}

/* --- What grows ------------------------------------------------------------------------------ */

#define HEAD "graph @g(%q: f32[b,2,s,4], %nk: f32[b,2,s,4], %nv: f32[b,2,s,4]) -> (%o"
#define STATES                                                                                     \
    "  state @k (%pk: f32[b,2,p,4] up to p = 16 -> %k)\n"                                          \
    "  state @v (%pv: f32[b,2,p,4] up to p = 16 -> %v)\n"                                          \
    "  %k = concat %pk, %nk {axis = 2} : f32[b,2,p+s,4]\n"                                         \
    "  %v = concat %pv, %nv {axis = 2} : f32[b,2,p+s,4]\n"
#define ATTEND                                                                                     \
    "  %1 = transpose %k {perm = [0,1,3,2]} : f32[b,2,4,p+s]\n"                                    \
    "  %2 = matmul %q, %1 : f32[b,2,s,p+s]\n"                                                      \
    "  %3 = tanh %2 : f32[b,2,s,p+s]\n"                                                            \
    "  %o = matmul %3, %v : f32[b,2,s,4]\n"                                                        \
    "}\n"

START_TEST(appends_in_place)
{
    for (int c = 0; c < SCT_N_CPU; c++) {
        if (!sct_runs(sct_cpus[c]))
            continue;
        Pair p = begin(HEAD ") {\n" STATES ATTEND, sct_cpus[c]);
        are_in_place(&p, true);
        goes_well(&p);
        end(&p);
    }
}
END_TEST

/* What leaves the graph is a copy; a state's present value may leave, too. */
START_TEST(leaves_as_well)
{
    Pair p = begin(HEAD ", %k, %v, %pk) {\n" STATES ATTEND, "native");
    are_in_place(&p, true);
    goes_well(&p);
    end(&p);
    p = begin("graph @g(%x: f32[s,4]) -> (%k, %pk, %y) {\n" /* it lies densely, but not alone */
              "  state @k (%pk: f32[p,4] up to p = 16 -> %k)\n"
              "  %k = concat %pk, %x {axis = 0} : f32[p+s,4]\n"
              "  %y = neg %k : f32[p+s,4]\n"
              "}\n",
              "native");
    are_in_place(&p, true);
    for (int i = 0; i < 3; i++)
        step(&p, 1, 2);
    end(&p);
}
END_TEST

/* The first value of what grows lies in the weights. */
START_TEST(begins_with_contents)
{
    static const char *const text[] = {
        "graph @g(%x: f32[2,s,2]) -> (%y) {\n"
        "  state @k (%pk: f32[2,p,2] up to p = 16 from 3 -> %k) = [1,2,3,4,5,6,7,8,9,10,11,12]"
        " as f32[2,3,2]\n"
        "  %k = concat %pk, %x {axis = 1} : f32[2,p+s,2]\n"
        "  %y = exp %k : f32[2,p+s,2]\n"
        "}\n",
        "graph @g(%x: f32[2,s,2]) -> (%y) {\n" /* two memories: the new part comes first */
        "  state @k (%pk: f32[2,p,2] up to p = 16 from 1 -> %k) = [1,2,3,4] as f32[2,1,2]\n"
        "  %k = concat %x, %pk {axis = 1} : f32[2,p+s,2]\n"
        "  %y = exp %k : f32[2,p+s,2]\n"
        "}\n",
    };
    for (int i = 0; i < 2; i++) {
        Pair p = begin(text[i], "native");
        are_in_place(&p, i == 0);
        for (int again = 0; again < 2; again++) {
            step(&p, 1, 2);
            step(&p, 1, 5);
            scrt_state_reset(p.s);
            forget(&p);
        }
        refused(&p, 1, 16, SCRT_E_FULL, "and has room for 16");
        step(&p, 1, 1);
        end(&p);
    }
}
END_TEST

/* Those that only dense views can be made of are dense. */
START_TEST(copies_where_it_must)
{
    Pair p = begin(HEAD ", %5, %7) {\n" STATES
                        "  %4 = reshape %k {shape = [8*b*(p+s)]} : f32[8*b*p+8*b*s]\n"
                        "  %5 = matmul %4, %4 : f32[]\n"
                        "  %6 = reshape %v {shape = [8*b*(p+s)]} : f32[8*b*p+8*b*s]\n"
                        "  %7 = matmul %6, %6 : f32[]\n" ATTEND,
                   "native");
    are_in_place(&p, false);
    goes_well(&p);
    end(&p);
}
END_TEST

/* The past is read, too; the concat is the second of its readers. */
START_TEST(past_is_read)
{
    Pair p =
        begin(HEAD ", %5, %7) {\n" STATES "  %4 = transpose %pk {perm = [2,1,0,3]} : f32[p,2,b,4]\n"
                   "  %5 = reduce_sum %4 {axes = [0,1]} : f32[1,1,b,4]\n"
                   "  %6 = neg %pv : f32[b,2,p,4]\n"
                   "  %7 = reduce_max %6 {axes = [3]} : f32[b,2,p,1]\n" ATTEND,
              "native");
    are_in_place(&p, true);
    goes_well(&p);
    end(&p);
}
END_TEST

/* --- What an append moves -------------------------------------------------------------------- */

/* Beside what the products read, no byte of the cache is touched: there is no copy, no memory for a
 * next value, and workspace grows by a position's scores, which are far less than the position. */
START_TEST(moves_the_new_part_only)
{
    enum { ROOM = 4096, D = 64 };
    Pair p = begin("graph @g(%q: f32[1,2,s,64], %nk: f32[1,2,s,64]) -> (%o) {\n"
                   "  state @k (%pk: f32[1,2,p,64] up to p = 4096 -> %k)\n"
                   "  %k = concat %pk, %nk {axis = 2} : f32[1,2,p+s,64]\n"
                   "  %1 = transpose %k {perm = [0,1,3,2]} : f32[1,2,64,p+s]\n"
                   "  %2 = matmul %q, %1 : f32[1,2,s,p+s]\n"
                   "  %o = matmul %2, %k : f32[1,2,s,64]\n"
                   "}\n",
                   "native");
    are_in_place(&p, true);
    for (const ScrtStep *x = scrt_entry(p.s)->run; x->kind != SCRT_END; x++)
        ck_assert_uint_ne(x->kind, SCRT_COPY);
    uint64_t peak[2];
    for (int half = 0; half < 2; half++) {
        for (int i = 0; i < 1000; i++) {
            ScrtTensor *in = inputs(&p, 1, 1), out = {0};
            ck_assert_int_eq(scrt_run(p.s, in, &out), SCRT_OK);
            scrt_free(out.data);
            sct_free(in, 2);
        }
        peak[half] = scrt_peak_bytes(p.s);
    }
    ck_assert_uint_lt(peak[0], 2 * ROOM * D * sizeof(float) + 512 * 1024);
    ck_assert_uint_lt(peak[1] - peak[0], 1000 * 2 * D * sizeof(float) / 4);
    end(&p);
}
END_TEST

/* --- What does not grow ---------------------------------------------------------------------- */

START_TEST(updates_in_place)
{
    Pair p = begin("graph @g(%x: f32[b,5], %i: i64[]) -> (%y, %m) {\n"
                   "  state @sum (%was: f32[b,5] -> %sum)\n"
                   "  state @n (%n: i64[] -> %more)\n"
                   "  state @same (%kept: f32[2] -> %kept) = [1,2]\n"
                   "  %1 = transpose %was {perm = [1,0]} : f32[5,b]\n"
                   "  %y = exp %1 : f32[5,b]\n"
                   "  %sum = add %was, %x : f32[b,5]\n"
                   "  %more = add %n, %i : i64[]\n"
                   "  %m = neg %kept : f32[2]\n"
                   "}\n",
                   "native");
    are_in_place(&p, true);
    step(&p, 3, 1);
    step(&p, 3, 1);
    refused(&p, 4, 1, SCRT_E_SHAPE, "state 'sum' has the shape [3,5], these inputs need [4,5]");
    step(&p, 3, 1);
    end(&p);
}
END_TEST

/* The past is read after it would be gone, at another place, or leaves. */
START_TEST(keeps_what_is_read_later)
{
    static const char *const text[] = {
        "graph @g(%x: f32[7]) -> (%y) {\n"
        "  state @sum (%was: f32[7] -> %sum)\n"
        "  %sum = add %was, %x : f32[7]\n"
        "  %1 = reduce_max %sum {axes = [0]} : f32[1]\n"
        "  %y = mul %was, %1 : f32[7]\n"
        "}\n",
        "graph @g(%x: f32[3,3]) -> (%sum) {\n"
        "  state @sum (%was: f32[3,3] -> %sum)\n"
        "  %1 = transpose %was {perm = [1,0]} : f32[3,3]\n"
        "  %sum = add %1, %x : f32[3,3]\n"
        "}\n",
        "graph @g(%x: f32[7]) -> (%was) {\n"
        "  state @sum (%was: f32[7] -> %sum)\n"
        "  %sum = add %was, %x : f32[7]\n"
        "}\n",
    };
    for (int i = 0; i < 3; i++) {
        Pair p = begin(text[i], "native");
        are_in_place(&p, false);
        for (int k = 0; k < 3; k++)
            step(&p, 1, 1);
        end(&p);
    }
}
END_TEST

/* What is drawn under a key that a state counts is new on each run, and the same again from the
 * beginning. */
START_TEST(draws_anew)
{
    Pair p = begin("graph @g(%x: u32[7]) -> (%y) {\n"
                   "  state @random (%run: u32[] -> %next)\n"
                   "  %1 = const 1 : u32[]\n"
                   "  %next = add %run, %1 : u32[]\n"
                   "  %2 = threefry %run, %1, %1, %1 : u32[]\n"
                   "  %3 = iota : i64[7]\n"
                   "  %4 = cast %3 : u32[7]\n"
                   "  %y = threefry %4, %1, %2, %1 : u32[7]\n"
                   "}\n",
                   "native");
    ScrtTensor *in = inputs(&p, 1, 1), first = {0}, again = {0};
    for (int k = 0; k < 3; k++)
        step(&p, 1, 1);
    ck_assert_int_eq(scrt_run(p.s, in, &again), SCRT_OK);
    scrt_state_reset(p.s);
    ck_assert_int_eq(scrt_run(p.s, in, &first), SCRT_OK);
    for (size_t i = 0; i < 7; i++)
        ck_assert_int_ne(scrt_load_int(SCRT_U32, first.data, i),
                         scrt_load_int(SCRT_U32, again.data, i));
    scrt_state_reset(p.s);
    scrt_free(again.data);
    again = (ScrtTensor){0};
    ck_assert_int_eq(scrt_run(p.s, in, &again), SCRT_OK);
    ck_assert_mem_eq(first.data, again.data, 7 * sizeof(uint32_t));
    scrt_free(first.data);
    scrt_free(again.data);
    sct_free(in, 1);
    end(&p);
}
END_TEST

/* --- From outside ---------------------------------------------------------------------------- */

START_TEST(set_and_shared)
{
    Pair p = begin(HEAD ") {\n" STATES ATTEND, "native"),
         q = begin(HEAD ") {\n" STATES ATTEND, "native");
    const ScrtModel *m = sc_loaded_model(p.m.loaded);
    ScrtTensor t;
    step(&p, 2, 5);
    for (uint32_t i = 0; i < 2; i++) { /* another session goes on where this one stands */
        ck_assert_int_eq(scrt_state_get(p.s, i, &t), SCRT_OK);
        ck_assert_int_eq(scrt_state_set(q.s, i, &t), SCRT_OK);
    }
    q.state = p.state;
    p.state = NULL;
    step(&q, 2, 1);
    t.dims[2] = 17;
    ck_assert_int_eq(scrt_state_set(q.s, 0, &t), SCRT_E_STATE);
    ck_assert_msg(strstr(scrt_error(q.s), "dimension 2 up to 16, not [2,2,17,4]") != NULL, "%s",
                  scrt_error(q.s));
    ScrtSession *beside;
    ScrtOptions opt = {.states = scrt_states(p.s)};
    ck_assert_int_eq(scrt_open(m, &opt, &beside), SCRT_OK);
    scrt_state_reset(beside);
    for (int i = 0; i < 4; i++) { /* two sessions take turns on one set of states */
        step(&p, 2, 2);
        ScrtSession *other = beside;
        beside = p.s;
        p.s = other;
    }
    scrt_close(beside);
    step(&p, 2, 1);
    opt.states = scrt_states(p.s);
    ck_assert_int_eq(scrt_open(sc_loaded_model(q.m.loaded), &opt, &beside), SCRT_E_ARGUMENT);
    end(&p);
    end(&q);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("codegen-states");
    TCase *t = tcase_create("states");
    tcase_add_test(t, appends_in_place);
    tcase_add_test(t, leaves_as_well);
    tcase_add_test(t, begins_with_contents);
    tcase_add_test(t, copies_where_it_must);
    tcase_add_test(t, past_is_read);
    tcase_add_test(t, moves_the_new_part_only);
    tcase_add_test(t, updates_in_place);
    tcase_add_test(t, keeps_what_is_read_later);
    tcase_add_test(t, draws_anew);
    tcase_add_test(t, set_and_shared);
    suite_add_tcase(s, t);
    return sct_main("codegen-states", s);
}
