/* SPDX-License-Identifier: Apache-2.0 */
/* The program as the runtime walks it: symbols are bound, sizes evaluated and guarded as far as
 * the inputs' dims and the extents of states tell them; a run then allocates, runs the kernels one
 * after another, copies. Where a node binds symbols half way, what waited for them follows at once:
 * guards, sizes, memory in a segment of its own. That is a level. */
#include "codegen/program/steps_priv.h"

#include <stdlib.h>
#include <string.h>

enum { SHOWN_ORIGINS = 3 };

/* --- Who, for messages ----------------------------------------------------------------------- */

/* MatMul "fc1", Add "bias" */
static const char *node_text(ScArena *a, const ScLoc *loc)
{
    ScStr s = {0};
    for (uint32_t i = 0; i < loc->n && i < SHOWN_ORIGINS; i++) {
        const ScOrigin *o = &loc->origin[i];
        sc_str_addf(&s, "%s%s%s\"%s\"", i ? ", " : "", o->op ? o->op : "", o->op ? " " : "",
                    o->name ? o->name : "");
    }
    if (loc->n > SHOWN_ORIGINS)
        sc_str_addf(&s, " and %u more", loc->n - SHOWN_ORIGINS);
    return sc_str_keep(&s, a);
}

static uint32_t add_who(CgProgram *p, ScrtWho who)
{
    sc_buf_push(p->who, p->n_who, p->cap_who, who);
    return p->n_who - 1;
}

static const char *term_text(ScArena *a, const ScTerm *t)
{
    ScStr s = {0};
    sc_term_print(t, &s);
    return sc_str_keep(&s, a);
}

typedef struct Where {
    const CgProgram *p;
    ScStr text;
    const char *seen[8];
    uint32_t n;
} Where;

static void see_symbol(void *arg, const char *sym)
{
    Where *w = arg;
    for (uint32_t i = 0; i < w->n; i++)
        if (w->seen[i] == sym)
            return;
    for (uint32_t i = 0; i < w->p->n_origin && w->n < 8; i++)
        if (w->p->sym[i] == sym) {
            sc_str_addf(&w->text, "%s%s is %s", w->n ? "; " : "", sym, w->p->origin[i]);
            w->seen[w->n++] = sym;
        }
}

/* Where the symbols of two terms come from; b may be NULL. */
static const char *where_text(const CgProgram *p, const ScTerm *a, const ScTerm *b)
{
    Where w = {.p = p};
    sc_term_symbols(a, see_symbol, &w);
    if (b)
        sc_term_symbols(b, see_symbol, &w);
    return sc_str_keep(&w.text, p->m->arena);
}

uint32_t cg_who_of_guard(CgProgram *p, const ScGuard *g)
{
    ScArena *a = p->m->arena;
    return add_who(p, (ScrtWho){node_text(a, g->loc), g->what, term_text(a, g->a),
                                term_text(a, g->b), where_text(p, g->a, g->b), 0});
}

/* --- Steps ----------------------------------------------------------------------------------- */

/* Words written since the last step are evaluated by one of their own. */
static void flush(CgProgram *p, CgStage stage)
{
    CgStream *s = &p->stream[stage];
    if (s->n_word == s->n_evaluated)
        return;
    uint32_t who = 0;
    if (p->loc && p->loc->n)
        who = add_who(p, (ScrtWho){.node = node_text(p->m->arena, p->loc)});
    ScrtStep eval = {
        .kind = SCRT_EVAL, .who = who, .a = s->n_evaluated, .b = s->n_word - s->n_evaluated};
    s->n_evaluated = s->n_word;
    sc_buf_push(s->step, s->n_step, s->cap_step, eval);
}

void cg_step(CgProgram *p, CgStage stage, ScrtStep x)
{
    CgStream *s = &p->stream[stage];
    flush(p, stage);
    sc_buf_push(s->step, s->n_step, s->cap_step, x);
}

/* What was written before a label is evaluated before it. */
uint32_t cg_here(CgProgram *p)
{
    flush(p, CG_RUN);
    return p->stream[CG_RUN].n_step;
}

