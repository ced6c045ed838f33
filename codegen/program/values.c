/* SPDX-License-Identifier: Apache-2.0 */
/* Terms as values of the program: each distinct term is evaluated once, as early as its symbols
 * are known, into a value of its own, from those of its operands. So no term is ever written out,
 * however large it is, and the stack of the words stays flat. */
#include "codegen/program/program.h"

#include <string.h>

struct CgKnown {     /* open addressing by the key's address */
    const void *key; /* a term, or the interned values of a list of parameters */
    uint32_t value;  /* the term's, or the list's first */
    CgStage stage;
};

static struct CgKnown *slot_of(struct CgKnown *table, uint32_t cap, const void *key)
{
    uint32_t i = (uint32_t)(sc_hash_word(SC_HASH, (uintptr_t)key) >> 20) & (cap - 1);
    while (table[i].key && table[i].key != key)
        i = (i + 1) & (cap - 1);
    return &table[i];
}

static void know(CgProgram *p, const void *key, uint32_t value, CgStage stage)
{
    if (2 * p->n_log >= p->cap_known) {
        uint32_t cap = p->cap_known ? 2 * p->cap_known : 64;
        struct CgKnown *table = sc_array(p->m->arena, struct CgKnown, cap);
        for (uint32_t i = 0; i < p->cap_known; i++)
            if (p->known[i].key)
                *slot_of(table, cap, p->known[i].key) = p->known[i];
        p->known = table;
        p->cap_known = cap;
    }
    struct CgKnown k = {key, value, stage};
    *slot_of(p->known, p->cap_known, key) = k;
    sc_buf_push(p->log, p->n_log, p->cap_log, k);
}

uint32_t cg_scope(const CgProgram *p)
{
    return p->n_log;
}

void cg_forget(CgProgram *p, uint32_t mark)
{
    if (p->n_log == mark)
        return;
    memset(p->known, 0, p->cap_known * sizeof *p->known);
    p->n_log = mark;
    for (uint32_t i = 0; i < mark; i++)
        *slot_of(p->known, p->cap_known, p->log[i].key) = p->log[i];
}

uint32_t cg_new_value(CgProgram *p)
{
    return p->n_value++;
}

static const struct CgKnown *find(const CgProgram *p, const void *key)
{
    const struct CgKnown *k = p->cap_known ? slot_of(p->known, p->cap_known, key) : NULL;
    return k && k->key ? k : NULL;
}

bool cg_is_known(const CgProgram *p, const ScTerm *t)
{
    return find(p, t);
}

void cg_bind_symbol(CgProgram *p, const char *sym, uint32_t value, CgStage stage)
{
    know(p, sc_term_sym(p->m->cx, sym), value, stage);
}

/* --- Words ----------------------------------------------------------------------------------- */

static void word(CgProgram *p, CgStage stage, ScrtWord w)
{
    CgStream *s = &p->stream[stage];
    sc_buf_push(s->word, s->n_word, s->cap_word, (int64_t)w);
}

static void word_of(CgProgram *p, CgStage stage, ScrtWord w, int64_t n)
{
    CgStream *s = &p->stream[stage];
    word(p, stage, w);
    sc_buf_push(s->word, s->n_word, s->cap_word, n);
}

/* The operands and then, between each two of them, the operation. */
static void fold(CgProgram *p, CgStage stage, ScrtWord op, uint32_t n, const uint32_t *value)
{
    for (uint32_t i = 0; i < n; i++) {
        word_of(p, stage, SCRT_W_VALUE, value[i]);
        if (i)
            word(p, stage, op);
    }
}

static void write_sum(CgProgram *p, CgStage stage, const ScTerm *t, const uint32_t *value)
{
    word_of(p, stage, SCRT_W_CONST, t->c);
    for (uint32_t i = 0; i < t->n; i++) {
        word_of(p, stage, SCRT_W_VALUE, value[i]);
        if (t->coef[i] != 1) {
            word_of(p, stage, SCRT_W_CONST, t->coef[i]);
            word(p, stage, SCRT_W_MUL);
        }
        word(p, stage, SCRT_W_ADD);
    }
}

static void write(CgProgram *p, CgStage stage, const ScTerm *t, const uint32_t *value)
{
    static const ScrtWord op[] = {
        [SC_T_MUL] = SCRT_W_MUL,   [SC_T_FDIV] = SCRT_W_FDIV,   [SC_T_CDIV] = SCRT_W_CDIV,
        [SC_T_MOD] = SCRT_W_MOD,   [SC_T_MIN] = SCRT_W_MIN,     [SC_T_MAX] = SCRT_W_MAX,
        [SC_T_LOG2] = SCRT_W_LOG2, [SC_T_BCAST] = SCRT_W_BCAST,
    };
    switch (t->kind) {
    case SC_T_CONST:
        word_of(p, stage, SCRT_W_CONST, t->c);
        break;
    case SC_T_SUM:
        write_sum(p, stage, t, value);
        break;
    default:
        fold(p, stage, op[t->kind], t->n, value);
        if (t->kind == SC_T_LOG2)
            word(p, stage, SCRT_W_LOG2);
        if (t->has_c) {
            word_of(p, stage, SCRT_W_CONST, t->c);
            word(p, stage, op[t->kind]);
        }
    }
}

