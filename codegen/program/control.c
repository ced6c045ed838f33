/* SPDX-License-Identifier: Apache-2.0 */
/* Branches and loops as steps. A branch is a jump past the other one. A loop is a counter, a test
 * and a jump back:
 *
 *     number of turns, condition, initial values; on to the end where there is no turn
 *     what does not change from turn to turn: guards, sizes, memory
 *   head:
 *     what changes; the nodes; what no kernel has put in its place
 *     extents of the next turn's values; each pair of segments is exchanged
 *     count; on to the end unless there is another turn; back to the head
 *
 * What is evaluated between two labels is known between them only. */
#include "codegen/program/steps_priv.h"

typedef struct Loop {
    CgWriter *w; /* of the region around */
    CgWriter in; /* of the body */
    const ScNode *n;
    const ScGraph *body;
    const CgOwn *own;
    uint32_t n_carried, n_scan;
    uint32_t trips, turn;   /* values */
    uint32_t **extent;      /* [n_carried][rank] values that carried extents have now; 0: fixed */
    uint32_t out[4], n_out; /* steps that jump to the end */
} Loop;

/* --- Words ----------------------------------------------------------------------------------- */

/* A jump where value a <= value b; its target is set later. Both CG_VALUE_ZERO: always. */
static uint32_t jump(CgProgram *p, uint32_t a, uint32_t b)
{
    cg_step(p, CG_RUN, (ScrtStep){.kind = SCRT_JUMP, .b = a, .c = b});
    return p->stream[CG_RUN].n_step - 1;
}

static void land(CgProgram *p, uint32_t step)
{
    uint32_t to = cg_here(p);
    p->stream[CG_RUN].step[step].a = to;
}

/* The only element of v: a value that is known, or read now. */
static uint32_t element(CgWriter *w, ScVal v)
{
    CgProgram *p = w->p;
    const ScValue *x = &w->r->g->value[v];
    if (x->content)
        return cg_value(p, x->content[0]);
    uint32_t value = cg_new_value(p), from = cg_add_place(p, cg_locate(w, w->plan->place[v]));
    cg_step(p, CG_RUN,
            (ScrtStep){.kind = SCRT_BIND_ELEMENT, .a = value, .b = from, .d = x->type->dtype});
    return value;
}

static bool is_true(const ScGraph *g, ScVal v)
{
    return g->value[v].content && sc_term_is(g->value[v].content[0], 1);
}

static void allocate(CgWriter *w, uint32_t own, uint32_t bytes)
{
    cg_step(w->p, CG_RUN,
            (ScrtStep){.kind = SCRT_ALLOC, .a = cg_first_segment(w) + own, .b = bytes});
}

/* --- What leaves ----------------------------------------------------------------------------- */

/* The segment that output i of a nested graph is written to, UINT32_MAX: none. */
static uint32_t leaves_to(const CgWriter *w, const CgOwn *own, uint32_t i)
{
    const ScNode *n = w->r->node;
    const ScGraph *g = w->r->g;
    if (i >= sc_carried(n))
        return own->now[i];
    return g->out[1 + i] == g->in[1 + i] ? UINT32_MAX : own->next[i];
}

static bool is_scan(const ScNode *n, uint32_t i)
{
    return n->op->control == SC_TURNS && i >= sc_carried(n);
}

/* Room for output v, all of whose symbols are known: what a loop gives grows from turn to turn. */
static void allocate_one(CgWriter *w, uint32_t i, ScVal v, uint32_t segment)
{
    CgProgram *p = w->p;
    CgNum bytes = cg_value_of(p, cg_bytes(w->m, sc_type_of(w->r->g, v)));
    if (!is_scan(w->r->node, i)) {
        allocate(w, segment, bytes.value);
        return;
    }
    CgNum at = {p->own_offset[segment], CG_RUN};
    uint32_t end = cg_value_op(p, SCRT_W_ADD, at, bytes).value;
    cg_step(p, CG_RUN, (ScrtStep){.kind = SCRT_GROW, .a = cg_first_segment(w) + segment, .b = end});
}

void cg_allocate_leavings(CgWriter *w)
{
    const ScNode *n = w->r->node;
    if (!n)
        return;
    const CgOwn *own = &w->r->outer->plan->own[n - w->r->outer->g->node];
    const uint32_t skip = w->r->g->n_out - n->n_out, head = n->op->control == SC_TURNS;
    for (uint32_t i = 0; i < n->n_out; i++) {
        ScVal v = w->r->g->out[skip + i];
        uint32_t level = w->value_level[v] > head ? w->value_level[v] : head;
        uint32_t to = leaves_to(w, own, i);
        if (level == w->level && to != UINT32_MAX)
            allocate_one(w, i, v, to);
    }
}