/* What is written from now on is blamed on loc. */
void cg_blame(CgProgram *p, const ScLoc *loc)
{
    if (loc == p->loc)
        return;
    flush(p, CG_BIND);
    flush(p, CG_RUN);
    p->loc = loc;
}

uint32_t cg_add_place(CgProgram *p, ScrtPlace x)
{
    sc_buf_push(p->place, p->n_place, p->cap_place, x);
    return p->n_place - 1;
}

/* --- Symbols --------------------------------------------------------------------------------- */

void cg_origin(CgProgram *p, const char *sym, const char *origin)
{
    sc_buf_push(p->sym, p->n_origin, p->cap_sym, sym);
    p->n_origin--;
    sc_buf_push(p->origin, p->n_origin, p->cap_origin, origin);
}

static void bind_inputs(CgWriter *w)
{
    CgProgram *p = w->p;
    const ScGraph *g = w->r->g;
    for (uint32_t i = 0; i < g->n_in; i++) {
        const ScType *t = sc_type_of(g, g->in[i]);
        const char *name = g->value[g->in[i]].name;
        for (uint32_t d = 0; d < t->rank; d++) {
            if (t->dim[d]->kind != SC_T_SYM || cg_is_known(p, t->dim[d]))
                continue;
            uint32_t v = cg_new_value(p);
            cg_bind_symbol(p, t->dim[d]->sym, v, CG_BIND);
            cg_step(p, CG_BIND, (ScrtStep){.kind = SCRT_BIND_EXTENT, .a = v, .b = i, .c = d});
            cg_origin(p, t->dim[d]->sym,
                      sc_printf(w->m->arena, "dimension %u of input '%s'", d, name ? name : ""));
        }
    }
    p->n_sym = p->n_origin;
}

/* What no input has, states that grow have. */
static void bind_states(CgWriter *w)
{
    CgProgram *p = w->p;
    const ScGraph *g = w->m->g;
    for (uint32_t i = 0; i < g->n_state; i++) {
        const ScState *s = &g->state[i];
        if (!s->grows || cg_is_known(p, sc_term_sym(w->m->cx, s->grows)))
            continue;
        uint32_t v = cg_new_value(p);
        cg_bind_symbol(p, s->grows, v, CG_BIND);
        cg_step(p, CG_BIND, (ScrtStep){.kind = SCRT_BIND_STATE, .a = v, .b = w->m->state[i]});
        cg_origin(p, s->grows,
                  sc_printf(w->m->arena, "dimension %u of state '%s'",
                            sc_state_axis(s, sc_type_of(g, s->past)), s->name));
    }
}

/* Every input has the extents that its type says. */
static void check_inputs(CgWriter *w)
{
    CgProgram *p = w->p;
    const ScGraph *g = w->r->g;
    uint32_t next = 0; /* the symbol that is bound next, in this order */
    for (uint32_t i = 0; i < g->n_in; i++) {
        const ScType *t = sc_type_of(g, g->in[i]);
        uint32_t who = 0;
        cg_blame(p, sc_def(g, g->in[i])->loc);
        for (uint32_t d = 0; d < t->rank; d++) {
            if (next < p->n_sym && t->dim[d]->kind == SC_T_SYM && t->dim[d]->sym == p->sym[next]) {
                next++;
                continue;
            }
            int64_t number;
            bool is_number = sc_term_const(t->dim[d], &number);
            uint32_t want = cg_value(p, t->dim[d]), is = cg_new_value(p), blamed = who;
            if (!is_number)
                blamed = add_who(p, (ScrtWho){.input = i,
                                              .a = term_text(w->m->arena, t->dim[d]),
                                              .where = where_text(p, t->dim[d], NULL)});
            else if (!who)
                blamed = who = add_who(p, (ScrtWho){.input = i});
            cg_step(p, CG_BIND, (ScrtStep){.kind = SCRT_BIND_EXTENT, .a = is, .b = i, .c = d});
            cg_step(
                p, CG_BIND,
                (ScrtStep){
                    .kind = SCRT_GUARD, .who = blamed, .a = SCRT_GUARD_EQUAL, .b = is, .c = want});
        }
    }
}

