/* SPDX-License-Identifier: Apache-2.0 */
/* A row with unlike symbols for its extents, at the sizes that they had as numbers and at others:
 * each is either guarded or right. */
#include "tests/table/table.h"

#include <stdlib.h>

/* What the graph of numbers of these sizes gives must be the same bits. */
static const char *beside_numbers(Case *c, const ScGraph *g, const SctSymbols *s,
                                  const ScrtTensor *in, const ScrtTensor *got)
{
    const char *why = NULL;
    ScGraph *plain = sct_to_numbers(g, s);
    ScrtTensor *want = calloc(g->n_out + 1u, sizeof *want);
    ck_assert_ptr_nonnull(want);
    bool ok = plain && sc_eval(plain, in, want, NULL);
    if (!ok)
        why = say("%s: runs where numbers of the same size are refused: %s\n%s", c->op->name,
                  sct_messages(c->cx), sct_print(g));
    for (uint32_t i = 0; ok && i < g->n_out && !why; i++)
        if (!sct_same_bits(&got[i], &want[i]))
            why = say("%s: result %u differs from that with numbers\n%s", c->op->name, i,
                      sct_print(g));
    sct_free(want, ok ? g->n_out : 0);
    sc_graph_free(plain);
    return why;
}

static const char *at_sizes(Case *c, const ScGraph *g, const SctSymbols *s, uint64_t *r, bool legal)
{
    double lo = c->op->domain.lo, hi = c->op->domain.hi;
    if (lo == 0 && hi == 0)
        lo = -4, hi = 4;
    ScrtTensor *in = sct_inputs(g, r, lo, hi, s->n, s->env);
    ScrtTensor *out = calloc(g->n_out + 1u, sizeof *out);
    ck_assert_ptr_nonnull(out);
    const char *why = NULL;
    sc_clear_diags(c->cx);
    bool ok = sc_eval(g, in, out, NULL);
    if (ok)
        why = beside_numbers(c, g, s, in, out);
    else if (legal)
        why = say("%s: is refused at sizes that are right: %s\n%s", c->op->name,
                  sct_messages(c->cx), sct_print(g));
    sct_free(in, g->n_in);
    sct_free(out, ok ? g->n_out : 0);
    return why;
}

/* A window's extents, for one, must be numbers, so some draws are refused. */
static ScGraph *draw_symbols(const Case *c, uint64_t *r, SctSymbols *ret)
{
    ScGraph *g = NULL;
    for (uint32_t i = 0; i < 8 && !g; i++)
        g = sct_to_symbols(c->drawn, r, ret);
    return g;
}

bool draws_symbols(const ScOp *op, uint64_t seed)
{
    Case c;
    SctSymbols s;
    uint64_t r = seed;
    ScGraph *g = case_make(&c, op, seed) ? NULL : draw_symbols(&c, &r, &s);
    bool ret = g && s.n > 0;
    sc_graph_free(g);
    case_free(&c);
    return ret;
}

const char *check_symbols(const ScOp *op, uint64_t seed)
{
    Case c;
    SctSymbols s;
    uint64_t r = seed;
    const char *why = case_make(&c, op, seed);
    ScGraph *g = why ? NULL : draw_symbols(&c, &r, &s);
    if (g && !sc_verify(g, NULL))
        why = say("%s: %s\n%s", op->name, sct_messages(c.cx), sct_print(g));
    for (uint32_t round = 0; g && !why && round < 4; round++) {
        why = at_sizes(&c, g, &s, &r, round == 0);
        sct_other_sizes(&s, &r);
    }
    sc_graph_free(g);
    case_free(&c);
    return why;
}