/* --- Terms ----------------------------------------------------------------------------------- */

static CgNum unbound(CgProgram *p, const ScTerm *t)
{
    if (!p->failed && sc_term_overflowed(t))
        sc_fail(p->m->cx, p->loc, SC_E_LIMIT, "a size that 64 bits cannot hold");
    else if (!p->failed)
        sc_fail(p->m->cx, p->loc, SC_E_DYNAMIC, "no input has the extent %s by itself", t->sym);
    p->failed = true;
    return (CgNum){0, CG_BIND};
}

CgNum cg_value_of(CgProgram *p, const ScTerm *t)
{
    if (sc_term_is(t, 0))
        return (CgNum){0, CG_BIND};
    const struct CgKnown *k = find(p, t);
    if (k)
        return (CgNum){k->value, k->stage};
    if (t->kind == SC_T_SYM)
        return unbound(p, t);
    uint32_t few[8], *value = t->n <= 8 ? few : sc_array(p->m->arena, uint32_t, t->n);
    CgStage stage = p->least;
    for (uint32_t i = 0; i < t->n; i++) {
        CgNum a = cg_value_of(p, t->arg[i]);
        value[i] = a.value;
        stage = a.stage > stage ? a.stage : stage;
    }
    CgNum r = {cg_new_value(p), stage};
    write(p, stage, t, value);
    word_of(p, stage, SCRT_W_STORE, r.value);
    know(p, t, r.value, stage);
    return r;
}

void cg_value_apart(CgProgram *p, uint32_t to, const ScTerm *t)
{
    uint32_t few[8], *value = t->n <= 8 ? few : sc_array(p->m->arena, uint32_t, t->n);
    const struct CgKnown *k = find(p, t);
    for (uint32_t i = 0; i < t->n && !k; i++) {
        const struct CgKnown *arg = find(p, t->arg[i]);
        value[i] = arg ? arg->value : cg_new_value(p);
        if (!arg)
            cg_value_apart(p, value[i], t->arg[i]);
    }
    if (k)
        word_of(p, CG_PROFILE, SCRT_W_VALUE, k->value);
    else
        write(p, CG_PROFILE, t, value);
    word_of(p, CG_PROFILE, SCRT_W_STORE, to);
}

uint32_t cg_value(CgProgram *p, const ScTerm *t)
{
    return cg_value_of(p, t).value;
}

void cg_assign(CgProgram *p, uint32_t to, uint32_t from)
{
    word_of(p, CG_RUN, SCRT_W_VALUE, from);
    word_of(p, CG_RUN, SCRT_W_STORE, to);
}

CgNum cg_value_op(CgProgram *p, ScrtWord op, CgNum a, CgNum b)
{
    CgStage stage = a.stage > b.stage ? a.stage : b.stage;
    CgNum r = {cg_new_value(p), stage > p->least ? stage : p->least};
    fold(p, r.stage, op, 2, (uint32_t[]){a.value, b.value});
    word_of(p, r.stage, SCRT_W_STORE, r.value);
    return r;
}

uint32_t cg_sum(CgProgram *p, CgNum a, CgNum b)
{
    if (!a.value || !b.value)
        return a.value + b.value;
    const uint32_t what[] = {UINT32_MAX, a.value, b.value}; /* no list of parameters is so */
    const void *key = sc_intern_bytes(p->m->cx, what, sizeof what);
    const struct CgKnown *k = find(p, key);
    if (k)
        return k->value;
    CgNum sum = cg_value_op(p, SCRT_W_ADD, a, b);
    know(p, key, sum.value, sum.stage);
    return sum.value;
}

/* --- Parameters ------------------------------------------------------------------------------ */

/* Values that lie one after another already, or were put so for an earlier kernel, are shared. */
uint32_t cg_params(CgProgram *p, uint32_t n, const ScTerm *const *term)
{
    uint32_t *v = sc_array(p->m->arena, uint32_t, n + 1);
    bool in_order = true;
    CgStage stage = p->least;
    for (uint32_t i = 0; i < n; i++) {
        CgNum x = cg_value_of(p, term[i]);
        v[i] = x.value;
        stage = x.stage > stage ? x.stage : stage;
        in_order = in_order && v[i] == v[0] + i;
    }
    if (in_order)
        return v[0];
    const void *key = sc_intern_bytes(p->m->cx, v, n * sizeof *v);
    const struct CgKnown *k = find(p, key);
    if (k)
        return k->value;
    uint32_t first = p->n_value;
    for (uint32_t i = 0; i < n; i++) {
        word_of(p, stage, SCRT_W_VALUE, v[i]);
        word_of(p, stage, SCRT_W_STORE, cg_new_value(p));
    }
    know(p, key, first, stage);
    return first;
}