/* --- Guards ---------------------------------------------------------------------------------- */

static void need(CgWriter *w, ScGuardKind kind, const ScTerm *a, const ScTerm *b, const ScLoc *loc,
                 const char *what)
{
    ScGuard g = {kind, a, b, loc, what};
    if (sc_guard_decide(w->m->cx, kind, a, b) != SC_ALWAYS)
        sc_guards_add(&w->guards, &g);
}

/* Extents that meet in a broadcast are equal, or 1. */
static void need_broadcast(CgWriter *w, const ScTerm *t, const ScLoc *loc)
{
    for (uint32_t i = 0; i < t->n; i++) {
        need_broadcast(w, t->arg[i], loc);
        if (t->kind == SC_T_BCAST)
            need(w, SC_GUARD_FITS, t->arg[i], t, loc, "extents that meet in a broadcast");
    }
}

/* For an index that is outside element 0 is read: an axis has one where there are indices. */
static void need_gather(CgWriter *w, const ScGraph *g, const ScNode *n, const ScLoc *loc)
{
    ScCtx *cx = w->m->cx;
    const ScTerm *extent = sc_type_of(g, n->in[0])->dim[n->op->gather_axis(g, n)];
    const ScTerm *count = sc_type_count(cx, sc_type_of(g, n->in[1]));
    need(w, SC_GUARD_AT_MOST, sc_term_min(cx, count, sc_term(cx, 1)), extent, loc,
         "elements of the axis that is gathered from");
}

/* What values need of their extents, inside kernels too. */
static void need_extents(CgWriter *w, const ScGraph *g, const ScLoc *loc)
{
    for (ScVal v = SC_FIRST; v < g->n_value; v++) {
        const ScNode *n = sc_def(g, v);
        const ScType *t = sc_type_of(g, v);
        const ScLoc *at = loc ? loc : n->loc;
        for (uint32_t d = 0; d < t->rank; d++) {
            need(w, SC_GUARD_AT_MOST, sc_term(w->m->cx, 0), t->dim[d], at, "an extent");
            need_broadcast(w, t->dim[d], at);
        }
        if (n->first == v && n->op->gather_axis)
            need_gather(w, g, n, at);
        if (n->first == v && n->op->lower.cls == SC_KERNEL)
            need_extents(w, n->sub[0], n->loc);
    }
}

static void collect_guards(CgWriter *w)
{
    const ScGraph *g = w->r->g;
    for (uint32_t i = 0; i < g->n_guard; i++)
        sc_guards_add(&w->guards, &g->guard[i]);
    need_extents(w, g, NULL);
    w->guard_level = sc_array(w->m->arena, uint32_t, w->guards.n + 1);
    for (uint32_t i = 0; i < w->guards.n; i++) {
        const ScGuard *x = &w->guards.p[i];
        uint32_t a = cg_level(w->r, x->a), b = cg_level(w->r, x->b);
        w->guard_level[i] = a > b ? a : b;
    }
    w->value_level = sc_array(w->m->arena, uint32_t, g->n_value);
    /* By extents: a product with 0 is known before they are. */
    for (ScVal v = SC_FIRST; v < g->n_value; v++) {
        const ScType *t = sc_type_of(g, v);
        for (uint32_t d = 0; d < t->rank; d++) {
            uint32_t level = cg_level(w->r, t->dim[d]);
            w->value_level[v] = level > w->value_level[v] ? level : w->value_level[v];
        }
    }
}

/* --- States ---------------------------------------------------------------------------------- */