/* The symbols that n binds are the extents of its results: value[] in the order of `as`. */
static void bind_extents(CgWriter *w, const ScNode *n, const uint32_t *value)
{
    const ScAttr *as = sc_attr(n, 0);
    const ScGraph *g = w->r->g;
    uint32_t at = 0;
    for (uint32_t i = 0; i < n->n_out; i++) {
        const char *name = g->value[n->first + i].name;
        for (uint32_t d = 0; d < sc_type_of(g, n->first + i)->rank; d++, at++) {
            if (at >= as->n || as->ts[at]->kind != SC_T_SYM)
                continue;
            cg_bind_symbol(w->p, as->ts[at]->sym, value[at], CG_RUN);
            cg_origin(w->p, as->ts[at]->sym,
                      sc_printf(w->m->arena, "dimension %u of '%s'", d, name ? name : ""));
        }
    }
    if (cg_binds(n)) {
        w->level++;
        cg_write_level(w);
    }
}

static uint32_t n_extents(const ScNode *n)
{
    return sc_attr(n, 0)->n;
}

static bool is_bound_here(const ScNode *n, uint32_t at)
{
    return at < n_extents(n) && sc_attr(n, 0)->ts[at]->kind == SC_T_SYM;
}

/* --- if -------------------------------------------------------------------------------------- */

/* The steps of a branch, which leave the extents of its results in value[]. */
static void branch(CgWriter *w, const CgRegion *r, const uint32_t *value)
{
    CgProgram *p = w->p;
    CgWriter in = cg_writer(p, w->k, r, w);
    uint32_t mark = cg_scope(p), at = 0;
    CgStage least = p->least;
    p->least = CG_RUN;
    cg_write_level(&in);
    cg_write_nodes(&in);
    cg_copy_results(&in);
    for (uint32_t i = 0; i < r->g->n_out; i++) {
        const ScType *t = sc_type_of(r->g, r->g->out[i]);
        for (uint32_t d = 0; d < t->rank; d++, at++)
            if (is_bound_here(r->node, at))
                cg_assign(p, value[at], cg_value(p, t->dim[d]));
    }
    p->least = least;
    cg_forget(p, mark);
    sc_guards_free(&in.guards);
}

static void write_if(CgWriter *w, uint32_t index)
{
    CgProgram *p = w->p;
    const ScNode *n = &w->r->g->node[index];
    const CgRegion *r = w->r->sub[index];
    uint32_t *value = sc_array(w->m->arena, uint32_t, n_extents(n) + 1);
    for (uint32_t i = 0; i < n_extents(n); i++)
        value[i] = cg_new_value(p);
    cg_blame(p, n->loc);
    uint32_t other = jump(p, element(w, n->in[0]), CG_VALUE_ZERO);
    branch(w, &r[0], value);
    uint32_t end = jump(p, CG_VALUE_ZERO, CG_VALUE_ZERO);
    land(p, other);
    branch(w, &r[1], value);
    land(p, end);
    bind_extents(w, n, value);
}

/* --- loop ------------------------------------------------------------------------------------ */

static void leave(Loop *l, uint32_t a, uint32_t b)
{
    l->out[l->n_out++] = jump(l->w->p, a, b);
}

/* Carried values and their extents before the first turn. */
static void enter(Loop *l)
{
    CgProgram *p = l->w->p;
    const ScGraph *g = l->w->r->g;
    for (uint32_t i = 0; i < l->n_carried; i++) {
        ScVal v = l->n->in[2 + i];
        const ScType *t = sc_type_of(g, v);
        const ScType *inner = sc_type_of(l->body, l->body->in[1 + i]);
        uint32_t bytes = cg_value(p, cg_bytes(l->w->m, t));
        allocate(l->w, l->own->now[i], bytes);
        cg_step(p, CG_RUN,
                (ScrtStep){
                    .kind = SCRT_COPY,
                    .a = cg_add_place(p, cg_locate(l->w, l->w->plan->place[v])),
                    .b = cg_add_place(p, cg_locate(l->w, (CgPlace){CG_OWN, l->own->now[i], NULL})),
                    .c = bytes});
        l->extent[i] = sc_array(l->w->m->arena, uint32_t, t->rank + 1);
        for (uint32_t d = 0; d < t->rank; d++) {
            if (inner->dim[d] == t->dim[d])
                continue;
            l->extent[i][d] = cg_new_value(p);
            cg_assign(p, l->extent[i][d], cg_value(p, t->dim[d]));
        }
    }
    for (uint32_t i = 0; i < l->n_scan; i++) {
        uint32_t segment = l->own->now[l->n_carried + i];
        p->own_offset[segment] = cg_new_value(p);
        cg_assign(p, p->own_offset[segment], CG_VALUE_ZERO);
        allocate(l->w, segment, CG_VALUE_ZERO);
    }
    allocate(l->w, l->own->turn, cg_value(p, sc_term(l->w->m->cx, sizeof(int64_t))));
    l->turn = cg_new_value(p);
    cg_assign(p, l->turn, CG_VALUE_ZERO);
}

