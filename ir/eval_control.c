/* SPDX-License-Identifier: Apache-2.0 */
/* Branches and loops, run as they are said: a loop's scan results are gathered turn by turn. */
#include "ir/eval_priv.h"

#include <string.h>

static bool truth(const ScrtTensor *t)
{
    return scrt_load_int((ScrtDtype)t->dtype, t->data, 0) != 0;
}

static bool copy(ScFrame *f, const ScNode *n, const ScrtTensor *from, ScrtTensor *ret)
{
    size_t bytes;
    *ret = *from;
    ret->data = NULL;
    if (scrt_tensor_alloc(ret) != SCRT_OK || !scrt_tensor_bytes(ret, &bytes))
        return sc_fail(f->run->cx, n->loc, SC_E_RUN, "no memory for a result of %s", n->op->name);
    if (bytes)
        memcpy(ret->data, from->data, bytes);
    return true;
}

/* --- Loops ----------------------------------------------------------------------------------- */

typedef struct Turns {
    ScFrame *f;
    const ScNode *n;
    uint32_t n_carried, n_scan;
    const ScrtTensor **in; /* of the body */
    ScrtTensor *carried;   /* [n_carried] as they are now: ours */
    ScrtTensor *out;       /* of a turn */
    ScrtTensor *scan;      /* [n_scan] the first turn's type; the data of all turns so far */
    size_t *each, *room;   /* [n_scan] bytes of an element; of the data */
    int64_t n_turn;
} Turns;

static bool no_memory(const Turns *t)
{
    return sc_fail(t->f->run->cx, t->n->loc, SC_E_RUN, "no memory for the results of %s",
                   t->n->op->name);
}

/* Appends what this turn gave; takes x over. */
static bool append(Turns *t, uint32_t i, ScrtTensor *x)
{
    ScrtTensor *s = &t->scan[i];
    if (t->n_turn == 0) {
        *s = *x;
        t->room[i] = scrt_tensor_bytes(x, &t->each[i]) ? t->each[i] : 0;
        x->data = NULL;
        return true;
    }
    if (memcmp(s->dims, x->dims, sizeof s->dims) != 0)
        return sc_fail(t->f->run->cx, t->n->loc, SC_E_RUN,
                       "scan result %u changes its extents from turn to turn", i);
    size_t have = t->each[i] * (size_t)t->n_turn;
    if (have + t->each[i] > t->room[i]) {
        size_t room = 2 * (have + t->each[i]);
        void *p = scrt_alloc(room);
        if (!p)
            return no_memory(t);
        memcpy(p, s->data, have);
        scrt_free(s->data);
        s->data = p;
        t->room[i] = room;
    }
    if (t->each[i])
        memcpy((char *)s->data + have, x->data, t->each[i]);
    return true;
}

/* One turn; false after a mistake. *more: whether there is another. */
static bool turn(Turns *t, bool *more)
{
    ScrtTensor number = {.dtype = SCRT_I64, .data = &t->n_turn};
    const ScGraph *body = t->n->sub[0];
    t->in[0] = &number;
    if (!sc_eval_graph(t->f->run, body, t->in, t->out, t->f->depth + 1, t->f->silent))
        return false;
    bool ok = true;
    *more = truth(&t->out[0]);
    for (uint32_t i = 0; i < t->n_carried; i++) {
        scrt_free(t->carried[i].data);
        t->carried[i] = t->out[1 + i];
    }
    for (uint32_t i = 0; i < t->n_scan; i++) {
        ScrtTensor *x = &t->out[1 + t->n_carried + i];
        ok = ok && append(t, i, x);
        scrt_free(x->data);
    }
    scrt_free(t->out[0].data);
    t->n_turn++;
    return ok;
}

/* The type of a scan result that no turn gave anything of: extents that only a turn knows are 0. */
static void empty(const Turns *t, uint32_t i, ScrtTensor *ret)
{
    const ScGraph *body = t->n->sub[0];
    const ScType *type = sc_type_of(body, body->out[1 + t->n_carried + i]);
    *ret = (ScrtTensor){.dtype = type->dtype, .rank = type->rank};
    for (uint32_t d = 0; d < type->rank; d++)
        if (!sc_term_eval(type->dim[d], t->f->run->n_env, t->f->run->env, &ret->dims[d]) ||
            ret->dims[d] < 0)
            ret->dims[d] = 0;
}

static bool stack(Turns *t, uint32_t i, ScrtTensor *ret)
{
    ScrtTensor *s = &t->scan[i];
    if (t->n_turn == 0)
        empty(t, i, s);
    if (s->rank == SCRT_MAX_RANK)
        return no_memory(t);
    memmove(s->dims + 1, s->dims, s->rank * sizeof *s->dims);
    s->dims[0] = t->n_turn;
    s->rank++;
    if (!s->data && scrt_tensor_alloc(s) != SCRT_OK)
        return no_memory(t);
    *ret = *s;
    s->data = NULL;
    return true;
}

static bool run_turns(Turns *t, const ScrtTensor *const *in)
{
    const ScNode *n = t->n;
    int64_t trips = scrt_load_int(SCRT_I64, in[0]->data, 0);
    bool more = truth(in[1]), ok = true;
    for (uint32_t i = 0; ok && i < t->n_carried; i++) {
        ok = copy(t->f, n, in[2 + i], &t->carried[i]);
        t->in[1 + i] = &t->carried[i];
    }
    for (uint32_t i = 2 + t->n_carried; i < n->n_in; i++)
        t->in[i - 1] = in[i];
    while (ok && more && t->n_turn < trips)
        ok = turn(t, &more);
    return ok;
}

static bool loop(ScFrame *f, const ScNode *n, const ScrtTensor *const *in, ScrtTensor *out)
{
    uint32_t n_carried = sc_carried(n), n_scan = n->n_out - n_carried;
    Turns t = {.f = f, .n = n, .n_carried = n_carried, .n_scan = n_scan};
    t.in = sc_array(f->a, const ScrtTensor *, n->n_in);
    t.carried = sc_array(f->a, ScrtTensor, n_carried + 1u);
    t.out = sc_array(f->a, ScrtTensor, n->sub[0]->n_out + 1u);
    t.scan = sc_array(f->a, ScrtTensor, n_scan + 1u);
    t.each = sc_array(f->a, size_t, n_scan + 1u);
    t.room = sc_array(f->a, size_t, n_scan + 1u);
    bool ok = run_turns(&t, in);
    for (uint32_t i = 0; ok && i < n_scan; i++)
        ok = stack(&t, i, &out[n_carried + i]);
    for (uint32_t i = 0; i < n_scan; i++)
        scrt_free(t.scan[i].data);
    for (uint32_t i = 0; i < n_carried; i++)
        if (ok)
            out[i] = t.carried[i];
        else
            scrt_free(t.carried[i].data);
    return ok;
}

bool sc_eval_control(ScFrame *f, const ScNode *n, const ScrtTensor *const *in, ScrtTensor *out)
{
    if (n->op->control == SC_TURNS)
        return loop(f, n, in, out);
    return sc_eval_graph(f->run, n->sub[truth(in[0]) ? 0 : 1], in + n->op->enter.operand, out,
                         f->depth + 1, f->silent);
}