/* States whose extents are told: they hold a value of these, or room is made for one. */
static void use_states(CgWriter *w)
{
    CgProgram *p = w->p;
    const ScGraph *g = w->r->g;
    for (uint32_t i = 0; i < g->n_state; i++) {
        const ScState *s = &g->state[i];
        const ScType *t = sc_type_of(g, s->past), *next = sc_type_of(g, s->next);
        uint32_t now = w->value_level[s->past], then = w->value_level[s->next];
        if (sc_type_const_dims(t, NULL) || (now > then ? now : then) != w->level)
            continue;
        cg_blame(p, sc_def(g, s->next)->loc);
        uint32_t after = s->grows ? cg_value(p, next->dim[sc_state_axis(s, t)]) : 0;
        uint32_t dims = cg_params(p, t->rank, t->dim);
        cg_step(p, CG_RUN,
                (ScrtStep){.kind = SCRT_STATE, .a = w->m->state[i], .b = dims, .c = after});
    }
}

static void write_guards(CgWriter *w)
{
    CgProgram *p = w->p;
    for (uint32_t i = 0; i < w->guards.n; i++) {
        const ScGuard *x = &w->guards.p[i];
        if (w->guard_level[i] != w->level)
            continue;
        cg_blame(p, x->loc);
        CgNum a = cg_value_of(p, x->a), b = cg_value_of(p, x->b);
        CgStage stage = a.stage > b.stage ? a.stage : b.stage;
        cg_step(p, stage > p->least ? stage : p->least,
                (ScrtStep){.kind = SCRT_GUARD,
                           .who = cg_who_of_guard(p, x),
                           .a = x->kind,
                           .b = a.value,
                           .c = b.value});
    }
}

/* --- The workspace --------------------------------------------------------------------------- */

typedef struct Size { /* a value and a constant, of bytes */
    CgNum n;
    int64_t c;
} Size;