/* The symbols that are bound anew each turn. */
static void bind_head(Loop *l)
{
    CgProgram *p = l->w->p;
    for (uint32_t i = 0; i < l->n_carried; i++) {
        const ScType *t = sc_type_of(l->body, l->body->in[1 + i]);
        const char *name = l->body->value[l->body->in[1 + i]].name;
        for (uint32_t d = 0; d < t->rank; d++) {
            if (!l->extent[i][d])
                continue;
            cg_bind_symbol(p, t->dim[d]->sym, l->extent[i][d], CG_RUN);
            cg_origin(p, t->dim[d]->sym,
                      sc_printf(l->w->m->arena, "dimension %u of '%s'", d, name ? name : ""));
        }
    }
    l->in.level = 1;
    cg_write_level(&l->in);
}

/* What a turn gives has the extents of what the first one gave, which value[at ..] keep. */
static void check_extent(Loop *l, const ScTerm *t, uint32_t first)
{
    CgProgram *p = l->w->p;
    ScGuard same = {SC_GUARD_EQUAL, t, t, l->n->loc, "extents of what each turn gives"};
    uint32_t is = cg_value(p, t), past = jump(p, l->turn, CG_VALUE_ZERO);
    cg_step(p, CG_RUN,
            (ScrtStep){.kind = SCRT_GUARD,
                       .who = cg_who_of_guard(p, &same),
                       .a = SCRT_GUARD_EQUAL,
                       .b = is,
                       .c = first});
    land(p, past);
    cg_assign(p, first, is);
}

static void check_scans(Loop *l, const uint32_t *value)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < l->n->n_out; i++) {
        const ScType *t = sc_type_of(l->body, l->body->out[1 + i]);
        at += i >= l->n_carried; /* the turns */
        for (uint32_t d = 0; d < t->rank; d++, at++)
            if (i >= l->n_carried && is_bound_here(l->n, at))
                check_extent(l, t->dim[d], value[at]);
    }
}

/* The elements of the next turn lie behind those of this one. */
static void move_on(Loop *l)
{
    CgProgram *p = l->w->p;
    for (uint32_t i = 0; i < l->n_scan; i++) {
        ScVal v = l->body->out[1 + l->n_carried + i];
        CgNum at = {p->own_offset[l->own->now[l->n_carried + i]], CG_RUN};
        CgNum each = cg_value_of(p, cg_bytes(l->w->m, sc_type_of(l->body, v)));
        cg_assign(p, at.value, cg_value_op(p, SCRT_W_ADD, at, each).value);
    }
}

/* The next turn's extents, all known before the first is stored. */
static void next_extents(Loop *l)
{
    CgProgram *p = l->w->p;
    for (uint32_t pass = 0; pass < 2; pass++)
        for (uint32_t i = 0; i < l->n_carried; i++) {
            const ScType *t = sc_type_of(l->body, l->body->out[1 + i]);
            for (uint32_t d = 0; d < t->rank; d++) {
                uint32_t is = l->extent[i][d] ? cg_value(p, t->dim[d]) : 0;
                if (pass && l->extent[i][d])
                    cg_assign(p, l->extent[i][d], is);
            }
        }
}

/* Values that are written become those that are read. */
static void exchange(Loop *l)
{
    uint32_t first = cg_first_segment(l->w);
    for (uint32_t i = 0; i < l->n_carried; i++)
        if (leaves_to(&l->in, l->own, i) != UINT32_MAX)
            cg_step(l->w->p, CG_RUN,
                    (ScrtStep){.kind = SCRT_SWAP,
                               .a = first + l->own->now[i],
                               .b = first + l->own->next[i]});
}

/* The number of the turn, where the body reads it. */
static void store_turn(Loop *l)
{
    CgProgram *p = l->w->p;
    const uint32_t *first = sc_uses(l->body, l->w->m->arena).first, turn = l->body->in[0];
    if (first[turn + 1] > first[turn])
        cg_step(p, CG_RUN,
                (ScrtStep){
                    .kind = SCRT_STORE,
                    .a = l->turn,
                    .b = cg_add_place(p, cg_locate(l->w, (CgPlace){CG_OWN, l->own->turn, NULL}))});
}