static Size add_size(CgProgram *p, Size a, Size b)
{
    CgNum n = !a.n.value ? b.n : !b.n.value ? a.n : cg_value_op(p, SCRT_W_ADD, a.n, b.n);
    return (Size){n, a.c + b.c};
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* The largest of n terms. */
static Size largest(CgProgram *p, CgStage stage, uint32_t n, const ScTerm *const *term)
{
    uint32_t *value = sc_array(p->m->arena, uint32_t, n + 1), k = 0;
    int64_t most = 0, c;
    for (uint32_t i = 0; i < n; i++) {
        if (!sc_term_const(term[i], &c))
            value[k++] = cg_value(p, term[i]);
        else if (c > most)
            most = c;
    }
    if (k == 0)
        return (Size){{0}, most};
    if (most)
        value[k++] = cg_value(p, sc_term(p->m->cx, most));
    qsort(value, k, sizeof *value, by_number);
    CgNum max = {value[0], stage};
    for (uint32_t i = 1; i < k; i++)
        if (value[i] != value[i - 1])
            max = cg_value_op(p, SCRT_W_MAX, max, (CgNum){value[i], stage});
    return (Size){max, 0};
}

static void next_place(CgProgram *p, uint32_t segment, Size *end, Size bytes, ScrtPlace *ret)
{
    *ret = (ScrtPlace){segment, end->n.value, end->c};
    *end = add_size(p, *end, bytes);
}

/* Scratch of the kernels whose scratch this level can size: shared, or of each thread. */
static Size scratch(CgWriter *w, CgStage stage, bool of_thread)
{
    const ScTerm **bytes = sc_array(w->m->arena, const ScTerm *, w->k->n + 1);
    uint32_t n = 0;
    for (uint32_t i = 0; i < w->k->n; i++) {
        const CgKernel *k = &w->k->k[i];
        const ScTerm *t = of_thread ? k->f->scratch_thread : k->f->scratch;
        if (!t || k->region != w->r)
            continue;
        bytes[n] = cg_actual(w->m, &k->formal, cg_round64(w->m, t));
        n += cg_level(w->r, bytes[n]) == w->level;
    }
    return largest(w->p, stage, n, bytes);
}

static CgNum whole(CgWriter *w, Size s)
{
    CgNum c = cg_value_of(w->p, sc_term(w->m->cx, s.c));
    return add_size(w->p, (Size){s.n, 0}, (Size){c, 0}).n;
}

/* The slots of this level, then scratch, one after another in a segment. */
static void lay_out_work(CgWriter *w)
{
    CgProgram *p = w->p;
    CgStage stage = w->level ? CG_RUN : p->least;
    uint32_t segment = cg_first_segment(w) + p->n_segment++;
    Size end = {0};
    cg_blame(p, NULL);
    for (uint32_t i = 0; i < w->plan->n_slot; i++) {
        const CgSlot *s = &w->plan->slot[i];
        if (s->level == w->level)
            next_place(p, segment, &end, largest(p, stage, s->n, s->bytes), &w->slot[i]);
    }
    next_place(p, segment, &end, scratch(w, stage, false), &w->scratch[w->level]);
    CgNum each = whole(w, scratch(w, stage, true));
    if (each.value)
        each = cg_value_op(p, SCRT_W_MUL, each, (CgNum){CG_VALUE_THREADS, CG_BIND});
    next_place(p, segment, &end, (Size){each, 0}, &w->scratch_thread[w->level]);
    cg_step(p, CG_RUN, (ScrtStep){.kind = SCRT_ALLOC, .a = segment, .b = whole(w, end).value});
}

/* --- A run ----------------------------------------------------------------------------------- */

uint32_t cg_first_segment(const CgWriter *w)
{
    const ScGraph *g = w->m->g;
    return 1 + g->n_in + g->n_out + 2 * w->m->n_state;
}

/* The same moved on by an offset in bytes, which is one value with the place's own. */
static ScrtPlace moved_on(CgProgram *p, ScrtPlace x, CgStage stage, const ScTerm *offset)
{
    int64_t c;
    if (!offset)
        return x;
    if (sc_term_const(offset, &c))
        x.offset += c;
    else
        x.value = cg_sum(p, (CgNum){x.value, stage}, cg_value_of(p, offset));
    return x;
}

static ScrtPlace base_of(const CgWriter *w, CgPlace at)
{
    const ScGraph *g = w->m->g;
    uint32_t in = 1, out = in + g->n_in, state = out + g->n_out, next = state + w->m->n_state;
    uint32_t i = (uint32_t)at.index;
    switch (at.kind) {
    case CG_IN:
        return (ScrtPlace){in + i, 0, 0};
    case CG_OUT:
        return (ScrtPlace){out + i, 0, 0};
    case CG_STATE:
        return (ScrtPlace){state + w->m->state[i], 0, 0};
    case CG_NEXT:
        return (ScrtPlace){next + w->m->state[i], 0, 0};
    case CG_WORK:
        return w->slot[i];
    case CG_ENTRY:
        return cg_locate(w->around, w->around->plan->place[w->r->node->in[i]]);
    case CG_OWN:
        return (ScrtPlace){cg_first_segment(w) + i, w->p->own_offset[i], 0};
    default: /* the weights */
        return (ScrtPlace){0, 0, (int64_t)at.index};
    }
}

ScrtPlace cg_locate(const CgWriter *w, CgPlace at)
{
    bool early = at.kind == CG_WORK && !w->r->outer && w->plan->slot[at.index].level == 0;
    return moved_on(w->p, base_of(w, at), early ? CG_BIND : CG_RUN, at.offset);
}

/* All values must be addressable, not only those that the runtime allocates. */
static void check_sizes(CgWriter *w)
{
    const ScGraph *g = w->r->g;
    for (ScVal v = SC_FIRST; v < g->n_value; v++) {
        if (w->value_level[v] != w->level)
            continue;
        cg_blame(w->p, sc_def(g, v)->loc);
        cg_value(w->p, cg_bytes(w->m, sc_type_of(g, v)));
    }
}

static void allocate_outputs(CgWriter *w)
{
    CgProgram *p = w->p;
    if (w->r->outer)
        return;
    const ScGraph *g = w->r->g;
    for (uint32_t i = 0; i < g->n_out; i++) {
        const ScType *t = sc_type_of(g, g->out[i]);
        if (w->value_level[g->out[i]] != w->level)
            continue;
        p->out_dims[i] = sc_array(w->m->arena, uint32_t, t->rank + 1);
        for (uint32_t d = 0; d < t->rank; d++) {
            CgNum x = cg_value_of(p, t->dim[d]);
            p->out_dims[i][d] = x.value | (x.stage == CG_RUN ? SCRT_LATE : 0);
        }
        uint32_t bytes = cg_value(p, cg_bytes(w->m, t));
        cg_step(p, CG_RUN, (ScrtStep){.kind = SCRT_ALLOC, .a = 1 + g->n_in + i, .b = bytes});
    }
}

/* All that the symbols bound so far tell, and that those before did not. */
void cg_write_level(CgWriter *w)
{
    write_guards(w);
    check_sizes(w);
    use_states(w);
    lay_out_work(w);
    allocate_outputs(w);
    cg_allocate_leavings(w);
}

/* Where a kernel's scratch lies: in the segment whose level sizes it. */
static ScrtPlace scratch_of(const CgWriter *w, const CgKernel *k, bool of_thread)
{
    const ScTerm *t = of_thread ? k->f->scratch_thread : k->f->scratch;
    uint32_t level = t ? cg_level(w->r, cg_actual(w->m, &k->formal, cg_round64(w->m, t))) : 0;
    return of_thread ? w->scratch_thread[level] : w->scratch[level];
}

static void call_kernel(CgWriter *w, uint32_t index)
{
    CgProgram *p = w->p;
    const CgKernel *k = &w->k->k[index];
    const ScNode *n = k->node;
    if (k->f->alias || k->f->idle)
        return;
    cg_blame(p, n->loc);
    const ScCall *call = k->f->call;
    const ScNode *lead = sc_leader(n->sub[0]);
    ScrtStep s = {.kind = call ? SCRT_CALL : SCRT_KERNEL,
                  .a = index - p->first_kernel,
                  .b = call ? call->callee : k->f->index,
                  .c = p->n_place};
    if (call || (lead && lead->op->gather_axis)) /* what may meet an index outside */
        s.who = add_who(p, (ScrtWho){.node = node_text(w->m->arena, n->loc)});
    cg_add_place(p, scratch_of(w, k, false));
    cg_add_place(p, scratch_of(w, k, true));
    for (uint32_t i = 0; i < n->n_in; i++) {
        bool constant = sc_def(w->r->g, n->in[i])->op->flags & SC_CONST_OP;
        cg_add_place(p, constant ? (ScrtPlace){0, 0, (int64_t)k->weights[i]}
                                 : cg_locate(w, w->plan->place[n->in[i]]));
    }
    for (uint32_t i = 0; i < n->n_out; i++)
        cg_add_place(p, cg_locate(w, w->plan->place[n->first + i]));
    s.d = p->n_place - s.c;
    const ScTerm **param = sc_array(w->m->arena, const ScTerm *, k->f->n_term + 1);
    for (uint32_t i = 0; i < k->f->n_term; i++)
        param[i] = cg_actual(w->m, &k->formal, k->f->term[i]);
    s.e = cg_params(p, k->f->n_term, param);
    p->n_arg = s.d > p->n_arg ? s.d : p->n_arg;
    cg_step(p, CG_RUN, s);
    cg_count_kernel(w, k);
}

/* The symbols that n names become the elements of its operand. */
static void bind_elements(CgWriter *w, const ScNode *n)
{
    CgProgram *p = w->p;
    const ScAttr *as = sc_attr(n, 0);
    const char *name = w->r->g->value[n->in[0]].name;
    const char *what = name ? sc_printf(w->m->arena, "'%s'", name) : "what this node computes";
    uint32_t from = cg_add_place(p, cg_locate(w, w->plan->place[n->in[0]]));
    cg_blame(p, n->loc);
    for (uint32_t i = 0; i < as->n; i++) {
        uint32_t v = cg_new_value(p);
        cg_bind_symbol(p, as->ts[i]->sym, v, CG_RUN);
        cg_step(p, CG_RUN,
                (ScrtStep){.kind = SCRT_BIND_ELEMENT,
                           .a = v,
                           .b = from,
                           .c = i,
                           .d = sc_type_of(w->r->g, n->in[0])->dtype});
        cg_origin(p, as->ts[i]->sym, sc_printf(w->m->arena, "element %u of %s", i, what));
    }
    w->level++;
    cg_write_level(w);
}

void cg_write_nodes(CgWriter *w)
{
    const ScGraph *g = w->r->g;
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        if (n->op->control)
            cg_write_control(w, i);
        else if (n->op->flags & SC_BINDS)
            bind_elements(w, n);
        else if (n->op->lower.cls == SC_KERNEL)
            call_kernel(w, w->r->of[i]);
    }
}

void cg_copy_results(CgWriter *w)
{
    CgProgram *p = w->p;
    for (uint32_t i = 0; i < w->plan->n_copy; i++) {
        const CgCopy *c = &w->plan->copy[i];
        uint32_t bytes = cg_value(p, cg_bytes(w->m, sc_type_of(w->r->g, c->from)));
        uint32_t from = cg_add_place(p, cg_locate(w, w->plan->place[c->from]));
        uint32_t to = cg_add_place(p, cg_locate(w, c->to));
        cg_step(p, CG_RUN, (ScrtStep){.kind = SCRT_COPY, .a = from, .b = to, .c = bytes});
    }
}

CgWriter cg_writer(CgProgram *p, const CgKernels *k, const CgRegion *r, const CgWriter *around)
{
    CgModule *m = p->m;
    CgWriter w = {.p = p, .m = m, .k = k, .r = r, .plan = r->plan, .around = around};
    w.slot = sc_array(m->arena, ScrtPlace, r->plan->n_slot + 1);
    w.scratch = sc_array(m->arena, ScrtPlace, r->n_level + 1);
    w.scratch_thread = sc_array(m->arena, ScrtPlace, r->n_level + 1);
    collect_guards(&w);
    return w;
}

bool cg_program(CgModule *m, const CgKernels *k, CgWork *u)
{
    CgProgram *ret = &u->program;
    *ret = (CgProgram){.m = m, .n_value = CG_VALUE_FIRST, .n_segment = u->n_own};
    ret->first_kernel = u->first;
    ret->out_dims = sc_array(m->arena, uint32_t *, m->g->n_out + 1);
    ret->own_offset = sc_array(m->arena, uint32_t, u->n_own + 1);
    ret->counted = sc_array(m->arena, CgCounted, u->n_kernel + 1);
    CgWriter w = cg_writer(ret, k, u->region, NULL);
    add_who(ret, (ScrtWho){0});
    bind_inputs(&w);
    bind_states(&w);
    check_inputs(&w);
    cg_write_level(&w);
    cg_write_nodes(&w);
    cg_copy_results(&w);
    for (CgStage s = 0; s < CG_PROFILE; s++)
        cg_step(ret, s, (ScrtStep){.kind = SCRT_END});
    for (uint32_t i = 0; i < ret->stream[CG_RUN].n_step; i++) { /* one list of words, in the end */
        ScrtStep *x = &ret->stream[CG_RUN].step[i];
        x->a += x->kind == SCRT_EVAL ? ret->stream[CG_BIND].n_word : 0;
    }
    for (uint32_t i = 0; i < u->n_kernel; i++)
        ret->counted[i].word += ret->stream[CG_BIND].n_word + ret->stream[CG_RUN].n_word;
    sc_guards_free(&w.guards);
    return !ret->failed;
}

void cg_program_done(CgProgram *p)
{
    for (CgStage s = 0; s < CG_STAGES; s++) {
        sc_buf_free(p->stream[s].step);
        sc_buf_free(p->stream[s].word);
    }
    void *buf[] = {p->place, p->who, p->log, p->sym, p->origin};
    for (size_t i = 0; i < sizeof buf / sizeof *buf; i++)
        sc_buf_free(buf[i]);
}