/* From the head on; value: where the extents are kept that results are bound to. */
static void write_turn(Loop *l, const uint32_t *value)
{
    CgProgram *p = l->w->p;
    uint32_t head = cg_here(p), more = CG_VALUE_ZERO;
    ScVal on = l->body->out[0];
    store_turn(l);
    bind_head(l);
    cg_write_nodes(&l->in);
    cg_blame(p, l->n->loc);
    if (!is_true(l->body, on))
        more = element(&l->in, on);
    cg_copy_results(&l->in);
    check_scans(l, value);
    move_on(l);
    next_extents(l);
    exchange(l);
    CgNum turn = {l->turn, CG_RUN}, one = cg_value_of(p, sc_term(l->w->m->cx, 1));
    cg_assign(p, l->turn, cg_value_op(p, SCRT_W_ADD, turn, one).value);
    if (!is_true(l->body, on))
        leave(l, more, CG_VALUE_ZERO);
    leave(l, l->trips, l->turn);
    uint32_t back = jump(p, CG_VALUE_ZERO, CG_VALUE_ZERO);
    p->stream[CG_RUN].step[back].a = head;
}

/* Where extents tell the number of turns, results have it: it must be so. */
static void check_turns(Loop *l)
{
    CgProgram *p = l->w->p;
    const ScAttr *told = sc_attr(l->n, 2);
    if (told->kind != SC_A_TERMS)
        return;
    ScGuard same = {SC_GUARD_EQUAL, told->ts[0], told->ts[0], l->n->loc, "the number of turns"};
    cg_step(p, CG_RUN,
            (ScrtStep){.kind = SCRT_GUARD,
                       .who = cg_who_of_guard(p, &same),
                       .a = SCRT_GUARD_EQUAL,
                       .b = l->turn,
                       .c = cg_value(p, told->ts[0])});
}

/* The values that the extents of results are in after the loop, in the order of `as`. */
static uint32_t *kept_extents(Loop *l)
{
    CgProgram *p = l->w->p;
    const ScGraph *g = l->w->r->g;
    uint32_t *value = sc_array(l->w->m->arena, uint32_t, n_extents(l->n) + 1), at = 0;
    for (uint32_t i = 0; i < l->n->n_out; i++) {
        uint32_t rank = sc_type_of(g, l->n->first + i)->rank;
        for (uint32_t d = 0; d < rank; d++, at++) {
            if (!is_bound_here(l->n, at))
                continue;
            if (i < l->n_carried)
                value[at] = l->extent[i][d] ? l->extent[i][d]
                                            : cg_value(p, sc_type_of(g, l->n->in[2 + i])->dim[d]);
            else if (d == 0)
                value[at] = l->turn;
            else
                cg_assign(p, value[at] = cg_new_value(p), CG_VALUE_ZERO);
        }
    }
    return value;
}

static void write_loop(CgWriter *w, uint32_t index)
{
    CgProgram *p = w->p;
    const ScNode *n = &w->r->g->node[index];
    Loop l = {.w = w, .n = n, .body = n->sub[0], .own = &w->plan->own[index]};
    l.n_carried = sc_carried(n);
    l.n_scan = n->n_out - l.n_carried;
    l.extent = sc_array(w->m->arena, uint32_t *, l.n_carried + 1);
    cg_blame(p, n->loc);
    l.trips = element(w, n->in[0]);
    enter(&l);
    l.in = cg_writer(p, w->k, w->r->sub[index], w);
    uint32_t *value = kept_extents(&l);
    if (!is_true(w->r->g, n->in[1]))
        leave(&l, element(w, n->in[1]), CG_VALUE_ZERO);
    leave(&l, l.trips, CG_VALUE_ZERO);
    uint32_t mark = cg_scope(p);
    CgStage least = p->least;
    p->least = CG_RUN;
    cg_write_level(&l.in);
    write_turn(&l, value);
    p->least = least;
    cg_forget(p, mark);
    for (uint32_t i = 0; i < l.n_out; i++)
        land(p, l.out[i]);
    for (uint32_t i = 0; i < l.n_scan; i++)
        p->own_offset[l.own->now[l.n_carried + i]] = 0;
    sc_guards_free(&l.in.guards);
    cg_blame(p, n->loc);
    check_turns(&l);
    bind_extents(w, n, value);
}

void cg_write_control(CgWriter *w, uint32_t index)
{
    (w->r->g->node[index].op->control == SC_TURNS ? write_loop : write_if)(w, index);
}
